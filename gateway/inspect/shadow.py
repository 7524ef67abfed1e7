"""What filters in shadow would have done, had they enforced."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

EXAMPLES: Final = 5
_MOST: Final = 1000


class Example(NamedTuple):
    """A request that would have been refused although it was forwarded."""

    request_id: str
    asked: str
    project: str


class Judged:
    """One entry in shadow: how its verdicts stand beside what became of the requests. Counts weigh records by what each stands for.

    type, source  of the entry
    passed        requests that it would have let pass
    forwarded     those that it came to a verdict on and that were forwarded
    refused       those that it would have refused and that were forwarded: what enforcing would have changed
    doubled       those that it would have refused and that were refused anyway, by another
    undecided     those that it did not come to a verdict on
    reasons       of the refused, with the status that each would have had
    projects      of the refused
    """

    def __init__(self, type: str, source: str) -> None:
        self.type = type
        self.source = source
        self.passed = self.forwarded = self.refused = self.doubled = self.undecided = 0.0
        self.reasons: dict[tuple[str, int], float] = {}
        self.projects: dict[str, float] = {}
        self.examples: list[Example] = []

    @property
    def judged(self) -> float:
        """All that it came to a verdict on."""
        return self.passed + self.refused + self.doubled

    @property
    def share(self) -> float:
        """Of what was forwarded, what enforcing would have refused. What others have stopped is neither."""
        return self.refused / self.forwarded if self.forwarded else 0.0


def report(records: Iterable[Mapping[str, Any]]) -> dict[str, Judged]:
    """By name of the entry, what the records tell of those in shadow."""
    found: dict[str, Judged] = {}
    for fields in records:
        weight = _weight(fields)
        steps = fields.get("gateway.filters")
        deciding: dict[str, Mapping[str, Any]] = {}
        for step in steps if isinstance(steps, list) else ():
            if isinstance(step, Mapping) and step.get("shadow"):
                name = str(step.get("name"))
                known = deciding.get(name)
                if known is None or _weighs(step) > _weighs(known):
                    deciding[name] = step
        for name, step in deciding.items():
            judged = found.get(name)
            if judged is None:
                judged = found[name] = Judged(str(step.get("type")), str(step.get("source")))
            _add(judged, fields, step, weight)
    return found


def _weighs(step: Mapping[str, Any]) -> int:
    """Which of an entry's verdicts on a request and on its answer is that on both: the one that would have been the last word."""
    verdict = step.get("verdict")
    return 2 if verdict in ("refuse", "answer") else 0 if verdict == "pass" else 1


def greatest(counts: Mapping[Any, float], most: int) -> list[tuple[Any, float]]:
    """The greatest counts, the greatest first."""
    return sorted(counts.items(), key=lambda item: -item[1])[:most]


def _weight(fields: Mapping[str, Any]) -> float:
    share = fields.get("gateway.sample")
    return 1 / share if isinstance(share, float) and 0 < share <= 1 else 1.0


def _add(judged: Judged, fields: Mapping[str, Any], step: Mapping[str, Any], weight: float) -> None:
    verdict = step.get("verdict")
    stopped = fields.get("gateway.decision") in ("refuse", "answer")
    if verdict in ("pass", "refuse", "answer") and not stopped:
        judged.forwarded += weight
    if verdict == "pass":
        judged.passed += weight
    elif verdict not in ("refuse", "answer"):
        judged.undecided += weight
    elif stopped:
        judged.doubled += weight
    else:
        judged.refused += weight
        status = step.get("status")
        reason = str(step.get("reason")), status if isinstance(status, int) else 0
        judged.reasons[reason] = judged.reasons.get(reason, 0.0) + weight
        project = str(fields.get("gateway.project.id", ""))
        judged.projects[project] = judged.projects.get(project, 0.0) + weight
        if len(judged.projects) > _MOST:
            judged.projects = dict(greatest(judged.projects, _MOST // 2))
        if len(judged.examples) < EXAMPLES:
            asked = f"{fields.get('http.request.method', '')} {fields.get('url.path', '')}"
            judged.examples.append(Example(str(fields.get("gateway.request_id")), asked, project))
