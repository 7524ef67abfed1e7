"""The sockets of all workers: opened, kept over a reload, inherited, and let go."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import Loaded, loads
from gateway.config.model import UnixAddress
from gateway.registry import Registry
from gateway.supervisor import notify
from gateway.supervisor.places import SOCKETS, Places, Spot
from tests.support.gateway import configuration


def loaded(*listen: Any, directory: Path | None = None) -> Loaded:
    text = configuration("http://127.0.0.1:1", listen=list(listen), admin="127.0.0.1:0")
    return loads(text, "gateway.yaml", registry=Registry(), directory=directory)


def ports(spot: Spot) -> list[int]:
    return [opening.sockets[0].getsockname()[1] for _, opening in spot.openings]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_each_worker_has_a_socket_of_its_own_at_one_port() -> None:
    places = Places(3, {})
    places.use(await places.opened(loaded("127.0.0.1:0")))
    (spot,) = places.spots
    assert len(set(ports(spot))) == 1
    inodes = {os.fstat(opening.sockets[0].fileno()).st_ino for _, opening in spot.openings}
    assert len(inodes) == 3
    assert [number for number, _ in (places.of(slot, places.spots)[0] for slot in range(3))] == [1, 2, 3]
    (port,) = set(ports(spot))
    places.use(())
    assert not listens(port)


async def test_all_workers_share_a_unix_socket(tmp_path: Path) -> None:
    places = Places(2, {})
    places.use(await places.opened(loaded("unix:weir.sock", directory=tmp_path)))
    (spot,) = places.spots
    inodes = {os.fstat(opening.sockets[0].fileno()).st_ino for _, opening in spot.openings}
    assert len(inodes) == 1
    assert spot.place == UnixAddress(str(tmp_path / "weir.sock"))
    places.use(())
    assert list(tmp_path.iterdir()) == []


async def test_what_is_listened_at_already_is_kept_and_the_rest_is_closed() -> None:
    places = Places(1, {})
    places.use(await places.opened(loaded("127.0.0.1:0", "[::1]:0", "127.0.0.1:0")))
    first, second, third = places.spots
    others = await places.opened(loaded("127.0.0.1:0", "127.0.0.1:0"))
    assert others == (first, third)
    (gone,) = ports(second)
    places.use(others)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", gone), timeout=5)
    assert listens(ports(first)[0])
    assert listens(ports(third)[0])
    places.use(())


async def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    places = Places(2, {})
    places.use(await places.opened(loaded("127.0.0.1:0")))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = loaded("unix:a.sock", f"127.0.0.1:{taken.getsockname()[1]}", directory=tmp_path)
        with pytest.raises(OSError, match="the address is in use"):
            await places.opened(wrong)
    assert list(tmp_path.iterdir()) == []
    assert listens(ports(places.spots[0])[0])
    places.use(())


async def test_a_port_of_another_process_that_would_share_it_is_in_use() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="the address is in use"):
            await Places(2, {}).opened(loaded(f"127.0.0.1:{taken.getsockname()[1]}"))


@pytest.mark.parametrize(("before", "after"), [(2, 2), (3, 1), (1, 3)])
async def test_a_successor_accepts_from_all_that_it_inherits(tmp_path: Path, before: int, after: int) -> None:
    wanted = loaded("127.0.0.1:0", "unix:weir.sock", directory=tmp_path)
    former = Places(before, {})
    former.use(await former.opened(wanted))
    former.use_admin(await former.open_admin(wanted))
    told, descriptors = former.bequeath()
    assert len(descriptors) == 2 * before + 1
    copies = {number: os.dup(number) for number in descriptors}  # as another process has them
    inherited = json.loads(told)
    for _, groups, *_ in inherited:
        for group in groups:
            group[:] = [copies[number] for number in group]
    environment = {SOCKETS: json.dumps(inherited)}
    places = Places(after, environment)
    assert environment == {}
    places.use(await places.opened(wanted))
    places.use_admin(await places.open_admin(wanted))
    places.refuse_rest()
    places.own_files()
    former.leave_files()
    own = {os.fstat(number).st_ino for number in descriptors}
    former.use(())
    former.use_admin(None)
    tcp, unix = places.spots
    taken = {os.fstat(sock.fileno()).st_ino for _, opening in tcp.openings for sock in opening.sockets}
    assert len(taken) == max(before, after)
    assert len(taken & own) == before, "a socket that nobody accepts from is a client that waits for ever"
    assert len(set(ports(tcp))) == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "weir.sock"))
    assert places.admin is not None
    assert listens(ports(places.admin)[0])
    places.use(())
    places.use_admin(None)
    assert list(tmp_path.iterdir()) == []
    assert unix.place == UnixAddress(str(tmp_path / "weir.sock"))


def handed(monkeypatch: pytest.MonkeyPatch, sock: socket.socket) -> dict[str, str]:
    monkeypatch.setattr(notify, "FIRST", os.dup(sock.fileno()))
    return {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}


async def test_the_socket_of_the_service_manager_is_accepted_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
        places = Places(2, handed(monkeypatch, made))
        places.use(await places.opened(loaded(f"localhost:{port}")))
        places.refuse_rest()
        (spot,) = places.spots
        assert ports(spot) == [port, port]
        inodes = {os.fstat(opening.sockets[0].fileno()).st_ino for _, opening in spot.openings}
        assert inodes == {os.fstat(made.fileno()).st_ino}
        places.use(())
        places.close_rest()


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
async def test_the_socket_of_the_service_manager_is_still_one_after_an_upgrade(
    monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
        wanted, other = loaded(f"127.0.0.1:{port}"), loaded("127.0.0.1:0")
        former = Places(before, handed(monkeypatch, made))
        former.use(await former.opened(wanted))
        told, _ = former.bequeath()
        inherited = json.loads(told)
        inherited[0][1] = [[os.dup(number) for number in group] for group in inherited[0][1]]
        former.use(())
        former.close_rest()
        places = Places(after, {SOCKETS: json.dumps(inherited)})
        places.use(await places.opened(wanted))
        places.refuse_rest()
        (spot,) = places.spots
        sockets = [sock for _, opening in spot.openings for sock in opening.sockets]
        assert len(sockets) == after
        assert {os.fstat(sock.fileno()).st_ino for sock in sockets} == {os.fstat(made.fileno()).st_ino}
        if after > 1:
            places.lend(1, 0)
            assert places.of(0, places.spots) == [spot.openings[0]]
        places.use(await places.opened(other))
        places.use(await places.opened(wanted))
        assert places.spots == (spot,)
        places.use(())
        places.close_rest()


async def test_the_file_of_the_service_managers_socket_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "weir.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        places = Places(1, handed(monkeypatch, made))
        places.use(await places.opened(loaded("unix:weir.sock", directory=tmp_path)))
        places.use(())
        places.close_rest()
        assert path.is_socket()


async def test_a_socket_of_the_service_manager_that_no_listen_names_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        places = Places(1, handed(monkeypatch, made))
        places.use(await places.opened(loaded("127.0.0.1:0")))
        with pytest.raises(OSError, match=rf"has opened 127\.0\.0\.1:{made.getsockname()[1]}, which"):
            places.refuse_rest()
        places.use(())


async def test_a_successor_that_does_not_take_over_leaves_the_files_alone(tmp_path: Path) -> None:
    wanted = loaded("unix:weir.sock", directory=tmp_path)
    former = Places(1, {})
    former.use(await former.opened(wanted))
    told, descriptors = former.bequeath()
    inherited = json.loads(told)
    inherited[0][1] = [[os.dup(descriptors[0])]]
    places = Places(1, {SOCKETS: json.dumps(inherited)})
    places.use(await places.opened(wanted))
    places.use(())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "weir.sock"))
    former.use(())
    assert list(tmp_path.iterdir()) == []


async def test_what_a_slot_without_a_worker_has_is_another_workers_until_it_has_one(tmp_path: Path) -> None:
    places = Places(3, {})
    places.use(await places.opened(loaded("127.0.0.1:0", "unix:weir.sock", directory=tmp_path)))
    before = [places.of(slot, places.spots) for slot in range(3)]
    places.lend(1, 0)
    tcp, unix = places.of(0, places.spots)
    assert tcp[0] not in {number for own in before for number, _ in own}, (
        "a worker is to see that it is another"
    )
    assert tcp[1].sockets == [*before[0][0][1].sockets, *before[1][0][1].sockets]
    assert unix == before[0][1], "all accept from that one"
    assert places.of(0, places.spots)[0][0] == tcp[0]
    assert places.of(1, places.spots) == before[1]
    places.lend(0, 2)  # which has what it was lent, too
    assert len(places.of(2, places.spots)[0][1].sockets) == 3
    assert places.of(0, places.spots) == before[0]
    assert (places.restore(0), places.restore(1), places.restore(1)) == (2, 2, None)
    assert [places.of(slot, places.spots) for slot in range(3)] == before
    places.use(())


async def test_a_socket_of_the_service_manager_is_kept_for_when_it_is_wanted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
        wanted, other = loaded(f"127.0.0.1:{port}"), loaded("127.0.0.1:0")
        places = Places(1, handed(monkeypatch, made))
        places.use(await places.opened(wanted))
        (first,) = places.spots
        places.use(await places.opened(other))
        places.use(await places.opened(wanted))
        assert places.spots == (first,)
        places.use(())
        places.close_rest()
