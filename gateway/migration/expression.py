"""Java's regular expressions to those of this gateway: for whole paths, and bounded in what they cost.

What Python does not have, or what could be made to run for long, is refused with a sentence.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.api.regex import check_path, kinds, parser
from gateway.http.template import parse
from gateway.migration import java

REGEX: Final = "regex:"
"""What a path begins with that is a regular expression, in limits and conditions."""

_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_FLAGS: Final = re.compile(r"\(\?[aimsx]+\)")

# What stands before "/", or at the end, need give nothing back, unless it takes a "/" itself.
_SEGMENT: Final = re.compile(r"(\[\^/\]|\[[\\\w.:~%@|-]*\]|\\[wd])([+*])(?=\)*(?:\\?/(?![?*{])|\Z|\$))")
_REST: Final = re.compile(r"\.([+*])(?=\)?\$?\Z)")

_ANYTHING: Final = (".*", ".+", "(.*)", "/.*", "^.*$", "/.*?", "^/.*", "^/.*$", "/(.*)")
_TEMPLATE_PART: Final = re.compile(
    r"""
    /(?:
        (?P<literal>(?:[A-Za-z0-9_~@!'=;,-]|\\[.\-~_$+]|%[0-9A-Fa-f]{2})+)
      | (?P<parameter>(?P<open>\()?(?:\?:|\?P?<\w+>)?\[\^/\]\+\+?(?(open)\)))
    )
    """,
    re.VERBOSE,
)
_TAIL: Final = re.compile(r"(?P<rest>/\(?\.[*+]\+?\)?)|(?P<slash>/\??)|(?P<below>\(/\.\*\)\?|\(\?:/\.\*\)\?)")


def is_everything(expression: str) -> bool:
    """Whether it matches every path."""
    return expression in _ANYTHING


def whole(expression: str) -> str:
    """For an expression that is to match a whole path. Raises ValueError."""
    return _bounded(java.python(expression))


def found(expression: str) -> str:
    """For one that is looked for anywhere in a path: what matches a whole path that has it. Raises ValueError."""
    text = java.python(expression)
    flags = _FLAGS.match(text)
    if flags is not None:
        text = text[flags.end() :]
    if "|" in _outside(text):
        text = f"(?:{text})"
    head = "" if text.startswith(("^", ".*", ".+")) else ".*?"
    tail = "" if text.endswith("$") and not text.endswith("\\$") else ".*+"
    if text.endswith((".*", ".+")) and not text.endswith(("\\.*", "\\.+")):
        tail = ""
    return _bounded(f"{flags[0] if flags is not None else ''}{head}{text}{tail}")


def _outside(text: str) -> str:
    """What stands in no group and no class."""
    depth, parts = 0, []
    for part in re.findall(r"\\.|\[(?:\\.|[^\\\]])*\]|.", text, re.DOTALL):
        depth += part == "("
        if not depth:
            parts.append(part)
        depth -= part == ")"
    return "".join(part for part in parts if len(part) == 1)


def _bounded(text: str) -> str:
    try:
        return check_path(text)
    except ValueError as first:
        # Possessive where nothing can be given back: the same texts match, at a bounded cost.
        kept = _REST.sub(r".\1+", _SEGMENT.sub(_keeping, text))
        if kept == text:
            raise
        try:
            return check_path(kept)
        except ValueError:
            raise first from None


def _keeping(segment: "re.Match[str]") -> str:
    return segment[0] if re.fullmatch(segment[1], "/") else f"{segment[0]}+"


def groups(expression: str) -> int:
    """How many groups it has."""
    return re.compile(expression).groups


def templates(expression: str) -> tuple[str, ...] | None:
    """The path templates that match what an expression for a whole path does; None where there are none.

    `/v1/[^/]+/.*` is `/v1/{a}/{rest*}`. Templates are plain to read and cheap to match.
    """
    if is_everything(expression):
        return ("/{rest*}",)
    text = expression.removeprefix("^")
    if text.endswith("$") and not text.endswith("\\$"):
        text = text[:-1]
    made, end, letters = "", 0, iter("abcdefghijklmnopqrstuvw")
    while (part := _TEMPLATE_PART.match(text, end)) is not None:
        if text[part.end() : part.end() + 1] in ("?", "*", "+", "{"):
            break  # a repeat of the last character
        if part["literal"] is not None:
            made += "/" + _ESCAPED.sub(r"\1", part["literal"])
        elif (letter := next(letters, None)) is not None:
            made += f"/{{{letter}}}"
        else:
            return None
        end = part.end()
    return _checked(_tails(made, text[end:]))


def _tails(made: str, tail: str) -> tuple[str, ...]:
    match = _TAIL.fullmatch(tail) if tail else None
    if not tail:
        return (made,) if made else ()
    if match is None:
        return ()
    if match["rest"] is not None:
        below = f"{made}/{{rest*}}"
        if ".+" in match["rest"]:
            return (below,) if made else ()  # of all paths it would leave out "/"
        return (f"{made}/", below)  # `.*` is also nothing
    if match["below"] is not None:
        return tuple(_both(made, (f"{made}/", f"{made}/{{rest*}}")))
    return (f"{made}/",) if tail == "/" else tuple(_both(made, (f"{made}/",)))


def _both(made: str, others: tuple[str, ...]) -> Iterator[str]:
    if made:
        yield made
    yield from others


def _checked(found: tuple[str, ...]) -> tuple[str, ...] | None:
    try:
        for template in found:
            parse(template)
    except ValueError:
        return None
    return found or None


def paths(expression: str, *, anywhere: bool = False) -> list[str]:
    """What a condition says of paths for an expression: templates, or the expression. Raises ValueError.

    anywhere  whether it is looked for in the path, in place of matching it whole
    """
    if anywhere and not is_everything(expression):
        return [REGEX + found(expression)]
    made = templates(expression)
    return list(made) if made is not None else [REGEX + whole(expression)]


_PARAMETER: Final = re.compile(
    r"(?:\.\*)?(?:\\\?|\[(?:\?&|&\?)\]|\((?:\?:)?(?:\\\?\|&|&\|\\\?)\))(?:\.\*)?(?P<name>[A-Za-z0-9_-]+)="
    r"\((?:\[\^&#?\][+*]|\.\*|\.\+)\)(?:&?\.\*)?\$?"
)


def parameter(expression: str) -> str | None:
    """The parameter of the query whose value is all that an expression takes; None for any other expression."""
    match = _PARAMETER.fullmatch(expression)
    return match["name"] if match is not None else None


def needs_query(text: str) -> bool:
    """Whether an expression, as Python writes it, only matches where there is a "?", which no path has."""
    return _needs_mark(parser.parse(text))


def _needs_mark(tree: Any) -> bool:
    for kind, value in tree:
        if kind is kinds.LITERAL:
            needs = value == ord("?")
        elif kind is kinds.IN:
            needs = (kinds.LITERAL, ord("?")) in value and all(
                item in ((kinds.LITERAL, ord("?")), (kinds.LITERAL, ord("&"))) for item in value
            )
        elif kind is kinds.SUBPATTERN:
            needs = _needs_mark(value[3])
        elif kind is kinds.BRANCH:
            needs = all(_needs_mark(part) for part in value[1])
        else:
            repeats = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)
            needs = kind in repeats and value[0] > 0 and _needs_mark(value[2])
        if needs:
            return True
    return False


def always_groups(text: str) -> bool:
    """Whether the first group of an expression, as Python writes it, takes part in every match."""
    return _takes_part(parser.parse(text))


def _takes_part(tree: Any) -> bool:
    return any(_certain(kind, value) for kind, value in tree)


def _certain(kind: Any, value: Any) -> bool:
    if kind is kinds.SUBPATTERN:
        return value[0] == 1 or _takes_part(value[3])
    if kind is kinds.BRANCH:
        return all(_takes_part(part) for part in value[1])
    if kind is kinds.ATOMIC_GROUP:
        return _takes_part(value)
    repeats = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)
    return kind in repeats and value[0] > 0 and _takes_part(value[2])


_OPENING: Final = re.compile(r"\\.|\[(?:\\.|[^\\\]])*\]|\((?:\?P<\w+>|(?!\?))", re.DOTALL)


def first_group_only(text: str, name: str = "") -> str:
    """The expression with no group but the first, which gets a name if one is given. Raises ValueError without a group."""
    number = 0

    def opened(found: "re.Match[str]") -> str:
        nonlocal number
        if not found[0].startswith("("):
            return found[0]
        number += 1
        if number > 1:
            return "(?:"
        return f"(?P<{name}>" if name else "("

    made = _OPENING.sub(opened, text)
    if not number:
        raise ValueError("it has no group in parentheses")
    return made
