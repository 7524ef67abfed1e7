"""A whole session: everything that was measured in one go on one machine, and what it says together."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench import latency, result
from tests.bench.bound import Finding, Promise, compare, promises, weigh
from tests.bench.latency import LatencySample
from tests.bench.memory import MemorySample
from tests.bench.result import Result
from tests.bench.sample import Sample


@dataclass(slots=True)
class Session:
    """`command` is what was typed, `date` when; `failures` says which studies broke off, and why."""

    command: str
    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    seconds: int
    rounds: int
    results: list[Result] = field(default_factory=list)
    latencies: list[LatencySample] = field(default_factory=list)
    memories: list[MemorySample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Why the session is not valid; empty when it is."""
        found = [*self.failures, *(problem for each in self.results for problem in each.all_problems())]
        found += [problem for each in self.latencies for problem in each.problems()]
        return found + [problem for each in self.memories for problem in each.problems()]

    def doubts(self) -> list[str]:
        """What does not make it invalid, and its figures unfit for publishing."""
        samples: list[Sample | LatencySample] = [each for one in self.results for each in one.samples]
        samples += self.latencies
        found = result.doubts(samples)
        return found + list(dict.fromkeys(doubt for each in self.memories for doubt in each.doubts()))

    def findings(self) -> list[Finding]:
        """Every comparison of the session, and Weir's memory."""
        return [finding for each in self.results for finding in compare(each)] + weigh(self.memories)

    def bounded(self) -> list[Finding | Promise]:
        """Each bound of the project: beside what was found, or alone where it was not measured."""
        found = {(finding.workload, finding.title): finding for finding in self.findings()}
        return [found.get((promise.workload, promise.title), promise) for promise in promises()]

    def passed(self) -> bool:
        """Whether the session is valid and nothing exceeds what it must be."""
        return not self.problems() and all(finding.held is not False for finding in self.findings())

    def as_json(self) -> dict[str, Any]:
        """All of it, samples included."""
        return {
            "command": self.command,
            "date": self.date,
            "machine": self.machine,
            "versions": self.versions,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "workloads": [
                {**asdict(each), "rows": [row._asdict() for row in result.rows(each)]}
                for each in self.results
            ],
            "latency": {
                "rows": [row._asdict() for row in latency.rows(self.latencies)],
                "samples": [{**asdict(each), "pace": each.pace._asdict()} for each in self.latencies],
            },
            "memory": [{**asdict(each), "growth": each.growth} for each in self.memories],
            "findings": [_found(finding) for finding in self.findings()],
            "problems": self.problems(),
            "doubts": self.doubts(),
            "passed": self.passed(),
        }


def _found(finding: Finding) -> dict[str, Any]:
    return {
        **finding._asdict(),
        "bound": finding.bound._asdict(),
        "held": finding.held,
        "verdict": finding.verdict,
    }


def unmeasured(bounded: Iterable[Finding | Promise]) -> list[Promise]:
    """Those of the bounds that stand alone."""
    return [each for each in bounded if isinstance(each, Promise)]
