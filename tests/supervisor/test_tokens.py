"""Workers know of a token what one of them has learned, with nothing but the machine's memory between them."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import START, weir
from tests.filters.token_auth.identity_service import document
from tests.supervisor.test_never_down import Service, alive, running, written
from tests.support import certificates
from tests.support.certificates import Authority
from tests.support.client import Client, get, post
from tests.support.deadline import until
from tests.support.redis import redis
from tests.support.upstream import Upstream, echo
from tests.wire.test_keystone import Keystone

WORKERS = 4
USERS = ("ann", "bob", "eve")

pytestmark = pytest.mark.timeout(180)


async def status(service: Service, user: str) -> int:
    """Of a request on a connection of its own, so that any worker may have it."""
    async with await Client.connect(service.address) as client:
        return (await client.ask(get(f"/{user}", f"X-Auth-Token: token-{user}"))).status


def carried(directory: Path, begin: int) -> set[tuple[int, str]]:
    """Which worker has carried a request of which user, by the request log from a place on."""
    found: set[tuple[int, str]] = set()
    with (directory / "requests.log").open("rb") as log:
        log.seek(begin)
        for line in log:
            record: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
            if record.get("kind") == "request":
                found.add((record["gateway.worker"], record["url.path"]))
    return found


async def by_every_worker(service: Service, directory: Path, users: Iterable[str]) -> set[int]:
    """The statuses that these users get, from each worker each."""
    begin = (directory / "requests.log").stat().st_size
    workers = {worker["worker"] for worker in await service.workers()}
    wanted = {(worker, f"/{user}") for worker in workers for user in users}
    assert len(workers) == WORKERS
    found: set[int] = set()
    async with asyncio.timeout(START):
        while not carried(directory, begin) >= wanted:
            for user in users:
                found.add(await status(service, user))
    return found


async def test_all_workers_serve_whom_one_has_served_while_keystone_is_gone(tmp_path: Path) -> None:
    keystone = Keystone()
    keystone.service.tokens = {
        f"token-{user}": document(user, "member", expires=time.time() + 3600) for user in USERS
    }
    async with AsyncExitStack() as up, Upstream(echo) as upstream:
        await up.enter_async_context(keystone.listening())
        filters = keystone.filters(cache={"stale_if_error": "1h"}, keystone={"timeout": "2s"})
        path = written(tmp_path, f"http://127.0.0.1:{upstream.port}", filters=filters)
        async with running(path, tmp_path, WORKERS) as service:
            await service.all_ready(WORKERS)
            assert [await status(service, user) for user in USERS] == [200] * 3
            await up.aclose()
            assert await by_every_worker(service, tmp_path, USERS) == {200}
            assert sorted(keystone.service.asked) == [f"token-{user}" for user in USERS]
            # A revocation reaches all of them, and what they have in common.
            told = await service.asked("/tokens/revoke", "POST", {"user_id": "ann"})
            assert told["complete"]
            assert await by_every_worker(service, tmp_path, ["ann"]) == {503}
            assert await by_every_worker(service, tmp_path, ["bob", "eve"]) == {200}
            # A reload with the same definition changes nothing of it.
            written(tmp_path, f"http://127.0.0.1:{upstream.port}", filters=filters, drain_timeout="9s")
            result = await service.asked("/reload", "POST")
            assert (result["applied"], result["state_lost"]) == (True, [])
            # Those that take the place of others know what these have known, and no more.
            for worker in await service.workers():
                os.kill(worker["pid"], signal.SIGKILL)
            await until(
                lambda: service.process.stderr.count('"worker_started"') == WORKERS, "they are back", START
            )
            await service.all_ready(WORKERS)
            assert await by_every_worker(service, tmp_path, ["bob", "eve"]) == {200}
            assert await by_every_worker(service, tmp_path, ["ann"]) == {503}


async def token_hashes(directory: Path, user: str) -> list[str]:
    """By which the records of a user's requests name the token, once there is one."""
    found: list[str] = []

    def read() -> bool:
        lines = (directory / "requests.log").read_bytes().split(b"\n")[:-1]
        records = [json.loads(line) for line in lines]
        found[:] = [
            each["gateway.facts"]["principal"]["token_key"]
            for each in records
            if each.get("url.path") == f"/{user}"
        ]
        return bool(found)

    await until(read, "it is recorded", START)
    return found


@pytest.mark.parametrize("shared", [False, True])
async def test_after_a_reload_with_another_hash_key_tokens_are_known_and_revoked_by_their_new_hashes(
    shared: bool, tmp_path: Path
) -> None:
    keystone = Keystone()
    keystone.service.tokens = {
        f"token-{user}": document(user, "member", expires=time.time() + 3600) for user in USERS
    }

    def log(key: str) -> dict[str, str]:
        return {"path": str(tmp_path / "requests.log"), "hash_key": key * 32}

    async with redis(tmp_path) as server, keystone.listening(), Upstream(echo) as upstream:
        cache = {"common": not shared, **({"shared": {"url": server.url, "key": "k" * 32}} if shared else {})}
        url, filters = f"http://127.0.0.1:{upstream.port}", keystone.filters(cache=cache)
        path = written(tmp_path, url, filters=filters, log=log("a"))
        async with running(path, tmp_path, 1) as service:
            await service.all_ready(1)
            assert await status(service, "ann") == 200
            (former,) = await token_hashes(tmp_path, "ann")
            written(tmp_path, url, filters=filters, log=log("b"))
            assert (await service.asked("/reload", "POST"))["applied"]
            assert [await status(service, user) for user in USERS] == [200] * 3
            await until(
                lambda: (tmp_path / "requests.log").read_text().count('"/eve"') > 0, "all are recorded", START
            )
            hashes = [(await token_hashes(tmp_path, user))[-1] for user in USERS]
            assert hashes[0] != former
            for user, token_hash in zip(USERS, hashes, strict=True):
                del keystone.service.tokens[f"token-{user}"]
                told = await service.asked("/tokens/revoke", "POST", {"token_hash": token_hash})
                assert (told["complete"], told["failures"]) == (True, [])
                assert await status(service, user) == 401


async def test_a_token_that_is_revoked_by_a_hash_stays_so_when_the_key_before_comes_back(
    tmp_path: Path,
) -> None:
    keystone = Keystone()
    keystone.service.tokens = {
        f"token-{user}": document(user, "member", expires=time.time() + 3600) for user in USERS
    }

    def log(key: str) -> dict[str, str]:
        return {"path": str(tmp_path / "requests.log"), "hash_key": key * 32}

    async with keystone.listening(), Upstream(echo) as upstream:
        url, filters = f"http://127.0.0.1:{upstream.port}", keystone.filters()
        path = written(tmp_path, url, filters=filters, log=log("a"))
        async with running(path, tmp_path, 1) as service:
            await service.all_ready(1)
            async with await Client.connect(service.address) as client:
                # It goes on under the first key, and so does all that was known by it.
                await client.send(post(b"body", "X-Auth-Token: token-ann", target="/ann")[:-2])
                await until(lambda: bool(keystone.service.asked), "it is under way", START)
                assert [await status(service, user) for user in USERS] == [200] * 3
                written(tmp_path, url, filters=filters, log=log("b"))
                assert (await service.asked("/reload", "POST"))["applied"]
                (tmp_path / "requests.log").write_bytes(b"")
                assert await status(service, "ann") == 200
                (token_hash,) = await token_hashes(tmp_path, "ann")
                del keystone.service.tokens["token-ann"]
                told = await service.asked("/tokens/revoke", "POST", {"token_hash": token_hash})
                assert (told["complete"], told["failures"]) == (True, [])
                written(tmp_path, url, filters=filters, log=log("a"))
                assert (await service.asked("/reload", "POST"))["applied"]
                assert [await status(service, user) for user in USERS] == [401, 200, 200]


@asynccontextmanager
async def draining(tmp_path: Path, workers: int) -> AsyncIterator[tuple[Keystone, Service]]:
    """A service that an upgrade replaces, and whose workers may then drain for long; Keystone knows a token of ann."""
    keystone = Keystone()
    keystone.service.tokens = {"token-ann": document("ann", "member", expires=time.time() + 3600)}
    async with keystone.listening(), Upstream(echo) as upstream:
        url = f"http://127.0.0.1:{upstream.port}"
        path = written(tmp_path, url, filters=keystone.filters(), drain_timeout="60s")
        async with weir("run", path, "--workers", str(workers), directory=tmp_path) as process:
            listening = await process.listens()
            yield keystone, Service(process, listening.port, listening.admin_port)


ANN = get("/ann", "X-Auth-Token: token-ann")


async def test_a_revocation_at_a_successor_reaches_the_workers_of_its_predecessor_that_drain(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as up:
        keystone, service = await up.enter_async_context(draining(tmp_path, 2))
        process = service.process
        clients = [
            await up.enter_async_context(await Client.connect(service.address)) for _ in range(2 * WORKERS)
        ]
        for client in clients:
            assert (await client.ask(ANN)).status == 200
            await client.send(ANN[:-2])  # so that its worker has something to wait for
        keystone.service.tokens.clear()
        process.signal(signal.SIGUSR2)
        successor = int((await process.prints(r'"pid": (\d+), "event": "successor_ready"', to="stderr"))[1])
        try:
            told = await service.asked("/tokens/revoke", "POST", {"user_id": "ann"})
            assert (told["complete"], told["failures"]) == (True, [])
            assert process.popen.poll() is None, "the predecessor still drains"
            for client in clients:
                await client.send(ANN[-2:])
                assert (await client.answer()).status == 401
            assert await process.ends() == 0
            assert (await service.asked("/tokens/revoke", "POST", {"user_id": "ann"}))["complete"]
        finally:
            os.kill(successor, signal.SIGTERM)
            await until(lambda: not alive(successor), "the successor has ended", START)


async def test_a_revocation_is_not_complete_while_workers_drain_that_no_program_can_ask_any_more(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as up:
        _, service = await up.enter_async_context(draining(tmp_path, 1))
        process = service.process
        client = await up.enter_async_context(await Client.connect(service.address))
        assert (await client.ask(ANN)).status == 200
        await client.send(ANN[:-2])  # so that the first program has something to wait for
        pids = [process.popen.pid]
        try:
            for number in range(2):
                os.kill(pids[-1], signal.SIGUSR2)
                async with asyncio.timeout(START):
                    while process.stderr.count('"successor_ready"') == number:
                        await asyncio.sleep(0.02)
                pids.append(int(re.findall(r'"pid": (\d+), "event": "successor_ready"', process.stderr)[-1]))
            await until(lambda: not alive(pids[1]), "the second has ended", START)
            told = await service.asked("/tokens/revoke", "POST", {"user_id": "ann"})
            assert (told["complete"], told["failures"]) == (False, ["earlier workers drain"])
            await client.send(ANN[-2:])
            await client.answer()
            assert await process.ends() == 0
            assert (await service.asked("/tokens/revoke", "POST", {"user_id": "ann"}))["complete"]
        finally:
            for pid in filter(alive, pids[1:]):
                os.kill(pid, signal.SIGTERM)
            await until(lambda: not any(map(alive, pids[1:])), "all have ended", START)


async def test_a_store_of_all_gateways_goes_on_once_its_authorities_are_others(tmp_path: Path) -> None:
    keystone = Keystone()
    ours, other = Authority(), Authority()
    theirs = ours.sign("127.0.0.1")
    certificates.written(tmp_path, ca=ours.certificate, cert=theirs.certificate, key=theirs.key)
    files = {"cert": "cert", "key": "key", "ca-cert": "ca"}
    options = [
        word for kind, name in files.items() for word in (f"--tls-{kind}-file", f"{tmp_path}/{name}.pem")
    ]
    async with (
        redis(tmp_path, *options, "--tls-auth-clients", "no", tls=True) as server,
        keystone.listening(),
        Upstream(echo) as upstream,
    ):
        url = f"rediss://127.0.0.1:{server.tls_port}"
        store = {"url": url, "key": "k" * 32, "tls": {"ca": str(tmp_path / "ca.pem")}}
        path = written(
            tmp_path, f"http://127.0.0.1:{upstream.port}", filters=keystone.filters(cache={"shared": store})
        )
        async with running(path, tmp_path, 1) as service:
            await service.all_ready(1)
            assert (await service.asked("/tokens/revoke", "POST", {"user_id": "ann"}))["complete"]
            certificates.written(tmp_path, ca=ours.certificate + other.certificate)
            result = await service.asked("/reload", "POST")
            assert (result["applied"], result["state_lost"]) == (True, [])
            told = await service.asked("/tokens/revoke", "POST", {"user_id": "bob"})
            assert (told["complete"], told["failures"]) == (True, [])


async def test_a_revocation_that_the_store_of_all_gateways_has_no_mark_of_is_not_complete(
    tmp_path: Path,
) -> None:
    keystone = Keystone()
    async with redis(tmp_path) as server, keystone.listening(), Upstream(echo) as upstream:
        store = {"url": server.url, "key": "k" * 32}
        path = written(
            tmp_path, f"http://127.0.0.1:{upstream.port}", filters=keystone.filters(cache={"shared": store})
        )
        async with running(path, tmp_path, 2) as service:
            await service.all_ready(2)
            await server.stop()
            told = await service.asked("/tokens/revoke", "POST", {"user_id": "ann"})
            assert not told["complete"]
            assert [each.startswith("the store of cache.shared: connect") for each in told["failures"]] == [
                True
            ]
            await server.start()
            async with asyncio.timeout(START):  # the store is left alone for a moment
                while not told["complete"]:
                    told = await service.asked("/tokens/revoke", "POST", {"user_id": "ann"})
            assert told["failures"] == []
