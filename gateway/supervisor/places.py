"""The sockets of all `listen` entries, for all workers: opened here, or taken over from whoever had them before.

Over TCP each worker has a socket of its own, and so has its successor: a connection that waits for a worker that is
gone waits for the next one, and is not reset. Where the service manager has opened the socket, there is only that one,
and so it is with Unix sockets: all workers accept from it.
"""

import json
import os
import socket
from collections import Counter
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.config.load import Loaded
from gateway.config.model import Address, Listen, Place, UnixAddress
from gateway.listener.opening import Opening, open_admin, open_place, same_place
from gateway.supervisor.notify import listening

SOCKETS: Final = "WEIR_SOCKETS"
"""In the environment of a successor: which descriptors it inherits, in JSON."""


class Spot(NamedTuple):
    """One `listen` entry.

    key       by which another load of the configuration finds it again
    openings  one for each worker, with its number
    managed   whether the service manager has opened it, and would not do so again
    """

    key: str
    openings: tuple[tuple[int, Opening], ...]
    managed: bool = False

    @property
    def place(self) -> Place:
        return self.openings[0][1].place


class Inherited:
    """The sockets that this process has been started with, until somebody asks for them."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes what concerns them out of the environment. Raises ValueError for what nobody can have meant."""
        self._managed = listening(environment)
        told = environment.pop(SOCKETS, "")
        self._named: dict[str, list[list[socket.socket]]] = {}
        self._with_files: set[str] = set()
        self._from_manager: set[str] = set()
        self._files: list[tuple[Opening, int]] = []
        if told:
            # A predecessor of an earlier version does not say which are the service manager's.
            for key, groups, has_file, *managed in json.loads(told):
                self._named[key] = [[socket.socket(fileno=number) for number in group] for group in groups]
                if has_file:
                    self._with_files.add(key)
                if any(managed):
                    self._from_manager.add(key)
        for sock in self._all():
            sock.set_inheritable(False)
            sock.setblocking(False)

    def _all(self) -> list[socket.socket]:
        named = [sock for groups in self._named.values() for group in groups for sock in group]
        return [*self._managed, *named]

    def take(self, key: str, wanted: Place) -> tuple[list[Opening], bool]:
        """The openings of a place that a predecessor has handed over, one for each worker that it had, or none.

        And whether the service manager has opened it.
        """
        openings = [Opening(sockets, _told(wanted, sockets[0])) for sockets in self._named.pop(key, [])]
        if openings and key in self._with_files:
            self._files.append((openings[0], _inode(openings[0].sockets[0])))
        return openings, key in self._from_manager

    def own_files(self) -> None:
        """The files of Unix sockets are ours from now on: until then they are the predecessor's, which may have to go on."""
        for opening, inode in self._files:
            opening.own_file(inode)
        self._files.clear()

    def take_managed(self, wanted: Place) -> Opening | None:
        """The opening of a place that the service manager has made. The file of a Unix socket is then not ours."""
        sockets = [sock for sock in self._managed if _is_at(sock, wanted)]
        if not sockets:
            return None
        self._managed = [sock for sock in self._managed if sock not in sockets]
        return Opening(sockets, _told(wanted, sockets[0]))

    def refuse_rest(self) -> None:
        """Closes what is left. Raises OSError where the service manager has opened what no `listen` names."""
        rest = [str(_bound(sock)) for sock in self._managed]
        self.close()
        if rest:
            raise OSError(
                f"the service manager has opened {', '.join(rest)}, which the configuration does not listen at"
            )

    def close(self) -> None:
        for sock in self._all():
            sock.close()
        self._managed, self._named = [], {}


class Places:
    """Where the service listens, for `count` workers."""

    def __init__(self, count: int, environment: MutableMapping[str, str]) -> None:
        self._count = count
        self._inherited = Inherited(environment)
        self._numbers = 0
        self._spots: tuple[Spot, ...] = ()
        self._parked: dict[str, Spot] = {}  # of the service manager, and not in use just now
        self._lent: dict[int, int] = {}  # slots without a worker, and those whose workers stand in
        self._joined: dict[tuple[int, ...], int] = {}
        self.admin: Spot | None = None

    @property
    def spots(self) -> tuple[Spot, ...]:
        """In use, one for each `listen` entry."""
        return self._spots

    def of(self, slot: int, spots: Sequence[Spot]) -> list[tuple[int, Opening]]:
        """What one worker accepts from."""
        lent = [other for other, helper in self._lent.items() if helper == slot]
        return [
            self._together([spot.openings[place] for place in (slot, *lent)])
            if lent and not spot.managed and _is_own(spot.openings[slot][1])
            else spot.openings[slot]
            for spot in spots
        ]

    async def opened(self, loaded: Loaded) -> tuple[Spot, ...]:
        """What `loaded` listens at, opened where it is not open yet. Raises OSError, and then nothing of it is open."""
        known = {spot.key: spot for spot in self._spots}
        spots: list[Spot] = []
        seen: Counter[str] = Counter()
        try:
            for listen in loaded.configuration.listen:
                key = _key(listen)
                seen[key] += 1
                key += f" {seen[key]}"
                spot = known.get(key)
                if spot is None:
                    spot = await self._open(key, listen, loaded.directory, self._count)
                spots.append(spot)
        except BaseException:
            self.close(spots)
            raise
        return tuple(spots)

    async def _open(self, key: str, listen: Listen, directory: Path, count: int) -> Spot:
        if key in self._parked:
            return self._parked.pop(key)
        openings, managed = self._inherited.take(key, listen.place)
        for extra in openings[count:]:  # of more workers than there are now
            if managed:
                extra.close()
                continue
            least = min(openings[:count], key=lambda opening: len(opening.sockets))
            least.sockets.extend(extra.sockets)
        del openings[count:]
        try:
            if not openings:
                opening = self._inherited.take_managed(_absolute(listen.place, directory))
                managed = opening is not None
                openings = [opening or await open_place(listen, directory, shared=True)]
            while len(openings) < count:
                openings.append(openings[0].shared() if managed else openings[0].again())
        except BaseException:
            for opening in openings:
                opening.close()
            raise
        numbered = []
        for opening in openings:
            self._numbers += 1
            numbered.append((self._numbers, opening))
        return Spot(key, tuple(numbered), managed)

    def use(self, spots: Sequence[Spot]) -> None:
        """These are in use from now on; what is no longer is closed."""
        former, self._spots = self._spots, tuple(spots)
        self.close(former)

    def close(self, spots: Sequence[Spot]) -> None:
        """Closes those that are not in use."""
        used = {spot.key for spot in self._spots}
        for spot in spots:
            if spot.key not in used:
                if spot.managed:
                    self._parked[spot.key] = spot
                else:
                    _close(spot)

    def lend(self, slot: int, to: int) -> None:
        """What only the worker of `slot` accepts from is for that of `to` as well: there is none, and clients wait for it."""
        for other, helper in self._lent.items():
            if helper == slot:
                self._lent[other] = to
        self._lent[slot] = to

    def restore(self, slot: int) -> int | None:
        """It has a worker again: the slot that it was lent to, if it was."""
        return self._lent.pop(slot, None)

    def _together(self, openings: Sequence[tuple[int, Opening]]) -> tuple[int, Opening]:
        """Several of one place as one, which has a number of its own."""
        numbers = tuple(number for number, _ in openings)
        if numbers not in self._joined:
            self._numbers += 1
            self._joined[numbers] = self._numbers
        sockets = [sock for _, opening in openings for sock in opening.sockets]
        return self._joined[numbers], Opening(sockets, openings[0][1].place)

    async def open_admin(self, loaded: Loaded) -> Spot | None:
        """The place of the admin listener, None for none: that in use, or another. Raises OSError."""
        admin = loaded.configuration.admin
        if admin is None:
            return None
        key = f"admin {_key(admin.listen)}"
        if self.admin is not None and self.admin.key == key:
            return self.admin
        openings, _ = self._inherited.take(key, admin.listen.place)
        opening = openings[0] if openings else await open_admin(admin, loaded.directory)
        self._numbers += 1
        return Spot(key, ((self._numbers, opening),))

    def use_admin(self, spot: Spot | None) -> None:
        former, self.admin = self.admin, spot
        if former is not None and former is not spot:
            _close(former)

    def close_admin(self, spot: Spot | None) -> None:
        """Closes that of an admin listener that does not come to be used."""
        if spot is not None and spot is not self.admin:
            _close(spot)

    def refuse_rest(self) -> None:
        """Lets go of inherited sockets that nobody listens at. Raises OSError for those of the service manager."""
        self._inherited.refuse_rest()

    def close_rest(self) -> None:
        self._inherited.close()
        for spot in self._parked.values():
            _close(spot)
        self._parked.clear()

    def own_files(self) -> None:
        """What the predecessor has handed over is ours alone from now on."""
        self._inherited.own_files()

    def bequeath(self) -> tuple[str, list[int]]:
        """For a successor: what goes into its environment, and the descriptors that it inherits."""
        spots = [*self._spots, *([self.admin] if self.admin is not None else [])]
        told = [
            (
                spot.key,
                [[sock.fileno() for sock in opening.sockets] for _, opening in spot.openings],
                any(opening.owns_file for _, opening in spot.openings),
                spot.managed,
            )
            for spot in spots
        ]
        return json.dumps(told), [number for _, groups, *_ in told for group in groups for number in group]

    def leave_files(self) -> None:
        """The files of Unix sockets are the successor's from now on."""
        for spot in [*self._spots, *([self.admin] if self.admin is not None else [])]:
            for _, opening in spot.openings:
                opening.leave_file()


def _close(spot: Spot) -> None:
    for _, opening in spot.openings:
        opening.close()


def _is_own(opening: Opening) -> bool:
    """Whether its sockets are no one else's: over TCP each worker has some."""
    return bool(opening.sockets) and all(sock.family != socket.AF_UNIX for sock in opening.sockets)


def _key(listen: Listen) -> str:
    place, mode, ipv6_only = same_place(listen)
    return f"{place} {mode} {ipv6_only}"


def _absolute(place: Place, directory: Path) -> Place:
    return UnixAddress(str((directory / place.path).absolute())) if isinstance(place, UnixAddress) else place


def _is_at(sock: socket.socket, wanted: Place) -> bool:
    """Whether a socket is bound where a configuration wants to listen."""
    place = _bound(sock)
    if isinstance(wanted, UnixAddress) or isinstance(place, UnixAddress):
        return place == wanted
    if place.port != wanted.port:
        return False
    if place.host == wanted.host:
        return True
    with suppress(OSError):
        found = socket.getaddrinfo(wanted.host, None, type=socket.SOCK_STREAM)
        return any(sockaddr[0] == place.host for _, _, _, _, sockaddr in found)
    return False


def _bound(sock: socket.socket) -> Place:
    name: Any = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return UnixAddress(os.fsdecode(name))
    return Address(name[0], name[1])


def _told(wanted: Place, sock: socket.socket) -> Place:
    """The place as the configuration writes it, with the port that the socket has."""
    place = _bound(sock)
    if isinstance(place, UnixAddress) or isinstance(wanted, UnixAddress):
        return place
    return Address(wanted.host, place.port)


def _inode(sock: socket.socket) -> int:
    place = _bound(sock)
    if isinstance(place, UnixAddress):
        with suppress(OSError):
            return os.lstat(place.path).st_ino
    return 0
