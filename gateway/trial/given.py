"""What is supposed where a configuration is asked what it would do: who sends which request, when, and what the upstream says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.api.certificate import Certificate
from gateway.api.message import shown
from gateway.api.principal import Principal

LATEST: Final = 32_503_680_000.0
"""The year 3000: what is later is taken for a mistake."""
MOST: Final = 1_000_000_000
"""Of requests that have been counted."""


def address_of(text: str) -> str:
    """The address that a request comes from. Raises ValueError."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"expected an IP address, got {shown(text)}") from None


def instant_of(seconds: float) -> float:
    """When a request comes, in seconds since the epoch. Raises ValueError."""
    if not 0 <= seconds < LATEST:
        raise ValueError("expected a time between 1970 and 2999")
    return seconds


def count_of(number: int) -> int:
    """How many requests have been counted. Raises ValueError."""
    if not 0 <= number <= MOST:
        raise ValueError(f"expected a number between 0 and {MOST:,}")
    return number


class Answer(NamedTuple):
    """What the upstream answers. Content-Length is added where it is not among the headers."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Identity(NamedTuple):
    """Who is calling by the word of the identity service; None for nobody that it knows."""

    principal: Principal | None


@dataclass(frozen=True, slots=True)
class Given:
    """A request and its circumstances.

    target       as on the request line
    headers      (name, value) pairs; Host, and what frames the body, are added where they are not there
    peer         address of the connection's other end
    scheme       "https" for a connection under TLS
    certificate  that the client has proven to be its own
    identity     None where nobody has said: then filters find out as far as they can
    wall         seconds since the epoch
    counts       what has been counted before, by the names of limits
    answer       None where it is not known, and the way of the request ends at the upstream
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    peer: str = "192.0.2.1"
    scheme: str = "http"
    certificate: Certificate | None = None
    identity: Identity | None = None
    wall: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    answer: Answer | None = None

    def message(self) -> bytes:
        """The request as it is sent. Raises ValueError for text that cannot be."""
        names = {name.lower() for name, _ in self.headers}
        pairs = list(self.headers)
        if "host" not in names:
            pairs.insert(0, ("Host", "gateway.test"))
        body = self.body
        if "transfer-encoding" in names:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk + b"0\r\n\r\n"
        elif body and "content-length" not in names:
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
        try:
            head = "\r\n".join(lines).encode("latin-1")
        except UnicodeEncodeError:
            head = "\r\n".join(lines).encode("utf-8")
        return head + b"\r\n\r\n" + body
