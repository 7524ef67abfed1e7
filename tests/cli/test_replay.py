"""`weir replay`, against gateways with sockets."""

import asyncio
import gzip
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.backtest.logged import KEYSTONE, Asked, logged, text_of, written
from tests.support.gateway import proxy
from tests.support.upstream import OK, Upstream, answers


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    requests = [Asked(0), Asked(0.1, target="/b"), Asked(0.2, method="PUT"), Asked(0.3, "p2")]
    return written(asyncio.run(logged(text_of(filters=[KEYSTONE]), requests)), tmp_path / "log")


async def test_requests_are_sent_and_answers_compared(log: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text("p1: token-of-p1\n")
    static = {"static": {"tokens": [{"token": "token-of-p1", "user": "u"}]}}
    options: dict[str, Any] = {"filters": [{"token_auth": {"providers": [static]}}]}
    async with Upstream(answers(OK)) as upstream, proxy(upstream, **options) as gateway:
        done = await asyncio.to_thread(
            replay,
            gateway.url,
            "--log",
            log,
            "--rate",
            "1000",
            "--tokens",
            tokens,
            "--format",
            "json",
            "--max-different",
            0,
        )
    told = json.loads(done.stdout)
    assert (told["sent"], told["same"], told["different"]) == (3, 2, 1)
    assert told["kinds"] == {"status": 1} and told["not_sent"] == {"its method may change something": 1}
    assert told["examples"][0]["differences"] == [{"what": "status", "before": "200", "after": "401"}]
    assert done.exit_code == 1


async def test_two_gateways(log: Path) -> None:
    async with Upstream(answers(OK)) as upstream:
        headers = {"headers": {"response": {"set": {"X-New": "1"}}}}
        async with proxy(upstream) as one, proxy(upstream, filters=[headers]) as other:
            done = await asyncio.to_thread(
                replay, other.url, "--against", one.url, "--log", log, "--rate", "1000", "-n", 1
            )
            same = await asyncio.to_thread(
                replay,
                other.url,
                "--against",
                one.url,
                "--log",
                log,
                "--rate",
                "1000",
                "--ignore-header",
                "X-New",
            )
    assert "1 requests sent: 0 answers the same, 1 other" in done.stdout and "x-new:  -> 1" in done.stdout
    assert "3 requests sent: 3 answers the same, 0 other" in same.stdout


def test_where_nothing_answers_it_has_failed(log: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        target = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = replay(target, "--log", log, "--rate", "1000")
    assert done.exit_code == 1 and f"Nothing has answered: is {target} there?" in done.stderr
    assert "3 requests sent" in done.stdout


def test_where_nothing_can_be_sent_it_has_failed(log: Path) -> None:
    done = replay("http://a", "--log", log, "--where", "method = 'PUT'")
    assert done.exit_code == 2 and "no request that could be sent" in done.stderr
    assert "not sent: its method may change something" in done.stdout


async def test_of_a_log_that_was_cut_short_what_is_whole_is_sent(log: Path) -> None:
    cut = log.with_name("cut.gz")
    cut.write_bytes(gzip.compress(log.read_bytes())[:-20])
    async with Upstream(answers(OK)) as upstream, proxy(upstream) as gateway:
        done = await asyncio.to_thread(
            replay, gateway.url, "--log", cut, "--log", log, "--rate", "1000", "--format", "json"
        )
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and 3 <= told["sent"] <= 6 and told["damaged"] == [str(cut)]
    assert f"{cut} could not be read to its end" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ftp://a",), "Expected a URL"),
        (("http://u:p@a",), "Expected a URL"),
        (("http://a:99999",), "Expected a URL"),
        (("http://[::1",), "Expected a URL"),
        (("http://a", "--ignore", "servers"), "begins with '$'"),
        (("http://a", "--where", "status >"), "not understood"),
        (("http://a", "--since", "noon"), "is no time"),
        (("http://a", "--tokens", "/nowhere"), "cannot be read"),
        (("http://a", "-H", "X"), "Name: value"),
        (("http://a", "--log", "/nowhere"), "There is no request log"),
    ],
)
def test_what_is_wrong_is_said(log: Path, arguments: tuple[str, ...], message: str) -> None:
    done = replay("--log", log, *arguments)
    assert done.exit_code == 2 and message in done.output
