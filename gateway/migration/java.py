"""Java's regular expressions (java.util.regex.Pattern, with no flags) as Python writes them.

The two agree on most of what they write alike, and differ in silence on the rest: `[a-z[0-9]]` is a union in Java and four
characters and a bracket in Python, `\\d` takes every digit of Unicode in Python, `\\Z` is what Python has `$` for. So an
expression is read part by part: each is written so that it matches the same, or the whole is refused with a sentence. What
is not known here is refused.

Of a path that has no line ends, which no request may have, `.`, `^` and `$` say the same in both.
"""

import re
from typing import Final, NamedTuple

_POSIX: Final = {
    "Alnum": "0-9A-Za-z",
    "Alpha": "A-Za-z",
    "ASCII": "\\x00-\\x7f",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "Digit": "0-9",
    "Graph": "!-~",
    "Lower": "a-z",
    "Print": " -~",
    "Punct": "!-/:-@\\[-`{-~",
    "Space": " \\t\\n\\x0b\\f\\r",
    "Upper": "A-Z",
    "XDigit": "0-9A-Fa-f",
}
"""Classes of \\p that mean ASCII; all others are of Unicode, as the version of Java knows it."""

_CASED: Final = ("Lower", "Upper")

_CONTROLS: Final = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7, "e": 27}
_ASCII_CLASSES: Final = "dDsSwW"
_QUANTIFIERS: Final = "*+?{"

_NAME: Final = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>")
_PROPERTY: Final = re.compile(r"\{(\w+)\}")
_REPEAT: Final = re.compile(r"\{\d+(?:,\d*)?\}")
_FLAGS: Final = re.compile(r"\?([A-Za-z]*)(?:-([A-Za-z]*))?([:)])")
_OCTAL: Final = re.compile(r"[0-3][0-7]{2}|[0-7]{1,2}")
_HEXADECIMAL: Final = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})")
_FOUR: Final = re.compile(r"[0-9A-Fa-f]{4}")

_FLAG: Final = {"i": "i", "s": "s"}
"""Flags that mean the same, as long as case is that of ASCII."""


def python(expression: str) -> str:
    """The same expression as Python writes it. Raises ValueError for what it cannot."""
    return _Reader(expression).read()


class _Part(NamedTuple):
    """One character of a class, or what stands for several.

    text  as Python writes it
    code  of the character; None for several
    """

    text: str
    code: int | None


class _Reader:
    """Reads an expression once, from its beginning to its end."""

    def __init__(self, expression: str) -> None:
        self._parts = _unquoted(expression)
        self._at = 0
        self._made: list[str] = []
        self._ascii = False
        self._any_case = False
        self._cased = False
        self._head = ""

    def read(self) -> str:
        while self._at < len(self._parts):
            part, quoted = self._parts[self._at]
            self._at += 1
            if quoted:
                self._made.append(_literal(ord(part)))
            elif part == "\\":
                self._made.append(self._escape())
            elif part == "[":
                self._made.append(self._class())
            elif part == "(":
                self._made.append(self._group())
            elif part == "{":
                self._made.append(self._repeat())
            else:
                self._made.append(part)
        if self._any_case and self._cased:
            raise ValueError(
                "\\p{Lower} and \\p{Upper} without regard to case are one thing or another in versions of Java"
            )
        flags = ("a" if self._ascii or self._any_case else "") + self._head
        return (f"(?{flags})" if flags else "") + "".join(self._made)

    def _peek(self) -> str:
        """The next character if it has a meaning of its own; else, and at the end, nothing."""
        if self._at >= len(self._parts):
            return ""
        part, quoted = self._parts[self._at]
        return "" if quoted else part

    def _take(self, pattern: "re.Pattern[str]") -> "re.Match[str] | None":
        """What a pattern matches from here on, which is then read."""
        plain = []
        for part, quoted in self._parts[self._at :]:
            if quoted:
                break
            plain.append(part)
        match = pattern.match("".join(plain))
        if match is not None:
            self._at += match.end()
        return match

    def _repeat(self) -> str:
        self._at -= 1
        found = self._take(_REPEAT)
        if found is None:
            raise ValueError("a { without numbers is nothing in Java")
        return found[0]

    def _group(self) -> str:
        if self._peek() != "?":
            return "("
        for opening in ("?:", "?=", "?!", "?>", "?<=", "?<!"):
            if self._take(re.compile(re.escape(opening))) is not None:
                return f"({opening}"
        named = self._take(re.compile(rf"\?{_NAME.pattern}"))
        if named is not None:
            return f"(?P<{named[1]}>"
        first = not self._made and not self._head and self._at == 1
        flags = self._take(_FLAGS)
        if flags is None:
            raise ValueError("a group of a kind that is not known begins with (?")
        on, off, scoped = flags[1], flags[2] or "", flags[3] == ":"
        unknown = [flag for flag in on if flag not in _FLAG] + [flag for flag in off if flag != "i"]
        if unknown:
            raise ValueError(f"the flag {unknown[0]!r} is Java's own, or means something else in Python")
        self._any_case = self._any_case or "i" in on
        if scoped:
            on = "a" * ("i" in on) + "".join(dict.fromkeys(on))
            return f"(?{on}{'-' + off[:1] if off else ''}:"
        if not first or off:
            raise ValueError(f"the flags {flags[0][1:-1]!r} count from the middle on, which is Java's own")
        self._head = "".join(dict.fromkeys(on))
        return ""

    def _escape(self) -> str:
        """What stands after a backslash, outside a class."""
        char = self._peek()
        if char == "k":
            self._at += 1
            name = self._take(_NAME)
            if name is None:
                raise ValueError("\\k without a name")
            return f"(?P={name[1]})"
        if char.isascii() and char.isdigit() and char != "0":
            self._at += 1
            if self._peek().isdigit():
                raise ValueError(f"\\{char}{self._peek()}: which group that is depends on how many there are")
            return f"(?:\\{char})"
        if char in ("A", "z", "Z"):
            self._at += 1
            return {"A": "\\A", "z": "\\Z", "Z": "$"}[char]
        if char in ("p", "P"):
            self._at += 1
            return f"[{'^' if char == 'P' else ''}{self._property()}]"
        return self._escaped().text

    def _property(self) -> str:
        found = self._take(_PROPERTY)
        name = found[1] if found is not None else self._peek()
        characters = _POSIX.get(name)
        if characters is None or found is None:
            raise ValueError(f"\\p{{{name}}} is Java's own")
        self._cased = self._cased or name in _CASED
        return characters

    def _escaped(self) -> _Part:
        """What a backslash makes of the next character, which stands for one or for a class, inside a class or outside."""
        if self._at >= len(self._parts):
            raise ValueError("a backslash at the end")
        char, quoted = self._parts[self._at]
        self._at += 1
        if quoted or not (char.isascii() and char.isalnum()):
            return _Part(
                f"\\{char}" if char.isascii() and char.isprintable() else _literal(ord(char)), ord(char)
            )
        if char in _ASCII_CLASSES:
            self._ascii = True
            return _Part(f"\\{char}", None)
        code = _CONTROLS.get(char)
        if code is None:
            code = self._coded(char)
        return _Part(_literal(code), code)

    def _coded(self, char: str) -> int:
        """The character that a backslash, this, and what follows name."""
        if char == "0" and (octal := self._take(_OCTAL)) is not None:
            return int(octal[0], 8)
        if char == "x" and (found := self._take(_HEXADECIMAL)) is not None:
            return _character(int(found[1] or found[2], 16))
        if char == "u" and (found := self._take(_FOUR)) is not None:
            return _character(int(found[0], 16))
        if char == "c" and self._peek().isascii() and self._peek().isalpha() and self._peek().isupper():
            self._at += 1
            return ord(self._parts[self._at - 1][0]) ^ 64
        raise ValueError(f"\\{char} is Java's own")

    def _class(self) -> str:
        negated, inside = self._items()
        return f"[{'^' if negated else ''}{_joined(inside)}]"

    def _items(self) -> tuple[bool, list[str]]:
        """Whether a class is negated, and what is in it, with all that is in classes inside it."""
        negated = self._peek() == "^"
        self._at += negated
        found: list[str] = []
        while self._at < len(self._parts):
            char = self._peek()
            if char == "]" and found:
                self._at += 1
                return negated, found
            if char == "[":
                self._at += 1
                inner, items = self._items()
                if negated or inner:
                    raise ValueError("a class inside a class is Java's own where one of them is negated")
                found += items
            elif char == "&" and self._follows("&"):
                raise ValueError("the intersection of classes (&&) is Java's own")
            else:
                found.append(self._range())
        raise ValueError("a class that has no end")

    def _follows(self, char: str) -> bool:
        """Whether that character, with its own meaning, comes after the next one."""
        return self._at + 1 < len(self._parts) and self._parts[self._at + 1] == (char, False)

    def _range(self) -> str:
        first = self._one()
        if first.code is None or self._peek() != "-" or self._at + 1 >= len(self._parts):
            return first.text
        if self._parts[self._at + 1] in (("[", False), ("]", False)):
            return first.text
        self._at += 1
        last = self._one()
        if last.code is None or last.code < first.code:
            raise ValueError(f"{first.text}-{last.text} is no range")
        return f"{first.text}-{last.text}"

    def _one(self) -> _Part:
        """One character of a class, or an escape for several."""
        char, quoted = self._parts[self._at]
        self._at += 1
        if char != "\\" or quoted:
            return _Part(_in_class(ord(char)), ord(char))
        if self._peek() == "p":
            self._at += 1
            return _Part(self._property(), None)
        if self._peek() == "P":
            raise ValueError("\\P in a class is Java's own")
        return self._escaped()


def _unquoted(expression: str) -> list[tuple[str, bool]]:
    """The characters, and whether each stands between \\Q and \\E and has no meaning of its own."""
    found: list[tuple[str, bool]] = []
    at = 0
    while at < len(expression):
        if expression.startswith("\\Q", at):
            end = expression.find("\\E", at + 2)
            end = len(expression) if end < 0 else end
            found += [(char, True) for char in expression[at + 2 : end]]
            at = end + 2
            continue
        size = 2 if expression[at] == "\\" else 1
        found += [(char, False) for char in expression[at : at + size]]
        at += size
    return found


def _character(code: int) -> int:
    if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        raise ValueError("half a surrogate pair is no character in Python")
    return code


def _literal(code: int) -> str:
    """A character that stands for itself, anywhere."""
    char = chr(code)
    if char.isprintable():
        return re.escape(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_class(code: int) -> str:
    return (
        f"\\{chr(code)}"
        if chr(code) in "\\[]^-"
        else _literal(code)
        if not chr(code).isprintable()
        else chr(code)
    )


def _joined(items: list[str]) -> str:
    """The items side by side. Python warns of what it may give a meaning one day: two of &, | or ~."""
    made = ""
    for number, item in enumerate(items):
        if item == "\\-" and number in (0, len(items) - 1) and not made.endswith("-"):
            item = "-"  # as one reads it
        elif item == "\\^" and made:
            item = "^"
        elif item[0] in "&|~" and made.endswith(item[0]):
            item = f"\\{item}"
        made += item
    return made
