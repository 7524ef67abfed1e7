"""Opens the sockets that listen at one place, and lets go of them again.

Several processes may share a place, so that it outlives each of them: over TCP with a socket for each, among which the
kernel divides the connections (SO_REUSEPORT, socket(7)), through a Unix socket with one that all accept from.

A Unix socket outlives the process that made it, as a file: one that nobody listens on any more is replaced. Anything
else at its path (a socket in use, a file that is no socket) is somebody's, and is left alone.
"""

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.config.model import Address, AdminListen, Listen, Place, UnixAddress

BACKLOG: Final = 2048

_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a host without one of the families says of a name that has addresses of both."""


class Opening:
    """The sockets of one `listen` entry.

    sockets  they listen; several where a name has several addresses
    place    where, with the port that the system chose
    inode    of the file of a Unix socket, where it goes with the opening
    """

    def __init__(self, sockets: list[socket.socket], place: Place, inode: int = 0) -> None:
        self.sockets = sockets
        self.place = place
        self._inode = inode

    def again(self) -> "Opening":
        """Another opening of the same place: it is a socket of its own over TCP. Raises OSError.

        The file of a Unix socket stays with the first.
        """
        sockets: list[socket.socket] = []
        try:
            for sock in self.sockets:
                if sock.family == socket.AF_UNIX:
                    sockets.append(sock.dup())
                    continue
                other = _tcp_socket(sock.family, reuse_port=True)
                sockets.append(other)
                if sock.family == socket.AF_INET6:
                    only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                    other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
                other.bind(sock.getsockname())
                other.listen(BACKLOG)
        except BaseException:
            Opening(sockets, self.place).close()
            raise
        return Opening(sockets, self.place)

    def shared(self) -> "Opening":
        """The same sockets for somebody else. Raises OSError."""
        return Opening([sock.dup() for sock in self.sockets], self.place)

    @property
    def owns_file(self) -> bool:
        """Whether the file of a Unix socket goes with it."""
        return self._inode != 0

    def own_file(self, inode: int) -> None:
        """The file of a Unix socket goes with it from now on."""
        self._inode = inode

    def leave_file(self) -> None:
        """The file of a Unix socket is somebody else's from now on."""
        self._inode = 0

    def close(self) -> None:
        """Lets go of the place. The file of a Unix socket goes with it, unless it is another's by now."""
        for sock in self.sockets:
            sock.close()
        if isinstance(self.place, UnixAddress) and self._inode:
            with suppress(OSError):
                if os.lstat(self.place.path).st_ino == self._inode:
                    os.unlink(self.place.path)


async def open_place(listen: Listen, directory: Path, *, shared: bool = False) -> Opening:
    """Listens where `listen` says; a path is relative to `directory`. Raises OSError, and then nothing is open.

    `shared` for a place that is to be opened `again`.
    """
    place = listen.place
    try:
        if isinstance(place, UnixAddress):
            return _open_unix(UnixAddress(str(directory / place.path)), int(listen.mode, 8))
        return await _open_tcp(place, ipv6_only=listen.ipv6_only, shared=shared)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {place}: {why(error)}") from error


async def open_admin(admin: AdminListen, directory: Path) -> Opening:
    """Listens for the admin listener. Raises OSError, and then nothing is open."""
    try:
        return await open_place(admin.listen, directory)
    except OSError as error:
        where, colon, cause = str(error.strerror).partition(": ")
        raise OSError(error.errno, f"{where} (admin){colon}{cause}") from error


async def _open_tcp(address: Address, *, ipv6_only: bool, shared: bool) -> Opening:
    host, port = address
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, _, _, _, where in dict.fromkeys(await _resolved(host)):
            try:
                sock = _tcp_socket(family, reuse_port=False)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            sockets.append(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
            try:
                sock.bind((where[0], port, *where[2:]))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                sockets.pop().close()
                continue
            port = sock.getsockname()[1]  # a port that the system chose serves all addresses of the name
            if shared:
                # Not before: a place that another program listens at is in use, also where that one would share it.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.listen(BACKLOG)
        if not sockets:
            raise absent or OSError(errno.EADDRNOTAVAIL, "")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return Opening(sockets, Address(host, port))


def _tcp_socket(family: int, *, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return sock


async def _resolved(host: str) -> list[Any]:
    """The addresses of a name, as `socket.getaddrinfo` gives them."""
    try:
        # Not by uvloop, which loses the zone of an address.
        return socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.to_thread(
            socket.getaddrinfo, host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )


def _open_unix(place: UnixAddress, mode: int) -> Opening:
    _make_room(place.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    inode = 0
    try:
        sock.setblocking(False)
        sock.bind(place.path)
        inode = os.lstat(place.path).st_ino
        # Nobody can connect before it listens: there is no moment with other permissions.
        os.chmod(place.path, mode)
        sock.listen(BACKLOG)
    except BaseException:
        Opening([sock], place, inode).close()
        raise
    return Opening([sock], place, inode)


def _make_room(path: str) -> None:
    """Removes a socket that nobody listens on. Raises OSError for whatever else is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            pass
        except BlockingIOError:  # somebody listens, and has more connections waiting than it takes
            raise OSError(errno.EADDRINUSE, "") from None
        except FileNotFoundError:
            return
        else:
            raise OSError(errno.EADDRINUSE, "")
    # Another process may have taken the place meanwhile.
    now = os.lstat(path)
    if (now.st_ino, now.st_dev) != (found.st_ino, found.st_dev):
        raise OSError(errno.EADDRINUSE, "")
    os.unlink(path)


def same_place(listen: Listen) -> tuple[Place, str, bool]:
    """What two entries have in common that can take each other's sockets over."""
    return listen.place, listen.mode, listen.ipv6_only


def told(place: Place, listen: Listen) -> str:
    """A place that is listened at, and what is spoken there beside HTTP."""
    spoken = {"tls": listen.tls, "proxy_protocol": listen.proxy_protocol}
    return " ".join([str(place), *(name for name, options in spoken.items() if options is not None)])


def why(error: OSError) -> str:
    """Why a place could not be taken, in a few words."""
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    if error.errno == errno.EACCES:
        return "permission denied"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address is not one of this host"
    return error.strerror or str(error)
