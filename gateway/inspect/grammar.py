"""The language in which records are asked for: `status >= 400 and reason = 'rate_limited' and not (method in (GET, HEAD))`.

    query       = and { "or" and }
    and         = not { "and" not }
    not         = "not" not | "(" query ")" | comparison
    comparison  = FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | FIELD ( "~" | "!~" ) pattern
                | FIELD [ "not" ] "in" "(" value { "," value } ")"
                | FIELD "is" [ "not" ] "null"

A value is a word or stands in quotes, single or double, which are doubled inside. Numbers take a unit where the field has
one: `duration > 1.5s`, `bytes_in > 64KiB`; without one they are milliseconds and bytes. `status = 4xx` is all of a class. In
a pattern `*` stands for anything, and there is no other special character. What a record does not have equals nothing and is
neither more nor less than anything. Of a field with several values one is enough.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from gateway.inspect.field import BY_NAME, Field, Value

MAX_LENGTH: Final = 4096
"""Characters of a query."""
_MAX_DEPTH: Final = 64


class QueryError(ValueError):
    """The query is none; `position` is where in it, counted in characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator` is one of = < <= > >= ~ in range null; a range has its first and its last value."""

    field: Field
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: "Query"


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Query", ...]


Query: TypeAlias = Compare | Not | And | Or

EVERYTHING: Final = And(())


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<operator><=|>=|!=|!~|==|<>|[=<>~(),])
      | (?P<word>[^\s'"=<>~!(),]+)
    )""",
    re.VERBOSE,
)
_NEGATED: Final = {"!=": "=", "<>": "=", "!~": "~"}
_SAME: Final = {"==": "="}
_ORDERED: Final = ("<", "<=", ">", ">=")
_CLASS: Final = re.compile(r"([1-5])xx", re.IGNORECASE)
_END: Final = "end"


def parse(text: str) -> Query:
    """The query that a text says; all records where it is blank. Raises QueryError."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    parser = _Parser(text)
    if parser.peek().kind == _END:
        return EVERYTHING
    query = parser.query(0)
    parser.expect_end()
    return query


def pointed(text: str, error: QueryError) -> str:
    """The query with a mark below the place of the error, and what is wrong: three lines."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return f"{line}\n{' ' * error.position}^\n{error}"


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0

    def peek(self) -> _Token:
        return self._tokens[self._place]

    def _next(self) -> _Token:
        token = self._tokens[self._place]
        if token.kind != _END:
            self._place += 1
        return token

    def _keyword(self, *words: str) -> bool:
        """Takes these words, where they stand next."""
        tokens = self._tokens[self._place : self._place + len(words)]
        if [token.text.lower() for token in tokens if token.kind == "word"] != list(words):
            return False
        self._place += len(words)
        return True

    def _symbol(self, symbol: str) -> bool:
        token = self.peek()
        if token.kind != "operator" or token.text != symbol:
            return False
        self._place += 1
        return True

    def expect_end(self) -> None:
        token = self.peek()
        if token.kind != _END:
            raise QueryError(f"expected and, or or the end, not {token.text!r}", token.position)

    def query(self, depth: int) -> Query:
        parts = [self._and(depth)]
        while self._keyword("or"):
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self, depth: int) -> Query:
        parts = [self._not(depth)]
        while self._keyword("and"):
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self, depth: int) -> Query:
        token = self.peek()
        if depth > _MAX_DEPTH:
            raise QueryError("nested too deep", token.position)
        if self._keyword("not"):
            return Not(self._not(depth + 1))
        if self._symbol("("):
            inner = self.query(depth + 1)
            if not self._symbol(")"):
                raise QueryError("expected )", self.peek().position)
            return inner
        return self._comparison()

    def _comparison(self) -> Query:
        token = self._next()
        field = BY_NAME.get(token.text) if token.kind == "word" else None
        if field is None:
            from gateway.api.message import did_you_mean  # late, as below: most queries do without

            what = "the end" if token.kind == _END else repr(token.text)
            hint = did_you_mean(token.text, BY_NAME)
            raise QueryError(f"expected a field, not {what}{hint}", token.position)
        if self._keyword("is", "null"):
            return Compare(field, "null")
        if self._keyword("is", "not", "null"):
            return Not(Compare(field, "null"))
        if self._keyword("in"):
            return self._among(field)
        if self._keyword("not", "in"):
            return Not(self._among(field))
        operator = self._next()
        name = _SAME.get(operator.text, operator.text)
        plain = _NEGATED.get(name, name)
        if operator.kind != "operator" or plain not in ("=", "~", *_ORDERED):
            raise QueryError(f"expected = != < <= > >= ~ !~ in or is behind {field.name}", operator.position)
        if plain in _ORDERED and field.kind in ("text", "texts"):
            raise QueryError(f"{field.name} is a text: expected = != ~ !~ or in", operator.position)
        if plain == "~" and field.kind not in ("text", "texts"):
            raise QueryError(f"{field.name} is no text: expected = != < <= > >= or in", operator.position)
        compared = self._compared(field, plain)
        return Not(compared) if name in _NEGATED else compared

    def _compared(self, field: Field, operator: str) -> Query:
        token = self.peek()
        of_class = _CLASS.fullmatch(token.text)
        if field.name == "status" and operator == "=" and token.kind == "word" and of_class is not None:
            self._next()
            first = int(of_class[1]) * 100
            return Compare(field, "range", (first, first + 99))
        return Compare(field, operator, (self._value(field),))

    def _among(self, field: Field) -> Query:
        if not self._symbol("("):
            raise QueryError("expected ( behind in", self.peek().position)
        values = [self._value(field)]
        while self._symbol(","):
            values.append(self._value(field))
        if not self._symbol(")"):
            raise QueryError("expected , or )", self.peek().position)
        return Compare(field, "in", tuple(values))

    def _value(self, field: Field) -> Value:
        token = self._next()
        if token.kind not in ("word", "quoted"):
            raise QueryError(f"expected a value of {field.name}", token.position)
        text = token.text
        if token.kind == "quoted":
            text = text[1:-1].replace(text[0] * 2, text[0])
        try:
            return _READ[field.kind](text)
        except ValueError:
            raise QueryError(
                f"{text!r} is no value of {field.name}: expected {_EXPECTED[field.kind]}", token.position
            ) from None


def _tokens(text: str) -> Sequence[_Token]:
    found: list[_Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            what = "a quote that does not end" if text[place] in "'\"" else f"{text[place]!r}"
            raise QueryError(f"unexpected {what}", place)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return [*found, _Token(_END, "", end)]


def _text(text: str) -> str:
    return text


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) < 1e18:
        raise ValueError
    return number


def _milliseconds(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        from gateway.api.option import parse_duration

        return parse_duration(text) * 1000


def _bytes(text: str) -> float:
    try:
        return _number(text)
    except ValueError:
        from gateway.api.option import parse_size

        return float(parse_size(text))


def parse_time(text: str) -> datetime:
    """An instant in ISO 8601, UTC where it does not say otherwise; without its zone, as records have it. Raises ValueError."""
    found = datetime.fromisoformat(text)
    try:
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # before the first year, or after the last
        raise ValueError(text) from None


_READ: Final[Mapping[str, Callable[[str], Value]]] = {
    "text": _text,
    "texts": _text,
    "number": _number,
    "share": _number,
    "milliseconds": _milliseconds,
    "bytes": _bytes,
    "time": parse_time,
}
_EXPECTED: Final = {
    "text": "a text",
    "texts": "a text",
    "number": "a number",
    "share": "a number from 0 to 1",
    "milliseconds": "milliseconds, or a duration such as 1.5s",
    "bytes": "bytes, or a size such as 64KiB",
    "time": "an instant such as 2026-01-31T12:00",
}
