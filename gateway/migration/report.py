"""What has become of each part of an installation: moved, moved with a difference, or not moved, and why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from gateway.console import printable
from gateway.migration.source import Place

Outcome: TypeAlias = Literal["moved", "moved with a difference", "not moved"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("moved", "moved with a difference", "not moved")


class Note(NamedTuple):
    """One thing that is other than it was.

    kind  "differs": it is here, and works differently; "left": it is not here
    text  what, and why
    """

    kind: Literal["differs", "left"]
    place: Place
    text: str


@dataclass(slots=True)
class Part:
    """A filter, a service or a setting of the installation.

    into     what it is here: names of entries and keys; none for what is not here
    refuses  a check of it could not be moved, and its requests are refused in its place
    """

    name: str
    place: Place
    into: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    refuses: bool = False

    @property
    def outcome(self) -> Outcome:
        if not self.into or self.refuses:
            return "not moved"
        return "moved with a difference" if self.notes else "moved"

    def differs(self, place: Place, text: str) -> None:
        self._note(Note("differs", place, text))

    def left(self, place: Place, text: str) -> None:
        self._note(Note("left", place, text))

    def _note(self, note: Note) -> None:
        if note not in self.notes:
            self.notes.append(note)


class Report:
    """The parts in the order in which they were met."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def part(self, name: str, place: Place) -> Part:
        made = Part(name, place)
        self.parts.append(made)
        return made

    def counts(self) -> dict[Outcome, int]:
        counted = Counter(part.outcome for part in self.parts)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def text(self) -> str:
        """For people."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        counts = self.counts()
        yield ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
        for outcome in OUTCOMES:
            parts = [part for part in self.parts if part.outcome == outcome]
            if parts:
                yield ""
                yield f"{outcome[0].upper()}{outcome[1:]}:"
            for part in parts:
                into = f" -> {', '.join(part.into)}" if part.into else ""
                yield f"  {printable(part.name)}  {printable(str(part.place))}{printable(into)}"
                yield from (f"    {line}" for line in _notes(part.notes, tell=outcome != "not moved"))

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": part.name,
                "file": part.place.file,
                "line": part.place.line,
                "outcome": part.outcome,
                "into": part.into,
                "notes": [
                    {"kind": note.kind, "file": note.place.file, "line": note.place.line, "text": note.text}
                    for note in part.notes
                ],
            }
            for part in self.parts
        ]


def _notes(notes: Sequence[Note], *, tell: bool) -> Iterator[str]:
    for note in notes:
        kind = "not moved: " if tell and note.kind == "left" else ""
        yield f"{printable(str(note.place))}: {kind}{printable(note.text)}"
