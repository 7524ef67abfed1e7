"""The network, as far as filters have it: a client for one HTTP service, bounded in every direction.

A filter takes it from `Services.http` and opens nothing itself. Redirects are not followed (RFC 9110 section 15.4), no
proxy is taken from the environment, no cookies are kept: what is asked is what the configuration names.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import Field, model_validator

from gateway.api.option import Options, Secret

MEBIBYTE: Final = 1 << 20


class TlsOptions(Options):
    """How an https server is spoken to. Its certificate is always verified."""

    ca: str | None = Field(
        default=None,
        min_length=1,
        description="File of the certificates that are trusted, in place of the system's: those of authorities, or the "
        "server's own.",
    )
    certificate: str | None = Field(
        default=None,
        min_length=1,
        description="File of the gateway's own certificate, with its chain, for a server that asks for one.",
    )
    key: str | None = Field(
        default=None,
        min_length=1,
        description="File of its private key; the certificate's own file where absent.",
    )
    key_passphrase: Secret | None = Field(default=None, description="What an encrypted key is opened with.")

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> "TlsOptions":
        if self.certificate is None and (self.key is not None or self.key_passphrase is not None):
            raise ValueError("a key needs its certificate")
        return self


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """A service, and how much of it is asked for.

    url          http or https, with the path that every request's path is appended to; no query. A scheme alone ("https:") for
                 a service that names its hosts itself: paths then begin with "//HOST"
    tls          for https; the system's authorities where None
    timeout      seconds that a request may take, from its turn to the last byte of its answer; and seconds that it may wait for
                 its turn
    concurrency  requests at once, each on a connection of its own
    queue        requests that may wait for their turn; one more is refused at once
    max_body     bytes of an answer's body; its head has bounds of its own
    """

    url: str
    tls: TlsOptions | None = None
    timeout: float = 5.0
    concurrency: int = 16
    queue: int = 256
    max_body: int = MEBIBYTE


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the service said. Names of `headers` are lower case; of a repeated field they have the first line, and
    `repeated` has the others, in their order."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: tuple[tuple[str, str], ...] = ()

    @property
    def lines(self) -> list[tuple[str, str]]:
        """All lines; those of one name in their order."""
        return [*self.headers.items(), *self.repeated]


class HttpError(Exception):
    """There is no answer. Says nothing that the other side has sent.

    reason  "connect" and "tls" (it is not reached), "timeout", "broken" (the connection was closed in place of an answer, or in
            it), "garbled" (no valid HTTP), "too_large" (the answer's head or body), "busy" (the queue is full, or too slow; the
            service has not been asked) or "closed" (the client is)
    answer  status and fields, without a body, where it ended, or was given up, in the body; else None
    """

    def __init__(self, reason: str, detail: str = "", answer: HttpAnswer | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.answer = answer


class HttpClient(Protocol):
    """A client of one service; any number of requests at once."""

    @abstractmethod
    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout: float | None = None,
    ) -> HttpAnswer:
        """Asks for `path`, which is appended to the service's URL as it is and may hold a query.

        `timeout` in seconds, that of the options where None. Raises HttpError; any status is an answer.
        """


class NoNetwork:
    """The client of a configuration that is only checked: whatever is asked fails, and nothing is opened."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout: float | None = None,
    ) -> HttpAnswer:
        raise HttpError("closed")
