"""Which parts of a configuration the requests of its tests have come to."""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.plan import Plan
from gateway.trial.outcome import Outcome


class Part(NamedTuple):
    """A part of a configuration. `kind` is route, filter, limit or condition."""

    kind: str
    name: str
    source: str


class Coverage:
    """Counts what is come to; `parts` are all that there are."""

    def __init__(self, plan: Plan) -> None:
        marks, configuration = plan.loaded.marks, plan.configuration
        parts = [
            Part("route", route.name, str(marks.position(("routes", place))))
            for place, route in enumerate(configuration.routes)
        ]
        for entry in plan.entries:
            parts.append(Part("filter", entry.name, entry.source(())))
            parts += [
                Part("limit", f"{entry.name}: {name}", entry.source(rule))
                for name, rule in entry.filter.limits.items()
            ]
            if entry.condition is not None:
                parts += [
                    Part("condition", f"{entry.name}: {side}", entry.source(("when",)))
                    for side in ("holds", "does not hold")
                ]
        self.parts = tuple(parts)
        self._reached: set[tuple[str, str]] = set()
        self._limits = {
            (entry.name, name): f"{entry.name}: {name}"
            for entry in plan.entries
            for name in entry.filter.limits
        }
        self._conditional = {entry.name for entry in plan.entries if entry.condition is not None}

    def see(self, outcome: Outcome) -> None:
        """One request has come so far."""
        reached = self._reached
        if outcome.route is not None:
            reached.add(("route", outcome.route))
        for step in outcome.steps:
            name = str(step.told["name"])
            if step.undecided:
                continue
            skipped = step.told["verdict"] == "skip"
            if name in self._conditional and step.told["phase"] == "request":
                reached.add(("condition", f"{name}: {'does not hold' if skipped else 'holds'}"))
            if skipped:
                continue
            reached.add(("filter", name))
            for facts in (
                step.told.get("facts"),
                *(note.get("facts") for note in step.told.get("notes", ())),
            ):
                for cell in (facts or {}).get("cells", ()):
                    label = self._limits.get((name, str(cell[0])))
                    if label is not None:
                        reached.add(("limit", label))

    def missed(self) -> Iterator[Part]:
        """The parts that no request has come to, as they stand in the configuration."""
        for part in self.parts:
            if (part.kind, part.name) not in self._reached:
                yield part

    def counts(self) -> dict[str, tuple[int, int]]:
        """Of each kind how many have been come to, and how many there are."""
        counts: dict[str, tuple[int, int]] = {}
        for part in self.parts:
            reached, total = counts.get(part.kind, (0, 0))
            counts[part.kind] = reached + ((part.kind, part.name) in self._reached), total + 1
        return counts
