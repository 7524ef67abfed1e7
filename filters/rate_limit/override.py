"""Terms of their own for single projects, from a file.

594d0ab1:
  writes: 100/minute
  reads: { rate: 5000/minute, burst: 500 }
fd38c2e7: unlimited
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from filters._document import Document, read_document
from filters.rate_limit.limit import Terms
from filters.rate_limit.option import LimitOptions
from gateway.api import OptionError, Rule, Services
from gateway.api.message import did_you_mean, failures, kind_of

_RULE: Final[Rule] = ("overrides", "file")
_UNLIMITED: Final = "unlimited"
_BLOCKED: Final = "blocked"
_KEYS: Final = frozenset({"rate", "burst"})

Overridden = Mapping[str, Terms | None]
"""By the ids of projects; None where nothing is counted."""


def read_overrides(path: str, limits: Sequence[LimitOptions], services: Services) -> list[Overridden]:
    """What the file says of each of `limits`. Raises OptionError with all that is wrong, each with its place."""
    document = read_document(path, services, _RULE)
    if document is None:
        return [{} for _ in limits]
    reader = _Reader(document, limits)
    if reader.problems:
        raise OptionError(_RULE, *reader.problems)
    return list(reader.found)


class _Reader:
    def __init__(self, document: Document, limits: Sequence[LimitOptions]) -> None:
        self.problems: list[str] = []
        self.found: list[dict[str, Terms | None]] = [{} for _ in limits]
        self._document = document
        self._limits = limits
        self._names = frozenset(limit.name for limit in limits if limit.name is not None)
        projects = document.value
        if not isinstance(projects, dict):
            self._problem((), f"expected a mapping of projects, got {kind_of(projects)}")
            return
        for project, value in projects.items():
            if not project or not isinstance(project, str):
                self._problem((project,) if isinstance(project, str) else (), "expected the id of a project")
            else:
                self._project(project, value)

    def _problem(self, path: Sequence[str], message: str) -> None:
        self.problems.append(f"{self._document.place(path)}: {message}")

    def _project(self, project: str, value: Any) -> None:
        if value in (_UNLIMITED, _BLOCKED):
            for number in range(len(self._limits)):
                self._override(number, project, (project,), value)
        elif not isinstance(value, dict):
            self._problem((project,), f"expected a mapping of limits, {_UNLIMITED} or {_BLOCKED}")
        else:
            for name, terms in value.items():
                numbers = [number for number, limit in enumerate(self._limits) if limit.name == name]
                if not numbers:
                    near = did_you_mean(str(name), self._names)
                    self._problem(
                        (project, name) if isinstance(name, str) else (project,),
                        f"no limit is named {name!r}{near}",
                    )
                for number in numbers:
                    if not self._override(number, project, (project, name), terms):
                        break

    def _override(self, number: int, project: str, path: tuple[str, ...], value: Any) -> bool:
        """Whether the value is right for this limit."""
        limit = self._limits[number]
        source = self._document.place(path)
        if value == _UNLIMITED:
            self.found[number][project] = None
            return True
        if value == _BLOCKED:
            self.found[number][project] = Terms(
                limit, blocked=True, source=source, usual=limit, project=project
            )
            return True
        given = value if isinstance(value, dict) else {"rate": value}
        unknown = [key for key in given if key not in _KEYS]
        for key in unknown:
            near = did_you_mean(str(key), _KEYS)
            self._problem((*path, key) if isinstance(key, str) else path, f"unknown key {key!r}{near}")
        if unknown:
            return False
        if not given:
            self._problem(path, "expected rate or burst")
            return False
        whole = limit.model_dump(exclude_unset=True) | given
        try:
            options = LimitOptions.model_validate(whole)
        except ValidationError as error:
            for one in failures(error.errors(include_url=False), whole, (), {}):
                inner = [part for part in one.path if isinstance(value, dict) and part in value]
                self._problem((*path, *map(str, inner)), one.message)
            return False
        self.found[number][project] = Terms(options, source=source, usual=limit, project=project)
        return True
