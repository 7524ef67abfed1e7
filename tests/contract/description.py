"""What the two descriptions of the image-metadata API say of a request, whole as it was sent."""

from collections.abc import Awaitable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from filters.api import Api
from gateway.api import Fault, Principal, Verdict
from gateway.api.testing import FrozenServices, build, exchange
from gateway.demo.sample import MEMBER_TOKEN, READER_TOKEN
from gateway.http import target as target_rules

DIRECTORY = Path(__file__).parents[2] / "config" / "examples" / "api"
OPENAPI = "image-metadata.openapi.yaml"
WADL = "image-metadata.wadl"

_CALLERS = {
    MEMBER_TOKEN: Principal(user_id="m", roles=("member", "reader")),
    READER_TOKEN: Principal(user_id="r", roles=("reader",)),
}


class Told(NamedTuple):
    """A verdict, but for its words: of a body that two schemas refuse, each says what it looked at first."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    facts: object = None


PASSES = Told(0, "")


@cache
def described(name: str) -> Api:
    return build(
        Api, {"description": name, "undeclared_query": "refuse"}, FrozenServices(directory=DIRECTORY)
    )


def _told(verdict: Verdict | Awaitable[Verdict]) -> Told:
    if verdict is None:
        return PASSES
    assert isinstance(verdict, Fault), "a body that is here is judged at once"
    return Told(verdict.status, verdict.reason, verdict.headers, verdict.facts)


def both(data: bytes) -> tuple[Told, Told] | None:
    """The verdicts by OpenAPI and by WADL; None for bytes that no filter ever sees, since they are no request to judge."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if not mark or len(words) != 3 or not all(b":" in line for line in lines):
        return None
    plain = target_rules.plain(words[1])
    if plain is None:
        return None
    pairs = [
        (name.decode("latin-1"), value.strip().decode("latin-1"))
        for name, _, value in (line.partition(b":") for line in lines)
    ]
    named = {name.lower(): value for name, value in pairs}
    body = _dechunked(rest) if named.get("transfer-encoding") == "chunked" else rest
    asked = exchange(
        words[0].decode("latin-1"),
        words[1].decode("latin-1"),
        headers=pairs,
        body=body,
        principal=_CALLERS.get(named.get("x-auth-token", "")),
    )
    first_told, second_told = (_told(described(name).on_request(asked)) for name in (OPENAPI, WADL))
    return first_told, second_told


def _dechunked(rest: bytes) -> bytes:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        if length == 0:
            break
        body, rest = body + rest[:length], rest[length + 2 :]
    return body
