"""`weir limits`: who has filled which bucket of a running gateway, and how it is emptied."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.limits import _span
from gateway.config.model import Address
from tests.cli.process import told, weir
from tests.cli.test_main import run
from tests.cli.test_reload import free_port, written
from tests.support.client import Client, get

LIMITS: dict[str, Any] = {
    "rate_limit": {
        "limits": [
            {"name": "each", "rate": "4/hour", "key": ["client_ip"]},
            {"name": "reads", "rate": "100/day", "burst": 9, "key": ["method"]},
        ]
    }
}


@asynccontextmanager
async def gateway(directory: Path, filters: dict[str, Any] = LIMITS) -> AsyncIterator[tuple[Path, Address]]:
    """One with an admin listener that asks for a token."""
    admin = {"address": f"127.0.0.1:{free_port()}", "token": "open sesame"}
    path = written(directory, admin=admin, filters=[filters])
    async with weir("run", path, "--workers", "2", directory=directory) as process:
        yield path, Address("127.0.0.1", (await process.listens()).port)
        process.signal()
        assert await process.ends() == 0


async def asked(place: Address, count: int) -> list[int]:
    client = await Client.connect(place)
    async with client:
        return [(await client.ask(get("/"))).status for _ in range(count)]


async def test_top_show_and_reset(tmp_path: Path) -> None:
    elsewhere = tmp_path / "limits"
    elsewhere.mkdir()
    async with gateway(tmp_path) as (path, place):

        async def limits(*arguments: str) -> tuple[int, str, str]:
            return await told("limits", *arguments, "--config", path, directory=elsewhere)

        assert await limits("top") == (0, "", "")
        assert (await asked(place, 5))[-1] == 413
        status, out, err = await limits("top")
        assert (status, err) == (0, "")
        header, first, second = out.splitlines()
        assert header.split() == ["USE", "LIMIT", "KEY", "RATE", "LEFT", "NEXT", "CONSUMERS"]
        assert first.split()[:6] == ["100%", "rate_limit:", "each", "client_ip=127.0.0.1", "4/hour", "0/4"]
        assert second.split()[:6] == ["44%", "rate_limit:", "reads", "method=GET", "100/day", "5/9"]
        assert second.endswith("127.0.0.1 4")
        status, out, _ = await limits("show", "--client-ip", "127.0.0.1")
        assert status == 0
        assert out.startswith("rate_limit: each  client_ip=127.0.0.1\n")
        assert f"source     {path}:" in out
        status, out, err = await limits("show", "--user-id", "nobody")
        assert (status, out) == (1, "")
        assert err.startswith("No limit counts by such a key")
        for arguments in (
            ("top", "--limit", "eech"),
            ("reset", "--limit", "eech"),
            ("top", "--filter", "no"),
        ):
            status, out, err = await limits(*arguments)
            assert (status, out) == (2, "")
            assert "no filter that counts, or no limit of it, has this name" in err
        status, out, err = await limits("reset", "--client-ip", "127.0.0.1")
        assert (status, out, err) == (0, "1 bucket emptied\nrate_limit: each  client_ip=127.0.0.1  0/4\n", "")
        assert (await asked(place, 5))[0] != 413
        status, out, _ = await limits("top", "--limit", "each", "--format", "json")
        assert (status, [bucket["remaining"] for bucket in json.loads(out)["buckets"]]) == (0, [0])
        status, out, err = await limits("reset", "--limit", "each", "--filter", "rate_limit")
        assert (status, out.splitlines()[0], err) == (0, "1 bucket emptied", "")
        status, out, err = await limits("reset", "--limit", "each")
        assert (status, out) == (1, "0 buckets emptied\n")
        assert "as far as this gateway knows" in err


async def test_a_reset_that_finds_nothing_is_an_error_that_says_how_to_name_a_whole_key(
    tmp_path: Path,
) -> None:
    elsewhere = tmp_path / "limits"
    elsewhere.mkdir()
    options = {"limits": [{"name": "each", "rate": "4/hour", "key": ["client_ip", "method"]}]}
    async with gateway(tmp_path, {"rate_limit": options}) as (path, place):

        async def reset(*arguments: str) -> tuple[int, str, str]:
            return await told("limits", "reset", *arguments, "--config", path, directory=elsewhere)

        assert (await asked(place, 5))[-1] == 413
        other = ("--client-ip", "203.0.113.9")
        status, out, err = await reset(*other)
        assert (status, out) == (1, "0 buckets emptied\n")
        assert "name a whole key" in err
        status, out, err = await reset("--user-id", "nobody")
        assert (status, out) == (1, "0 buckets emptied\n")
        status, out, err = await reset("--key-hash", "f" * 32, "--format", "json")
        assert (status, json.loads(out)["reset"]) == (1, 0)
        status, out, err = await reset(*other, "--method", "GET")
        assert (status, out) == (0, "0 buckets emptied\n"), "it was empty, and is"
        assert err.startswith("weir: the bucket of this key was empty")
        status, out, err = await reset(*other, "--method", "get")
        assert (status, out) == (1, "0 buckets emptied\n")
        assert "requests with GET are not counted as get" in err
        for wrong in ("nonsense", "127.000.0.1", "127.0.0.1/32"):
            status, out, err = await reset("--client-ip", wrong)
            assert (status, out) == (2, "")
            assert f"{wrong!r} is no address" in err
        assert (await asked(place, 1)) == [413]
        assert (await reset("--client-ip", "127.0.0.1"))[0] == 0
        assert (await asked(place, 1)) != [413]


async def test_what_holds_for_some_projects_only_is_said(tmp_path: Path) -> None:
    elsewhere = tmp_path / "limits"
    elsewhere.mkdir()
    (tmp_path / "own.yaml").write_text("p9: { each: 9/day }\np0: { each: blocked }\n")
    options = {**LIMITS["rate_limit"], "overrides": {"file": "own.yaml"}}
    async with gateway(tmp_path, {"rate_limit": options}) as (path, place):
        await asked(place, 1)
        _, out, err = await told("limits", "top", "--config", path, directory=elsewhere)
        assert {row.split()[2]: row.split()[5] for row in out.splitlines()[1:]} == {
            "each": "3/4",
            "reads": "8/9",
        }
        assert err == ""
        _, out, _ = await told(
            "limits", "show", "--client-ip", "127.0.0.1", "--config", path, directory=elsewhere
        )
        assert "2 projects have rates and buckets of their own: this is that of all others" in out
        owned = ("--project-id", "p0", "--client-ip", "127.0.0.1", "--limit", "each", "--config", path)
        _, out, _ = await told("limits", "show", *owned, directory=elsewhere)
        assert "next       never: blocked\n" in out


async def test_a_bucket_of_all_is_shown_by_its_limit(tmp_path: Path) -> None:
    elsewhere = tmp_path / "limits"
    elsewhere.mkdir()
    options = {"limits": [{"name": "all", "rate": "2/day", "key": ["global"]}]}
    async with gateway(tmp_path, {"rate_limit": options}) as (path, place):

        async def limits(*arguments: str) -> tuple[int, str, str]:
            return await told("limits", *arguments, "--config", path, directory=elsewhere)

        status, out, err = await limits("show", "--limit", "all")
        assert (status, out, err.startswith("Nothing is in a bucket of this limit")) == (1, "", True)
        await asked(place, 3)
        _, out, _ = await limits("top")
        assert out.splitlines()[1].split()[:8] == [
            *("100%", "rate_limit:", "all", "global", "2/day", "0/2", "in", "12")
        ]
        status, out, _ = await limits("show", "--limit", "all")
        assert (status, out.splitlines()[0]) == (0, "rate_limit: all  global")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.25 s"),
        (119.5, "119.5 s"),
        (150.2, "2 min 31 s"),
        (3599.5, "1 h"),
        (43_000, "11 h 57 min"),
        (86_399, "1 d"),
        (1_000_000, "11 d 14 h"),
    ],
)
def test_long_waits_are_told_in_units_that_people_have_a_notion_of(seconds: float, words: str) -> None:
    assert _span(seconds) == words


async def test_without_a_gateway_the_status_is_2(tmp_path: Path) -> None:
    path = written(tmp_path, admin=f"127.0.0.1:{free_port()}")
    status, out, err = await told("limits", "top", "--config", path, directory=tmp_path)
    assert (status, out) == (2, "")
    assert "(admin): connection refused" in err.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reset"], "Say which: --limit"),
        (["show"], "Say whose: --project-id"),
        (["show", "--filter", "rate_limit"], "Say whose: --project-id"),
        (["top", "-n", "0"], "0 is not in the range 1<=x<=1000"),
        (["top", "--admin", "nowhere"], "Error"),
    ],
)
def test_what_is_no_question_is_not_asked(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = written(tmp_path, admin="127.0.0.1:9")
    done = run("limits", *arguments, "--config", str(path))
    assert done.returncode == 2
    assert words in done.stderr


def test_it_needs_an_admin_listener(tmp_path: Path) -> None:
    done = run("limits", "top", "--config", str(written(tmp_path)))
    assert done.returncode == 2
    assert "has no admin listener to ask" in done.stderr
