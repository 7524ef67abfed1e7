"""The registry: from the name of a filter in YAML to its class.

A built-in filter is found by the name of its file in the package `filters`; its module is imported when the
name is first used, and not before. Third parties register classes under the entry-point group
`gateway.filters`, named `vendor.name`: the dot keeps a plugin from ever shadowing a built-in filter.
"""

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from gateway.api.filter import Filter
from gateway.api.message import did_you_mean

GROUP = "gateway.filters"

ENTRY_KEYS = ("name", "when", "mode", "shadow_percent", "delegate")
"""Keys that every entry in YAML may carry beside the filter's own options."""


class RegistryError(Exception):
    """A filter cannot be used; the message says why, in a sentence."""


class UnknownFilter(RegistryError):  # noqa: N818 - named for what it says
    """No filter has this name."""


def _installed() -> Iterable[importlib.metadata.EntryPoint]:
    return importlib.metadata.entry_points(group=GROUP)


class Registry:
    """Names and classes of all filters: the built-in ones and those of installed plugins."""

    def __init__(
        self,
        *,
        package: str = "filters",
        entry_points: Callable[[], Iterable[importlib.metadata.EntryPoint]] = _installed,
    ) -> None:
        self._package = package
        self._entry_points = entry_points
        self._built_in: frozenset[str] | None = None
        self._plugins: dict[str, list[importlib.metadata.EntryPoint]] | None = None
        self._classes: dict[str, type[Filter[Any]]] = {}

    def get(self, name: str) -> type[Filter[Any]]:
        """The class of the filter `name`. Raises UnknownFilter, or RegistryError when it cannot be used."""
        known = self._classes.get(name)
        if known is None:
            known = self._classes[name] = self._load(name)
        return known

    def names(self) -> list[str]:
        """The names of all filters, sorted; nothing is imported for it but the package itself."""
        return sorted(self._listed() | self._found().keys())

    def module(self, name: str) -> ModuleType:
        """The module that defines the filter `name`; its docstring opens the filter's reference."""
        return importlib.import_module(self.get(name).__module__)

    def _listed(self) -> frozenset[str]:
        if self._built_in is None:
            package = importlib.import_module(self._package)
            self._built_in = frozenset(
                info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")
            )
        return self._built_in

    def _found(self) -> dict[str, list[importlib.metadata.EntryPoint]]:
        if self._plugins is None:
            self._plugins = {}
            for entry_point in self._entry_points():
                self._plugins.setdefault(entry_point.name, []).append(entry_point)
        return self._plugins

    def _load(self, name: str) -> type[Filter[Any]]:
        if name in self._listed():
            return self._checked(name, self._defined(name))
        if name not in self._found():
            raise UnknownFilter(f"there is no filter {name!r}{did_you_mean(name, self.names())}")
        return self._checked(name, self._plugin(name))

    def _defined(self, name: str) -> object:
        """The module's one Filter subclass that carries the module's name."""
        try:
            module = importlib.import_module(f"{self._package}.{name}")
        except Exception as error:
            raise RegistryError(f"the filter {name!r} cannot be imported: {_told(error)}") from error
        classes = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Filter) and vars(value).get("name") == name
        ]
        if len(set(classes)) != 1:
            raise RegistryError(
                f"the filter {name!r} must have one Filter subclass named so in its module, it has {len(classes)}"
            )
        return classes[0]

    def _plugin(self, name: str) -> object:
        entry_points = self._found()[name]
        if "." not in name.strip("."):
            raise RegistryError(f"the plugin {name!r} must be named 'vendor.name', with a dot")
        if len(entry_points) > 1:
            makers = ", ".join(sorted(entry_point.value for entry_point in entry_points))
            raise RegistryError(f"the plugin {name!r} is installed more than once: {makers}")
        try:
            return entry_points[0].load()
        except Exception as error:
            raise RegistryError(f"the filter {name!r} cannot be imported: {_told(error)}") from error

    def _checked(self, name: str, found: object) -> type[Filter[Any]]:
        if not (isinstance(found, type) and issubclass(found, Filter)):
            raise RegistryError(f"the filter {name!r} is not a subclass of gateway.api.Filter")
        if getattr(found, "name", None) != name:
            raise RegistryError(f"the filter {name!r} calls itself {getattr(found, 'name', None)!r}")
        config = getattr(found, "Config", None)
        if not (isinstance(config, type) and issubclass(config, BaseModel)):
            raise RegistryError(f"the filter {name!r} has no Config that is a pydantic model")
        taken = sorted(set(config.model_fields) & set(ENTRY_KEYS))
        if taken:
            raise RegistryError(
                f"the filter {name!r} has an option {taken[0]!r}, which every entry has already"
            )
        return found


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
