from dataclasses import replace

from tests.bench import result
from tests.bench.result import Result
from tests.bench.sample import Sample
from tests.bench.test_sample import GOOD


def samples(row: str, *cpu: float) -> list[Sample]:
    return [replace(GOOD, row=row, round=number, cpu_us=each) for number, each in enumerate(cpu)]


def made(*groups: list[Sample], workload: str = "W1", yardstick: str = "nginx") -> Result:
    return Result(
        workload=workload,
        title="a title",
        unit="request",
        connections=64,
        yardstick=yardstick,
        samples=[sample for group in groups for sample in group],
    )


def test_a_row_has_the_median_and_the_range() -> None:
    (row,) = result.rows(made(samples("nginx", 30.0, 20.0, 90.0)))
    assert (row.cpu_us, row.cpu_low, row.cpu_high) == (30.0, 20.0, 90.0)


def test_figures_are_normalised_by_the_yardstick() -> None:
    rows = result.rows(made(samples("nginx", 12.0), samples("weir", 30.0)))
    assert [row.normalised for row in rows] == [24.0, 60.0]


def test_without_the_yardstick_nothing_is_normalised() -> None:
    assert [row.normalised for row in result.rows(made(samples("weir", 30.0)))] == [None]


def test_failures_of_all_rounds_are_summed() -> None:
    group = [replace(GOOD, errors=1, unexpected=2), replace(GOOD, round=1, errors=3)]
    (row,) = result.rows(made(group))
    assert (row.errors, row.unexpected) == (4, 2)


def test_problems_of_samples_and_of_logs_name_the_workload() -> None:
    whole = made([replace(GOOD, errors=1)])
    whole.problems.append("weir+policy: 10 requests answered, 9 of them logged")
    assert whole.all_problems() == [
        "W1: weir+policy: 10 requests answered, 9 of them logged",
        "W1: weir, round 0: 1 errors of connection",
    ]


def test_a_shared_core_is_a_doubt() -> None:
    assert result.doubts([GOOD]) == []
    assert result.doubts([GOOD, replace(GOOD, foreign=0.14, steal=0.2)]) == [
        "others used up to 14% of the core under test",
        "the hypervisor kept up to 20% of it",
    ]
