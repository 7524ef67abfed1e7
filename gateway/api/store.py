"""A store that processes and machines share: Redis or Valkey, as far as filters have it.

A filter takes it from `Services.store`. Whatever it keeps there others may read, change or lose: what must be believed is
to be sealed, and what must not be lost does not belong there.
"""

import re
from abc import abstractmethod
from contextlib import suppress
from ipaddress import ip_address
from posixpath import normpath
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from gateway.api.network import TlsOptions
from gateway.api.option import Duration, Options, Secret

_PLAIN: Final = re.compile(r"[!#-\[\]-~]+")
_SCHEMES: Final = ("redis", "rediss", "unix")

PORT: Final = 6379


class StoreOptions(Options):
    """A store, and how much is asked of it."""

    url: str = Field(
        description="`redis://HOST[:PORT][/DATABASE]`, `rediss://` for TLS, or `unix:///PATH`. Any node of a cluster will do: those "
        "that it names are asked too, by the same options. Without secrets: those have "
        "options of their own."
    )
    database: int = Field(
        default=0, ge=0, le=16383, description="Number of the database; also the path of the URL."
    )
    username: str | None = Field(default=None, min_length=1, description="User of its access control lists.")
    password: Secret | None = Field(default=None, description="Its password, or that of the server.")
    tls: TlsOptions | None = Field(
        default=None, description="For `rediss://`; the system's authorities by default."
    )
    timeout: Duration = Field(
        default=0.25,
        gt=0,
        le=60,
        description="Time for an answer, from when it is asked for; a store that is slower is away.",
    )
    pending: int = Field(
        default=1024, ge=1, description="Commands that may be out at once in a process; one more is not sent."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "StoreOptions":
        parts = split(self.url)
        if self.username is not None and self.password is None:
            raise ValueError("a username needs a password")
        if self.tls is not None and parts.scheme != "rediss":
            raise ValueError("tls is for rediss:// URLs")
        if self.database and parts.scheme != "unix" and parts.path.strip("/"):
            raise ValueError("the database stands in the URL already")
        return self

    @property
    def number(self) -> int:
        """The database, wherever it stands."""
        path = "" if self.url.startswith("unix:") else split(self.url).path.strip("/")
        return int(path) if path else self.database

    @property
    def place(self) -> str:
        """Which database of which store it is, the same however that is spelled, and by whatever way it is asked."""
        parts = split(self.url)
        if parts.scheme == "unix":
            return f"{normpath(parts.path)} {self.number}"
        host = (parts.hostname or "").removesuffix(".")
        with suppress(ValueError):  # it is a name
            host = str(ip_address(host))
        return f"{host} {parts.port or PORT} {self.number}"


def split(url: str) -> SplitResult:
    """The parts of a store's URL. Raises ValueError, which does not show it: it may hold a password."""
    wrong = ValueError("expected redis://HOST[:PORT][/DATABASE], rediss://... or unix:///PATH")
    if not _PLAIN.fullmatch(url):
        raise wrong
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or parts.query or parts.fragment:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL of a store holds no user or password: use username and password")
    try:
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.strip("/"):
            raise wrong
    elif not parts.hostname or port == 0 or not re.fullmatch(r"(/\d{0,5})?", parts.path):
        raise wrong
    return parts


class StoreError(Exception):
    """The store has given no answer that can be used. Says nothing that is kept there.

    reason  "connect", "tls", "timeout", "busy" (too much is out; it has not been asked), "refused" (it answered with an
            error, the first word of which is the detail), "broken" (no valid answer, or cut off) or "closed" (the client is)
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Store(Protocol):
    """A client of one store; any number of commands at once."""

    @abstractmethod
    async def command(self, *parts: bytes | str | int) -> Any:
        """The answer to one command, text as bytes. Raises StoreError."""

    @abstractmethod
    def available(self) -> bool:
        """Whether it was there when it was last asked. One that was not is asked again meanwhile, for the next who wants to
        know."""

    @abstractmethod
    def tell(self, *parts: bytes | str | int) -> None:
        """A command whose answer nobody waits for. What becomes of it is told in the application log only."""


class NoStore:
    """The store of a configuration that is only checked: nothing is opened, and nothing is there."""

    def available(self) -> bool:
        return True

    async def command(self, *parts: bytes | str | int) -> Any:
        raise StoreError("closed")

    def tell(self, *parts: bytes | str | int) -> None:
        return
