"""Makes connections to one endpoint: its name looked up, an address reached, TLS begun; or says why it cannot.

Addresses are tried one after the other, the next one as soon as one has failed or has been silent for a moment
(RFC 8305 section 5), so that an endpoint is reached while any of its addresses answers.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from gateway.config.model import Endpoint
from gateway.task import spawn
from gateway.tls import words
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.resolver import ResolveError, Resolver, in_turn

STAGGER: Final = 0.25
"""Seconds that an address may be silent before the next one is tried beside it (RFC 8305 section 8)."""


class ConnectError(Exception):
    """No connection was made, and nothing was sent.

    reason   a reason code
    detail   why, for the operator and nobody else
    refused  nobody listens there
    """

    def __init__(self, reason: str, detail: str, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.refused = refused


class _Progress:
    """How far an attempt has come: what to say of it when its time is up."""

    __slots__ = ("detail", "reason")

    def __init__(self) -> None:
        self.reason = "upstream_connect_timeout"
        self.detail = ""


class Reach(Protocol):
    """Makes connections to one endpoint.

    name  what has to be looked up, if anything
    """

    @property
    def name(self) -> str | None: ...

    async def connect(self) -> UpstreamConnection:
        """A new connection that is ready for a request. Raises ConnectError."""


class Dialer:
    """Connects to one endpoint.

    timeout      seconds for everything: name, connection, handshake
    context      for an https endpoint
    server_name  the name that its certificate must be for; by default the endpoint's host
    max_age      seconds that the addresses of a name are used
    """

    def __init__(
        self,
        endpoint: Endpoint,
        resolver: Resolver,
        *,
        timeout: float,
        max_age: float,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._resolver = resolver
        self._timeout = timeout
        self._max_age = max_age
        self._context = context if endpoint.scheme == "https" else None
        self._server_name = server_name or endpoint.host.removesuffix(".")
        self._loop = asyncio.get_running_loop()
        self._turn = -1
        self.name: str | None = None if endpoint.scheme == "unix" or _is_ip(endpoint.host) else endpoint.host
        """What has to be looked up, if anything."""

    async def connect(self) -> UpstreamConnection:
        """A new connection that is ready for a request. Raises ConnectError."""
        progress = _Progress()
        try:
            async with asyncio.timeout(self._timeout):
                if self._endpoint.scheme == "unix":
                    connection = await self._connect_to_socket(progress)
                else:
                    connection = await self._connect(progress)
        except TimeoutError:
            raise ConnectError(progress.reason, progress.detail) from None
        if connection.closed:  # and its owner, who is none yet, would never hear of it
            raise ConnectError("upstream_connect_failed", "the connection was closed at once")
        return connection

    async def _connect_to_socket(self, progress: _Progress) -> UpstreamConnection:
        progress.detail = "nobody accepts the connection"
        connection = UpstreamConnection()
        protocol: Any = connection
        try:
            await self._loop.create_unix_connection(lambda: protocol, self._endpoint.path)
        except OSError as error:
            raise ConnectError("upstream_connect_failed", _why(error), refused=_is_refusal(error)) from None
        return connection

    async def _connect(self, progress: _Progress) -> UpstreamConnection:
        addresses = await self._addresses(progress)
        failures: list[ConnectError] = []
        while addresses:
            progress.reason = "upstream_connect_timeout"
            progress.detail = f"no answer from {', '.join(addresses)}"
            connection = await self._reach(addresses, failures)
            if connection is None:
                break
            if self._context is None:
                return connection
            try:
                await self._secure(connection, self._context, progress)
            except ConnectError as error:
                # One without its traceback, which leads back to here: no circle is left.
                failures.append(ConnectError(error.reason, error.detail))
            else:
                return connection
        raise _all_in_one(failures)

    async def _addresses(self, progress: _Progress) -> deque[str]:
        """The addresses to try, in order; the one that comes first is another each time."""
        if self.name is None:
            return deque((self._endpoint.host,))
        progress.detail = f"{self.name}: no answer to the lookup"
        try:
            found = await self._resolver.addresses(self.name, self._max_age)
        except ResolveError as error:
            raise ConnectError("upstream_resolve_failed", f"{self.name}: {error}") from None
        self._turn += 1
        return deque(in_turn(found, self._turn))

    async def _reach(self, addresses: deque[str], failures: list[ConnectError]) -> UpstreamConnection | None:
        """A connection to one of `addresses`, None where all have failed.

        Takes out of `addresses` what it has tried to the end, and adds to `failures` why that was in vain.
        """
        attempts: dict[asyncio.Task[UpstreamConnection | ConnectError], str] = {}
        reached: UpstreamConnection | None = None
        try:
            while reached is None and (addresses or attempts):
                if addresses:
                    address = addresses.popleft()
                    attempts[spawn(self._try(address), name=f"connect to {address}")] = address
                done, _ = await asyncio.wait(
                    attempts, timeout=STAGGER if addresses else None, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in done:
                    outcome = attempt.result()
                    if isinstance(outcome, ConnectError):
                        failures.append(outcome)
                    elif reached is None:
                        reached = outcome
                    else:
                        continue  # one is enough
                    del attempts[attempt]
        finally:
            for attempt in attempts:
                attempt.cancel()
                attempt.add_done_callback(_end_connection)
        addresses.extendleft(reversed(attempts.values()))
        return reached

    async def _try(self, address: str) -> UpstreamConnection | ConnectError:
        connection = UpstreamConnection()
        protocol: Any = connection
        try:
            await self._loop.create_connection(lambda: protocol, address, self._endpoint.port)
        except TimeoutError as error:  # the system's own, which comes before ours is up
            return ConnectError("upstream_connect_timeout", self._told(address, _why(error)))
        except OSError as error:
            told = self._told(address, _why(error))
            return ConnectError("upstream_connect_failed", told, refused=_is_refusal(error))
        if self.name is not None:
            connection.remote = address
        sock = connection.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    async def _secure(
        self, connection: UpstreamConnection, context: ssl.SSLContext, progress: _Progress
    ) -> None:
        """The handshake. Raises ConnectError, and then the connection is over."""
        address = connection.remote or self._endpoint.host
        progress.reason = "upstream_tls_timeout"
        progress.detail = self._told(address, "the handshake does not come to its end")
        protocol: Any = connection
        secured = False
        try:
            if connection.transport.is_closing():
                raise ConnectionResetError
            transport = await self._loop.start_tls(
                connection.transport, protocol, context, server_hostname=self._server_name
            )
            if transport is None or transport.is_closing():
                raise ConnectionResetError
            connection.secured(transport)
            secured = True
        except ssl.SSLCertVerificationError as error:
            raise ConnectError("upstream_tls_unverified", self._told(address, words(error))) from None
        except ssl.SSLError as error:
            raise ConnectError("upstream_tls_failed", self._told(address, words(error))) from None
        except OSError:
            detail = self._told(address, "the connection was closed during the handshake")
            raise ConnectError("upstream_tls_failed", detail) from None
        finally:
            if not secured:
                connection.give_up()

    def _told(self, address: str, text: str) -> str:
        return text if self.name is None else f"{address}: {text}"


def _end_connection(attempt: "asyncio.Task[UpstreamConnection | ConnectError]") -> None:
    """Ends a connection that was made after all."""
    if not attempt.cancelled() and attempt.exception() is None:
        outcome = attempt.result()
        if isinstance(outcome, UpstreamConnection):
            outcome.abort()


def _all_in_one(failures: Sequence[ConnectError]) -> ConnectError:
    """The last reason, but rather that of a server that answers wrongly than of one that does not answer."""
    reasons = [failure.reason for failure in failures]
    reasons.sort(key=lambda reason: reason.startswith("upstream_tls"))
    detail = "; ".join(failure.detail for failure in failures)
    return ConnectError(reasons[-1], detail, refused=all(failure.refused for failure in failures))


def _is_refusal(error: OSError) -> bool:
    return isinstance(error, (ConnectionRefusedError, FileNotFoundError))


def _why(error: OSError) -> str:
    """The system's words, and not the library's around them."""
    return (os.strerror(error.errno) if error.errno else str(error) or "timed out").lower()


def _is_ip(host: str) -> bool:
    """Whether a checked host is an address: a name has no colon, and does not end in a number."""
    return ":" in host or host.rpartition(".")[2].isdigit()
