"""`when`: the condition under which an entry of the chain sees an exchange, compiled to closures."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from gateway.api.exchange import Exchange
from gateway.api.fact import METHOD, PRINCIPAL, TARGET, Fact
from gateway.api.fact import header as header_fact
from gateway.api.option import Options
from gateway.api.regex import LONGEST, check_path, compile_path
from gateway.http.target import matchable
from gateway.http.template import parse, pattern

Condition: TypeAlias = Callable[[Exchange], bool]

REGEX: Final = "regex:"
"""What a path begins with that is a regular expression."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def _path(value: str) -> str:
    if value.startswith(REGEX):
        check_path(value.removeprefix(REGEX))
    else:
        parse(value)
    return value


def _method(value: str) -> str:
    if _TOKEN.fullmatch(value) is None:
        raise ValueError(f"not a method: {value!r}")
    return value.upper()


def _role(value: str) -> str:
    if not value:
        raise ValueError("a role has a name")
    return value


def _header_name(value: str) -> str:
    if _TOKEN.fullmatch(value) is None:
        raise ValueError(f"not a header name: {value!r}")
    return value


def _one_or_many(check: Callable[[str], str]) -> WrapValidator:
    """One text may stand for a list of one; its error is then reported at the key itself, not at an item."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, str):
            return (check(value),)
        if value is not None and not isinstance(value, (list, tuple)):
            raise ValueError("expected text or a list of texts")
        return handler(value)

    return WrapValidator(validate)


_TEXTS = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)


class HeaderMatch(Options):
    """What the value of a header field looks like."""

    regex: Annotated[
        str, AfterValidator(check_path), WithJsonSchema({"type": "string", "format": "regex"})
    ] = Field(description="Regular expression for the whole value of one of the field's lines.")


def _header_test(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, (bool, str, HeaderMatch)):
        return value
    if not isinstance(value, dict):
        raise ValueError("expected true (present), false (absent), the exact text, or {regex: ...}")
    # Not through the handler: its union would report an error once for each of its members.
    return HeaderMatch.model_validate(value)


HeaderTest: TypeAlias = Annotated[bool | str | HeaderMatch, WrapValidator(_header_test)]


class When(Options):
    """A condition on the request as it stands when the entry is reached; keys side by side must all hold."""

    path: Annotated[
        Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], Field(min_length=1)] | None,
        _one_or_many(_path),
        _TEXTS,
    ] = Field(
        None,
        description="Path template, or regex:... for the whole path; or a list of which one matches. Where a path is too long for "
        "a regular expression (more than 2,048 characters), the entry sees the request.",
    )
    method: Annotated[
        Annotated[tuple[Annotated[str, AfterValidator(_method)], ...], Field(min_length=1)] | None,
        _one_or_many(_method),
        _TEXTS,
    ] = Field(None, description="Method, or a list of methods.")
    header: (
        Annotated[dict[Annotated[str, AfterValidator(_header_name)], HeaderTest], Field(min_length=1)] | None
    ) = Field(
        None,
        description="Header field -> true (present), false (absent), the exact text of one of its lines, or "
        "{regex: ...}; all must hold.",
    )
    role: Annotated[
        Annotated[tuple[Annotated[str, AfterValidator(_role)], ...], Field(min_length=1)] | None,
        _one_or_many(_role),
        _TEXTS,
    ] = Field(None, description="Role, or a list of roles of which the principal has one; case is ignored.")
    all: tuple["When", ...] | None = Field(None, min_length=1, description="Conditions that all hold.")
    any: tuple["When", ...] | None = Field(None, min_length=1, description="Conditions of which one holds.")
    not_: "When | None" = Field(None, alias="not", description="A condition that does not hold.")

    @model_validator(mode="after")
    def _says_something(self) -> "When":
        stated = (self.path, self.method, self.header, self.role, self.all, self.any, self.not_)
        if stated.count(None) == len(stated):
            raise ValueError("a condition needs at least one of path, method, header, role, all, any, not")
        return self


def compile_condition(when: When, *, unsure: bool = True) -> Condition:
    """A function that says of an exchange whether the condition holds. Cheap tests come first.

    unsure  what a test says that cannot be made; it is turned in a `not`, so that the whole condition then holds
    """
    tests: list[Condition] = []
    if when.method is not None:
        tests.append(_has_method(frozenset(when.method)))
    if when.path is not None:
        tests.append(_has_path(when.path, unsure))
    if when.header is not None:
        tests.extend(_has_header(name, test) for name, test in when.header.items())
    if when.role is not None:
        tests.append(_has_role(frozenset(role.lower() for role in when.role)))
    if when.not_ is not None:
        tests.append(_negated(compile_condition(when.not_, unsure=not unsure)))
    if when.any is not None:
        tests.append(_either([compile_condition(part, unsure=unsure) for part in when.any]))
    if when.all is not None:
        tests.extend(compile_condition(part, unsure=unsure) for part in when.all)
    return _every(tests)


def condition_facts(when: When) -> frozenset[Fact]:
    """The facts of an exchange that the condition may depend on."""
    facts: set[Fact] = set()
    if when.path is not None:
        facts.add(TARGET)
    if when.method is not None:
        facts.add(METHOD)
    if when.header is not None:
        facts.update(map(header_fact, when.header))
    if when.role is not None:
        facts.add(PRINCIPAL)
    parts = (*(when.all or ()), *(when.any or ()), *((when.not_,) if when.not_ else ()))
    return frozenset(facts).union(*map(condition_facts, parts))


def _has_method(methods: frozenset[str]) -> Condition:
    return lambda exchange: exchange.method in methods


def _has_path(paths: Sequence[str], unsure: bool) -> Condition:
    if len(paths) > 1:
        return _either([_has_path((path,), unsure) for path in paths])
    (path,) = paths
    if not path.startswith(REGEX):
        fullmatch = pattern(path).fullmatch
        return lambda exchange: fullmatch(matchable(exchange.path)) is not None
    bounded = compile_path(path.removeprefix(REGEX)).fullmatch

    def matches(exchange: Exchange) -> bool:
        if len(exchange.path) > LONGEST:
            return unsure
        return bounded(matchable(exchange.path)) is not None

    return matches


def _has_role(roles: frozenset[str]) -> Condition:
    def holds(exchange: Exchange) -> bool:
        principal = exchange.principal
        if principal is not None:
            for role in principal.roles:
                if role.lower() in roles:
                    return True
        return False

    return holds


def _has_header(name: str, test: bool | str | HeaderMatch) -> Condition:
    key = name.lower().encode("ascii")
    if test is True:
        return lambda exchange: exchange.request.headers.has(key)
    if test is False:
        return lambda exchange: not exchange.request.headers.has(key)
    if isinstance(test, HeaderMatch):
        fullmatch = re.compile(test.regex).fullmatch

        def matches(exchange: Exchange) -> bool:
            return any(fullmatch(value) is not None for value in exchange.request.headers.all(key))

        return matches
    text = _as_received(test)
    return lambda exchange: text in exchange.request.headers.all(key)


def _as_received(text: str) -> str:
    """The text as it reads in a field, where text beyond latin-1 travels as UTF-8."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8").decode("latin-1")
    return text


def _negated(test: Condition) -> Condition:
    return lambda exchange: not test(exchange)


def _either(tests: Sequence[Condition]) -> Condition:
    if len(tests) == 1:
        return tests[0]

    def holds(exchange: Exchange) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would cost more than most of the tests
            if test(exchange):
                return True
        return False

    return holds


def _every(tests: Sequence[Condition]) -> Condition:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda exchange: first(exchange) and second(exchange)

    def holds(exchange: Exchange) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would cost more than most of the tests
            if not test(exchange):
                return False
        return True

    return holds
