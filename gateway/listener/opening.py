"""Opens the sockets that listen at one place, and lets go of them again.

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

from gateway.config.model import Address, Listen, Place, UnixAddress

BACKLOG: Final = 2048

_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a host without one of the families says of a name that has addresses of both."""


class Opening:
    """The sockets of one `listen` entry.

    sockets  they listen; several where a name has several addresses
    place    where, with the port that the system chose
    """

    def __init__(self, sockets: list[socket.socket], place: Place, inode: int = 0) -> None:
        self.sockets = sockets
        self.place = place
        self._inode = inode

    def close(self) -> None:
        """Lets go of the place. The file of a Unix socket goes with it, unless it is another's by now."""
        for sock in self.sockets:
            sock.close()
        if isinstance(self.place, UnixAddress):
            with suppress(OSError):
                if os.lstat(self.place.path).st_ino == self._inode:
                    os.unlink(self.place.path)


async def open_place(listen: Listen, directory: Path) -> Opening:
    """Listens where `listen` says; a path is relative to `directory`. Raises OSError, and then nothing is open."""
    place = listen.place
    try:
        if isinstance(place, UnixAddress):
            return _open_unix(UnixAddress(str(directory / place.path)), int(listen.mode, 8))
        return await _open_tcp(place, listen.ipv6_only)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {place}: {why(error)}") from error


async def _open_tcp(address: Address, ipv6_only: bool) -> Opening:
    host, port = address
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, kind, protocol, _, where in dict.fromkeys(await _resolved(host)):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
            sock.listen(BACKLOG)
        if not sockets:
            raise absent or OSError(errno.EADDRNOTAVAIL, "")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return Opening(sockets, Address(host, port))


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


def why(error: OSError) -> str:
    """Why a place could not be taken, in a few words."""
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    if error.errno == errno.EACCES:
        return "permission denied"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address is not one of this host"
    return error.strerror or str(error)
