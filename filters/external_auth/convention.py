"""The two conventions of asking another service whether a request may go on: what is sent, and what an answer means.

nginx's auth_request (ngx_http_auth_request_module) and Traefik's forwardAuth. Neither sends the body.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from filters._identity import STRIPPED
from filters.external_auth.option import ExternalAuthConfig, PrincipalOptions
from gateway.api import Exchange, Fault, HttpAnswer, Principal, Response
from gateway.http.fields import Fields, encoded
from gateway.http.framing import HOP_BY_HOP

Lines: TypeAlias = list[tuple[str, str]]

_HELD_BACK: Final = frozenset(
    {*(name.decode("ascii") for name in HOP_BY_HOP), "content-length", "date", "server", "set-cookie", "via"}
)
_ONCE: Final = frozenset((b"authorization", b"x-auth-token", b"x-service-token", b"x-subject-token"))
_MANY: Final = re.compile(rb"roles?\Z|x.pp.(?:user|groups)\Z|x.authenticated.by\Z")
"""Fields of an identity that may be lists."""
_BEYOND_ASCII = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Yes:
    """The request may go on. `fields` are for the upstream."""

    fields: Fields
    principal: Principal | None


@dataclass(frozen=True, slots=True)
class No:
    """The request is answered so."""

    status: int
    headers: tuple[tuple[str, bytes], ...]
    body: bytes | None

    def verdict(self) -> Fault | Response:
        """A new one: answers are changed on their way out."""
        if self.body is not None:
            return Response(
                self.status, list(self.headers), self.body, reason="external_auth_denied", rule=("url",)
            )
        return Fault(
            self.status,
            "external_auth_denied",
            "Access is not allowed."
            if self.status == 403
            else "The request you have made requires authentication.",
            rule=("url",),
            headers=tuple((name, value.decode("latin-1")) for name, value in self.headers),
        )


class Trouble(Exception):  # noqa: N818 - it says of what there is no answer
    """The service has not judged the request.

    counts   whether it may be unwell, and is to be left alone
    lenient  whether it cannot be reached or is slow, so that `on_error: allow` may let this one pass
    unreached  whether no request can have brought it about
    """

    def __init__(self, why: str, *, counts: bool, lenient: bool = True, unreached: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.counts = counts
        self.lenient = lenient
        self.unreached = unreached


def spoken(exchange: Exchange, convention: str) -> Lines:
    """What the service hears of the request."""
    uri = _BEYOND_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], exchange.target).decode("ascii")
    if convention == "nginx":
        return [("X-Original-Method", exchange.method), ("X-Original-URI", uri)]
    return [
        ("X-Forwarded-Method", exchange.method),
        ("X-Forwarded-Proto", exchange.scheme),
        ("X-Forwarded-Host", exchange.host.encode("ascii", "replace").decode("ascii")),
        ("X-Forwarded-Uri", uri),
        ("X-Forwarded-For", exchange.client),
    ]


def carried(exchange: Exchange, names: Iterable[tuple[str, bytes]]) -> Lines | None:
    """The request's own fields that the service gets; None where one holds bytes that are no text, or is a credential that
    comes twice: the service could judge one of them, and the upstream the other."""
    lines: Lines = []
    headers = exchange.request.headers
    for name, key in names:
        values = headers.all(key)
        if len(values) > 1 and key in _ONCE:
            return None
        for value in values:
            if not value.isascii():
                try:
                    value = value.encode("latin-1").decode("utf-8")
                except UnicodeDecodeError:
                    return None
            lines.append((name, value))
    return lines


def reader(config: ExternalAuthConfig) -> Callable[[HttpAnswer], Yes | No]:
    """What an answer means; the function raises Trouble for one that says nothing of the request."""
    relayed = _HELD_BACK - {name.lower() for name in config.relay_headers}
    nginx = config.convention == "nginx"

    def read(answer: HttpAnswer) -> Yes | No:
        status = answer.status
        try:
            if 200 <= status <= 299:
                return _yes(answer.lines, config)
            if nginx and status in (401, 403):
                asks = [value for name, value in answer.lines if name == "www-authenticate" and status == 401]
                if status == 401 and not asks:
                    asks = [config.challenge]  # RFC 9110 section 15.5.2 wants one
                return No(status, tuple(("WWW-Authenticate", _raw(value)) for value in asks), None)
            if not nginx and 300 <= status <= 599:
                return No(status, _relayed(answer.lines, relayed), answer.body)
        except ValueError:  # text that cannot travel or is none, or two of what there is one of
            raise Trouble(
                "its answer holds a field that cannot be used", counts=False, lenient=False
            ) from None
        # A request of no more than a bad credential has many a service answer 500.
        raise Trouble(f"it answered {status}", counts=status >= 500, lenient=False)

    return read


def _yes(lines: Lines, config: ExternalAuthConfig) -> Yes:
    fields = [encoded(name, _raw(value)) for name in config.response_headers for value in _told(lines, name)]
    who = config.principal
    return Yes(Fields(fields), _principal(lines, who) if who is not None else None)


def _told(lines: Lines, name: str) -> list[str]:
    """What a yes tells the upstream in a field. Raises ValueError for two who cannot both be calling, and one who is no text."""
    values, key = _values(lines, name), name.lower().encode("ascii")
    if key in STRIPPED or key in _ONCE:
        if len(values) > 1 and _MANY.search(key) is None:
            raise ValueError(name)
        for value in values:
            value.encode("utf-8")
    return values


def _values(lines: Lines, name: str) -> list[str]:
    key = name.lower()
    return [value for told, value in lines if told == key]


def _principal(lines: Lines, names: PrincipalOptions) -> Principal | None:
    def value(name: str | None, *, many: bool = False) -> str | None:
        told = _values(lines, name) if name is not None else []
        text = ",".join(told).strip()  # several lines are one list (RFC 9110 section 5.2)
        if not text:
            return None
        # A control character, or a byte that is no text; or two who cannot both be the one who is calling.
        if not text.isprintable() or (len(told) > 1 and not many):
            raise ValueError(name)
        return text

    user_id, user_name = value(names.user_id), value(names.user_name)
    if user_id is None and user_name is None:
        return None
    roles = value(names.roles, many=True) or ""
    return Principal(
        user_id=user_id,
        user_name=user_name,
        project_id=value(names.project_id),
        project_name=value(names.project_name),
        roles=tuple(role for part in roles.split(",") if (role := part.strip())),
        provider="external_auth",
    )


def _relayed(lines: Lines, held_back: frozenset[str]) -> tuple[tuple[str, bytes], ...]:
    nominated = {
        part.strip().lower() for name, value in lines if name == "connection" for part in value.split(",")
    }
    return tuple(
        (name, encoded(name, _raw(value))[1])
        for name, value in lines
        if name not in held_back and name not in nominated
    )


def _raw(value: str) -> bytes:
    """The bytes as the service has sent them."""
    return value.encode("utf-8", "surrogateescape")
