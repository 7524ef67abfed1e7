"""What is wrong with a configuration, and where: positions, problems and the one exception that carries them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the root of a configuration, e.g. ("filters", 1, "rate_limit", "limits", 2)."""


class Position(NamedTuple):
    """A place in a file, counted from 1, in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Marks:
    """Where every value of a configuration stands: at its key, or, in a list, at its first character."""

    __slots__ = ("_places", "file")

    def __init__(self, file: str, places: Mapping[Path, tuple[int, int]] | None = None) -> None:
        self.file = file
        self._places = places if places is not None else {}

    def __contains__(self, path: Path) -> bool:
        """Whether `path` itself is written in the file."""
        return path in self._places

    def position(self, path: Path) -> Position:
        """The position of `path`, or of its nearest parent that is written in the file."""
        for end in range(len(path), 0, -1):
            place = self._places.get(path[:end])
            if place is not None:
                return Position(self.file, *place)
        return Position(self.file, *self._places.get((), (1, 1)))


class Problem(NamedTuple):
    """One thing that is wrong.

    line, column  0 when the file as a whole is the problem (it is missing, or no text)
    code          a stable word for the kind of problem
    key           the place as people write it, e.g. "rate_limit.limits[0].rate"; "" for the whole
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    key: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigurationError(Exception):
    """A configuration cannot be put in force; `problems` says all that is wrong, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(dict.fromkeys(problems), key=lambda problem: problem[:3])
        )
        super().__init__("\n".join(map(str, self.problems)))


def written(path: Path) -> str:
    """`path` as people write it; a filter's options are named from the filter on."""
    if path[:1] == ("routes",) and path[2:3] == ("filters",) and len(path) > 4:
        path = path[4:]
    elif path[:1] == ("filters",) and len(path) > 2:
        path = path[2:]
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() else repr(part)[1:-1]
            text += f".{name}" if text else name
    return text
