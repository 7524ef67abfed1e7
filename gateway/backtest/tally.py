"""What a back-test found: how many exchanges of which class, in groups, with examples."""

from collections import Counter
from typing import Any, Final, NamedTuple

from gateway.backtest.recorded import ANSWER, FORWARD, REFUSE, UNDECIDABLE, Verdict

NEWLY_ALLOWED: Final = "newly_allowed"
NEWLY_REFUSED: Final = "newly_refused"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
CLASSES: Final = (NEWLY_ALLOWED, NEWLY_REFUSED, CHANGED, UNDECIDABLE, UNCHANGED)
"""The dangerous one first."""

EXAMPLES: Final = 5
_MOST_GROUPS: Final = 2000
_MOST_PROJECTS: Final = 1000


def classify(before: Verdict, after: Verdict) -> str:
    """Which class an exchange is of."""
    if before is after and before.kind != UNDECIDABLE:
        return UNCHANGED
    if UNDECIDABLE in (before.kind, after.kind):
        return UNDECIDABLE
    if before.same(after):
        return UNCHANGED
    refused, refuses = _is_refusal(before), _is_refusal(after)
    if refused and not refuses:
        return NEWLY_ALLOWED
    if refuses and not refused:
        return NEWLY_REFUSED
    return CHANGED


def _is_refusal(verdict: Verdict) -> bool:
    """An answer that a filter makes of its own is one where it says no."""
    return verdict.kind == REFUSE or (verdict.kind == ANSWER and verdict.status >= 400)


class Example(NamedTuple):
    """One exchange of a group. `at` in seconds since the epoch; `asked` is method and path."""

    at: float
    request_id: str
    asked: str
    project: str


class Key(NamedTuple):
    """What the exchanges of a group have in common."""

    kind: str
    route: str
    before: Verdict
    after: Verdict


class Group:
    """Exchanges with the same verdicts on the same route: how many, of which projects, and the first of them."""

    __slots__ = ("count", "examples", "projects")

    def __init__(self) -> None:
        self.count = 0
        self.projects: Counter[str] = Counter()
        self.examples: list[Example] = []

    def __reduce__(self) -> tuple[Any, ...]:  # what is compiled does not go to another process by itself
        return _group, (self.count, self.projects, self.examples)

    def add(self, example: Example) -> None:
        self.count += 1
        self.projects[example.project] += 1
        if len(self.projects) > _MOST_PROJECTS:
            self.projects = Counter(dict(self.projects.most_common(_MOST_PROJECTS // 2)))
        self._keep(example)

    def merge(self, other: "Group") -> None:
        self.count += other.count
        self.projects.update(other.projects)
        for example in other.examples:
            self._keep(example)

    def _keep(self, example: Example) -> None:
        if len(self.examples) < EXAMPLES or example < self.examples[-1]:
            self.examples.append(example)
            self.examples.sort()
            del self.examples[EXAMPLES:]


def _group(count: int, projects: Counter[str], examples: list[Example]) -> Group:
    made = Group()
    made.count, made.projects, made.examples = count, projects, examples
    return made


OTHERS: Final = Verdict(UNDECIDABLE, 0, "", "others")


class Tally:
    """The sum of a back-test.

    total    exchanges
    counts   by class
    groups   of those that are not unchanged
    shadows  by name of a filter in shadow: how many it would newly refuse, and newly pass
    """

    def __init__(self) -> None:
        self.total = 0
        self.counts: Counter[str] = Counter()
        self.groups: dict[Key, Group] = {}
        self.shadows: dict[str, list[int]] = {}
        self.first = float("inf")
        self.last = float("-inf")

    def __reduce__(self) -> tuple[Any, ...]:
        return _tally, (self.total, self.counts, self.groups, self.shadows, self.first, self.last)

    def add(
        self,
        at: float,
        request_id: str,
        asked: str,
        route: str,
        project: str,
        before: Verdict,
        after: Verdict,
    ) -> None:
        """One exchange."""
        self.total += 1
        if at < self.first:
            self.first = at
        if at > self.last:
            self.last = at
        kind = classify(before, after)
        self.counts[kind] += 1
        if kind == UNCHANGED:
            return
        key = Key(kind, route, before, after)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= _MOST_GROUPS:
                key = Key(kind, "", OTHERS, OTHERS)
            group = self.groups.setdefault(key, Group())
        group.add(Example(at, request_id, asked, project))

    def shadow(self, name: str, before: Verdict, after: Verdict) -> None:
        """What a filter in shadow would have done, and what it would do now."""
        counts = self.shadows.setdefault(name, [0, 0])
        if before.kind == FORWARD and after.kind != FORWARD:
            counts[0] += 1
        elif before.kind != FORWARD and after.kind == FORWARD:
            counts[1] += 1

    def merge(self, other: "Tally") -> None:
        self.total += other.total
        self.counts.update(other.counts)
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        for key, group in other.groups.items():
            self.groups.setdefault(key, Group()).merge(group)
        for name, (refused, passed) in other.shadows.items():
            counts = self.shadows.setdefault(name, [0, 0])
            counts[0] += refused
            counts[1] += passed

    def ordered(self) -> list[tuple[Key, Group]]:
        """The groups: the dangerous classes first, the greatest first in each."""
        return sorted(
            self.groups.items(),
            key=lambda item: (CLASSES.index(item[0].kind), -item[1].count, item[0]),
        )


def _tally(
    total: int,
    counts: Counter[str],
    groups: dict[Key, Group],
    shadows: dict[str, list[int]],
    first: float,
    last: float,
) -> Tally:
    made = Tally()
    made.total, made.counts, made.groups, made.shadows = total, counts, groups, shadows
    made.first, made.last = first, last
    return made
