import json
from dataclasses import replace

from tests.bench.bound import Finding
from tests.bench.memory import IDLE, STALLED_CLIENT, MemorySample
from tests.bench.result import Result
from tests.bench.session import Session, unmeasured
from tests.bench.test_latency import GOOD as LATENCY
from tests.bench.test_latency import PACE
from tests.bench.test_result import made, samples
from tests.bench.test_sample import GOOD

_MEMORY = MemorySample("weir", STALLED_CLIENT, before=0, after=3 << 20, amount=200_000_000)


def session(*results: Result) -> Session:
    return Session(
        command="python -m tests.bench",
        date="2026-11-24 12:00 UTC",
        machine={"cpu": "a processor", "cores": "2", "kernel": "Linux", "load": "0.00"},
        versions={"weir": "1.0"},
        seconds=3,
        rounds=2,
        results=list(results),
    )


def whole() -> Session:
    """One with something of everything, in which all bounds hold."""
    policy = made(
        samples("nginx", 12.0, 12.0),
        samples("nginx+policy", 24.0, 24.0),
        samples("envoy+policy", 60.0, 60.0),
        samples("envoy+policy+cache", 40.0, 40.0),
        samples("weir", 24.0, 26.0),
        samples("weir+policy", 29.0, 31.0),
    )
    bare = made(
        samples("nginx (W1)", 12.0),
        samples("nginx", 6.0),
        samples("envoy", 20.0),
        samples("weir", 18.0),
        workload="W3",
    )
    large = made(
        samples("nginx (W1)", 12.0), samples("nginx", 2000.0), samples("weir", 3000.0), workload="W4-up"
    )
    hooks = made(
        samples("nginx (W1)", 12.0),
        samples("none", 0.3),
        samples("token-cached", 1.2),
        samples("none-anew", 0.9),
        samples("token-cached-anew", 1.9),
        samples("api", 3.3),
        workload="hooks",
        yardstick="nginx (W1)",
    )
    decisions = made(
        samples("nginx (W1)", 12.0),
        samples("memory", 1.0),
        samples("shared", 2.0),
        samples("redis", 12.0),
        samples("redis, server", 20.0),
        samples("limits", 20.0),
        workload="decisions",
        yardstick="nginx (W1)",
    )
    backtest = made(
        samples("nginx (W1)", 12.0),
        samples("backtest-same", 4.0),
        samples("backtest-other", 5.0),
        workload="backtest",
        yardstick="nginx (W1)",
    )
    limits = made(
        samples("nginx", 12.0), samples("weir", 25.0), samples("weir+limits", 28.0), workload="limits"
    )
    inspection = made(
        samples("nginx (W1)", 12.0),
        samples("weir+unseen", 25.0),
        samples("weir+seen", 27.0),
        workload="inspection",
        yardstick="nginx (W1)",
    )
    made_whole = session(
        policy,
        bare,
        replace(large, unit="transfer"),
        replace(hooks, unit="call"),
        limits,
        inspection,
        replace(decisions, unit="decision"),
        replace(backtest, unit="record"),
    )
    faster = replace(LATENCY, rate=2000, pace=PACE._replace(rate=2000.0))
    made_whole.latencies += [LATENCY, faster, replace(faster, row="envoy")]
    made_whole.memories += [
        _MEMORY,
        replace(_MEMORY, kind="stalled upstream", held=5 << 20),
        replace(_MEMORY, kind=IDLE, amount=10_000, after=100 << 20),
    ]
    return made_whole


def test_a_session_in_which_all_holds_passes() -> None:
    assert whole().problems() == []
    assert whole().passed()
    assert unmeasured(whole().bounded()) == []


def test_a_must_that_is_missed_fails_the_session() -> None:
    missed = session(made(samples("weir+policy", 71.0), samples("envoy+policy", 100.0)))
    assert not missed.problems()
    assert not missed.passed()


def test_an_aim_that_is_missed_does_not() -> None:
    assert session(made(samples("weir+policy", 70.0), samples("envoy+policy", 100.0))).passed()


def test_memory_beyond_its_bound_fails_the_session() -> None:
    grown = session()
    grown.memories.append(replace(_MEMORY, after=5 << 20))
    assert not grown.passed()


def test_problems_of_every_kind_make_it_invalid() -> None:
    bad = session(made([replace(GOOD, errors=1)]))
    bad.latencies.append(replace(LATENCY, pace=PACE._replace(errors=1)))
    bad.memories.append(replace(_MEMORY, problem="closed"))
    assert [problem.split(":")[0] for problem in bad.problems()] == [
        "W1",
        "weir at 1000/s, round 0",
        "weir, stalled client",
    ]
    assert not bad.passed()


def test_doubts_are_told_once_and_do_not_fail_it() -> None:
    doubtful = session(made([replace(GOOD, foreign=0.3)]))
    doubtful.latencies.append(replace(LATENCY, foreign=0.4))
    few = replace(_MEMORY, kind=IDLE, amount=100, after=1 << 20)
    doubtful.memories += [few, replace(few, row="envoy")]
    assert doubtful.doubts() == [
        "others used up to 40% of the core under test",
        "the limit of open files allowed 100 connections of 10000",
    ]
    assert doubtful.passed()


def test_bounds_that_were_not_measured_stand_alone() -> None:
    bounded = session(made(samples("weir", 20.0), samples("nginx", 10.0))).bounded()
    measured = [each for each in bounded if isinstance(each, Finding)]
    assert [(each.workload, each.value) for each in measured] == [("W1", 2.0)]
    assert len(unmeasured(bounded)) == len(bounded) - 1


def test_json_holds_samples_and_what_was_made_of_them() -> None:
    read = json.loads(json.dumps(whole().as_json()))
    workloads = [each["workload"] for each in read["workloads"]]
    assert workloads == ["W1", "W3", "W4-up", "hooks", "limits", "inspection", "decisions", "backtest"]
    assert read["workloads"][0]["rows"][0]["normalised"] == 24.0
    assert len(read["workloads"][0]["samples"]) == 12
    assert read["latency"]["samples"][0]["pace"]["p99_ms"] == 1.0
    assert read["memory"][0]["growth"] == 3 << 20
    assert read["findings"][0]["bound"] == {"must": 0.70, "aim": 0.55}
    assert read["findings"][0]["verdict"] == "aim met"
    assert read["passed"] is True
