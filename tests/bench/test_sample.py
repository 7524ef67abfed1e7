from dataclasses import replace

from tests.bench.sample import Sample

GOOD = Sample(
    row="weir",
    round=0,
    requests=1000,
    rps=1000.0,
    cpu_us=50.0,
    user_us=40.0,
    system_us=10.0,
    p50_ms=1.0,
    p99_ms=2.0,
    rss_mib=60.0,
    errors=0,
    unexpected=0,
    foreign=0.01,
    steal=0.0,
)


def test_a_good_sample_has_no_problem() -> None:
    assert GOOD.problems() == []


def test_every_kind_of_failure_is_named_with_row_and_round() -> None:
    bad = replace(GOOD, round=2, requests=0, errors=3, unexpected=7)
    assert bad.problems() == [
        "weir, round 2: no request was answered",
        "weir, round 2: 3 errors of connection",
        "weir, round 2: 7 answers with an unexpected status",
    ]
