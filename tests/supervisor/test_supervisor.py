"""The supervisor: what it tells, what it does with workers that fail it, and how it ends."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.service import Revoked
from gateway.api import Revocation
from gateway.app import StartError
from gateway.config.load import Loaded, loads
from gateway.config.model import Address
from gateway.config.problem import ConfigurationError, Problem
from gateway.metrics import render
from gateway.registry import Registry
from gateway.shared.shelf import SharedShelf
from gateway.supervisor import child as child_module
from gateway.supervisor import message
from gateway.supervisor import supervisor as supervisor_module
from gateway.supervisor.child import Child, WorkerGone
from gateway.supervisor.kin import Family, Life
from gateway.supervisor.notify import Notifier
from gateway.supervisor.places import Places
from gateway.supervisor.successor import READY, Predecessor
from gateway.supervisor.supervisor import Supervisor
from gateway.task import spawn
from tests.cli.process import WEIR, started, weir
from tests.cli.test_run import fetch
from tests.support.authority import Authority
from tests.support.client import Client, get, post, refuses
from tests.support.deadline import until, within
from tests.support.gateway import configuration
from tests.support.secure import SecureClient, trusting
from tests.support.upstream import OK, Upstream, answers

START = 30.0
NOWHERE = "http://127.0.0.1:1"


def loaded(**options: Any) -> Loaded:
    return loads(configuration(NOWHERE, **options), "gateway.yaml", registry=Registry())


class Source:
    """What a reload finds."""

    def __init__(self, first: Loaded) -> None:
        self.next: Loaded | Problem = first

    def load(self) -> Loaded:
        if isinstance(self.next, Problem):
            raise ConfigurationError([self.next])
        return self.next


def made(
    source: Source,
    workers: int = 2,
    notifier: Notifier | None = None,
    predecessor: Predecessor | None = None,
) -> Supervisor:
    assert isinstance(source.next, Loaded)
    return Supervisor(
        source.next,
        load=source.load,
        workers=workers,
        places=Places(workers, {}),
        notifier=notifier or Notifier({}),
        predecessor=predecessor or Predecessor({}),
    )


@asynccontextmanager
async def running(source: Source, workers: int = 2, **options: Any) -> AsyncIterator[Supervisor]:
    supervisor = made(source, workers, **options)
    task = spawn(supervisor.run(), name="supervisor")
    await until(lambda: supervisor._started or task.done(), "it has started", START)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        supervisor.stop()
        await within(task, "it has ended", START)


def place(supervisor: Supervisor) -> Address:
    found = supervisor._places.spots[0].place
    assert isinstance(found, Address)
    return found


async def ask(supervisor: Supervisor) -> int:
    async with await Client.connect(place(supervisor)) as client:
        return (await client.ask(get("/"))).status


async def test_the_metrics_of_all_workers_are_one() -> None:
    async with running(Source(loaded())) as supervisor:
        for _ in range(10):
            assert await ask(supervisor) == 503
        families = {
            family.name: family
            for family in text_string_to_metric_families(render(await supervisor.families()).decode())
        }
        (requests,) = families["gateway_requests"].samples
        assert requests.value == 10
        assert {sample.labels["slot"] for sample in families["gateway_worker_restarts"].samples} == {"0", "1"}
        assert [sample.value for sample in families["gateway_workers"].samples] == [2]
        told = await supervisor.workers()
        assert sum(worker["requests"] for worker in told) == 10
        assert len({worker["pid"] for worker in told}) == 2
        assert families["process_resident_memory_bytes"].samples[0].value > sum(
            worker["memory_bytes"] for worker in told
        )


async def test_a_revocation_reaches_every_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    token = {"token": "t", "user_id": "u", "project_id": "p"}
    source = Source(loaded(filters=[{"token_auth": {"providers": [{"static": {"tokens": [token]}}]}}]))
    async with running(source) as supervisor:

        async def requests() -> list[int]:
            return [worker["requests"] for worker in await supervisor.workers()]

        async def remember() -> None:
            """Asks until each worker remembers the token."""
            before = await requests()
            async with asyncio.timeout(START):
                while any(now == former for now, former in zip(await requests(), before, strict=True)):
                    async with await Client.connect(place(supervisor)) as client:
                        assert (await client.ask(get("/", "X-Auth-Token: t"))).status == 503

        await remember()
        assert await supervisor.revoke_all(Revocation(user_id="another")) == Revoked(0)
        assert await supervisor.revoke_all(Revocation(user_id="u")) == Revoked(2)
        assert await supervisor.revoke_all(Revocation(user_id="u")) == Revoked(0)
        # One that carries exchanges, and has not yet been heard to say so; and one that begins while others are asked.
        await remember()
        first, second = supervisor._ready()
        first.ready = second.carries = False
        asking = first.ask

        async def ask_slowly(asked: object, within: float = START) -> message.Answer:
            second.carries = True
            return await asking(asked, within)

        monkeypatch.setattr(first, "ask", ask_slowly)
        assert await supervisor.revoke_all(Revocation(user_id="u")) == Revoked(2)
        first.ready = True


async def test_a_revocation_is_not_complete_while_workers_of_a_successor_that_has_failed_drain() -> None:
    async with running(Source(loaded())) as supervisor:
        life = Life()
        supervisor._failed.append(Family(life.end))
        told = await supervisor.revoke_all(Revocation(user_id="u"))
        assert told == Revoked(0, ("workers of a successor that has failed are ending",))
        os.close(life.mark)
        assert await supervisor.revoke_all(Revocation(user_id="u")) == Revoked(0)


async def test_a_revocation_that_a_worker_has_not_heard_of_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Source(loaded())) as supervisor:
        (child, _) = supervisor._ready()

        async def deaf(asked: object, within: float = 0.0) -> NoReturn:
            raise WorkerGone("no answer")

        monkeypatch.setattr(child, "ask", deaf)
        told = await supervisor.revoke_all(Revocation(user_id="u"))
        assert (told.failures, told.complete) == ((f"worker {child.number} does not answer",), False)
        monkeypatch.undo()


async def test_a_revocation_while_a_successor_takes_over_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Source(loaded())) as supervisor:
        monkeypatch.setattr(supervisor, "_successor", SimpleNamespace(took_over=False))
        told = await supervisor.revoke_all(Revocation(user_id="u"))
        assert told == Revoked(0, ("a successor is starting",))
        monkeypatch.undo()


async def test_a_successor_answers_for_the_service_no_sooner_than_it_has_workers() -> None:
    heard, said = os.pipe()
    supervisor = made(Source(loaded(admin="127.0.0.1:0")), predecessor=Predecessor({READY: str(said)}))
    task = spawn(supervisor.run(), name="supervisor")
    try:
        await until(lambda: supervisor.admin_place is not None, "the admin listener is open", START)
        url = f"http://{supervisor.admin_place}/tokens/revoke"
        async with aiohttp.ClientSession() as session, session.post(url, json={"user_id": "u"}) as response:
            told = await response.json()
            assert (told["failures"], len(supervisor._ready())) == (["the predecessor drains"], 2)
        await until(lambda: supervisor._started, "it has started", START)
        assert os.read(heard, 1) == b"1"
    finally:
        os.close(heard)
        supervisor.stop()
        supervisor.stop()
        await within(task, "it has ended", START)


async def test_a_revocation_that_only_workers_could_hear_of_that_have_ended_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_module, "BACKOFF", (START, START))
    async with running(Source(loaded())) as supervisor:
        children = supervisor._ready()
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        assert supervisor._ready() == children, "nobody has noticed yet"
        told = await supervisor.revoke_all(Revocation(user_id="u"))
        assert told == Revoked(0, ("no worker is ready",))


async def test_a_revocation_that_no_worker_could_hear_of_takes_all_that_they_have_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Source(loaded())) as supervisor:
        shelf = SharedShelf(supervisor._memory.claim("", "a"))
        now = time.monotonic()
        shelf.put(b"k", b"value", tags=(), made=now, until=now + 1000, now=now)
        assert (await supervisor.revoke_all(Revocation(user_id="u"))).complete
        assert shelf.get(b"k", now) is not None
        monkeypatch.setattr(supervisor, "_children", {})
        told = await supervisor.revoke_all(Revocation(user_id="u"))
        assert told == Revoked(0, ("no worker is ready",))
        assert shelf.get(b"k", now) is None
        monkeypatch.undo()


async def test_a_worker_that_hangs_is_killed_and_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "LOOK", 0.05)
    monkeypatch.setattr(supervisor_module, "HUNG", 2.0)
    async with running(Source(loaded()), 1) as supervisor:
        (former,) = await supervisor.workers()
        os.kill(former["pid"], signal.SIGSTOP)
        await until(lambda: supervisor._restarts[0] == 1, "it is killed", START)
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        (worker,) = await supervisor.workers()
        assert (worker["worker"], worker["restarts"]) == (1, 1)
        assert await ask(supervisor) == 503


async def test_a_worker_that_is_started_later_gets_what_is_in_force_and_not_the_file() -> None:
    first, second = loaded(drain_timeout="8s"), loaded(drain_timeout="9s")
    source = Source(first)
    async with running(source, 1) as supervisor:
        source.next = second
        assert (await supervisor.reload()).applied
        source.next = loaded(drain_timeout="10s")
        (worker,) = await supervisor.workers()
        os.kill(worker["pid"], signal.SIGKILL)
        await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        (worker,) = await supervisor.workers()
        assert worker["revision"] == second.revision


async def test_a_worker_that_does_not_answer_aborts_the_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(loaded())
    async with running(source) as supervisor:
        stopped = (await supervisor.workers())[1]["pid"]
        os.kill(stopped, signal.SIGSTOP)
        monkeypatch.setattr(supervisor_module, "PREPARE", 1.0)
        monkeypatch.setattr(child_module, "ANSWER", 1.0)
        source.next = loaded(drain_timeout="9s")
        result = await within(supervisor.reload(), "the reload is given up", START)
        assert (result.applied, result.error) == (False, "worker 1 does not answer")
        os.kill(stopped, signal.SIGCONT)
        revisions = {worker["revision"] for worker in await supervisor.workers()}
        assert revisions == {loaded().revision}
        assert (await supervisor.reload()).applied


async def test_a_reload_is_checked_too_while_no_worker_carries_exchanges(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = Source(loaded())
    async with running(source, 1) as supervisor:
        monkeypatch.setattr(supervisor_module, "STEADY", START)
        monkeypatch.setattr(supervisor_module, "BACKOFF", (4.0, 4.0))
        os.kill((await supervisor.workers())[0]["pid"], signal.SIGKILL)
        await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
        source.next = loaded(log={"path": str(tmp_path / "absent" / "requests.log")})
        result = await within(supervisor.reload(), "the reload is over", START)
        assert (result.applied, [problem.key for problem in result.problems]) == (False, ["log.path"])
        source.next = loaded(drain_timeout="9s")
        assert (await within(supervisor.reload(), "the reload is over", START)).applied
        assert supervisor._ready() == []
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        assert [worker["revision"] for worker in await supervisor.workers()] == [source.next.revision]


async def test_a_configuration_that_ends_all_workers_that_build_it_is_not_put_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source(loaded())
    async with running(source) as supervisor:
        source.next = loaded(drain_timeout="9s")
        asked = Child.ask

        async def fatal(child: Child, what: Any, within: float = START) -> message.Answer:
            if isinstance(what, message.Prepare):
                child.kill()
                await child.ended()
            return await asked(child, what, within)

        with monkeypatch.context() as patch:
            patch.setattr(Child, "ask", fatal)
            result = await within(supervisor.reload(), "the reload is over", START)
        assert (result.applied, result.revision) == (False, loaded().revision)
        assert result.error == "a worker that was to build it has not: killed by SIGKILL"
        await until(lambda: len(supervisor._ready()) == 2, "others are ready", START)
        assert {worker["revision"] for worker in await supervisor.workers()} == {loaded().revision}


async def test_a_reload_that_cannot_be_just_now_is_told_as_one_that_was_rejected() -> None:
    supervisor = made(Source(loaded()))
    assert (await supervisor.reload()).error == "the gateway is starting"
    assert supervisor.config()["last_error"]["error"] == "the gateway is starting"
    assert supervisor._reloads == {"applied": 0, "rejected": 1}
    supervisor.stop()
    await within(supervisor.run(), "it has ended", START)
    assert (await supervisor.reload()).error == "the gateway is stopping"
    assert supervisor._reloads == {"applied": 0, "rejected": 2}


async def test_an_endpoint_that_hangs_gets_no_request_from_a_new_plan_or_a_new_worker_that_does_not_know_it() -> (
    None
):
    health = {"path": "/up", "timeout": "200ms", "interval": "50ms"}

    def with_keepalive(seconds: int) -> Loaded:
        upstream = {"keepalive": f"{seconds}s", "health": health}
        return loads(
            configuration(well.url, hung.url, upstream=upstream), "gateway.yaml", registry=Registry()
        )

    async with Upstream(answers(OK)) as well, Upstream() as hung:
        source = Source(with_keepalive(5))
        async with running(source, 1) as supervisor:
            assert {await ask(supervisor) for _ in range(6)} == {200}
            source.next = with_keepalive(6)
            assert (await supervisor.reload()).applied
            assert {await ask(supervisor) for _ in range(6)} == {200}
            os.kill((await supervisor.workers())[0]["pid"], signal.SIGKILL)
            await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
            await until(lambda: bool(supervisor._ready()), "another is ready", START)
            assert {await ask(supervisor) for _ in range(6)} == {200}


async def test_a_worker_comes_back_with_the_files_as_they_were_when_they_were_put_in_force(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text("- { token: some-token, user: u, roles: [member] }\n")
    found = loaded(filters=[{"token_auth": {"providers": [{"static": {"file": str(tokens)}}]}}])
    source = Source(replace(found, files=found.current_files()))
    async with running(source, 1) as supervisor:
        tokens.write_text("- nonsense\n")
        source.next = replace(found, files=found.current_files())
        assert not (await supervisor.reload()).applied
        os.kill((await supervisor.workers())[0]["pid"], signal.SIGKILL)
        await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        assert await ask(supervisor) == 401


async def test_a_worker_comes_back_with_the_certificates_that_were_good_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its listener and of an upstream: the files are half written when it starts."""
    monkeypatch.setattr(supervisor_module, "LOOK", 0.05)
    authority = Authority(tmp_path)
    pair = authority.issue(file="server")
    own = authority.issue("client")
    found = loaded(
        listen=[{"address": "127.0.0.1:0", "tls": {**pair.options, "reload": "50ms"}}],
        upstreams={
            "main": {
                "endpoints": ["https://127.0.0.1:1"],
                "tls": {"ca": str(authority.file), **own.options},
            }
        },
    ).with_files()

    async def served(supervisor: Supervisor) -> bytes:
        client = await SecureClient.open(place(supervisor), trusting(authority))
        async with client:
            assert (await client.ask(get("/"))).status == 503
            assert client.tls is not None
            return client.tls.getpeercert(binary_form=True) or b""

    async with running(Source(found), 1) as supervisor:
        first = await served(supervisor)
        authority.issue(file="server")
        (credentials,) = supervisor._credentials
        assert credentials is not None
        await until(lambda: credentials.renewals >= 1, "the renewed certificate is kept", START)
        for broken in (pair.key, own.key, authority.file):
            broken.write_bytes(broken.read_bytes()[:60])
        os.kill((await supervisor.workers())[0]["pid"], signal.SIGKILL)
        await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        authority.file.write_bytes(found.tls_files[str(authority.file)])  # for the client of this test
        renewed = await served(supervisor)
        assert renewed != first
        assert supervisor._restarts[0] == 1
        authority.issue(file="server")

        async def anew() -> None:
            while await served(supervisor) == renewed:
                await asyncio.sleep(0.02)

        await within(anew(), "the worker that has come back takes the next one into use", START)


async def test_clients_of_a_worker_that_cannot_come_back_go_to_the_others(tmp_path: Path) -> None:
    """A file that is not kept with the configuration has been broken since: the reload of it was rejected."""
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text("- { token: some-token, user: u, roles: [member] }\n")
    filters = [{"token_auth": {"providers": [{"static": {"file": str(tokens)}}]}}]
    async with running(Source(loaded(filters=filters))) as supervisor:
        tokens.write_text("- nonsense\n")
        assert not (await supervisor.reload()).applied
        os.kill((await supervisor.workers())[1]["pid"], signal.SIGKILL)
        await until(lambda: supervisor._places._lent == {1: 0}, "it is given up", START)
        assert {await ask(supervisor) for _ in range(20)} == {401}
        tokens.write_text("- { token: some-token, user: u, roles: [member] }\n")
        await until(lambda: len(supervisor._ready()) == 2, "it is back", START)
        assert {await ask(supervisor) for _ in range(20)} == {401}


async def test_clients_that_wait_for_a_worker_that_does_not_come_are_taken_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(Source(loaded())) as supervisor:
        workers = await supervisor.workers()
        with monkeypatch.context() as patch:
            patch.setattr(child_module, "_CODE", "import time; time.sleep(1); raise SystemExit(3)")
            os.kill(workers[1]["pid"], signal.SIGKILL)
            await until(lambda: supervisor._restarts[1] == 1, "it has ended", START)
            clients = [await Client.connect(place(supervisor)) for _ in range(20)]
            answers = await asyncio.gather(*(client.ask(get("/")) for client in clients))
            assert {answer.status for answer in answers} == {503}
            assert {await ask(supervisor) for _ in range(10)} == {503}
        for client in clients:
            client.close()
        await until(lambda: len(supervisor._ready()) == 2, "it is back", START)
        assert supervisor._places._lent == {}
        assert {await ask(supervisor) for _ in range(20)} == {503}


async def test_a_worker_that_hangs_holds_no_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "SOON", 0.1)
    monkeypatch.setattr(supervisor_module, "LAST", 0.2)
    supervisor = made(Source(loaded(drain_timeout="0.2s")))
    task = spawn(supervisor.run(), name="supervisor")
    await until(lambda: supervisor._started, "it has started", START)
    os.kill((await supervisor.workers())[0]["pid"], signal.SIGSTOP)
    supervisor.stop()
    assert await within(task, "it has ended") is False


async def test_a_worker_that_dies_before_the_drain_is_replaced_and_ends_connections_as_well() -> None:
    source = Source(loaded(drain_delay="60s"))
    async with running(source, 1) as supervisor:
        supervisor.stop()
        os.kill((await supervisor.workers())[0]["pid"], signal.SIGKILL)
        await until(lambda: supervisor._restarts[0] == 1, "it has ended", START)
        await until(lambda: bool(supervisor._ready()), "another is ready", START)
        async with asyncio.timeout(START):
            while True:
                async with await Client.connect(place(supervisor)) as client:
                    if (await client.ask(get("/"))).closes:
                        break


async def test_what_is_wrong_with_a_start_is_told_and_nothing_is_left() -> None:
    for wrong, error in (
        (loaded(log={"path": "/absent/requests.log"}), ConfigurationError),
        (loaded(listen="192.0.2.1:1"), StartError),
    ):
        supervisor = made(Source(wrong))
        with pytest.raises(error):
            await within(supervisor.run(), "it has ended", START)
        assert all(child.over.done() for child in supervisor._children.values())


async def test_a_reload_that_a_stop_overtakes_is_none_and_takes_no_exchange_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Upstream() as upstream:
        source = Source(loads(configuration(upstream.url), "gateway.yaml", registry=Registry()))
        supervisor = made(source)
        task = spawn(supervisor.run(), name="supervisor")
        await until(lambda: supervisor._started, "it has started", START)
        prepare = supervisor._prepare

        async def overtaken(loaded: Loaded) -> list[Child]:
            children = await prepare(loaded)
            where = place(supervisor)
            supervisor.stop()
            async with asyncio.timeout(START):
                while not await refuses(where):
                    pass
            return children

        monkeypatch.setattr(supervisor, "_prepare", overtaken)
        async with await Client.connect(place(supervisor)) as client:
            await client.send(get("/"))
            conversation = await upstream.accepted()
            await conversation.request_head()
            source.next = loaded(drain_timeout="9s")
            result = await within(supervisor.reload(), "the reload is given up", START)
            assert (result.applied, result.error) == (False, "the gateway is stopping")
            await conversation.send(OK)
            assert (await client.answer()).closes
        assert await within(task, "it has ended", START) is True


async def test_workers_that_end_while_they_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_CODE", "raise SystemExit(3)")
    with pytest.raises(StartError, match="exit status 3"):
        await within(made(Source(loaded())).run(), "it has ended", START)


async def test_a_stop_does_not_wait_for_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_CODE", "import time; time.sleep(60)")
    supervisor = made(Source(loaded()))
    task = spawn(supervisor.run(), name="supervisor")
    await until(lambda: len(supervisor._children) == 2, "workers start", START)
    supervisor.stop()
    assert await within(task, "it has ended") is True
    assert all(child.over.done() for child in supervisor._children.values())


async def test_the_service_manager_is_told_of_every_state(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        heard: list[str] = []

        def hear() -> list[str]:
            try:
                while True:
                    heard.append(manager.recv(4096).decode().partition("\n")[0])
            except BlockingIOError:
                return heard

        # A manager reads all the time.
        asyncio.get_running_loop().add_reader(manager, hear)
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000"})
        source = Source(loaded())
        async with running(source, 1, notifier=notifier) as supervisor:
            await until(lambda: hear().count("WATCHDOG=1") >= 2, "it shows that it lives")
            await supervisor.reload()
            source.next = Problem("a.yaml", 1, 1, "x", "no")
            await supervisor.reload()
        asyncio.get_running_loop().remove_reader(manager)
        states = [state for state in hear() if state != "WATCHDOG=1"]
        reload = ["RELOADING=1", "READY=1"]
        assert states == ["READY=1", *reload, *reload, "STOPPING=1"]


# ---- as a process


async def test_the_service_manager_is_not_told_of_an_end_when_a_successor_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path, NOWHERE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": manager.getsockname()}
        command: list[str | Path] = [WEIR, "run", path, "--workers", "1"]
        async with started(command, tmp_path, environment=environment) as process:
            await process.listens()
            process.signal(signal.SIGUSR2)
            assert await process.ends() == 0
            successor = int(
                (await process.prints(r'"pid": (\d+), "event": "successor_ready"', to="stderr"))[1]
            )
            os.kill(successor, signal.SIGTERM)
            await until(lambda: process.stderr.count('"stopped"') == 2, "the successor has ended", START)
        manager.setblocking(False)
        heard: list[str] = []
        with suppress(BlockingIOError):
            while True:
                heard.append(manager.recv(4096).decode().partition("\n")[0])
    assert heard == ["READY=1", "READY=1", f"MAINPID={successor}", "STOPPING=1"]


def written(directory: Path, url: str, **options: Any) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(configuration(url, admin="127.0.0.1:0", log={"path": "-"}, **options))
    return path


async def test_a_drain_says_that_it_is_not_ready_before_it_stops_accepting(tmp_path: Path) -> None:
    path = written(tmp_path, NOWHERE, drain_delay="60s")
    async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
        address = await process.listens()
        async with await Client.connect(Address("127.0.0.1", address.port)) as client:
            assert not (await client.ask(get("/"))).closes
            process.signal()
            await process.prints('"draining"', to="stderr")
            assert fetch(f"{address.admin_url}/readyz")[0] == 503
            assert fetch(f"{address.admin_url}/livez")[0] == 200
            async with asyncio.timeout(START):
                while True:
                    async with await Client.connect(Address("127.0.0.1", address.port)) as other:
                        if (await other.ask(get("/"))).closes:
                            break
            assert (await client.ask(get("/"))).closes
        process.signal()
        assert await process.ends() == 0


async def test_an_exchange_in_progress_outlives_the_place_where_it_came_in(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        path = written(tmp_path, upstream.url)
        async with weir("run", path, "--workers", "2", directory=tmp_path) as process:
            place = Address("127.0.0.1", (await process.listens()).port)
            async with await Client.connect(place) as client:
                await client.send(post(b"x" * 10)[:-5])
                conversation = await upstream.accepted()
                await conversation.request_head()
                process.signal()
                await process.prints('"draining"', to="stderr")
                async with asyncio.timeout(START):
                    while not await refuses(place):  # the log tells it before it is done
                        pass
                await client.send(b"x" * 5)
                assert await conversation.take(10) == b"x" * 10
                await conversation.send(OK)
                assert (await client.answer("POST")).closes
            assert await process.ends() == 0
    assert json.loads(process.stderr.splitlines()[-1])["clean"] is True
