"""The client of a store, against a real one that answers, refuses, dies, freezes and comes back."""

import asyncio
import re
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway import store as store_module
from gateway.api import StoreError, StoreOptions, TlsOptions
from gateway.redirection import Redirection, slot_of
from gateway.store import RedisStore
from gateway.upstream.tls import verified_context
from tests.support.certificates import authority, written
from tests.support.deadline import until, within
from tests.support.redis import Cluster, Redis, cluster, redis
from tests.support.upstream import Conversation, Upstream, closed_port

PATIENT = 20.0  # seconds of a client that is to wait for a busy machine


def client(url: str, context: ssl.SSLContext | None = None, **options: Any) -> RedisStore:
    return RedisStore(StoreOptions(url=url, **{"timeout": PATIENT, **options}), context)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Redis]:
    async with redis(tmp_path) as server:
        yield server


async def failure(store: RedisStore, *parts: bytes | str | int) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await within(store.command(*(parts or ("PING",))), "the command fails", PATIENT * 2)
    return caught.value


async def test_what_is_set_is_there(server: Redis) -> None:
    store = client(server.url)
    assert await store.command("SET", "key", b"\x00\xff\r\n", "PX", 60_000) == b"OK"
    assert await store.command("GET", "key") == b"\x00\xff\r\n"
    assert await store.command("MGET", "key", "none") == [b"\x00\xff\r\n", None]
    assert 0 < await store.command("PTTL", "key") <= 60_000
    store.close()


async def test_many_at_once_are_answered_each_with_its_own(server: Redis) -> None:
    store = client(server.url)
    answers = await asyncio.gather(*(store.command("ECHO", str(number)) for number in range(1000)))
    assert answers == [str(number).encode() for number in range(1000)]
    assert (await store.command("INFO", "clients")).count(b"connected_clients:1\r\n") == 1
    store.close()


async def test_what_nobody_waits_for_any_more_is_taken_for_no_other_answer(server: Redis) -> None:
    store = client(server.url)
    await store.command("PING")
    gone = asyncio.ensure_future(store.command("ECHO", "gone"))
    kept = asyncio.ensure_future(store.command("ECHO", "kept"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await kept == b"kept"
    assert gone.cancelled()
    store.close()


async def test_an_error_of_the_store_is_told_by_its_first_word(server: Redis) -> None:
    store = client(server.url)
    await store.command("SET", "key", "secret")
    assert str(await failure(store, "INCR", "key")) == "refused: ERR"
    assert str(await failure(store, "LPUSH", "key", "x")) == "refused: WRONGTYPE"
    assert await store.command("GET", "key") == b"secret", "the connection goes on"
    store.close()


async def test_who_is_told_of_is_done_and_waited_for_by_nobody(server: Redis) -> None:
    store = client(server.url)
    store.tell("SET", "key", "value")
    await until(lambda: store._connection is not None, "it is connected", PATIENT)
    async with asyncio.timeout(PATIENT):
        while await store.command("GET", "key") != b"value":
            await asyncio.sleep(0)
    with capture_logs() as logs:
        store.tell("INCR", "key")
        await until(lambda: bool(logs), "the failure is told", PATIENT)
    assert [(log["event"], log["command"], log["because"]) for log in logs] == [
        ("store_command_failed", "INCR", "refused: ERR")
    ]
    store.close()


async def test_databases_are_apart(server: Redis) -> None:
    first, second = client(server.url + "/3"), client(server.url, database=4)
    await first.command("SET", "key", "3")
    assert await second.command("GET", "key") is None
    assert await client(server.url, database=3).command("GET", "key") == b"3"


async def test_users_and_passwords(tmp_path: Path) -> None:
    async with redis(tmp_path, "--requirepass", "open sesame") as server:
        assert str(await failure(client(server.url))) == "refused: NOAUTH"
        wrong = await failure(client(server.url, password="sesame"))
        assert str(wrong) == "refused: WRONGPASS"
        store = client(server.url, password="open sesame")
        await store.command("ACL", "SETUSER", "weir", "on", ">pw", "~weir:*", "+@all")
        user = client(server.url, username="weir", password="pw")
        assert await user.command("SET", "weir:a", 1) == b"OK"
        assert str(await failure(user, "SET", "other", 1)) == "refused: NOPERM"
        await store.command("ACL", "SETUSER", "weir", "-time")
        assert str(await failure(user, "TIME")) == "refused: NOPERM time"


async def test_tls_with_certificates_of_both(tmp_path: Path) -> None:
    ours, theirs = authority(), authority().sign("127.0.0.1")
    gateway = ours.sign("gateway")
    written(
        tmp_path,
        ca=ours.certificate,
        cert=theirs.certificate,
        key=theirs.key,
        gateway=gateway.certificate + gateway.key,
    )
    files = [f"--tls-{kind}-file {tmp_path}/{name}.pem" for kind, name in (("cert", "cert"), ("key", "key"))]
    options = " ".join([*files, f"--tls-ca-cert-file {tmp_path}/ca.pem"]).split()
    async with redis(tmp_path, *options, tls=True) as server:
        url = f"rediss://127.0.0.1:{server.tls_port}"

        def store(**tls: str) -> RedisStore:
            options = TlsOptions.model_validate(tls)
            return client(url, verified_context(options, tmp_path, protocols=()))

        good = store(ca="ca.pem", certificate="gateway.pem")
        assert await good.command("PING") == b"PONG"
        assert (await failure(store(certificate="gateway.pem"))).reason == "tls", (
            "an authority nobody has named"
        )
        without = await failure(store(ca="ca.pem"))
        assert without.reason in ("tls", "broken"), "TLS 1.3 tells it after the handshake"
        good.close()


async def test_one_that_is_not_there_is_left_alone_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PAUSE", (1000.0, 1000.0))
    with capture_logs() as logs:
        store = client(f"redis://127.0.0.1:{closed_port()}")
        assert str(await failure(store)) == "connect: connection refused"
        monkeypatch.setattr(RedisStore, "_connect", None)
        assert (await failure(store)).reason == "connect", "nothing is tried"
    assert [log["event"] for log in logs] == ["store_away"]


async def test_one_that_dies_fails_what_is_out_and_is_found_again(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAUSE", (0.0, 0.0))
    store = client(server.url)
    with capture_logs() as logs:
        await store.command("PING")
        out = asyncio.ensure_future(store.command("BLPOP", "nothing", 0))
        await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(StoreError, match="broken"):
            await within(out, "it fails", PATIENT)
        assert (await failure(store)).reason == "connect"
        await server.start()
        assert await store.command("PING") == b"PONG"
    assert [log["event"] for log in logs] == ["store_away", "store_back"]
    store.close()


async def test_one_that_is_frozen_is_away_after_its_time(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAUSE", (0.0, 0.0))
    store = client(server.url, timeout=0.1)
    async with asyncio.timeout(PATIENT):
        while True:
            try:
                await store.command("PING")
                break
            except StoreError:  # a busy machine
                continue
    server.signal(signal.SIGSTOP)
    assert (await failure(store)).reason == "timeout"
    # The kernel accepts for it, and it answers nothing: it is not back.
    assert (await failure(store)).reason == "timeout"
    server.signal(signal.SIGCONT)
    async with asyncio.timeout(PATIENT):
        while True:
            try:
                assert await store.command("ECHO", "now") == b"now", "no answer to an older question"
                break
            except StoreError:
                continue
    store.close()


async def test_while_one_finds_out_whether_it_is_back_nobody_else_waits(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAUSE", (0.0, 0.0))
    store = client(server.url, timeout=0.5)
    server.signal(signal.SIGSTOP)
    assert (await failure(store)).reason == "timeout"
    finding = asyncio.ensure_future(failure(store))
    await asyncio.sleep(0)
    for _ in range(3):
        assert (await failure(store)).reason == "timeout"
        assert not finding.done()
    assert (await finding).reason == "timeout"
    server.signal(signal.SIGCONT)
    store.close()


async def test_more_than_may_be_out_is_refused_at_once(server: Redis) -> None:
    store = client(server.url, pending=2)
    await store.command("PING")
    out = [asyncio.ensure_future(store.command("PING")) for _ in range(3)]
    answers = await asyncio.gather(*out, return_exceptions=True)
    assert answers[:2] == [b"PONG", b"PONG"]
    assert isinstance(answers[2], StoreError)
    assert answers[2].reason == "busy"
    store.close()


async def test_a_client_that_is_closed_asks_nobody(server: Redis) -> None:
    store = client(server.url)
    connecting = asyncio.ensure_future(store.command("PING"))
    await asyncio.sleep(0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await within(connecting, "it ends")
    assert (await failure(store)).reason == "closed"
    other = client(server.url)
    await other.command("PING")
    out = asyncio.ensure_future(other.command("BLPOP", "nothing", 0))
    await asyncio.sleep(0)
    other.close()
    with pytest.raises(StoreError, match="closed"):
        await within(out, "it ends")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "broken: not the protocol of a store"),
        (b"+PONG\r\n+PONG\r\n", "broken: an answer that nobody has asked for"),
        (b"$2000000\r\n" + b"x" * 1_500_000, "broken: an answer of more than 1048576 bytes"),
    ],
)
async def test_one_that_is_no_store_is_told_so(says: bytes, told: str) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.take_until(b"PING\r\n")
        await conversation.send(says)
        await conversation.rest()

    async with Upstream(script) as other:
        store = client(other.url.replace("http", "redis"))
        assert str(await failure(store)) == told
        store.close()


# ---- a cluster


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as nodes:
        yield nodes


async def redirected(nodes: Cluster) -> int:
    """How often nodes have sent commands elsewhere."""
    told = [await nodes.told(node, "INFO", "errorstats") for node in nodes.nodes]
    return sum(int(count) for text in told for count in re.findall(r"errorstat_MOVED:count=(\d+)", text))


async def test_keys_are_found_wherever_a_cluster_has_them(nodes: Cluster) -> None:
    store = client(nodes.nodes[0].url)
    keys = [f"{{{number}}}:key" for number in range(30)]
    assert await asyncio.gather(*(store.command("SET", key, key) for key in keys)) == [b"OK"] * 30
    held = [int(await nodes.told(node, "DBSIZE")) for node in nodes.nodes]
    assert sum(held) == 30 and min(held) > 0
    before = await redirected(nodes)
    assert before > 0
    # By now it is known who has them.
    assert await asyncio.gather(*(store.command("GET", key) for key in keys)) == [
        key.encode() for key in keys
    ]
    script = "return redis.call('GET', KEYS[1]) .. #KEYS"
    answers = [await store.command("EVAL", script, 2, key, f"{key}-2") for key in keys]
    assert answers == [f"{key}2".encode() for key in keys]
    assert await redirected(nodes) == before
    assert store.available()
    store.close()
    assert (await failure(store, "GET", keys[0])).reason == "closed"


async def test_all_nodes_are_asked_by_the_same_user_and_password(nodes: Cluster) -> None:
    for node in nodes.nodes:
        await nodes.told(node, "CONFIG", "SET", "requirepass", "hush")
    store = client(nodes.nodes[0].url, password="hush")
    for number in range(12):
        assert await store.command("SET", f"{{{number}}}", number) == b"OK"
    store.close()


async def test_a_slot_that_moves_is_followed(nodes: Cluster) -> None:
    store = client(nodes.nodes[0].url)
    slot = slot_of(("SET", "key"))
    assert slot is not None
    assert await store.command("EXISTS", "key") == 0
    source = await nodes.owner(slot)
    target = next(node for node in nodes.nodes if node is not source)
    # While it is handed over, its keys are here or there.
    await nodes.told(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", await nodes.name(source))
    await nodes.told(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", await nodes.name(target))
    assert await store.command("SET", "key", "new") == b"OK"
    assert await store.command("GET", "key") == b"new"
    assert await nodes.told(target, "DBSIZE") == "1"
    await nodes.move(slot, source, target)
    before = await redirected(nodes)
    for _ in range(3):
        assert await store.command("GET", "key") == b"new"
    assert await redirected(nodes) <= before + 1
    store.close()


async def test_a_node_that_dies_takes_none_but_its_own_keys_along(nodes: Cluster) -> None:
    for node in nodes.nodes:
        await nodes.told(node, "CONFIG", "SET", "cluster-require-full-coverage", "no")
    store = client(nodes.nodes[0].url)
    keys: dict[Redis, list[str]] = {node: [] for node in nodes.nodes}
    for number in range(30):
        key = f"{{{number}}}"
        keys[await nodes.owner(slot_of(("GET", key)) or 0)].append(key)
    for found in keys.values():
        await store.command("SET", found[0], "here")
    first, second, third = nodes.nodes
    await first.stop()  # the one that the options name
    assert (await failure(store, "GET", keys[first][0])).reason in ("broken", "connect")
    for node in (second, third):
        assert await store.command("GET", keys[node][0]) == b"here"
        assert (
            await store.command("SET", keys[node][1], "new") == b"OK"
        )  # nobody has asked for its slot before
    await second.stop()
    await failure(store, "GET", keys[second][0])
    assert not store.available()
    assert await store.command("GET", keys[third][0]) == b"here"
    store.close()


@pytest.mark.parametrize(
    "place", ["", ":0", "127.0.0.1:99999", "a b:1", "user@host:1", "../x:1", "127.0.0.1"]
)
async def test_what_is_no_address_is_not_followed(place: str) -> None:
    said = f"-MOVED 1 {place}\r\n".encode()

    async def answer(conversation: Conversation) -> None:
        await conversation.take_until(b"PING\r\n")
        await conversation.send(b"+PONG\r\n")
        await conversation.take_until(b"key\r\n")
        await conversation.send(said)
        await conversation.rest()

    async with Upstream(answer) as one:
        store = client(f"redis://127.0.0.1:{one.port}")
        assert str(await failure(store, "GET", "key")) == "refused: MOVED"
        assert not store._nodes
        store.close()


async def test_nodes_that_send_a_command_round_and_round_are_not_followed_for_ever() -> None:
    asked = 0

    async def answer(conversation: Conversation) -> None:
        nonlocal asked
        await conversation.take_until(b"PING\r\n")
        await conversation.send(b"+PONG\r\n")
        while True:
            await conversation.take_until(b"key\r\n")
            asked += 1
            await conversation.send(b"-MOVED 1 :%d\r\n" % one.port)

    async with Upstream(answer) as one:
        store = client(f"redis://127.0.0.1:{one.port}")
        assert str(await failure(store, "GET", "key")) == "refused: MOVED"
        assert asked == store_module.MAX_REDIRECTIONS + 1
        store.close()


async def test_no_more_nodes_are_known_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_NODES", 3)
    store = client("redis://127.0.0.1:1")
    known = [store._known(Redirection("10.0.0.1", port, False)) for port in range(2, 9)]
    assert list(store._nodes.values()) == known[-3:]
    assert [node._closed for node in known] == [True] * 4 + [False] * 3
    assert store._known(Redirection("", 1, False)) is store
    assert store._known(Redirection("::1", 5, True))._options.url == "redis://[::1]:5"
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store._known(Redirection("10.0.0.1", 2, False))
