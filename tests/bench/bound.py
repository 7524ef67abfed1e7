"""What is compared with what, and how much it may be: the project's bounds, and whether a run keeps to them."""

from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.bench.hook import ANEW, NONE
from tests.bench.memory import IDLE, STALLED_CLIENT, STALLED_UPSTREAM, MemorySample
from tests.bench.result import YARDSTICK_US, Result
from tests.bench.workload import CHAINS, INSPECTION, LIMITS, SEEN, UNSEEN, WORKLOADS


class Bound(NamedTuple):
    """The most that a figure may be, and what it is to come to; None where there is no such figure."""

    must: float | None = None
    aim: float | None = None


_FREE: Final = Bound()

HOOKS: Final = "hooks"
BACKTEST: Final = "backtest"
DECISIONS: Final = "decisions"
"""Measured in processes of their own that do nothing else."""


class Comparison(NamedTuple):
    """Two rows of one workload.

    by      "" for none: the row itself is of interest, in normalised microseconds
    bounds  by workload
    added   the difference is of interest, in normalised microseconds, and not the ratio
    parts   what the difference is divided by
    """

    title: str
    row: str
    by: str
    bounds: Mapping[str, Bound] = MappingProxyType({})
    added: bool = False
    parts: int = 1


COMPARISONS: Final = (
    Comparison(
        "full policy / Envoy with policy, JWT not cached",
        "weir+policy",
        "envoy+policy",
        {"W1": Bound(must=0.70, aim=0.55)},
    ),
    Comparison(
        "full policy / Envoy with policy, JWT cached",
        "weir+policy",
        "envoy+policy+cache",
        {"W1": Bound(must=0.90, aim=0.70)},
    ),
    Comparison(
        "full policy / nginx with policy, auth_request",
        "weir+policy",
        "nginx+policy",
        {"W1": Bound(must=2.1, aim=1.6)},
    ),
    Comparison("no policy / Envoy, no policy", "weir", "envoy", {"W3": Bound(must=1.0, aim=0.7)}),
    Comparison(
        "no policy / nginx, no policy",
        "weir",
        "nginx",
        {"W1": Bound(must=2.5, aim=2.0), "W4-up": Bound(must=1.9, aim=1.2)},
    ),
    Comparison(
        "what the full policy adds",
        "weir+policy",
        "weir",
        {"W1": Bound(must=14.0, aim=8.0)},
        added=True,
    ),
    Comparison(
        "what all of inspection adds to the full policy",
        SEEN,
        UNSEEN,
        {INSPECTION: Bound(must=6.0)},
        added=True,
    ),
    Comparison("a cached token check", "token-cached", NONE, {HOOKS: Bound(must=2.0)}, added=True),
    Comparison(
        "the same, of a header section that has never come before",
        "token-cached" + ANEW,
        NONE + ANEW,
        {HOOKS: Bound(must=2.0)},
        added=True,
    ),
    Comparison(
        "a request with a metadata body, by the description of its API",
        "api",
        NONE,
        {HOOKS: Bound(must=8.0)},
        added=True,
    ),
    *(
        Comparison(title, name, "", {BACKTEST: Bound(must=16.7, aim=10.0)}, added=True)
        for name, title in (
            ("backtest-same", "a record of a back-test by the configuration that made it"),
            ("backtest-other", "a record of a back-test by another configuration"),
        )
    ),
    *(
        Comparison(title, name, "", {DECISIONS: bound}, added=True)
        for name, title, bound in (
            ("shared", "a decision by four limits that workers share", Bound(must=6.0)),
            (
                "redis",
                "a decision by four limits that machines share, without the part of Redis",
                Bound(must=30.0),
            ),
        )
    ),
    Comparison("four limits in memory / the library limits in memory", "memory", "limits"),
    Comparison("four limits by Redis / the library limits by Redis", "redis", "limits+redis"),
    Comparison("four limits drawn ahead, the whole filter / each time by Redis", "lease", "redis"),
    *(
        Comparison(f"what four limits add in {title}", f"{name}+{LIMITS}", name, added=True)
        for name, title in (("nginx", "nginx"), ("envoy", "Envoy"), ("weir", "Weir"))
    ),
    *(
        Comparison(
            f"what a filter adds, in a chain of {number}", f"weir+{number}", "weir", added=True, parts=number
        )
        for number in CHAINS
    ),
)

MEMORY_ROW: Final = "weir"
MEMORY_BOUNDS: Final = {
    STALLED_CLIENT: Bound(must=4.0),
    STALLED_UPSTREAM: Bound(must=4.0),
    IDLE: Bound(aim=12.0),
}
_MEMORY_TITLES: Final = {
    STALLED_CLIENT: "memory that 200 MB take, past a client that stalls",
    STALLED_UPSTREAM: "memory that 200 MB take, past an upstream that stalls",
    IDLE: "memory of an idle connection",
}
MEMORY: Final = "memory"


class Finding(NamedTuple):
    """A figure beside its bound.

    low, high  least and greatest within one round: what noise does to it
    unit       "" for a ratio
    """

    workload: str
    title: str
    value: float
    low: float
    high: float
    unit: str
    bound: Bound

    @property
    def held(self) -> bool | None:
        """Whether it is what it must be; None where nothing says so."""
        return None if self.bound.must is None else self.value <= self.bound.must

    @property
    def verdict(self) -> str:
        must, aim = self.bound
        if must is not None and self.value > must:
            return "MISSED"
        if aim is not None and self.value <= aim:
            return "aim met"
        return "" if must is None and aim is None else "aim not met" if must is None else "held"


def compare(result: Result, comparisons: Iterable[Comparison] = COMPARISONS) -> list[Finding]:
    """Those of the comparisons for which the rows were measured."""
    found = []
    unit = result.cpu(result.yardstick)
    for comparison in comparisons:
        above = result.cpu(comparison.row)
        below = result.cpu(comparison.by) if comparison.by else dict.fromkeys(above, 0.0)
        whole = _added if comparison.added else _ratio
        rounds = above.keys() & below.keys() & (unit.keys() if comparison.added else above.keys())
        divisors = unit if comparison.added else below
        if not rounds or not all(divisors.values()):
            continue
        each = [whole(above[n], below[n], unit.get(n, 1.0)) / comparison.parts for n in rounds]
        measure = median(unit.values()) if unit else 1.0
        value = whole(median(above.values()), median(below.values()), measure) / comparison.parts
        found.append(
            Finding(
                result.workload,
                comparison.title,
                value,
                min(each),
                max(each),
                "us" if comparison.added else "",
                comparison.bounds.get(result.workload, _FREE),
            )
        )
    return found


def _ratio(above: float, below: float, unit: float) -> float:
    return above / below


def _added(above: float, below: float, unit: float) -> float:
    return (above - below) / unit * YARDSTICK_US


def weigh(samples: Iterable[MemorySample]) -> list[Finding]:
    """Weir's memory, beside its bounds."""
    found = []
    for sample in samples:
        if sample.row != MEMORY_ROW or sample.problem:
            continue
        value, unit = (
            (sample.each / 1024, "KiB") if sample.kind == IDLE else (sample.growth / (1 << 20), "MiB")
        )
        title, bound = _MEMORY_TITLES[sample.kind], MEMORY_BOUNDS[sample.kind]
        found.append(Finding(MEMORY, title, value, value, value, unit, bound))
    return found


class Promise(NamedTuple):
    """A bound, whether or not it has been measured."""

    workload: str
    title: str
    bound: Bound


def promises() -> Iterator[Promise]:
    """All bounds, by workload."""
    for workload in (*WORKLOADS, HOOKS, DECISIONS, BACKTEST):
        for comparison in COMPARISONS:
            if workload in comparison.bounds:
                yield Promise(workload, comparison.title, comparison.bounds[workload])
    for kind, bound in MEMORY_BOUNDS.items():
        yield Promise(MEMORY, _MEMORY_TITLES[kind], bound)
