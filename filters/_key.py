"""Whom a limit counts: from the parts of its key to one function that reads them off an exchange.

What a key takes of the path is no part of that function: the limit has it from matching the path.

A part that the request lacks is stood in for by the client's address, marked so that an address is never
taken for a project of that name. Parts are members of a tuple: `abc` and `def` are not `abcde` and `f`.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias

from filters._memo import Memo
from gateway.api import Exchange, Fact, Place
from gateway.api.fact import CLIENT, METHOD, PRINCIPAL, ROUTE, header
from gateway.http.address import network

KeyFunction = Callable[[Exchange], Hashable]
Counted: TypeAlias = tuple[int, Hashable]
"""The number of a limit, and a key that it counts."""

PROJECT: Final = "project_id"
GLOBAL = "global"
CAPTURES = "captures"
CAPTURE = "capture:"

PLAIN: Final = (PROJECT, "user_id", "client_ip", "token", "route", "method", GLOBAL)
"""The parts that need no name."""

_HEADER: Final = re.compile(r"header:[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ALWAYS: Final = ("method",)
"""Parts that no request lacks."""
_LONG = 128
_MEMO_MAX = 4096
_PLACES_MAX = 65_536


def _client_part(address: str) -> tuple[str, str]:
    """The part that stands for an address: itself, or its /64 for IPv6."""
    return ("client_ip", network(address))


_networks: Memo[str, tuple[str, str]] = Memo(_client_part, _MEMO_MAX)


def known(part: str) -> bool:
    """Whether there is such a part, those of the path left aside."""
    return part in PLAIN or _HEADER.fullmatch(part) is not None


def places(
    place: Callable[[bytes], Place], met: Callable[[Counted], None] | None = None
) -> Memo[Counted, Place]:
    """Where a shared table has what is counted, remembered for keys that come again; `met` hears of those that are new."""

    def made(whose: Counted) -> Place:
        if met is not None:
            met(whose)
        return place(counted_as(whose))

    return Memo(made, _PLACES_MAX)


def counted_as(whose: Counted) -> bytes:
    """What a shared table knows it by."""
    return repr(whose).encode("utf-8", "backslashreplace")


def numbers_of(told: Sequence[tuple[object, ...]]) -> tuple[int, ...]:
    """Of each limit, what its state is known by: a number of what it says of itself, and where several say the same of its place
    among them."""
    return tuple(
        int.from_bytes(
            blake2b(
                repr((*one, told[:place].count(one))).encode("utf-8", "backslashreplace"), digest_size=7
            ).digest()
        )
        for place, one in enumerate(told)
    )


def key_function(parts: Sequence[str]) -> KeyFunction:
    """The function that gives the key of an exchange; equal keys share a cell."""
    functions = tuple(map(_part, own_parts(parts)))
    if not functions:
        return lambda exchange: GLOBAL
    if len(functions) == 1:
        return functions[0]
    if len(functions) == 2:
        first, second = functions
        return lambda exchange: (first(exchange), second(exchange))
    return lambda exchange: tuple([function(exchange) for function in functions])


def own_parts(parts: Sequence[str]) -> tuple[str, ...]:
    """The parts that are read off the exchange: not those of the path, and not the one that stands for none."""
    return tuple(part for part in parts if part not in (GLOBAL, CAPTURES) and not part.startswith(CAPTURE))


def described(parts: Sequence[str], key: Hashable, captured: tuple[Hashable, ...]) -> dict[str, Hashable]:
    """The key for people to read: each part with its value. What may be a secret is left out: values of header fields."""
    own = own_parts(parts)
    values = key if len(own) > 1 and isinstance(key, tuple) else (key,)
    told: dict[str, Hashable] = {}
    for part, value in zip(own, values, strict=False):
        if isinstance(value, tuple) and value[0] == "client_ip":  # itself, or what stands in for the part
            told["client_ip"] = value[1]
        elif not part.startswith("header:"):
            told[part] = value
    if captured:
        told[CAPTURES] = captured
    return told


def whole_key(parts: Sequence[str], given: Mapping[str, str]) -> Hashable | None:
    """The key whose parts have these values, as `described` tells them; None where they do not say all of it.

    A part that is not given is stood in for by the client's address, as where a request lacks it.
    """
    own = own_parts(parts)
    if len(own) < len(parts) and GLOBAL not in parts:
        return None  # what is captured of a path is not told part by part
    if not given.keys() <= {*own, "client_ip"} or any(part.startswith("header:") for part in own):
        return None
    values: list[Hashable] = []
    for part in own:
        if part in given and part != "client_ip":
            values.append(given[part])
        elif "client_ip" in given and part not in _ALWAYS:
            values.append(_client_part(given["client_ip"]))
        else:
            return None
    if "client_ip" in given and _client_part(given["client_ip"]) not in values:
        return None
    if not values:
        return GLOBAL
    return values[0] if len(values) == 1 else tuple(values)


def may_fit(parts: Sequence[str], given: Mapping[str, str]) -> bool:
    """Whether there can be a key whose parts have these values."""
    lacked = any(part not in _ALWAYS and part not in given for part in own_parts(parts))
    return all(part in parts or (part == "client_ip" and lacked) for part in given)


def is_one_key(parts: Sequence[str], given: Mapping[str, str]) -> bool:
    """Whether no more than one key has parts with these values: what `whole_key` makes of them. An address may stand in for a
    part, but says nothing of who else comes from there."""
    if whole_key(parts, given) is None:
        return False
    own = own_parts(parts)
    return len([part for part in own if part not in given]) <= ("client_ip" not in own)


def key_facts(parts: Sequence[str]) -> frozenset[Fact]:
    """What that function reads."""
    facts = {CLIENT}
    for part in own_parts(parts):
        if part in (PROJECT, "user_id", "token"):
            facts.add(PRINCIPAL)
        elif part == "route":
            facts.add(ROUTE)
        elif part == "method":
            facts.add(METHOD)
        elif part != "client_ip":
            facts.add(header(part.removeprefix("header:")))
    return frozenset(facts)


def _part(part: str) -> KeyFunction:
    plain = _PARTS.get(part)
    return plain if plain is not None else _header(part.removeprefix("header:"))


def _project_id(exchange: Exchange) -> Hashable:
    principal = exchange.principal
    return (principal.project_id if principal is not None else None) or _networks[exchange.client]


def _user_id(exchange: Exchange) -> Hashable:
    principal = exchange.principal
    return (principal.user_id if principal is not None else None) or _networks[exchange.client]


def _token(exchange: Exchange) -> Hashable:
    principal = exchange.principal
    return (principal.token_key if principal is not None else None) or _networks[exchange.client]


def _client_ip(exchange: Exchange) -> Hashable:
    return _networks[exchange.client]


def _route(exchange: Exchange) -> Hashable:
    route = exchange.route
    return route.name if route is not None else _networks[exchange.client]


def _method(exchange: Exchange) -> Hashable:
    return exchange.method


def _header(name: str) -> KeyFunction:
    def read(exchange: Exchange) -> Hashable:
        value = exchange.request.headers.get(name)
        if not value:
            return _networks[exchange.client]
        return bounded(value)

    return read


def bounded(text: str | None) -> Hashable:
    """The text, or its hash: tables keep keys, and must not keep what a client can make as long as it likes."""
    if text is None or len(text) <= _LONG:
        return text
    return ("long", blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())


_PARTS: dict[str, KeyFunction] = {
    PROJECT: _project_id,
    "user_id": _user_id,
    "client_ip": _client_ip,
    "token": _token,
    "route": _route,
    "method": _method,
}
