"""Terms of single projects from a file."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from filters.rate_limit import RateLimit
from filters.rate_limit.option import LimitOptions
from filters.rate_limit.override import read_overrides
from gateway.api import Exchange, Fault, OptionError, Principal, Response, Selection
from gateway.api.testing import FrozenServices, build, exchange

LIMITS = tuple(
    LimitOptions.model_validate(options)
    for options in (
        {"name": "writes", "rate": "10/minute", "burst": 5, "cost": 2},
        {"name": "reads", "rate": "100/minute"},
        {"rate": "1000/day", "algorithm": "calendar_window"},
    )
)


def read(directory: Path, text: str, name: str = "limits.yaml") -> list[dict[str, Any]]:
    """Of each limit, by project: the numbers of its algorithm."""
    (directory / name).write_text(text)
    found = read_overrides(name, LIMITS, FrozenServices(directory=directory))
    return [
        {
            project: terms and terms.algorithm and terms.algorithm.spec[1][:2]
            for project, terms in of_limit.items()
        }
        for of_limit in found
    ]


def test_a_rate_stands_for_a_rate_and_what_is_not_said_stays(tmp_path: Path) -> None:
    text = (
        "p1:\n  writes: 60/minute\n  reads: { rate: 6/minute, burst: 3 }\n0123: { writes: { burst: 50 } }\n"
    )
    assert read(tmp_path, text) == [
        {"p1": (1.0, 5.0), "0123": (6.0, 300.0)},
        {"p1": (10.0, 30.0)},
        {},
    ]


def test_two_words_stand_for_all_and_for_nothing(tmp_path: Path) -> None:
    text = "p1: unlimited\np2: { reads: blocked, writes: unlimited }\np3: blocked\n"
    writes, reads, days = read(tmp_path, text)
    assert writes == {"p1": None, "p2": None, "p3": (60.0,)}
    assert reads == {"p1": None, "p2": (60.0,), "p3": (60.0,)}
    assert days == {"p1": None, "p3": (86400.0,)}


def test_json_is_read_too(tmp_path: Path) -> None:
    assert read(tmp_path, '{"p1": {"reads": {"rate": {"value": 2, "unit": "minute"}}}}', "limits.json")[
        1
    ] == {"p1": (30.0, 60.0)}


@pytest.mark.parametrize("text", ["", "# nobody yet\n"])
def test_an_empty_file_overrides_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [{}, {}, {}]


def test_terms_know_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("p1:\n  reads: 5/minute\np2: blocked\n")
    reads = read_overrides("a.yaml", LIMITS, FrozenServices(directory=tmp_path))[1]
    assert {project: terms and terms.source for project, terms in reads.items()} == {
        "p1": "a.yaml:2:3",
        "p2": "a.yaml:3:1",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- p1", "limits.yaml:1:1: expected a mapping of projects, got a list"),
        ("p1: 5/minute", "limits.yaml:1:1: expected a mapping of limits, unlimited or blocked"),
        ("p1:\n  write: 5/minute", "limits.yaml:2:3: no limit is named 'write' (did you mean 'writes'?)"),
        ("p1:\n  reads: fast", "limits.yaml:2:3: expected a rate such as 10/minute"),
        ("p1:\n  reads: { rat: 5/minute }", "limits.yaml:2:12: unknown key 'rat' (did you mean 'rate'?)"),
        ("p1:\n  reads: {}", "limits.yaml:2:3: expected rate or burst"),
        ("p1:\n  reads: { burst: 0 }", "limits.yaml:2:12: must be at least 1"),
        ("p1:\n  reads: { burst: many }", "limits.yaml:2:12: expected a whole number"),
        ("p1:\n  writes: { burst: 1 }", "a request that costs 2 can never pass"),
        ("p1:\n  reads: 5/month", "limits.yaml:2:3: months differ in length"),
        ("p1:\n  reads: [a]", "limits.yaml:2:3: "),
        ("p1: { reads: 1/second }\np1: unlimited", "limits.yaml:1:1: a key stands twice"),
        ("'': unlimited", "limits.yaml:1:1: expected the id of a project"),
        ("p1: [", "limits.yaml:"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, text)
    assert caught.value.rule == ("overrides", "file")
    assert words in str(caught.value)


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, "p1: { reads: fast }\np2: 5\np3: { write: blocked }\n")
    assert len(caught.value.messages) == 3


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read none\.yaml: No such file"):
        read_overrides("none.yaml", LIMITS, FrozenServices(directory=tmp_path))


# ---- what was counted, where terms change


class Overridden:
    """A limiter whose file of overrides is written anew, as by reloads."""

    def __init__(self, directory: Path, text: str, **limit: Any) -> None:
        self._directory = directory
        self._limit = {"name": "few", "rate": "3/day", **limit}
        self.services = FrozenServices(directory=directory)
        self.overridden(text)

    def overridden(self, text: str) -> None:
        (self._directory / "own.yaml").write_text(text)
        options = {"limits": [self._limit], "overrides": {"file": "own.yaml"}}
        self.filter = build(RateLimit, options, self.services)

    def made(self, project: str = "p1", user: str = "u1") -> Exchange:
        who = Principal(project_id=project, user_id=user)
        return exchange(principal=who, clock=self.services.now())

    def passed(self, count: int, project: str = "p1", user: str = "u1") -> int:
        """How many of so many requests pass."""
        return sum(self.filter.on_request(self.made(project, user)) is None for _ in range(count))

    async def buckets(self, **parts: str) -> dict[str, tuple[int, str, int]]:
        """Of each project: rate and unit, and what remains."""
        return {
            str(bucket.key.get("project_id", "")): (bucket.value, bucket.unit, bucket.remaining)
            async for batch in self.filter.buckets(Selection(parts=parts))
            for bucket in batch
        }


WINDOWS = ("gcra", "fixed_window", "sliding_window")


@pytest.mark.parametrize("algorithm", WINDOWS)
def test_what_is_counted_of_a_day_locks_nobody_out_of_a_minute(tmp_path: Path, algorithm: str) -> None:
    limiter = Overridden(tmp_path, "", algorithm=algorithm)
    assert limiter.passed(4) == 3
    limiter.overridden("p1: { few: 100/minute }")
    assert limiter.passed(120) == 100
    limiter.services.advance(120.0)
    assert limiter.passed(120) == 100
    limiter.overridden("")  # the day goes on
    assert limiter.passed(1) == 0


@pytest.mark.parametrize("key", ["project_id", "user_id"])
@pytest.mark.parametrize("algorithm", [*WINDOWS, "calendar_window"])
def test_by_another_rate_of_the_same_unit_what_was_taken_stays_taken(
    tmp_path: Path, algorithm: str, key: str
) -> None:
    limiter = Overridden(tmp_path, "p1: { few: 4/day }", algorithm=algorithm, key=[key])
    assert limiter.passed(9) == 4
    limiter.overridden("p1: { few: 1000/day }")
    assert limiter.passed(996) == 996
    assert limiter.passed(1) == 0
    limiter.overridden("p1: { few: 5/day }")
    assert limiter.passed(1) == 0


@pytest.mark.parametrize("algorithm", [*WINDOWS, "calendar_window"])
def test_terms_of_its_own_begin_with_what_the_limit_has_counted_of_a_project(
    tmp_path: Path, algorithm: str
) -> None:
    limiter = Overridden(tmp_path, "", algorithm=algorithm)
    assert limiter.passed(2) == 2
    limiter.overridden("p1: { few: 5/day }")
    assert limiter.passed(9) == 3
    limiter.overridden("")
    assert limiter.passed(1) == 0


@pytest.mark.parametrize("terms", ["1000/second", "1000000/day", "2/day"])
@pytest.mark.parametrize("algorithm", WINDOWS)
def test_one_who_works_for_two_projects_has_what_each_gives(
    tmp_path: Path, algorithm: str, terms: str
) -> None:
    limiter = Overridden(tmp_path, f"big: {{ few: {terms} }}", algorithm=algorithm, key=["user_id"])
    assert limiter.passed(3) == 3
    assert limiter.passed(2, "big") == 2
    limiter.services.advance(3.0)
    assert limiter.passed(1) == 0
    assert limiter.passed(1, "big") == (terms != "2/day")


async def test_operators_and_callers_are_told_of_the_cells_that_count(tmp_path: Path) -> None:
    limiter = Overridden(tmp_path, "p1: { few: 5/minute }\np2: { few: 4/day }")
    assert [limiter.passed(2, project) for project in ("p1", "p2", "p3")] == [2, 2, 2]
    told = {"p1": (5, "MINUTE", 3), "p2": (4, "DAY", 2), "p3": (3, "DAY", 1)}
    assert await limiter.buckets() == told
    for project, bucket in told.items():
        assert await limiter.buckets(project_id=project) == {project: bucket}
    # Of former terms nothing is told, and nothing is taken for what holds now.
    limiter.overridden("p2: { few: 4/hour }")
    assert await limiter.buckets() == {"p3": (3, "DAY", 1)}
    assert await limiter.buckets(project_id="p1") == {"p1": (3, "DAY", 3)}
    assert await limiter.buckets(project_id="p2") == {"p2": (4, "HOUR", 4)}


async def test_the_buckets_of_a_project_are_told_where_the_key_says_none(tmp_path: Path) -> None:
    limiter = Overridden(tmp_path, "big: { few: 9/day }\nnone: blocked", key=["user_id"])
    limiter.passed(1, "big")
    limiter.passed(2, "p3")
    assert await limiter.buckets() == {"big": (9, "DAY", 8), "": (3, "DAY", 1)}
    assert await limiter.buckets(user_id="u1") == {"big": (9, "DAY", 8), "": (3, "DAY", 1)}
    assert await limiter.buckets(user_id="u1", project_id="big") == {"big": (9, "DAY", 8)}
    assert await limiter.buckets(user_id="u2", project_id="big") == {"big": (9, "DAY", 9)}
    limiter.passed(9, "big")
    made = limiter.made("big")
    verdict = limiter.filter.on_request(made)
    assert isinstance(verdict, Fault)
    assert verdict.facts is not None
    assert verdict.facts["key"] == {"project_id": "big", "user_id": "u1"}


@pytest.mark.parametrize("parts", [{"user_id": "u1"}, {"user_id": "u1", "project_id": "big"}])
async def test_a_reset_empties_them_though_this_process_has_not_heard_of_them(
    tmp_path: Path, parts: dict[str, str]
) -> None:
    limiter = Overridden(tmp_path, "big: { few: 2/hour }\nout: blocked", key=["user_id"])
    assert limiter.passed(3, "big") == 2
    table = limiter.services.table("limits")
    limiter.services = FrozenServices(directory=tmp_path)  # another process
    limiter.services.state("table limits", lambda: table)
    limiter.overridden("big: { few: 2/hour }\nout: blocked")
    emptied = [
        bucket
        async for batch in limiter.filter.reset(Selection(parts=parts))
        for bucket in batch
        if bucket.use and bucket.capacity
    ]
    assert [(bucket.key, bucket.remaining) for bucket in emptied] == [
        ({"project_id": "big", "user_id": "u1"}, 0)
    ]
    assert limiter.passed(3, "big") == 2


async def test_a_client_is_told_of_the_cell_that_counts_it(tmp_path: Path) -> None:
    limiter = Overridden(tmp_path, "p1: { few: 5/minute }")
    options = {
        "limits": [{"name": "few", "rate": "3/day"}],
        "overrides": {"file": "own.yaml"},
        "endpoint": {"path": "/limits"},
    }
    limiter.filter = build(RateLimit, options, limiter.services)
    made = exchange(target="/limits", principal=Principal(project_id="p1"), clock=limiter.services.now())
    verdict = limiter.filter.on_request(made)
    assert inspect.isawaitable(verdict)
    answer = await verdict
    assert isinstance(answer, Response)
    assert answer.body.complete is not None
    ((line,),) = [rate["limit"] for rate in json.loads(answer.body.complete)["limits"]["rate"]]
    assert (line["unit"], line["value"], line["remaining"]) == ("MINUTE", 5, 4)
