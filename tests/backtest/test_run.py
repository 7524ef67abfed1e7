"""Back-tests, whole: what they say is what happens."""

import asyncio
import gzip
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.backtest.recorded import FORWARD, REFUSE, UNDECIDABLE
from gateway.backtest.run import DoubledError, Question, backtest
from gateway.backtest.tally import CHANGED, NEWLY_ALLOWED, NEWLY_REFUSED, UNCHANGED
from gateway.config.problem import ConfigurationError
from gateway.inspect.grammar import QueryError
from tests.backtest.logged import (
    KEYSTONE,
    NOW,
    Asked,
    Judged,
    ended,
    judged,
    logged,
    marked,
    of_workers,
    text_of,
    upgraded,
    written,
)

LIMITS: list[dict[str, Any]] = [
    {"name": "all", "rate": "30/minute", "burst": 3, "key": ["project_id"]},
    {
        "name": "writes",
        "rate": "6/minute",
        "key": ["user_id"],
        "methods": ["POST"],
        "algorithm": "fixed_window",
    },
]
METHODS: dict[str, Any] = {"methods": {"allow": ["GET", "POST"]}}
LIMIT_OF_CLIENTS, LIMIT_OF_ROUTES, LIMIT_OF_FIELDS = (
    {"rate_limit": {"limits": [{"name": "l", "rate": "3/day", "key": [part]}]}}
    for part in ("client_ip", "route", "header:X-Project-Id")
)
ROUTES: list[dict[str, Any]] = [
    {"name": name, "path": path, "upstream": "main"} for name, path in (("all", "/{rest*}"), ("other", "/zz"))
]
OWNING = {**ROUTES[1], "filters": [{"principal": {"sources": [{"ip": {"others": True}}]}}]}
FRONT = {"principal": {"sources": [{"repose": {"trusted_peers": ["0.0.0.0/0"]}}]}}
JUDGING = {**ROUTES[1], "filters": [FRONT]}
LIMIT_OF_FRONT: dict[str, Any] = {
    "rate_limit": {"limits": [{"name": "l", "rate": "3/day", "key": ["header:X-PP-User"]}]}
}
ALL: dict[str, Any] = {"name": "l", "rate": "5/hour", "key": ["global"]}


def _config(*limits: dict[str, Any], mode: str = "enforce", methods: dict[str, Any] = METHODS) -> str:
    rate_limit = {"rate_limit": {"limits": list(limits or LIMITS), "mode": mode}}
    return text_of(filters=[KEYSTONE, rate_limit, methods])


STREAMS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.5, 2.0, 7.0, 61.0]),
        st.sampled_from(["p1", "p2"]),
        st.sampled_from(["GET", "GET", "POST", "DELETE"]),
    ),
    min_size=1,
    max_size=40,
)
OTHERS = st.sampled_from(
    [
        _config({**LIMITS[0], "rate": "60/minute"}, LIMITS[1]),
        _config({**LIMITS[0], "rate": "10/minute", "burst": 1}, LIMITS[1]),
        _config({**LIMITS[0], "burst": 8}, {**LIMITS[1], "rate": "3/minute"}),
        _config(LIMITS[0]),
        _config({**LIMITS[0], "algorithm": "sliding_window", "burst": None}, LIMITS[1]),
        _config(*LIMITS, {"name": "new", "rate": "4/minute", "burst": 2, "key": ["project_id"]}),
        _config(methods={"methods": {"allow": ["GET", "DELETE"]}}),
        text_of(filters=[METHODS, KEYSTONE, {"rate_limit": {"limits": LIMITS}}]),
        _config({**LIMITS[0], "key": ["project_id", "method"]}, LIMITS[1]),
        _config({**LIMITS[0], "key": ["method"]}, {**LIMITS[1], "key": ["project_id"]}),
        _config({**LIMITS[0], "methods": ["GET"]}, LIMITS[1]),
    ]
)
COMMON = settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _requests(stream: list[tuple[float, str, str]]) -> list[Asked]:
    at, requests = 0.0, []
    for pause, project, method in stream:
        at += pause
        requests.append(Asked(at, project, method))
    return requests


@COMMON
@given(STREAMS, st.sampled_from(["enforce", "shadow"]), st.randoms(use_true_random=False))
def test_the_configuration_that_made_a_log_finds_nothing_else_in_it(
    tmp_path: Path, stream: list[tuple[float, str, str]], mode: str, shuffled: random.Random
) -> None:
    """In whatever order the lines stand."""
    text = _config(mode=mode)
    plan, *records = asyncio.run(logged(text, _requests(stream)))
    shuffled.shuffle(records)
    found = judged(text, written([plan, *records], tmp_path / "log")).found
    assert found.tally.counts == {UNCHANGED: len(records)}
    assert all(flips == [0, 0] for flips in found.tally.shadows.values())


@COMMON
@given(STREAMS, st.sampled_from(["gcra", "fixed_window", "sliding_window"]))
def test_terms_of_single_projects_find_nothing_else_in_it_either(
    tmp_path: Path, stream: list[tuple[float, str, str]], algorithm: str
) -> None:
    """Whose cells are their own, where the key says no project, and where the unit is another one."""
    own = tmp_path / "own.yaml"
    own.write_text("p2: { each: 100/second, all: 2/minute, day: 2/second }")
    limits = [
        {"name": "each", "rate": "3/minute", "key": ["client_ip"], "algorithm": algorithm},
        {"name": "all", "rate": "9/minute", "key": ["global"], "algorithm": algorithm},
        {"name": "day", "rate": "20/day", "key": ["project_id"], "algorithm": algorithm},
    ]
    rate_limit = {"rate_limit": {"limits": limits, "overrides": {"file": str(own)}}}
    text = text_of(filters=[KEYSTONE, rate_limit])
    plan, *records = asyncio.run(logged(text, _requests(stream)))
    counts = judged(text, written([plan, *records], tmp_path / "log")).found.tally.counts
    assert counts == {UNCHANGED: len(records)}
    # What was not believed is counted again by the same cells.
    other = tmp_path / "other.yaml"
    other.write_text(own.read_text().replace("100/second", "101/second"))
    unlike = text.replace(str(own), str(other))
    truth = asyncio.run(logged(unlike, _requests(stream)))[1:]
    made = judged(unlike, written([plan, *records], tmp_path / "log"))
    for record, true in zip(records, truth, strict=True):
        assert made.verdicts[record["gateway.request_id"]][1].kind in (true["gateway.decision"], UNDECIDABLE)


@COMMON
@given(STREAMS, OTHERS)
def test_what_is_decided_is_what_the_other_configuration_does(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str
) -> None:
    """And of a log that is whole all of it is decided, but for what the records do not hold."""
    requests = _requests(stream)
    before = asyncio.run(logged(_config(), requests))
    truth = asyncio.run(logged(other, requests))[1:]
    made = judged(other, written(before, tmp_path / "log"))
    ids = [record["gateway.request_id"] for record in before[1:]]
    for request_id, true in zip(ids, truth, strict=True):
        _, after = made.verdicts[request_id]
        if after.kind != UNDECIDABLE:
            assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))
            assert after.kind == FORWARD or after.status == true["http.response.status_code"]
        else:
            assert "methods" in other.partition("token_auth")[0], "who was calling was found out by then"


@COMMON
@given(STREAMS, OTHERS, st.data())
def test_where_records_are_missing_nothing_wrong_is_said(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str, data: st.DataObject
) -> None:
    """Of a log whose beginning is not there, and of one with gaps, what is decided is still what happens."""
    requests = _requests(stream)
    plan, *records = asyncio.run(logged(_config(), requests))
    truth = asyncio.run(logged(other, requests))[1:]
    kept = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    lines = [record for record, keeps in zip(records, kept, strict=True) if keeps]
    made = judged(other, written([plan, *lines], tmp_path / "log"))
    for record, true, keeps in zip(records, truth, kept, strict=True):
        if not keeps:
            continue
        _, after = made.verdicts[record["gateway.request_id"]]
        if after.kind != UNDECIDABLE:
            assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))


def _that_took(records: list[dict[str, Any]], seconds: list[float]) -> list[dict[str, Any]]:
    """The same by one worker, if exchanges had taken so long: in the order in which they end."""
    spans = [
        (record["gateway.facts"]["clock"], taken) for record, taken in zip(records, seconds, strict=True)
    ]
    lines = []
    for record, (began, taken) in zip(records, spans, strict=True):
        over = began + taken
        others = [
            head for head, long in spans if head <= over < head + long and (head, long) != (began, taken)
        ]
        under_way = {"gateway.under_way_ms": (over - min(others)) * 1000} if others else {}
        lines.append({**record, "gateway.duration_ms": taken * 1000, **under_way})
    lines.sort(key=lambda line: line["gateway.facts"]["clock"] + line["gateway.duration_ms"] / 1000)
    return [{**line, "gateway.sequence": number} for number, line in enumerate(lines, 1)]


@COMMON
@given(STREAMS, OTHERS, st.data())
def test_exchanges_that_take_long_and_leave_no_record_are_not_taken_for_nothing(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str, data: st.DataObject
) -> None:
    """Whether they are missing between others, or because the log is still written to."""
    requests = [asked._replace(at=asked.at + number / 1000) for number, asked in enumerate(_requests(stream))]
    plan, *records = asyncio.run(logged(_config(), requests))
    truth = dict(
        zip(
            [record["gateway.request_id"] for record in records],
            asyncio.run(logged(other, requests))[1:],
            strict=True,
        )
    )
    long = st.sampled_from([0.0, 0.0, 0.1, 3.0, 50.0, 130.0])
    lines = _that_took(records, data.draw(st.lists(long, min_size=len(records), max_size=len(records))))
    kept = data.draw(st.integers(1, len(lines)))
    lost = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=3))
    left = [line for number, line in enumerate(lines[:kept]) if number not in lost]
    made = judged(other, written([plan, *left], tmp_path / "log"))
    for line in left:
        _, after = made.verdicts[line["gateway.request_id"]]
        true = truth[line["gateway.request_id"]]
        if after.kind != UNDECIDABLE:
            assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))


def _of_two_workers(records: list[dict[str, Any]], whose: list[int]) -> list[dict[str, Any]]:
    """The same as if two workers had carried them."""
    numbers = [0, 0]
    lines = []
    for record, worker in zip(records, whose, strict=True):
        numbers[worker] += 1
        lines.append({**record, "gateway.worker": worker, "gateway.sequence": numbers[worker]})
    return lines


@COMMON
@given(STREAMS, OTHERS, st.data())
def test_what_a_worker_that_was_killed_has_counted_is_not_taken_for_nothing(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str, data: st.DataObject
) -> None:
    """Its last records are not there. Another has its place at some time, or nobody knows whether it has ended."""
    # Which of two workers was the first at one instant is in no record.
    requests = [asked._replace(at=asked.at + number / 1000) for number, asked in enumerate(_requests(stream))]
    plan, *records = asyncio.run(logged(_config(), requests))
    truth = asyncio.run(logged(other, requests))[1:]
    whose = data.draw(st.lists(st.integers(0, 1), min_size=len(records), max_size=len(records)))
    lines = _of_two_workers(records, whose)
    kept = data.draw(st.integers(1, max(1, whose.count(1))))
    lines = [line for line in lines if line["gateway.worker"] == 0 or line["gateway.sequence"] <= kept]
    if data.draw(st.booleans()):
        lines.append(_successor(plan, requests[-1].at))
    data.draw(st.randoms(use_true_random=False)).shuffle(lines)
    made = judged(other, written([plan, *lines], tmp_path / "log"))
    for record, true in zip(records, truth, strict=True):
        if record["gateway.request_id"] not in made.verdicts:
            continue
        _, after = made.verdicts[record["gateway.request_id"]]
        if after.kind != UNDECIDABLE:
            assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))


@COMMON
@given(
    STREAMS,
    st.sampled_from(["project_id", "token", "header:X-Api-Key", "header:X-Project-Id"]),
    st.sampled_from(["a record is refused by methods", "by the target", "by nothing", "at another rate"]),
    st.sampled_from([("a", "a"), ("a", "b"), ("a", ""), ("", "b")]),
    st.data(),
)
def test_whatever_key_the_hashes_are_of_nothing_wrong_is_said(
    tmp_path: Path,
    stream: list[tuple[float, str, str]],
    part: str,
    change: str,
    keys: tuple[str, str],
    data: st.DataObject,
) -> None:
    """With two that overlap, as while one takes over from another."""
    requests = [
        asked._replace(
            at=asked.at + number / 1000,
            headers=(("X-Api-Key", f"key-of-{asked.project}"),),
            target="/" + "a" * (40 if asked.method == "DELETE" else 1),
        )
        for number, asked in enumerate(_requests(stream))
    ]
    limit = {"name": "few", "rate": "6/minute", "burst": 2, "key": [part]}
    filters = [KEYSTONE, {"rate_limit": {"limits": [limit]}}]
    text = other = text_of(filters=filters)
    if change == "by the target":
        other = text_of(filters=filters, limits={"target_length": 20})
    elif change == "a record is refused by methods":
        other = text_of(filters=[METHODS, *filters])
    elif change == "at another rate":
        other = text_of(filters=[KEYSTONE, {"rate_limit": {"limits": [{**limit, "rate": "3/minute"}]}}])
    before = asyncio.run(logged(text, requests))
    truth = asyncio.run(logged(other, requests))[1:]
    size = len(requests)
    lines = of_workers(before, data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)), keys)
    data.draw(st.randoms(use_true_random=False)).shuffle(lines)
    made = judged(other, written(lines, tmp_path / "log"))
    for record, true in zip(before[1:], truth, strict=True):
        _, after = made.verdicts[record["gateway.request_id"]]
        if after.kind != UNDECIDABLE:
            assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))
    if change == "by nothing":
        assert made.found.tally.counts == {UNCHANGED: size}


def _successor(plan: dict[str, Any], at: float) -> dict[str, Any]:
    """What a worker says that has come into the place of the second one, so many seconds after noon."""
    described = {**plan["gateway.plan"], "over": [1]}
    return {
        **plan,
        "timestamp": datetime.fromtimestamp(NOW + at, UTC).isoformat(),
        "gateway.worker": 2,
        "gateway.plan": described,
    }


OF_TWO = [Asked(at) for at in (0, 1, 2, 3, 4, 100, 101)]
"""The second worker has carried those at 1 and 2."""


@pytest.mark.parametrize(
    ("lost", "behind", "gaps", "open_ends", "undecidable"),
    [
        (0, [], 0, 1, {3, 4, 100, 101}),
        (0, [ended(1, 2, 2.5)], 0, 0, set()),
        (1, [ended(1, 2, 2.5)], 1, 0, {3, 4}),
        (1, [], 0, 1, {3, 4, 100, 101}),
        (1, [10.0, ended(2, 0, 102)], 1, 0, {3, 4}),
        (0, [3.5, ended(2, 0, 102)], 1, 0, {3, 4}),
        (0, [3.5], 1, 1, {3, 4, 100, 101}),
        (0, [marked(1, 2, 2.5)], 0, 1, {3, 4, 100, 101}),
        (0, [marked(1, 2, 50)], 0, 1, {100, 101}),
        (0, [marked(1, 2, 50), marked(1, 2, 102)], 0, 0, set()),
        (1, [marked(1, 2, 102, last=2)], 1, 0, {3, 4}),
        (1, [marked(1, 1, 1.5, last=1), marked(0, 5, 102, [0], last=101)], 1, 0, {3, 4, 100, 101}),
        (1, [marked(1, 1, 1.5), marked(0, 3, 4.5, [0]), ended(0, 5, 102)], 1, 0, {3, 4}),
    ],
    ids=[
        "it may be at work",
        "it has ended",
        "a record is missing",
        "and its last line too",
        "another has its place",
        "and has it at once",
        "and may be at work",
        "it has done nothing for a while",
        "for longer",
        "to the end",
        "it says that a record is missing",
        "another says that it is gone in the end",
        "and says it soon",
    ],
)
async def test_the_last_line_of_a_worker(
    tmp_path: Path, lost: int, behind: list[Any], gaps: int, open_ends: int, undecidable: set[float]
) -> None:
    plan, *records = await logged(_config(), OF_TWO)
    lines = _of_two_workers(records, [0, 1, 1, 0, 0, 0, 0])
    ids = {asked.at: line["gateway.request_id"] for asked, line in zip(OF_TWO, lines, strict=True)}
    if lost:
        del lines[2]
    lines += [_successor(plan, line) if isinstance(line, float) else line for line in behind]
    other = _config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1])
    made = judged(other, written([plan, *lines, ended(0, 5, 102)], tmp_path / "log"))
    assert (made.found.gaps, made.found.open) == (gaps, open_ends)
    told = {at for at, id in ids.items() if id in made.verdicts and made.verdicts[id][1].kind == UNDECIDABLE}
    assert told == undecidable


@pytest.mark.parametrize(
    ("lines", "gaps", "open_ends", "undecidable"),
    [
        ([], 0, 0, set()),
        ([marked(0, 7, 102, [0])], 0, 0, set()),
        ([marked(0, 7, 102)], 0, 1, {0, 1, 2, 3, 4, 100, 101}),
        ([marked(0, 2, 1.5), marked(0, 3, 2.5, [0])], 1, 0, {0, 1, 2, 3, 4}),
        ([marked(0, 4, 3.5, [0]), marked(0, 5, 60)], 0, 1, {3, 4, 100, 101}),
        ([marked(0, 5, 10, [0]), marked(0, 5, 50), marked(0, 5, 70, [0])], 1, 0, set()),
        ([{**ended(0, 7, 102), "gateway.workers": [0, 1]}], 0, 1, {0, 1, 2, 3, 4, 100, 101}),
        ([marked(0, 7, 102), marked(1, 0, 103)], 0, 0, set()),
        ([marked(0, 7, 102), ended(1, 0, 103)], 0, 0, set()),
        ([{**marked(0, 7, 102), "gateway.since": NOW - 99}], 0, 0, set()),
        ([{**marked(0, 7, 102), "gateway.sequence": "7"}], 0, 0, set()),
    ],
    ids=[
        "nobody tells of it",
        "it is told that there is none",
        "it is told that there is one",
        "it is gone soon",
        "it comes later",
        "it was there where nobody asked anything",
        "a last line tells of it",
        "it says itself that it has done nothing",
        "and does in the end",
        "it is of another gateway",
        "what tells of it is damaged",
    ],
)
async def test_a_worker_without_any_line_is_missed_where_others_tell_of_it(
    tmp_path: Path, lines: list[dict[str, Any]], gaps: int, open_ends: int, undecidable: set[float]
) -> None:
    plan, *records = await logged(_config(), OF_TWO)
    ids = {asked.at: line["gateway.request_id"] for asked, line in zip(OF_TWO, records, strict=True)}
    begins = {**plan, "gateway.worker": 0, "gateway.begins": True}
    log = written([begins, *records, ended(0, 7, 102), *lines], tmp_path / "log")
    made = judged(_config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1]), log)
    assert (made.found.gaps, made.found.open) == (gaps, open_ends)
    assert made.found.unheard == gaps + open_ends
    told = {at for at, id in ids.items() if made.verdicts[id][1].kind == UNDECIDABLE}
    assert told == undecidable
    assert judged(_config(), log).found.tally.counts == {UNCHANGED: len(records)}


@COMMON
@given(STREAMS, OTHERS, st.data())
def test_of_workers_that_say_what_they_have_done_nothing_wrong_is_said(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str, data: st.DataObject
) -> None:
    """Both begin. One of them is killed at some time, and any of its lines may be lost, all of them too."""
    requests = [asked._replace(at=asked.at + number / 1000) for number, asked in enumerate(_requests(stream))]
    plan, *records = asyncio.run(logged(_config(), requests))
    truth = asyncio.run(logged(other, requests))[1:]
    size = len(records)
    killed = data.draw(st.integers(0, size))
    whose = [
        worker if number < killed else 0
        for number, worker in enumerate(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    ]
    lines = _of_two_workers(records, whose)
    marks = []
    for place in data.draw(st.lists(st.integers(0, size - 1), max_size=6)):
        for worker in (0, 1) if place < killed else (0,):
            own = [asked.at for asked, of in zip(requests[: place + 1], whose, strict=False) if of == worker]
            at_work = (0, 1) if place < killed else (0,)
            last = own[-1] if own else 0.0
            marks.append(marked(worker, len(own), requests[place].at + 0.0005, at_work, last=last))
    lost = data.draw(st.sampled_from(["some", "all"]))
    left = [
        line
        for line in (*lines, *marks)
        if line["gateway.worker"] == 0 or (lost == "some" and data.draw(st.booleans()))
    ]
    data.draw(st.randoms(use_true_random=False)).shuffle(left)
    begins = {**plan, "gateway.worker": 0, "gateway.since": NOW - 2, "gateway.workers": [0, 1]}
    log = written([begins, *left], tmp_path / "log")
    made = judged(other, log)
    for record, true in zip(records, truth, strict=True):
        if record["gateway.request_id"] in made.verdicts:
            _, after = made.verdicts[record["gateway.request_id"]]
            if after.kind != UNDECIDABLE:
                assert (after.kind, after.filter) == (
                    true["gateway.decision"],
                    true.get("gateway.filter", ""),
                )
    same = judged(_config(), log).found.tally
    assert same.counts[UNCHANGED] == same.total


@pytest.mark.parametrize(
    ("behind", "counts"),
    [
        ([ended(0, 4, 61)], (1, 0)),
        ([ended(0, 5, 61), 4], (1, 0)),
        ([], (0, 1)),
    ],
    ids=["it ends in order", "between others", "it is at work"],
)
async def test_what_was_under_way_may_have_been_counted_before_its_record_is_missing(
    tmp_path: Path, behind: list[Any], counts: tuple[int, int]
) -> None:
    """A request at 10 takes fifty seconds. Two others begin and end meanwhile, and no record of it is there."""
    plan, *records = await logged(_config(), [Asked(0), Asked(10), Asked(20), Asked(30), Asked(60)])
    slow = records.pop(1)
    records[1]["gateway.under_way_ms"] = 10_000.0
    records[2]["gateway.under_way_ms"] = 20_000.0
    last = {**records.pop(), "gateway.sequence": 5}
    for number, record in enumerate(records, 1):
        record["gateway.sequence"] = number
    lines = [*records, *[last if line == 4 else line for line in behind]]
    other = _config({"name": "all", "rate": "2/hour", "key": ["project_id"]})
    made = judged(other, written([plan, *lines], tmp_path / "log"))
    assert (made.found.gaps, made.found.open) == counts
    kinds = [made.verdicts[record["gateway.request_id"]][1].kind for record in records]
    assert kinds == [FORWARD, UNDECIDABLE, UNDECIDABLE]
    whole = judged(other, written([plan, *records, {**slow, "gateway.sequence": 4}], tmp_path / "whole"))
    kinds = [whole.verdicts[record["gateway.request_id"]][1].kind for record in records]
    assert kinds == [FORWARD, REFUSE, REFUSE]


async def test_workers_of_older_gateways_say_nothing_of_their_end(tmp_path: Path) -> None:
    plan, *records = await logged(_config(), OF_TWO)
    lines = [{**line, "record_version": 1} for line in _of_two_workers(records, [0, 1, 1, 0, 0, 0, 0])]
    other = _config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1])
    found = judged(other, written([plan, *lines], tmp_path / "log")).found
    assert (found.gaps, found.open, found.tally.counts[UNDECIDABLE]) == (0, 0, 0)


async def test_what_comes_behind_the_period_is_not_missing(tmp_path: Path) -> None:
    plan, *records = await logged(_config(), OF_TWO)
    lines = _of_two_workers(records, [0, 1, 0, 0, 0, 0, 1])
    log = written([plan, *lines, ended(0, 5, 102), ended(1, 2, 102)], tmp_path / "log")
    other = _config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1])
    found = judged(other, log, until=NOW + 50).found
    assert (found.gaps, found.open) == (0, 0)
    assert found.tally.total == 5 and not found.tally.counts[UNDECIDABLE]


@pytest.mark.parametrize(
    ("lines", "undecidable"),
    [
        ([ended(0, 0, 9)], False),
        ([ended(0, 5, 9)], True),
        ([{**ended(0, 5, 9), "gateway.last": NOW - 1}], True),
        ([], True),
    ],
    ids=["it has done nothing", "it has done something", "before", "nothing is known of it"],
)
async def test_a_worker_without_a_record_is_not_missed(
    tmp_path: Path, lines: list[dict[str, Any]], undecidable: bool
) -> None:
    """The file that its records were in is not there."""
    plan, *records = await logged(_config(), [Asked(0), Asked(1)])
    records = [{**record, "gateway.worker": 1} for record in records]
    other = _config({"name": "all", "rate": "20/hour", "key": ["project_id"]})
    made = judged(other, written([plan, *records, *lines, ended(1, 2, 9)], tmp_path / "log"))
    kinds = {after.kind for _, after in made.verdicts.values()}
    assert kinds == ({UNDECIDABLE} if undecidable else {FORWARD})


@pytest.mark.parametrize(
    ("begins", "undecidable"),
    [([True], False), ([False], True), ([False, True], False), ([None], False)],
    ids=["it begins with the worker", "a file repeats it", "in another file", "of an older gateway"],
)
async def test_a_configuration_that_is_told_again_is_no_beginning(
    tmp_path: Path, begins: list[bool | None], undecidable: bool
) -> None:
    plan, *records = await logged(_config(), [Asked(0), Asked(1)])
    plans = [
        {**plan, "gateway.worker": 0, **({} if each is None else {"gateway.begins": each})} for each in begins
    ]
    other = _config({"name": "all", "rate": "20/hour", "key": ["project_id"]})
    made = judged(other, written([*plans, *records, ended(0, 2, 9)], tmp_path / "log"))
    kinds = {after.kind for _, after in made.verdicts.values()}
    assert kinds == ({UNDECIDABLE} if undecidable else {FORWARD})


async def test_one_worker_that_begins_is_no_beginning_of_another(tmp_path: Path) -> None:
    """It has told of a reload, and of what it has done before there is nothing here."""
    plan, *records = await logged(_config(), [Asked(0), Asked(1)])
    told = [{**plan, "gateway.worker": number, "gateway.begins": bool(number)} for number in (0, 1)]
    lines = [*told, *({**record, "gateway.worker": 1} for record in records)]
    ends = [ended(0, 0, 9), ended(1, 2, 9)]
    other = _config({"name": "all", "rate": "20/hour", "key": ["project_id"]})
    made = judged(other, written([*lines, *ends], tmp_path / "log"))
    assert {after.kind for _, after in made.verdicts.values()} == {UNDECIDABLE}


@COMMON
@given(STREAMS, OTHERS)
def test_the_order_and_the_number_of_files_do_not_matter(
    tmp_path: Path, stream: list[tuple[float, str, str]], other: str
) -> None:
    plan, *records = asyncio.run(logged(_config(), _requests(stream)))
    whole = judged(other, written([plan, *records], tmp_path / "whole"))
    half = len(records) // 2
    one = written([plan, *records[half:]], tmp_path / "one")
    two = tmp_path / "two.gz"
    two.write_bytes(gzip.compress(written([plan, *records[:half]], tmp_path / "rest").read_bytes()))
    for files in ((one, two), (two, one)):
        made = judged(other, *files)
        assert made.verdicts == whole.verdicts
        assert made.found.tally.ordered()[:1] == [] or made.found.tally.counts == whole.found.tally.counts


ONLY_GET: dict[str, Any] = {"allow": ["GET"]}
OF_MEMBERS: dict[str, Any] = {"when": {"header": {"X-Roles": {"regex": "member"}}}}
BY_USER: dict[str, Any] = {"name": "users", "rate": "6/minute", "burst": 2, "key": ["header:X-User-Id"]}
LEFT: dict[str, Any] = {"mode": "shadow", "delegate": 0.5}
FOUND_OUT = {
    "a condition reads what token_auth has set": [KEYSTONE, {"methods": {**ONLY_GET, **OF_MEMBERS}}],
    "a limit counts by what token_auth has set": [KEYSTONE, {"rate_limit": {"limits": [BY_USER]}}],
    "a client says what only token_auth may": [
        {"rate_limit": {"limits": [BY_USER], "when": {"header": {"X-User-Id": {"regex": "mallory"}}}}},
        KEYSTONE,
    ],
    "a condition reads what was found in a body": [
        {"extract": {"fields": [{"header": "X-Kind", "json": "$.kind"}]}},
        {"methods": {**ONLY_GET, "when": {"header": {"X-Kind": {"regex": "a"}}}}},
    ],
    "a refusal is left to another": [{"methods": {**ONLY_GET, **LEFT}}, {"delegated": {}}],
    "the refusal of a limit is": [
        KEYSTONE,
        {"rate_limit": {"limits": LIMITS, **LEFT}},
        {"delegated": {}},
    ],
    "one in shadow reads what another has found out": [
        {"token_auth": {**KEYSTONE["token_auth"], "mode": "shadow"}},
        {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}], "mode": "shadow"}},
    ],
    "and an enforcing one does not": [
        {"token_auth": {**KEYSTONE["token_auth"], "mode": "shadow"}},
        {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}},
    ],
}


@pytest.mark.parametrize("filters", FOUND_OUT.values(), ids=FOUND_OUT.keys())
async def test_what_filters_tell_one_another_by_header_fields_finds_nothing_else_either(
    tmp_path: Path, filters: list[dict[str, Any]]
) -> None:
    text = text_of(filters=filters)
    requests = [
        Asked(at / 4, f"p{at % 2}", "POST" if at % 3 else "GET", body=b'{"kind": "a"}' if at % 3 else b"")
        for at in range(20)
    ]
    found = judged(text, written(await logged(text, requests), tmp_path / "log")).found
    assert found.tally.counts == {UNCHANGED: len(requests)}
    assert all(flips == [0, 0] for flips in found.tally.shadows.values())


IN_SHADOW: dict[str, Any] = {"token_auth": {**KEYSTONE["token_auth"], "mode": "shadow"}}
OF_PROJECTS: dict[str, Any] = {"name": "few", "rate": "1/hour", "burst": 2, "key": ["project_id"]}
MEMBERS: dict[str, Any] = {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}}
PROMOTED = [
    ([IN_SHADOW], [KEYSTONE]),
    ([IN_SHADOW], [KEYSTONE, MEMBERS]),
    ([IN_SHADOW], [KEYSTONE, MEMBERS, {"rate_limit": {"limits": [OF_PROJECTS]}}]),
    (
        [IN_SHADOW, {"rate_limit": {"limits": [OF_PROJECTS]}}],
        [KEYSTONE, {"rate_limit": {"limits": [OF_PROJECTS]}}],
    ),
    (
        [IN_SHADOW, {"rate_limit": {"limits": [OF_PROJECTS], "mode": "shadow"}}],
        [KEYSTONE, {"rate_limit": {"limits": [OF_PROJECTS]}}],
    ),
]


@pytest.mark.parametrize(("then", "now"), PROMOTED)
async def test_who_was_found_in_shadow_is_who_is_calling_when_that_is_enforced(
    tmp_path: Path, then: list[dict[str, Any]], now: list[dict[str, Any]]
) -> None:
    requests = [Asked(float(at), ("p1", "p2", "", "p1")[at % 4]) for at in range(16)]
    lines = await logged(text_of(filters=then), requests)
    truth = (await logged(text_of(filters=now), requests))[1:]
    assert {true["gateway.decision"] for true in truth} == {"forward", "refuse"}
    made = judged(text_of(filters=now), written(lines, tmp_path / "log"))
    for line, true in zip(lines[1:], truth, strict=True):
        _, after = made.verdicts[line["gateway.request_id"]]
        assert (after.kind, after.filter) == (true["gateway.decision"], true.get("gateway.filter", ""))


async def test_who_was_found_in_shadow_is_not_guessed_where_no_record_tells(tmp_path: Path) -> None:
    lines = await logged(text_of(filters=[IN_SHADOW]), [Asked(0), Asked(1, "")])
    for line in lines[1:]:
        line["gateway.filters"][0].pop("facts", None)
    made = judged(text_of(filters=[KEYSTONE]), written(lines, tmp_path / "log"))
    assert made.found.tally.counts == {UNDECIDABLE: 1, NEWLY_REFUSED: 1}
    assert "who it found to be calling is not recorded" in {
        after.reason for _, after in made.verdicts.values()
    }


async def test_who_was_found_by_what_others_in_shadow_had_made_is_not_guessed(tmp_path: Path) -> None:
    before = {"headers": {"request": {"set": {"X-A": "b"}}, "mode": "shadow"}}
    lines = await logged(text_of(filters=[before, IN_SHADOW]), [Asked(0)])
    made = judged(text_of(filters=[KEYSTONE]), written(lines, tmp_path / "log"))
    assert made.found.tally.counts == {UNDECIDABLE: 1}


async def test_what_a_filter_has_set_is_not_guessed_where_one_before_is_another(tmp_path: Path) -> None:
    methods = {"methods": {**ONLY_GET, **OF_MEMBERS}}
    old, new = (
        text_of(filters=[KEYSTONE, methods]),
        text_of(filters=[{"body_size": {"max": "1MiB"}}, KEYSTONE, methods]),
    )
    made = await _made(tmp_path, old, new, Asked(0), Asked(1, method="POST"))
    assert made.found.tally.counts == {UNDECIDABLE: 2}
    assert "whether its `when` holds is not known" in {after.reason for _, after in made.verdicts.values()}


async def test_keys_that_are_known_by_their_hashes_are_counted_anew(tmp_path: Path) -> None:
    """One that is let pass now, since fewer come to the limit, is not refused because it was."""
    limit = {"rate_limit": {"limits": [BY_USER]}}
    text = text_of(filters=[KEYSTONE, limit])
    requests = [Asked(at, target="/b" if at else "/a") for at in range(5)]
    lines = await logged(text, requests)
    made = judged(text, written(lines, tmp_path / "log"))
    assert [after.kind for _, after in made.verdicts.values()].count(FORWARD) == 2
    assert made.found.tally.counts == {UNCHANGED: 5}


async def _made(tmp_path: Path, text: str, other: str, *requests: Asked, **question: Any) -> Judged:
    return judged(other, written(await logged(text, requests), tmp_path / "log"), **question)


async def test_classes(tmp_path: Path) -> None:
    looser = _config(methods={"methods": {"allow": ["GET", "DELETE"]}})
    requests = [Asked(0), Asked(1, method="DELETE"), Asked(2, method="POST"), Asked(3, method="PUT")]
    made = await _made(tmp_path, _config(), looser, *requests)
    assert made.found.tally.counts == {UNCHANGED: 2, NEWLY_ALLOWED: 1, NEWLY_REFUSED: 1}
    other = text_of(filters=[KEYSTONE, {"rate_limit": {"limits": LIMITS}}, {"uuid": {"params": ["rest"]}}])
    made = await _made(tmp_path, _config(), other, Asked(0, method="DELETE"))
    assert made.found.tally.counts == {CHANGED: 1}


async def test_a_limit_by_another_key_has_other_cells(tmp_path: Path) -> None:
    """Those that were one are several now, and what the one held says nothing of them."""
    limit = {"name": "all", "rate": "5/hour", "key": ["project_id"]}
    requests = [Asked(at, method="POST" if at % 2 else "GET") for at in range(12)]
    finer = _config({**limit, "key": ["project_id", "method"]})
    made = await _made(tmp_path, _config(limit), finer, *requests)
    assert made.found.tally.counts == {UNCHANGED: 7, NEWLY_ALLOWED: 5}
    made = await _made(tmp_path, finer, _config(limit), *requests)
    assert made.found.tally.counts == {UNCHANGED: 7, NEWLY_REFUSED: 5}


async def test_who_the_client_is_behind_other_proxies_is_not_guessed(tmp_path: Path) -> None:
    own: dict[str, Any] = {"ip_allow": {"allow": ["192.0.2.0/24"]}}
    by_proxy = text_of(filters=[own], trusted_proxies=["192.0.2.0/24"])
    made = await _made(tmp_path, text_of(filters=[own]), by_proxy, Asked(0))
    ((_, after),) = made.verdicts.values()
    assert (after.kind, after.reason) == (UNDECIDABLE, "who the client is behind proxies is not recorded")
    # Where he is none of those that are trusted, he is who has asked.
    made = await _made(tmp_path, by_proxy, text_of(filters=[own]), Asked(0))
    assert made.found.tally.counts == {UNCHANGED: 1}
    no_reader = text_of(filters=[METHODS], trusted_proxies=["192.0.2.0/24"])
    made = await _made(tmp_path, text_of(filters=[METHODS]), no_reader, Asked(0))
    assert made.found.tally.counts == {UNCHANGED: 1}


@pytest.mark.parametrize(
    ("old", "new", "requests"),
    [
        pytest.param(
            text_of(filters=[LIMIT_OF_CLIENTS], trusted_proxies=["192.0.2.0/24"]),
            text_of(filters=[LIMIT_OF_CLIENTS]),
            [Asked(at, headers=(("X-Forwarded-For", f"198.51.100.{at % 4}"),)) for at in range(10)],
            id="client",
        ),
        pytest.param(
            text_of(filters=[LIMIT_OF_ROUTES], routes=ROUTES[:1]),
            text_of(
                filters=[LIMIT_OF_ROUTES],
                routes=[ROUTES[0], {**ROUTES[1], "path": "/blue/{rest*}"}],
            ),
            [Asked(at, target=f"/{('green', 'blue')[at % 2]}/x") for at in range(10)],
            id="route",
        ),
        pytest.param(
            text_of(filters=[LIMIT_OF_FIELDS], routes=ROUTES),
            text_of(filters=[LIMIT_OF_FIELDS], routes=[ROUTES[0], OWNING]),
            [Asked(at, headers=(("X-Project-Id", f"p{at % 3}"),)) for at in range(10)],
            id="a field that is taken from clients now",
        ),
        pytest.param(
            text_of(filters=[LIMIT_OF_FIELDS], routes=[ROUTES[0], OWNING]),
            text_of(filters=[LIMIT_OF_FIELDS], routes=ROUTES),
            [Asked(at, headers=(("X-Project-Id", f"p{at % 3}"),)) for at in range(10)],
            id="a field that was",
        ),
        pytest.param(
            text_of(filters=[LIMIT_OF_FRONT], routes=[ROUTES[0], JUDGING]),
            text_of(filters=[LIMIT_OF_FRONT], routes=[{**ROUTES[0], "filters": [FRONT]}, JUDGING]),
            [Asked(at, headers=(("X-PP-User", f"p{at % 3}"),)) for at in range(10)],
            id="a field that is judged now",
        ),
        pytest.param(
            text_of(filters=[LIMIT_OF_FRONT], routes=[{**ROUTES[0], "filters": [FRONT]}, JUDGING]),
            text_of(filters=[LIMIT_OF_FRONT], routes=[ROUTES[0], JUDGING]),
            [Asked(at, headers=(("X-PP-User", f"p{at % 3}"),)) for at in range(10)],
            id="a field that was judged then",
        ),
    ],
)
async def test_a_cell_says_nothing_of_whom_another_key_counts_with_now(
    tmp_path: Path, old: str, new: str, requests: list[Asked]
) -> None:
    """What is decided is what happens, whatever the cells of the keys that were have held."""
    truth = (await logged(new, requests))[1:]
    made = await _made(tmp_path, old, new, *requests)
    assert len({record["gateway.decision"] for record in truth}) == 2, "the limit must refuse some"
    for (_, after), true in zip(made.verdicts.values(), truth, strict=True):
        assert after.kind in (UNDECIDABLE, true["gateway.decision"])


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (FRONT, FRONT, [(FORWARD, ""), (FORWARD, ""), (REFUSE, "methods")]),
        (
            METHODS,
            FRONT,
            [(FORWARD, ""), (UNDECIDABLE, "rate_limit"), (REFUSE, "methods")],
        ),
    ],
    ids=["it was judged", "it was taken from the client"],
)
async def test_a_field_that_is_judged_is_known_where_it_was_or_was_not_sent(
    tmp_path: Path, then: dict[str, Any], now: dict[str, Any], told: list[tuple[str, str]]
) -> None:
    """And where a request was refused before it came to who judges."""
    limit: dict[str, Any] = {
        "rate_limit": {"limits": [{"name": "l", "rate": "3/day", "key": ["header:X-PP-User", "method"]}]}
    }
    old, new = (
        text_of(filters=[METHODS, limit], routes=[{**ROUTES[0], "filters": [entry]}, JUDGING])
        for entry in (then, now)
    )
    requests = [
        Asked(0),
        Asked(1, headers=(("X-PP-User", "p1"),)),
        Asked(2, method="DELETE", headers=(("X-PP-User", "p1"),)),
    ]
    lines = await logged(old, requests)
    made = judged(new.replace("3/day", "2/day"), written(lines, tmp_path / "log"))
    verdicts = [made.verdicts[line["gateway.request_id"]][1] for line in lines[1:]]
    assert [(verdict.kind, verdict.filter) for verdict in verdicts] == told


@pytest.mark.parametrize("lost", [0, 1])
async def test_what_is_missing_may_not_have_been_charged_by_this_configuration(
    tmp_path: Path, lost: int
) -> None:
    """So the cells that others found after it say nothing, though the limit is what it was."""
    limit: dict[str, Any] = {"rate_limit": {"limits": [{**ALL, "rate": "2/day"}]}}
    requests = [Asked(at, method="DELETE" if at < 2 else "GET") for at in range(5)]
    old, new = text_of(filters=[limit]), text_of(filters=[METHODS, limit])
    lines = await logged(old, requests)
    del lines[1 + lost]
    made = judged(new, written(lines, tmp_path / "log"))
    kinds = [after.kind for _, after in made.verdicts.values()]
    assert kinds == [REFUSE, *[UNDECIDABLE] * 3]
    assert {UNCHANGED} == set(judged(old, written(lines, tmp_path / "same")).found.tally.counts)


def _in_force(plan: dict[str, Any], number: int, at: float, **described: Any) -> dict[str, Any]:
    """The line of a reload, so many seconds after noon."""
    return {
        **plan,
        "timestamp": datetime.fromtimestamp(NOW + at, UTC).isoformat(),
        "gateway.worker": 0,
        "gateway.begins": number == 1,
        "gateway.generation": number,
        "gateway.plan": {**plan["gateway.plan"], **described},
    }


SAME = [*[FORWARD] * 5, *[REFUSE] * 3]
"""What `ALL` makes of eight exchanges."""


@pytest.mark.parametrize(
    ("number", "marks", "lost", "told"),
    [
        (2, [], {3, 4}, SAME),
        (3, [], {3, 4}, [*[UNDECIDABLE] * 2, "", "", *[UNDECIDABLE] * 4]),
        (3, [2.5], {3, 4}, [*[FORWARD] * 2, "", "", *[UNDECIDABLE] * 4]),
        (3, [2.5], set(), [*[FORWARD] * 2, *[UNDECIDABLE] * 6]),
        (2, [2.5], set(), SAME),
    ],
    ids=[
        "none",
        "one",
        "that came later",
        "and what it charged has no number",
        "none where nothing is missing",
    ],
)
async def test_what_a_configuration_has_charged_that_the_log_does_not_describe_is_not_known(
    tmp_path: Path, number: int, marks: list[float], lost: set[int], told: list[str]
) -> None:
    """It was in force for a while, with a log of its own. Then that of before was again, and has the number after it."""
    text = text_of(filters=[{"rate_limit": {"limits": [ALL]}}])
    plan, *records = await logged(text, [Asked(float(at)) for at in range(1, 9)])
    lines = [_in_force(plan, 1, 0.0), _in_force(plan, number, 4.5)]
    lines += [{**marked(0, 2, at, last=2), "gateway.workers": [0]} for at in marks]
    lines += [record for place, record in enumerate(records, 1) if place not in lost]
    last = {**ended(0, 8, 9), "gateway.generation": number}
    made = judged(text, written([*lines, last], tmp_path / "log"))
    ids = [record["gateway.request_id"] for record in records]
    assert [made.verdicts[id][1].kind if id in made.verdicts else "" for id in ids] == [
        kind if place not in lost else "" for place, kind in enumerate(told, 1)
    ]


@pytest.mark.parametrize(
    ("number", "ago", "undecidable"),
    [(1, 90.0, False), (7, 90.0, True), (7, 3500.0, True), (7, 4000.0, False)],
    ids=["it was the first", "another was in force just before", "within the hour", "for longer"],
)
async def test_a_log_that_begins_under_a_configuration_says_nothing_of_one_before_it(
    tmp_path: Path, number: int, ago: float, undecidable: bool
) -> None:
    """For as long as what that charged may be in a cell."""
    text = text_of(filters=[{"rate_limit": {"limits": [ALL]}}])
    plan, *records = await logged(text, [Asked(float(at)) for at in range(1, 9)])
    repeated = {**_in_force(plan, number, -ago), "gateway.begins": False}
    last = {**ended(0, 8, 9), "gateway.generation": number}
    counts = judged(text, written([repeated, *records[2:], last], tmp_path / "log")).found.tally.counts
    assert counts == {UNDECIDABLE if undecidable else UNCHANGED: 6}


@pytest.mark.parametrize(
    ("passed", "number", "undecidable"),
    [(0.001, 1, {7, 8, 9, 10}), (1.0, 1, set()), (0.001, 2, {7, 8, 9})],
    ids=["all", "all are kept", "until another configuration keeps all"],
)
async def test_what_a_sample_has_left_out_is_missing_though_no_record_says_so(
    tmp_path: Path, passed: float, number: int, undecidable: set[int]
) -> None:
    """Numbers are given to those that are kept, and no record that is kept was kept by chance."""
    limit: dict[str, Any] = {"rate_limit": {"limits": [{**ALL, "rate": "6/hour"}]}}
    times = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 4000.0]
    old, new = text_of(filters=[limit]), text_of(filters=[METHODS, limit])
    plan, *records = await logged(
        old, [Asked(at, method="DELETE" if place < 6 else "GET") for place, at in enumerate(times)]
    )
    kept = [{**record, "gateway.sequence": place} for place, record in enumerate(records[6:], 1)]
    begins = _in_force(plan, 1, 0.0, sample={"passed": passed, "slow": 1.0})
    later = [_in_force(plan, 2, 100.0)] if number == 2 else []
    last = {**ended(0, len(kept), 4001), "gateway.generation": number}
    log = written([begins, *later, *kept, last], tmp_path / "log")
    made = judged(new, log)
    told = {
        place
        for place, record in enumerate(records, 1)
        if record["gateway.request_id"] in made.verdicts
        and made.verdicts[record["gateway.request_id"]][1].kind == UNDECIDABLE
    }
    assert (told, made.found.sampled) == (undecidable, passed < 1)
    assert judged(old, log).found.tally.counts == {UNCHANGED: 4}


async def test_what_is_judged_before_filters_is_judged_by_its_new_bounds(tmp_path: Path) -> None:
    requests = [Asked(0), Asked(1, target="/" + "a" * 2000)]
    made = await _made(tmp_path, text_of(), text_of(limits={"target_length": 1024}), *requests)
    assert made.found.tally.counts == {UNCHANGED: 1, NEWLY_REFUSED: 1}
    made = await _made(tmp_path, text_of(), text_of(limits={"header_count": 256}), *requests)
    assert made.found.tally.counts == {UNCHANGED: 2}
    made = await _made(tmp_path, text_of(), text_of(limits={"header_count": 16}), *requests)
    assert made.found.tally.counts == {UNDECIDABLE: 2}


async def test_a_cost_that_answers_say_is_not_guessed(tmp_path: Path) -> None:
    dear = {"name": "dear", "rate": "10/hour", "key": ["project_id"], "cost": {"header": "X-Cost", "max": 9}}
    requests = [Asked(at) for at in range(4)]
    made = await _made(tmp_path, text_of(filters=[KEYSTONE]), _config(dear), *requests)
    kinds = [after.kind for _, after in made.verdicts.values()]
    assert kinds == [FORWARD, UNDECIDABLE, UNDECIDABLE, UNDECIDABLE]
    made = await _made(tmp_path, _config(dear), _config(dear), *requests)
    assert made.found.tally.counts == {UNCHANGED: 4}


async def test_an_answer_of_a_filter_that_says_no_refuses(tmp_path: Path) -> None:
    gone: dict[str, Any] = {"respond": {"status": 503}}
    made = await _made(tmp_path, text_of(), text_of(filters=[gone]), Asked(0))
    assert made.found.tally.counts == {NEWLY_REFUSED: 1}
    made = await _made(tmp_path, text_of(filters=[gone]), text_of(), Asked(0))
    assert made.found.tally.counts == {NEWLY_ALLOWED: 1}
    fine: dict[str, Any] = {"respond": {"status": 200}}
    made = await _made(tmp_path, text_of(), text_of(filters=[fine]), Asked(0))
    assert made.found.tally.counts == {CHANGED: 1}


async def test_records_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    lines = await logged(_config(), [Asked(float(at)) for at in range(9)])
    log, copy = written(lines, tmp_path / "log"), written(lines[:5], tmp_path / "copy")
    with pytest.raises(DoubledError, match="record 1 of worker 0"):
        judged(_config(), log, copy)
    with pytest.raises(DoubledError):
        judged(_config(), written([*lines, *lines], tmp_path / "twice"))


@pytest.mark.parametrize("again", [slice(10, 11), slice(5, 15), slice(0, 3), slice(19, 20)])
async def test_some_records_that_are_there_twice_are_refused_wherever_they_are(
    tmp_path: Path, again: slice
) -> None:
    plan, *lines = await logged(_config(), [Asked(float(at)) for at in range(20)])
    more = written([plan, *lines[again]], tmp_path / "more")
    for place in (0, 7, 20):
        one = written([plan, *lines[:place], *lines[again], *lines[place:]], tmp_path / "one")
        for files in ([one], [written([plan, *lines], tmp_path / "all"), more]):
            with pytest.raises(DoubledError, match="is there twice"):
                judged(_config(), *files)


@pytest.mark.parametrize(
    "cell",
    [
        ["all", "x", "y", "z"],
        ["all", "x", 1, [1e308, 2]],
        ["all", 7, 1, None],
        ["all"],
        7,
        ["all", "x", 1, ["x", 1, 1]],
    ],
)
async def test_a_record_whose_cells_are_damaged_is_passed_over(tmp_path: Path, cell: Any) -> None:
    lines = await logged(_config(), [Asked(0), Asked(1)])
    step = next(step for step in lines[1]["gateway.filters"] if step["type"] == "rate_limit")
    step["facts"]["cells"] = [cell]
    made = judged(_config(), written(lines, tmp_path / "log"))
    assert (made.found.skipped, made.found.tally.total) == (1, 1)


async def test_who_was_known_before_another_was_found_is_not_who_was_known_in_the_end(tmp_path: Path) -> None:
    rbac = {"rbac": {"rows": [{"path": "/{rest*}", "roles": ["member"]}]}}
    other = {"token_auth": {**KEYSTONE["token_auth"], "name": "other"}}
    text = text_of(filters=[KEYSTONE, rbac, other])
    lines = await logged(text, [Asked(0), Asked(1)])
    for line in lines[1:]:
        line["gateway.facts"]["principal"]["roles"] = ["reader"]
    log = written(lines, tmp_path / "log")
    assert judged(text, log).found.tally.counts == {UNCHANGED: 2}
    assert judged(text_of(filters=[KEYSTONE, rbac]), log).found.tally.counts == {UNDECIDABLE: 2}
    assert judged(text_of(filters=[KEYSTONE, other, rbac]), log).found.tally.counts == {NEWLY_REFUSED: 2}


async def test_what_was_learnt_of_another_request_is_not_believed(tmp_path: Path) -> None:
    edit: dict[str, Any] = {"headers": {"request": {"remove": ["X-Auth-Token"]}}}
    old, new = text_of(filters=[KEYSTONE]), text_of(filters=[edit, KEYSTONE])
    for one, two in ((old, new), (new, old)):
        made = await _made(tmp_path, one, two, Asked(0))
        assert made.found.tally.counts == {UNDECIDABLE: 1}
    harmless: dict[str, Any] = {"body_size": {"max": "1MiB"}}
    made = await _made(tmp_path, old, text_of(filters=[harmless, KEYSTONE]), Asked(0))
    assert made.found.tally.counts == {UNCHANGED: 1}


def _routed(limit: dict[str, Any], *paths: str) -> str:
    routes = [{"name": path.strip("/{}"), "path": path, "upstream": "main"} for path in paths]
    return text_of(filters=[{"rate_limit": {"limits": [limit]}}], routes=routes)


async def test_a_cell_of_one_key_says_nothing_of_another(tmp_path: Path) -> None:
    """The limit is what it was, and not what its key is made of."""
    by_route = {"name": "l", "rate": "5/hour", "key": ["route"]}
    requests = [Asked(at, target="/a" if at % 2 else "/b") for at in range(16)]
    made = await _made(tmp_path, _routed(by_route, "/a", "/b"), _routed(by_route, "/{either}"), *requests)
    assert made.found.tally.counts == {UNCHANGED: 11, NEWLY_REFUSED: 5}
    by_field: dict[str, Any] = {"rate_limit": {"limits": [{**by_route, "key": ["header:X-Auth-Token"]}]}}
    edit: dict[str, Any] = {"headers": {"request": {"remove": ["X-Auth-Token"]}}}
    made = await _made(tmp_path, text_of(filters=[by_field]), text_of(filters=[edit, by_field]), *requests)
    for before, after in made.verdicts.values():
        assert after.kind in (UNDECIDABLE, before.kind)


@pytest.mark.parametrize(
    "new",
    [
        {"rate_limit": {"limits": [ALL], "exempt": {"paths": ["/free"]}}},
        {"rate_limit": {"limits": [ALL], "when": {"path": "/b"}}},
    ],
)
async def test_what_is_not_charged_any_more_leaves_room_for_others(
    tmp_path: Path, new: dict[str, Any]
) -> None:
    requests = [
        *(Asked(at, target="/free") for at in range(5)),
        *(Asked(at, target="/b") for at in range(5, 11)),
    ]
    old: dict[str, Any] = {"rate_limit": {"limits": [ALL]}}
    made = await _made(tmp_path, text_of(filters=[old]), text_of(filters=[new]), *requests)
    assert made.found.tally.counts == {UNCHANGED: 6, NEWLY_ALLOWED: 5}


async def test_what_is_refused_before_filters_now_is_not_charged_either(tmp_path: Path) -> None:
    long = "/" + "a" * 2000
    requests = [*(Asked(at, target=long) for at in range(5)), *(Asked(at) for at in range(5, 10))]
    old: dict[str, Any] = {"rate_limit": {"limits": [ALL]}}
    tighter = text_of(filters=[old], limits={"target_length": 1024})
    made = await _made(tmp_path, text_of(filters=[old]), tighter, *requests)
    assert made.found.tally.counts == {NEWLY_REFUSED: 5, NEWLY_ALLOWED: 5}
    # And the other way round nobody knows whether those come so far.
    lines = await logged(tighter, requests)
    for line, asked in zip(lines[1:], requests, strict=True):
        line["gateway.facts"]["clock"] = NOW + asked.at  # a trial refuses by the clock on the wall
    made = judged(text_of(filters=[old]), written(lines, tmp_path / "log"))
    assert made.found.tally.counts == {UNDECIDABLE: 10}


async def test_a_limit_that_has_refused_and_is_gone_refuses_for_no_other(tmp_path: Path) -> None:
    other = {"name": "other", "rate": "100/hour", "key": ["project_id"]}
    both, one = ({"rate_limit": {"limits": limits}} for limits in ([ALL, other], [other]))
    made = await _made(
        tmp_path, text_of(filters=[both]), text_of(filters=[one]), *(Asked(at) for at in range(9))
    )
    assert made.found.tally.counts == {UNCHANGED: 5, NEWLY_ALLOWED: 4}


async def test_a_limit_moved_to_one_route_is_not_charged_by_another(tmp_path: Path) -> None:
    limit: dict[str, Any] = {"rate_limit": {"limits": [ALL]}}
    routes = [{"name": name, "path": f"/{name}", "upstream": "main"} for name in ("a", "b")]
    moved = [{**routes[0], "filters": [limit]}, routes[1]]
    requests = [Asked(at, target="/a" if at % 2 else "/b") for at in range(14)]
    made = await _made(tmp_path, text_of(filters=[limit], routes=routes), text_of(routes=moved), *requests)
    # Of 14 five passed. Now seven come to no limit, and of the other seven five pass.
    assert made.found.tally.counts == {UNCHANGED: 7, NEWLY_ALLOWED: 7}


async def test_what_another_definition_has_counted_is_not_forgotten_at_a_reload(tmp_path: Path) -> None:
    limit = {**ALL, "rate": "8/hour"}
    old, new = (
        text_of(filters=[{"rate_limit": {"limits": [limit]}}]),
        text_of(filters=[{"rate_limit": {"limits": [ALL]}}]),
    )
    first = await logged(old, [Asked(at) for at in range(5)])
    second = await logged(new, [Asked(at) for at in range(5, 11)])
    for number, line in enumerate(second[1:], 6):
        line["gateway.sequence"] = number
    made = judged(new, written([*first, *second], tmp_path / "log"))
    verdicts = [after.kind for _, after in made.verdicts.values()]
    assert verdicts[:5] == [FORWARD] * 5
    assert FORWARD not in verdicts[5:]


def _counted_elsewhere(record: dict[str, Any], reason: str) -> dict[str, Any]:
    """The record where the limit has not been counted by the cells of all: paid by what was drawn ahead, or by those of a process."""
    steps = []
    for step in record["gateway.filters"]:
        facts = step.get("facts")
        if facts is not None and (reason == "rate_counted_locally" or step["verdict"] == "pass"):
            cells = [[*cell[:3], None] for cell in facts["cells"]]
            facts = {"cells": cells} if reason == "rate_leased" else {**facts, "because": "refused"}
            step = {**step, "facts": facts}
            if step["verdict"] == "pass":
                step["reason"] = reason
        steps.append(step)
    return {**record, "gateway.filters": steps}


@pytest.mark.parametrize("reason", ["rate_leased", "rate_counted_locally"])
@pytest.mark.parametrize("was", [["GET"], ["GET", "POST"]], ids=["more come to it", "fewer do"])
async def test_what_is_not_counted_by_the_cells_of_all_is_what_it_was_only_where_nothing_is_counted_otherwise(
    tmp_path: Path, was: list[str], reason: str
) -> None:
    def configured(allow: list[str]) -> str:
        store: dict[str, Any] = {"url": "redis://127.0.0.1:1"}
        if reason == "rate_leased":
            store["lease"] = {"share": 2, "time": "5s"}
        limits = [{"name": "l", "rate": "3/day", "key": ["global"]}]
        return text_of(
            filters=[{"methods": {"allow": allow}}, {"rate_limit": {"limits": limits, "store": store}}]
        )

    text, other = configured(was), configured(["GET"] if "POST" in was else ["GET", "POST"])
    requests = [Asked(float(at), method="POST" if at < 2 else "GET") for at in range(6)]
    plan, *records = await logged(text, requests)
    log = written([plan, *(_counted_elsewhere(record, reason) for record in records)], tmp_path / "log")
    assert judged(text, log).found.tally.counts == {UNCHANGED: 6}
    kinds = [after.kind for _, after in judged(other, log).verdicts.values()]
    assert kinds[2:] == [UNDECIDABLE] * 4


def _flying(allow: list[str], most: int = 1, **limit: Any) -> str:
    concurrency = {"limits": [{"name": "c", "key": ["global"], "max": most, **limit}]}
    return text_of(filters=[{"methods": {"allow": allow}}, {"concurrency": concurrency}])


def _exceeded(record: dict[str, Any]) -> dict[str, Any]:
    """The record where somebody else was under way."""
    methods, concurrency = record["gateway.filters"]
    said = {"verdict": "refuse", "reason": "concurrency_exceeded", "status": 429, "facts": {"used": 1}}
    return {
        **record,
        "gateway.decision": "refuse",
        "gateway.filter": "concurrency",
        "gateway.reason": "concurrency_exceeded",
        "http.response.status_code": 429,
        "gateway.filters": [methods, {**concurrency, **said}],
    }


def _said(made: Judged, lines: Sequence[dict[str, Any]]) -> list[str]:
    return [made.verdicts[line["gateway.request_id"]][1].kind for line in lines]


async def test_who_was_refused_since_another_was_under_way_may_pass_where_that_is_refused(
    tmp_path: Path,
) -> None:
    text = _flying(["GET", "POST"])
    plan, post, get, *later = await logged(
        text, [Asked(0, method="POST"), Asked(1), Asked(1.5, method="POST"), Asked(3), Asked(900)]
    )
    post |= {"gateway.duration_ms": 2000.0, "gateway.sequence": 3}
    get, other = (
        {**_exceeded(line), "gateway.sequence": number} for number, line in ((1, get), (2, later.pop(0)))
    )
    lines = [post, get, other, *later]
    log = written([plan, *lines], tmp_path / "log")
    for same in (text, _flying(["GET", "POST", "PUT"])):
        assert judged(same, log).found.tally.counts == {UNCHANGED: 5}
    assert _said(judged(_flying(["GET"]), log), lines) == [
        REFUSE,
        UNDECIDABLE,
        REFUSE,
        UNDECIDABLE,  # the one before may have passed, and be under way
        FORWARD,
    ]


@pytest.mark.parametrize(
    ("most", "queue", "told"),
    [(1, {}, UNDECIDABLE), (2, {}, FORWARD), (1, {"queue": {"max": 3}}, UNDECIDABLE)],
)
async def test_who_has_passed_may_be_refused_where_another_is_under_way_that_was_not(
    tmp_path: Path, most: int, queue: dict[str, Any], told: str
) -> None:
    plan, *lines = await logged(
        _flying(["GET"], most, **queue), [Asked(0, method="POST"), Asked(1), Asked(900)]
    )
    log = written([plan, *lines], tmp_path / "log")
    made = judged(_flying(["GET", "POST"], most, **queue), log)
    assert _said(made, lines) == [UNDECIDABLE, told, FORWARD]
    assert _said(judged(_flying(["GET", "POST"], most, **queue), log, since=NOW + 0.5), lines[1:]) == [
        told,
        FORWARD,
    ]


async def test_what_is_refused_behind_it_now_is_not_under_way_for_as_long(tmp_path: Path) -> None:
    def behind(allow: list[str]) -> str:
        limits = [{"name": "c", "key": ["global"], "max": 1}]
        return text_of(filters=[{"concurrency": {"limits": limits}}, {"methods": {"allow": allow}}])

    plan, post, get = await logged(behind(["GET", "POST"]), [Asked(0, method="POST"), Asked(1)])
    post |= {"gateway.duration_ms": 2000.0, "gateway.sequence": 2}
    get["gateway.filters"].reverse()
    get = {**_exceeded(get), "gateway.sequence": 1}
    get["gateway.filters"] = get["gateway.filters"][1:]
    log = written([plan, post, get], tmp_path / "log")
    assert _said(judged(behind(["GET", "POST", "PUT"]), log), [post, get]) == [FORWARD, REFUSE]
    assert _said(judged(behind(["GET"]), log), [post, get]) == [REFUSE, UNDECIDABLE]


async def test_who_is_of_another_route_now_is_under_way_with_others(tmp_path: Path) -> None:
    limits = [{"name": "c", "key": ["route"], "max": 1}]
    text, other = (
        text_of(filters=[{"concurrency": {"limits": limits}}], routes=ROUTES[:number]) for number in (1, 2)
    )
    plan, slow, get = await logged(text, [Asked(0, target="/zz"), Asked(1)])
    slow |= {"gateway.duration_ms": 2000.0, "gateway.sequence": 2}
    get["gateway.filters"].insert(0, {**get["gateway.filters"][0], "name": "methods", "type": "methods"})
    get = {**_exceeded(get), "gateway.sequence": 1}
    get["gateway.filters"] = get["gateway.filters"][1:]
    log = written([plan, slow, get], tmp_path / "log")
    assert _said(judged(text, log), [slow, get]) == [FORWARD, REFUSE]
    assert _said(judged(other, log), [slow, get]) == [UNDECIDABLE, UNDECIDABLE]


async def test_what_is_not_in_the_log_may_be_under_way_otherwise(tmp_path: Path) -> None:
    """Where a configuration has made it by which it is not judged now."""
    text = _flying(["GET"])
    plan, *lines = await logged(text, [Asked(float(at)) for at in range(4)])
    log = written([plan, lines[0], *lines[2:]], tmp_path / "log")
    assert _said(judged(text, log), [lines[0], *lines[2:]]) == [FORWARD] * 3
    told = _said(judged(_flying(["GET", "POST"]), log), [lines[0], *lines[2:]])
    assert told == [FORWARD, UNDECIDABLE, UNDECIDABLE]


async def test_under_a_configuration_that_the_log_does_not_describe_others_may_have_been_under_way(
    tmp_path: Path,
) -> None:
    text = _flying(["GET"])
    plan, *lines = await logged(text, [Asked(float(at)) for at in range(2)])
    other, slow = await logged(_flying(["GET", "POST"]), [Asked(0.5, method="POST")])
    back = {**plan, "timestamp": "2026-01-01T12:00:00.700Z", "gateway.begins": False, "gateway.generation": 3}
    lines = [lines[0], slow | {"gateway.duration_ms": 2000.0}, _exceeded(lines[1])]
    for record, number in zip(lines, (1, 3, 2), strict=True):
        record["gateway.sequence"] = number
    for known in ([{**other, "timestamp": "2026-01-01T12:00:00.300Z", "gateway.generation": 2}], []):
        log = written([plan, *known, back, *lines], tmp_path / "log")
        told = _said(judged(text, log), lines)
        assert told == ([FORWARD, REFUSE, UNDECIDABLE] if known else [UNDECIDABLE] * 3)


async def _in_turn(*phases: tuple[str, Sequence[Asked]]) -> list[dict[str, Any]]:
    """The lines of one worker of which each of these configurations was in force in turn, a minute each, where none has what the
    one before had counted."""
    lines: list[dict[str, Any]] = []
    records = 0
    for number, (text, requests) in enumerate(phases):
        moved = [asked._replace(at=asked.at + 60 * number) for asked in requests]
        plan, *made = await logged(text, moved)
        told = datetime.fromtimestamp(NOW - 1 + 60 * number, UTC).isoformat()
        lines.append({**plan, "timestamp": told, "gateway.begins": not number, "gateway.worker": 0})
        for record in made:
            records += 1
            lines.append({**record, "gateway.worker": 0, "gateway.sequence": records})
    return [*lines, ended(0, records, 60 * len(phases))]


@pytest.mark.parametrize("between", [0, 2])
@pytest.mark.parametrize(
    "other",
    [{"mode": "shadow"}, {"mode": "off"}, {"name": "renamed"}, None],
    ids=["in shadow", "off", "renamed", "gone"],
)
async def test_what_was_dropped_by_a_configuration_in_between_is_there_still(
    tmp_path: Path, other: dict[str, Any] | None, between: int
) -> None:
    """Under the configuration that has the limit all along; whether or not a request came while it was away."""
    limits = {"limits": [{"name": "l", "rate": "3/day", "key": ["global"]}]}
    text = text_of(filters=[METHODS, {"rate_limit": limits}])
    away = text_of(filters=[METHODS, *([{"rate_limit": {**limits, **other}}] if other else [])])
    few = [Asked(float(at)) for at in range(2)]
    lines = await _in_turn((text, few), (away, few[:between]), (text, few))
    made = judged(text, written(lines, tmp_path / "log"))
    told = [after.kind for _, after in made.verdicts.values()]
    assert told == ([FORWARD] * 3 + [REFUSE] * 3)[: 4 + between]
    assert [before.kind for before, _ in made.verdicts.values()] == [FORWARD] * (4 + between)


async def test_what_a_configuration_has_that_is_told_again_is_not_dropped(tmp_path: Path) -> None:
    """As in each file that the log goes on in."""
    text = text_of(filters=[METHODS, {"rate_limit": {"limits": [{**ALL, "rate": "3/day"}]}}])
    plan, *records = await logged(text, [Asked(float(at)) for at in range(4)])
    again = {**plan, "timestamp": "2026-01-01T12:00:01.500Z", "gateway.begins": False}
    log = written([plan, *records[1:2], again, *records[2:]], tmp_path / "log")
    assert judged(text, log).found.tally.counts == {UNCHANGED: 3}


async def test_against_another_configuration(tmp_path: Path) -> None:
    log = written(await logged(_config(), [Asked(0, method="DELETE")]), tmp_path / "log")
    without = text_of(filters=[KEYSTONE])
    found = judged(without, log, old_text=without, old_file="old.yaml").found
    assert found.tally.counts == {UNCHANGED: 1}
    assert judged(without, log).found.tally.counts == {NEWLY_ALLOWED: 1}


async def test_only_some_times_and_some_records(tmp_path: Path) -> None:
    requests = [Asked(0), Asked(10, "p2"), Asked(20)]
    made = await _made(tmp_path, _config(), _config(), *requests, since=NOW + 5, where="project_id = p2")
    assert made.found.tally.total == 1
    made = await _made(tmp_path, _config(), _config(), *requests, until=NOW + 15)
    assert made.found.tally.total == 2


async def test_what_comes_before_the_period_is_counted_as_it_would_be_now(tmp_path: Path) -> None:
    """It leaves room where it is refused now, of which no record in the period tells."""
    limit = {"name": "l", "rate": "3/day", "key": ["global"]}
    requests = [*(Asked(float(at), method="POST") for at in range(3)), *(Asked(10.0 + at) for at in range(4))]
    text, other = (
        text_of(filters=[{"methods": {"allow": allow}}, {"rate_limit": {"limits": [limit]}}])
        for allow in (["GET", "POST"], ["GET"])
    )
    made = await _made(tmp_path, text, other, *requests, since=NOW + 5)
    assert [after.kind for _, after in made.verdicts.values()] == [FORWARD, FORWARD, FORWARD, REFUSE]
    assert made.found.tally.counts == {NEWLY_ALLOWED: 3, UNCHANGED: 1}
    made = await _made(tmp_path, text, text, *requests, since=NOW + 5)
    assert made.found.tally.counts == {UNCHANGED: 4}


async def test_a_limit_that_was_never_counted_is_undecidable_until_it_must_be_empty(tmp_path: Path) -> None:
    """The beginning of the log is not there: what had been counted before is not known."""
    lines = await logged(_config(), [Asked(float(at)) for at in (0, 1, 2, 100)])
    other = _config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1])
    made = judged(other, written([lines[0], *lines[3:]], tmp_path / "log"))
    kinds = [made.verdicts[line["gateway.request_id"]][1].kind for line in lines[3:]]
    assert kinds == [UNDECIDABLE, FORWARD]


async def test_a_log_that_is_a_sample_says_of_other_limits_nothing(tmp_path: Path) -> None:
    lines = await logged(_config(), [Asked(0), Asked(100)])
    lines[1]["gateway.sample"] = 0.1
    log = written(lines, tmp_path / "log")
    other = judged(_config({**LIMITS[0], "rate": "20/minute"}, LIMITS[1]), log)
    assert other.found.sampled and other.found.tally.counts == {UNDECIDABLE: 2}
    assert judged(_config(), log).found.tally.counts == {UNCHANGED: 2}


async def test_lines_that_are_none_are_counted_and_passed_over(tmp_path: Path) -> None:
    log = written(await logged(_config(), [Asked(0)]), tmp_path / "log")
    with log.open("a") as stream:
        stream.write(
            '{"kind":"request"}\n[]\nnot json\n{"kind":"request","gateway.facts":{"clock":1},"gateway.revi'
        )
    made = judged(_config(), log)
    assert (made.found.skipped, made.found.tally.total) == (4, 1)


async def test_several_processes_find_the_same(tmp_path: Path) -> None:
    lines = await logged(_config(), [Asked(at / 2, f"p{at % 3}") for at in range(60)])
    one = written([lines[0], *lines[1:31]], tmp_path / "one")
    two = written([lines[0], *lines[31:]], tmp_path / "two")
    other = _config({**LIMITS[0], "burst": 1}, LIMITS[1])
    question = Question(other, "new.yaml", tmp_path)
    shares: list[float] = []
    found = backtest(question, [one, two], processes=2, progress=shares.append)
    assert found.tally.counts == judged(other, one, two).found.tally.counts
    assert found.tally.counts[NEWLY_REFUSED] > 0
    assert shares[-1] == 1.0 and shares == sorted(shares)


async def test_however_few_exchanges_are_held_the_same_is_found(tmp_path: Path) -> None:
    requests = [Asked(at / 2, f"p{at % 3}", "POST" if at % 7 else "GET") for at in range(60)]
    plan, *records = await logged(_config(), requests)
    random.Random(3).shuffle(records)
    log = written([plan, *records], tmp_path / "log")
    question = Question(_config({**LIMITS[0], "burst": 1}, LIMITS[1]), "new.yaml", tmp_path)
    found = [backtest(question, [log], processes=1, held=held).tally for held in (1, 7, 1000)]
    assert found[0].counts == found[1].counts == found[2].counts
    assert found[0].counts[NEWLY_REFUSED] > 0
    assert found[0].ordered()[0][1].examples == found[2].ordered()[0][1].examples


def test_what_is_wrong_with_the_question_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        backtest(Question("filters: 7", "new.yaml", tmp_path), [tmp_path / "none"])
    with pytest.raises(QueryError):
        backtest(Question(_config(), "new.yaml", tmp_path, where="status >"), [tmp_path / "none"])
    with pytest.raises(OSError, match="none"):
        backtest(Question(_config(), "new.yaml", tmp_path), [tmp_path / "none"])


async def test_an_exchange_that_took_long_is_no_gap_where_a_file_begins_with_it(tmp_path: Path) -> None:
    """Its record is the first of a file, and it began before all of the file before that."""
    text = _config({"name": "all", "rate": "1/hour", "burst": 30, "key": ["project_id"]})
    plan, *records = await logged(text, [Asked(0), Asked(5), Asked(1), Asked(7), Asked(0.5), Asked(9)])
    files = [
        written([plan, *records[at : at + 2]], tmp_path / f"log.{at}") for at in range(0, len(records), 2)
    ]
    other = _config({"name": "all", "rate": "2/hour", "burst": 30, "key": ["project_id"]})
    found = judged(other, *files).found
    assert found.gaps == 0 and found.tally.counts == {UNCHANGED: len(records)}


async def _two_gateways(tmp_path: Path) -> list[Path]:
    """Logs of two on one host, each with its memory."""
    files = []
    for number, start in enumerate((0.0, 0.25)):
        asked = [Asked(start + at) for at in range(4)]
        plan, *records = await logged(_config({"name": "all", "rate": "1/hour", "burst": 9}), asked)
        plan["gateway.plan"]["since"] -= number
        files += [
            written([plan, *records[:2]], tmp_path / f"{number}.1"),
            written([plan, *records[2:]], tmp_path / f"{number}"),
        ]
    return files


def _line_of(line: dict[str, Any]) -> tuple[float, int]:
    """Lines of several as they come to one file."""
    at = line["gateway.facts"]["clock"] if line["kind"] == "request" else 0.0
    return at, line.get("gateway.sequence", 0)


@pytest.mark.parametrize("says", [True, False], ids=["which records say", "of which revisions are told"])
async def test_two_gateways_that_write_one_file_are_not_counted_as_one(tmp_path: Path, says: bool) -> None:
    """Records say whose they are; of older ones that is known by the revision of the configuration."""
    lines = []
    for number, start in enumerate((0.0, 0.25)):
        since, revision = NOW - 2 - number, f"r{number}"
        plan, *records = await logged(
            _config({"name": "all", "rate": "1/hour", "burst": 9}), [Asked(start + at) for at in range(4)]
        )
        plan["gateway.plan"]["since"] = since
        told = {"gateway.since": since} if says else {"gateway.revision": revision}
        lines += [{**line, **told} for line in (plan, *records)]
    lines.sort(key=_line_of)
    other = _config({"name": "all", "rate": "1/hour", "burst": 3})
    found = judged(other, written(lines, tmp_path / "log")).found
    assert (found.gaps, found.open) == (0, 0)
    assert found.tally.counts == {UNCHANGED: 6, NEWLY_REFUSED: 2}


@pytest.mark.parametrize("says", [True, False], ids=["which records say", "in the order of time"])
@pytest.mark.parametrize("seed", [None, 3])
async def test_a_gateway_that_is_started_anew_counts_anew(
    tmp_path: Path, says: bool, seed: int | None
) -> None:
    """Also in one file, whose lines may be in any order."""
    text = _config({"name": "all", "rate": "1/hour", "burst": 9})
    lines = []
    for start in (0.0, 20.0):
        plan, *records = await logged(text, [Asked(start + at) for at in (1, 0, 2, 3)])
        since = NOW - 2 + start
        plan["gateway.plan"]["since"] = since
        plan["timestamp"] = datetime.fromtimestamp(since + 1, UTC).isoformat()
        told = {"gateway.since": since} if says else {}
        lines += [{**line, **told} for line in (plan, *records)]
    if seed is not None:
        random.Random(seed).shuffle(lines)
    other = _config({"name": "all", "rate": "1/hour", "burst": 3})
    found = judged(other, written(lines, tmp_path / "log")).found
    assert (found.gaps, found.open) == (0, 0)
    assert found.tally.counts == {UNCHANGED: 6, NEWLY_REFUSED: 2}


async def test_two_gateways_on_one_host_are_not_counted_as_one(tmp_path: Path) -> None:
    files = await _two_gateways(tmp_path)
    other = _config({"name": "all", "rate": "1/hour", "burst": 3})
    found = judged(other, *files).found
    assert found.gaps == 0 and found.tally.counts == {UNCHANGED: 6, NEWLY_REFUSED: 2}
    assert backtest(Question(other, "new.yaml", Path()), files[::-1], processes=2).tally.counts == {
        UNCHANGED: 6,
        NEWLY_REFUSED: 2,
    }


def _of_key(
    rate: str, name: str = "X-Color", *ahead: dict[str, Any], log: dict[str, Any] | None = None
) -> str:
    """A configuration with a limit of whom a header field tells."""
    limit = {"name": "few", "rate": rate, "key": [f"header:{name}"]}
    options = {} if log is None else {"log": log}
    return text_of(filters=[*ahead, {"rate_limit": {"limits": [limit]}}], **options)


def _with(name: str, *values: str) -> list[Asked]:
    return [Asked(at, headers=((name, value),)) for at, value in enumerate(values)]


REDACT: dict[str, Any] = {"redact": {"headers": ["x-color"]}}
KEYS: list[dict[str, Any]] = [{"hash_key": letter * 40} for letter in "ab"]


@pytest.mark.parametrize(
    ("name", "before", "after", "known"),
    [
        ("X-Color", None, REDACT, False),
        ("X-Color", REDACT, None, False),
        ("X-Api-Key", *KEYS, False),
        ("X-Color", *KEYS, True),  # which no hash stands for
        ("X-Api-Key", KEYS[0], {**KEYS[0], **REDACT}, True),
    ],
)
async def test_where_a_reload_has_values_told_otherwise_nobody_knows_whose_cell_is_whose(
    tmp_path: Path, name: str, before: dict[str, Any] | None, after: dict[str, Any] | None, known: bool
) -> None:
    requests = _with(name, *["one and the same"] * 6)
    first = await logged(_of_key("2/hour", name, log=before), requests[:3])
    second = await logged(_of_key("2/hour", name, log=after), requests[3:])
    for number, line in enumerate(second[1:], 4):
        line["gateway.sequence"] = number
    for plan, log in ((first[0], before), (second[0], after)):
        plan["gateway.worker"] = 0
        plan["gateway.plan"]["hashed_by"] = (log or {}).get("hash_key", "of the process")
    made = judged(_of_key("3/hour", name), written([*first, *second], tmp_path / "log"))
    kinds = [after.kind for _, after in made.verdicts.values()]
    assert kinds == [FORWARD] * 3 + ([REFUSE] if known else [UNDECIDABLE]) * 3


async def test_a_limit_by_a_secret_is_counted_anew_where_one_configuration_has_told_it(
    tmp_path: Path,
) -> None:
    requests = [*_with("X-Api-Key", *["key number 1"] * 4, "key number 2"), Asked(5), Asked(6)]
    log = written(await logged(_of_key("2/hour", "X-Api-Key"), requests), tmp_path / "log")
    made = judged(_of_key("1/hour", "X-Api-Key"), log)
    assert [after.kind for _, after in made.verdicts.values()] == [
        FORWARD,
        REFUSE,
        REFUSE,
        REFUSE,
        FORWARD,
        FORWARD,
        REFUSE,
    ]


@pytest.mark.parametrize(
    ("part", "keys", "methods", "told"),
    [
        ("project_id", "aa", "DELETE DELETE | GET GET", [REFUSE, REFUSE, FORWARD, FORWARD]),
        ("project_id", "ab", "DELETE DELETE | GET GET", [REFUSE, REFUSE, FORWARD, FORWARD]),
        ("project_id", ("a", ""), "DELETE DELETE | GET GET", [REFUSE, REFUSE, FORWARD, FORWARD]),
        ("project_id", ("", "b"), "DELETE DELETE | GET GET", [REFUSE, REFUSE, FORWARD, FORWARD]),
        ("header:X-Api-Key", "ab", "DELETE DELETE | GET GET", [REFUSE, REFUSE, FORWARD, FORWARD]),
        ("project_id", "aa", "GET | DELETE GET", [FORWARD, REFUSE, FORWARD]),
        ("project_id", "ab", "GET | DELETE GET", [FORWARD, REFUSE, FORWARD]),
        ("header:X-Api-Key", "aa", "GET | DELETE GET", [FORWARD, REFUSE, FORWARD]),
        ("header:X-Api-Key", "ab", "GET | DELETE GET", [FORWARD, REFUSE, UNDECIDABLE]),
        ("project_id", "ab", "DELETE GET | DELETE GET", [REFUSE, FORWARD] * 2),
    ],
)
async def test_what_is_not_charged_any_more_is_left_out_of_cells_by_whatever_key_they_were_hashed(
    tmp_path: Path, part: str, keys: Sequence[str], methods: str, told: list[str]
) -> None:
    """As when the gateway was upgraded, where no key is configured."""
    limit = {"rate_limit": {"limits": [{"name": "few", "rate": "2/hour", "key": [part]}]}}
    first, second = (half.split() for half in methods.split("|"))
    requests = [
        Asked(at, method=method, headers=(("X-Api-Key", "key-of-somebody"),))
        for at, method in enumerate([*first, *second])
    ]
    lines = upgraded(await logged(text_of(filters=[KEYSTONE, limit]), requests), len(first), keys)
    stricter = text_of(filters=[{"methods": {"allow": ["GET"]}}, KEYSTONE, limit])
    made = judged(stricter, written(lines, tmp_path / "log"))
    assert _kinds(made, lines) == told


OF_TOKEN: dict[str, Any] = {"name": "few", "rate": "2/hour", "key": ["token"]}


def _of_token(rate: str, **options: Any) -> str:
    return text_of(filters=[KEYSTONE, {"rate_limit": {"limits": [{**OF_TOKEN, "rate": rate}]}}], **options)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("aa", [FORWARD, REFUSE, REFUSE, REFUSE, FORWARD, REFUSE]),
        ("ab", [FORWARD, REFUSE, REFUSE, UNDECIDABLE, FORWARD, REFUSE]),
        (("a", ""), [FORWARD, REFUSE, REFUSE, *[UNDECIDABLE] * 3]),
    ],
)
async def test_a_token_is_told_by_a_hash_too(tmp_path: Path, keys: Sequence[str], told: list[str]) -> None:
    requests = [Asked(at) for at in (0, 1, 2, 3, 7300, 7301)]
    lines = upgraded(await logged(_of_token("2/hour"), requests), 3, keys)
    made = judged(_of_token("1/hour"), written(lines, tmp_path / "log"))
    assert _kinds(made, lines) == told


async def test_a_token_may_be_remembered_by_the_key_of_hashes_that_was_before(tmp_path: Path) -> None:
    """One that a reload has changed, while the gateway went on; so nobody knows whose a cell is from then on."""
    requests = [Asked(at) for at in (0, 1, 2, 3, 7300, 7301)]
    lines: list[dict[str, Any]] = []
    for log, some in zip(KEYS, (requests[:3], requests[3:]), strict=True):
        plan, *records = await logged(_of_token("2/hour", log=log), some)
        plan["timestamp"] = datetime.fromtimestamp(NOW + some[0].at - 0.5, UTC).isoformat()
        plan["gateway.worker"] = 0
        plan["gateway.plan"]["hashed_by"] = log["hash_key"]
        for number, record in enumerate(records, len(lines) or 1):
            record["gateway.sequence"] = number
            record["gateway.since"] = plan["gateway.plan"]["since"]
        lines += [plan, *records]
    for order in (lines, lines[4:] + lines[:4]):
        made = judged(_of_token("1/hour"), written(order, tmp_path / "log"))
        assert _kinds(made, lines) == [FORWARD, REFUSE, REFUSE, *[UNDECIDABLE] * 3]


def _kinds(made: Judged, lines: Sequence[dict[str, Any]]) -> list[str]:
    """What would become of the requests, in the order of their records."""
    ids = [line["gateway.request_id"] for line in lines if "gateway.request_id" in line]
    return [made.verdicts[request_id][1].kind for request_id in ids]


def _edits(**rules: Any) -> dict[str, Any]:
    return {"headers": {"request": rules}}


KEY: tuple[str, str] = ("X-Api-Key", "secretkey1")


@pytest.mark.parametrize(
    ("edits", "by", "requests"),
    [
        (_edits(add={"X-Api-Key": "secretkey1"}), "X-Api-Key", [(), (KEY,)]),
        (_edits(copy={"X-Color": ["X-Api-Key"]}), "X-Api-Key", [(KEY,), (("X-Color", "secretkey1"),)]),
        (_edits(copy={"X-Api-Key": ["X-Color"]}), "X-Color", [(KEY,), (("X-Color", "secretkey1"),)]),
        (_edits(rename={"X-Color": "X-Api-Key"}), "X-Api-Key", [(("X-Color", "secretkey1"),), (KEY,)]),
        (
            _edits(merge=["X-Api-Key"]),
            "X-Api-Key",
            [(("X-Api-Key", "a-secret, another"),), (("X-Api-Key", "a-secret"), ("X-Api-Key", "another"))],
        ),
        (_edits(split=["X-Api-Key"]), "X-Api-Key", [(("X-Api-Key", "secretkey1, another"),), (KEY,)]),
    ],
)
async def test_a_secret_that_the_configuration_itself_writes_may_be_the_same_as_one_that_is_told_otherwise(
    tmp_path: Path, edits: dict[str, Any], by: str, requests: list[tuple[tuple[str, str], ...]]
) -> None:
    """The second of the two is refused; nobody says that it is let pass."""
    colored = {"methods": {"allow": ["GET"], "when": {"header": {"X-Color": True}}}}
    asked = [Asked(at, headers=headers) for at, headers in enumerate(requests)]
    new = _of_key("1/hour", by, edits)
    assert [line["gateway.decision"] for line in (await logged(new, asked))[1:]] == [FORWARD, REFUSE]
    old = _of_key("5/hour", "X-Api-Key", colored)
    made = judged(new, written(await logged(old, asked), tmp_path / "log"))
    kinds = [after.kind for _, after in made.verdicts.values()]
    assert kinds[1] == UNDECIDABLE


async def test_what_the_configuration_writes_in_place_of_every_secret_is_known(tmp_path: Path) -> None:
    asked = [Asked(0, headers=(KEY,)), Asked(1)]
    old, new = (
        _of_key("5/hour", "X-Api-Key"),
        _of_key("1/hour", "X-Api-Key", _edits(set={"X-Api-Key": "of-everybody"})),
    )
    made = judged(new, written(await logged(old, asked), tmp_path / "log"))
    assert [after.kind for _, after in made.verdicts.values()] == [FORWARD, REFUSE]
