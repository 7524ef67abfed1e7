"""Sockets that listen: opened whole or not at all, and nobody else's file touched."""

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.config.model import Address, Listen, UnixAddress, listen_at
from gateway.listener.opening import open_place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weir.sock"


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def left_behind(path: Path) -> None:
    """The socket of a process that is gone."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


@pytest.mark.parametrize("mode", ["0660", "600", "0777"])
async def test_a_unix_socket_has_its_permissions_whatever_the_umask(path: Path, mode: str) -> None:
    umask = os.umask(0o077)
    try:
        opened = await open_place(Listen(unix=path.name, mode=mode), path.parent)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    assert opened.place == UnixAddress(str(path))
    assert connects(path)
    opened.close()
    assert not path.exists()


async def test_a_socket_that_nobody_listens_on_is_replaced(path: Path) -> None:
    left_behind(path)
    assert not connects(path)
    opened = await open_place(Listen(unix=str(path)), Path())
    assert connects(path)
    opened.close()


async def test_a_socket_in_use_is_left_alone(path: Path) -> None:
    first = await open_place(Listen(unix=str(path)), Path())
    with pytest.raises(OSError, match=f"cannot listen on unix:{path}: the address is in use"):
        await open_place(Listen(unix=str(path)), Path())
    assert connects(path)
    first.close()


async def test_a_socket_whose_queue_is_full_is_in_use(path: Path) -> None:
    waiting = []
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(2):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            waiting.append(sock)
            try:
                sock.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(OSError, match="the address is in use"):
            await open_place(Listen(unix=str(path)), Path())
        assert path.exists()
    for sock in waiting:
        sock.close()


@pytest.mark.parametrize("what", ["file", "directory", "link"])
async def test_what_is_no_socket_is_left_alone(path: Path, what: str) -> None:
    if what == "file":
        path.write_text("precious")
    elif what == "directory":
        path.mkdir()
    else:
        left_behind(path.with_name("other"))
        path.symlink_to("other")
    with pytest.raises(OSError, match="there is a file that is no socket"):
        await open_place(Listen(unix=str(path)), Path())
    assert path.is_symlink() if what == "link" else path.exists()


async def test_the_socket_of_a_successor_is_not_taken_away(path: Path) -> None:
    first = await open_place(Listen(unix=str(path)), Path())
    path.unlink()
    second = await open_place(Listen(unix=str(path)), Path())
    first.close()
    assert connects(path)
    second.close()


async def test_a_socket_that_changes_while_it_is_looked_at_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(path)
    real = os.lstat
    seen = []

    def lstat(name: str) -> os.stat_result:
        seen.append(name)
        if len(seen) == 2:  # another process has been quicker
            os.rename(name, f"{name}.old")
            left_behind(path)
        return real(name)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(OSError, match="the address is in use"):
        await open_place(Listen(unix=str(path)), Path())
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("absent/weir.sock", "No such file or directory"), ("x" * 107, "path too long")]
)
async def test_a_path_that_cannot_be_is_told(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(OSError, match=said):
        await open_place(Listen(unix=name), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_name_of_two_families_has_one_port() -> None:
    opened = await open_place(listen_at("localhost:0"), Path())
    assert isinstance(opened.place, Address)
    assert {sock.getsockname()[1] for sock in opened.sockets} == {opened.place.port}
    opened.close()
    assert {sock.fileno() for sock in opened.sockets} == {-1}


async def test_a_family_that_the_host_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    opened = await open_place(listen_at("localhost:0"), Path())
    assert [sock.family for sock in opened.sockets] == [socket.AF_INET]
    opened.close()
    with pytest.raises(OSError, match="Address family not supported"):
        await open_place(listen_at("[::1]:0"), Path())


async def test_an_address_of_another_host_is_told() -> None:
    with pytest.raises(
        OSError, match=r"cannot listen on 192\.0\.2\.1:80: the address is not one of this host"
    ):
        await open_place(listen_at("192.0.2.1:80"), Path())


async def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid:80: "):
        await open_place(listen_at("nowhere.invalid:80"), Path())
