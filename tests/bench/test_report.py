import json
from dataclasses import replace

import pytest

from tests.bench import report
from tests.bench.report import Result
from tests.bench.sample import Sample
from tests.bench.test_sample import GOOD


def _samples(row: str, *cpu: float) -> list[Sample]:
    return [replace(GOOD, row=row, round=number, cpu_us=each) for number, each in enumerate(cpu)]


def _result(*samples: list[Sample], workload: str = "W1", yardstick: str = "nginx") -> Result:
    return Result(
        workload=workload,
        title="a title",
        seconds=3,
        rounds=3,
        connections=64,
        machine={"cpu": "a processor", "cores": "2", "kernel": "Linux", "load": "0.00"},
        versions={"weir": "1.0"},
        yardstick=yardstick,
        samples=[sample for each in samples for sample in each],
    )


def test_a_row_has_the_median_and_the_range() -> None:
    (row,) = report.rows(_result(_samples("nginx", 30.0, 20.0, 90.0)))
    assert (row.cpu_us, row.cpu_low, row.cpu_high) == (30.0, 20.0, 90.0)


def test_figures_are_normalised_by_the_yardstick() -> None:
    rows = report.rows(_result(_samples("nginx", 12.0), _samples("weir", 30.0)))
    assert [row.normalised for row in rows] == [24.0, 60.0]


def test_without_the_yardstick_nothing_is_normalised() -> None:
    assert [row.normalised for row in report.rows(_result(_samples("weir", 30.0)))] == [None]


def test_failures_of_all_rounds_are_summed() -> None:
    samples = [replace(GOOD, errors=1, unexpected=2), replace(GOOD, round=1, errors=3)]
    (row,) = report.rows(_result(samples))
    assert (row.errors, row.unexpected) == (4, 2)


def test_a_ratio_is_of_medians_with_its_range_by_round() -> None:
    result = _result(_samples("weir+policy", 60.0, 50.0, 70.0), _samples("envoy+policy", 100.0, 50.0, 120.0))
    (ratio,) = report.ratios(result)
    assert ratio.value == pytest.approx(0.6)
    assert ratio.low == pytest.approx(70 / 120)
    assert ratio.high == 1.0
    assert (ratio.bound, ratio.held) == (1.0, True)


def test_a_missed_bound_fails_the_run() -> None:
    result = _result(_samples("weir+policy", 101.0), _samples("envoy+policy", 100.0))
    assert report.ratios(result)[0].held is False
    assert not report.passed(result)
    assert "MISSED" in report.text(result)


def test_a_bound_that_is_just_met_holds() -> None:
    assert report.passed(_result(_samples("weir+policy", 100.0), _samples("envoy+policy", 100.0)))


@pytest.mark.parametrize("workload", ["W2", "W3"])
def test_the_bound_is_for_w1_only(workload: str) -> None:
    result = _result(_samples("weir+policy", 200.0), _samples("envoy+policy", 100.0), workload=workload)
    assert report.ratios(result)[0].held is None
    assert report.passed(result)


def test_no_ratio_without_both_rows() -> None:
    assert report.ratios(_result(_samples("weir+policy", 200.0))) == []


def test_every_comparison_the_report_promises_is_made() -> None:
    names = ("nginx", "nginx+policy", "envoy", "envoy+policy", "envoy+policy+cache", "weir", "weir+policy")
    assert len(report.ratios(_result(*(_samples(name, 10.0) for name in names)))) == len(report.COMPARISONS)


def test_a_sample_with_errors_makes_the_run_invalid() -> None:
    result = _result([replace(GOOD, errors=1)])
    assert not report.passed(result)
    assert "INVALID: weir, round 0: 1 errors of connection." in report.text(result)


def test_a_problem_beside_the_samples_makes_the_run_invalid() -> None:
    result = _result(_samples("weir", 10.0))
    result.problems.append("weir+policy: 10 requests answered, 9 of them logged")
    assert not report.passed(result)
    assert "9 of them logged" in report.text(result)


def test_a_shared_core_is_a_doubt_and_no_failure() -> None:
    result = _result([replace(GOOD, foreign=0.14, steal=0.2)])
    assert result.doubts() == [
        "others used up to 14% of the core under test",
        "the hypervisor kept up to 20% of it",
    ]
    assert report.passed(result)


def test_the_text_tells_machine_versions_and_figures() -> None:
    text = report.text(_result(_samples("nginx", 12.0, 12.0), _samples("weir", 30.0, 31.0)))
    assert "a processor, 2 cores" in text
    assert "weir 1.0" in text
    assert "30.5 [30.0..31.0]" in text
    assert "bare / nginx bare" in text
    assert "INVALID" not in text


def test_json_holds_samples_and_what_was_made_of_them() -> None:
    whole = json.loads(json.dumps(report.as_json(_result(_samples("nginx", 12.0), _samples("weir", 30.0)))))
    assert [sample["cpu_us"] for sample in whole["samples"]] == [12.0, 30.0]
    assert whole["rows"][1]["normalised"] == 60.0
    assert whole["ratios"][0]["value"] == 2.5
    assert whole["passed"] is True
