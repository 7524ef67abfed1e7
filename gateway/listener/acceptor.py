"""Accepts the connections of one `listen` entry, and sees them through what comes before HTTP.

The loop's own server accepts plain connections. Where a balancer speaks the PROXY protocol its prefix is read off the
raw socket, to the byte, so that TLS or HTTP finds the rest where it begins; the handshake of TLS follows with the
certificate that is in use at that moment. Neither may take longer than it is given.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from gateway.config.model import Listen, Place, ProxyProtocol
from gateway.http.forwarded import Trust
from gateway.listener.admission import TOO_MANY, TOO_MANY_OF_CLIENT
from gateway.listener.connection import Connection
from gateway.listener.opening import BACKLOG, Opening
from gateway.listener.peer import address_of
from gateway.listener.proxy_protocol import MAX_SIZE, Prefix, parse
from gateway.listener.tls import Credentials
from gateway.task import spawn
from gateway.wheel import FAR

if TYPE_CHECKING:
    from gateway.listener.listener import Listener

_KEEPS_FILE: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""The file of a Unix socket stays when its server closes; before Python 3.13 it always does."""
ACCEPT_AT_ONCE: Final = 128
"""Connections that are accepted before others get their turn."""
ACCEPT_AGAIN: Final = 1.0
"""Seconds until the next try when the process or the system has no more descriptors."""
CLOSE_NOTIFY: Final = 1.0
"""Seconds that a client is given to answer the end of TLS."""
TOLD_EVERY: Final = 30.0
"""Seconds between two lines about one reason, since anybody who can connect can be a reason."""


class Refusals:
    """Connections that were closed before they could ask anything, by reason; told now and then.

    too_many            more than `limits.connections`
    too_many_of_client  more than `limits.connections_per_client`
    tls_failed       no handshake: no common version or cipher, no TLS at all, no certificate that is believed
    tls_timeout      the handshake took too long
    proxy_untrusted  the PROXY protocol is spoken here, and the other end is none of those who may speak it
    proxy_malformed  the connection does not begin with the PROXY protocol
    proxy_timeout    its prefix took too long
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.counts: dict[str, int] = {
            TOO_MANY: 0,
            TOO_MANY_OF_CLIENT: 0,
            "tls_failed": 0,
            "tls_timeout": 0,
            "proxy_untrusted": 0,
            "proxy_malformed": 0,
            "proxy_timeout": 0,
        }
        self._now: Callable[[], float] = loop.time
        self._told: dict[str, tuple[float, int]] = {}
        self._log = structlog.get_logger("gateway")

    def add(self, reason: str, place: Place | None, address: str, error: str = "") -> None:
        self.counts[reason] = count = self.counts[reason] + 1
        now = self._now()
        next_at, told = self._told.get(reason, (now, 0))
        if now >= next_at:
            self._told[reason] = (now + TOLD_EVERY, count)
            self._log.warning(
                "connection_refused",
                reason=reason,
                listen=str(place or ""),
                peer=address,
                error=error,
                times=count - told,
            )


class Binding(NamedTuple):
    """A `listen` entry with its sockets, and with its credentials when it speaks TLS.

    The sockets are whose who opened them: they outlive the acceptor, which has others for the same places.
    """

    listen: Listen
    opening: Opening
    credentials: Credentials | None


class Acceptor:
    """The connections of one `listen` entry."""

    def __init__(self, listener: "Listener", binding: Binding) -> None:
        """Raises OSError when there are no descriptors left."""
        listen = binding.listen
        self.binding = binding
        self.place = binding.opening.place
        self.credentials = binding.credentials
        self._listener = listener
        self._loop = listener.loop
        self._sockets = [sock.dup() for sock in binding.opening.sockets]
        self._proxy: ProxyProtocol | None = listen.proxy_protocol
        self._trusted = Trust([str(source) for source in self._proxy.trusted] if self._proxy else [])
        self._servers: list[Any] = []
        self._pause: asyncio.TimerHandle | None = None
        self._looks: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._arrivals: set[Arrival] = set()
        self._entering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Accepts from now on."""
        loop: Any = self._loop
        if self.credentials is None and self._proxy is None:
            for sock in self._sockets:
                serve = loop.create_server
                if sock.family == socket.AF_UNIX:
                    serve = partial(loop.create_unix_server, **_KEEPS_FILE)
                self._servers.append(await serve(self._connection, sock=sock, backlog=BACKLOG))
            return
        self._watch()
        if self.credentials is None:
            return
        self.credentials.check_dates()
        if self.credentials.tls.reload:
            self._looks = loop.call_later(self.credentials.tls.reload, self._look)

    def retire(self) -> None:
        """Accepts no more; what has not come to HTTP yet is seen through, and so is what waits to be accepted.

        A client takes a connection for made when the kernel has taken it, and would see it reset.
        """
        if self._servers:
            for server in self._servers:
                server.close()
            self._servers.clear()
            self._take_rest()
        else:
            for sock in self._sockets:
                if sock.fileno() >= 0:
                    self._loop.remove_reader(sock)
        for timer in (self._pause, self._looks):
            if timer is not None:
                timer.cancel()
        for sock in self._sockets:
            sock.close()

    def _take_rest(self) -> None:
        for listening in self.binding.opening.sockets:
            with suppress(OSError):  # nothing is left; or no descriptors are, and nobody will come back to it
                while True:
                    sock, name = listening.accept()
                    sock.setblocking(False)
                    self.enter(sock, address_of(name), None)

    async def rest(self) -> None:
        """Returns when all that have been accepted are connections."""
        while self._entering:
            await asyncio.wait(self._entering)

    @property
    def busy(self) -> bool:
        """Whether there are connections that have not come to HTTP yet."""
        return bool(self._arrivals or self._entering)

    def close(self) -> None:
        """Accepts no more, and ends what has not come to HTTP yet."""
        self.retire()
        for arrival in list(self._arrivals):
            arrival.end()
        if self._renewal is not None:
            self._renewal.cancel()
        if self.credentials is not None:
            for task in self._entering:
                task.cancel()

    # ---- connections

    def _watch(self) -> None:
        self._pause = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                sock, name = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._accept_later(error)
                return
            sock.setblocking(False)
            address = address_of(name)
            if self._proxy is None:
                self.enter(sock, address, None)
            elif address in self._trusted:
                arrival = Arrival(self, sock, address, self._loop.time() + self._proxy.timeout)
                self._arrivals.add(arrival)
                arrival.begin()
            else:
                sock.close()
                self.refused("proxy_untrusted", address)

    def _accept_later(self, error: OSError) -> None:
        """Trying again at once would take all the time there is, and help nobody."""
        structlog.get_logger("gateway").error("accept_failed", listen=str(self.place), error=error.strerror)
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        if self._pause is None:
            self._pause = self._loop.call_later(ACCEPT_AGAIN, self._watch)

    def refused(self, reason: str, address: str, error: str = "") -> None:
        self._listener.refusals.add(reason, self.place, address, error)

    def arrived(self, arrival: "Arrival") -> None:
        """It has come to an end, good or bad."""
        self._arrivals.discard(arrival)

    def file(self, arrival: "Arrival") -> None:
        self._listener.wheel.file(arrival)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def enter(self, sock: socket.socket, address: str, prefix: Prefix | None) -> None:
        """Hands a connection that has said all that comes before TLS or HTTP over to the event loop."""
        task = spawn(self._enter(sock, address, prefix), name="connection")
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    def _connection(self, prefix: Prefix | None = None) -> Any:
        """A connection that has been accepted."""
        return Connection(self._listener, prefix, half_close=self.binding.listen.half_close)

    async def _enter(self, sock: socket.socket, address: str, prefix: Prefix | None) -> None:
        loop: Any = self._loop
        secured: dict[str, Any] = {}
        if self.credentials is not None:
            secured = {
                "ssl": self.credentials.context,
                "ssl_handshake_timeout": self.credentials.tls.handshake_timeout,
                "ssl_shutdown_timeout": CLOSE_NOTIFY,
            }
        connection = self._connection(prefix)
        client = address if prefix is None or prefix.address is None else prefix.address
        if not self._listener.opened(connection, client, self.place):
            sock.close()
            return
        try:
            await loop.connect_accepted_socket(lambda: connection, sock, **secured)
        except ConnectionAbortedError:
            self.refused("tls_timeout", address)
        except ssl.SSLError as error:
            self.refused("tls_failed", address, (error.reason or str(error)).lower().replace("_", " "))
        except OSError:
            return  # it has gone away: so do the probes of balancers, all day long
        finally:
            if connection.transport is None:
                self._listener.closed(connection)

    # ---- the certificate

    def _look(self) -> None:
        credentials = self.credentials
        assert credentials is not None
        self._looks = self._loop.call_later(credentials.tls.reload, self._look)
        if (self._renewal is None or self._renewal.done()) and credentials.changed:
            self._renewal = spawn(credentials.renew(), name="certificate")


class Arrival:
    """A connection whose PROXY protocol prefix is on its way. `deadline` and `filed` are the wheel's."""

    def __init__(self, acceptor: Acceptor, sock: socket.socket, address: str, deadline: float) -> None:
        self.deadline = deadline
        self.filed = FAR
        self._acceptor = acceptor
        self._sock = sock
        self._address = address
        self._seen = b""

    def begin(self) -> None:
        self._acceptor.file(self)
        self._acceptor.loop.add_reader(self._sock, self._read)

    def _read(self) -> None:
        """Takes what belongs to the prefix off the socket, and not a byte that stands behind it."""
        sock = self._sock
        try:
            data = sock.recv(MAX_SIZE, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.end()
            return
        if not data:
            self.end()
            return
        try:
            prefix = parse(self._seen + data)
        except ValueError as error:
            self._refuse("proxy_malformed", str(error))
            return
        rest = len(data) if prefix is None else prefix.size - len(self._seen)
        sock.recv(rest)
        if prefix is None:
            self._seen += data
            return
        self._let_go()
        self._acceptor.enter(sock, self._address, prefix)

    def on_deadline(self, now: float) -> None:
        self._refuse("proxy_timeout")

    def _refuse(self, reason: str, error: str = "") -> None:
        self.end()
        self._acceptor.refused(reason, self._address, error)

    def end(self) -> None:
        """Closes the connection."""
        self._let_go()
        self._sock.close()

    def _let_go(self) -> None:
        self.deadline = FAR
        with suppress(ValueError):
            self._acceptor.loop.remove_reader(self._sock)
        self._acceptor.arrived(self)
