"""A configuration file to a checked Configuration, with the place of everything, or with all that is wrong.

Reading (document.py), filling in variables and secrets, validating (model.py and each filter's own model),
checking what spans the file, and the revision: in this order, each going as far as it can, so that one
attempt shows every problem.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from gateway.api import message
from gateway.api.message import did_you_mean
from gateway.api.option import Options, Secret
from gateway.config import document
from gateway.config.beside import MAX_BESIDE, contents, further_files, option_files, tls_files
from gateway.config.model import AdminListen, AdminOnly, Configuration, Entry, EntryKeys, Place, UnixAddress
from gateway.config.problem import (
    ConfigurationError,
    Marks,
    Path,
    Position,
    Problem,
    written,
)
from gateway.config.shape import Shape, key_of, survey
from gateway.registry import ENTRY_KEYS, Registry, RegistryError, UnknownFilter
from gateway.tls import MAX_FILE

M = TypeVar("M", bound=BaseModel)

MAX_SECRET = 64 << 10

_IN_ADMIN = re.compile(r"admin(?:$|[.\[])")

# Keys whose value is taken for a secret whatever its type: a mistake must not put it on a screen.
_SECRET_KEY = re.compile(r"(?:^|_)(?:token|password|passphrase|secret|key)s?(?:_sha256)?$")
_SECRET_FIELD = re.compile(r"(?i)^(?:(?:proxy-)?authorization|cookie|.*-(?:token|password|secret|key))$")
_MASK = "**********"
_LEAST_SECRET = 4  # a shorter one cannot be told from ordinary words of a message

__all__ = [
    "ConfigurationError",
    "Loaded",
    "Marks",
    "Position",
    "Problem",
    "digest",
    "load",
    "load_admin",
    "loads",
    "normal_form",
    "shown",
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that may be put in force.

    revision   SHA-256 of its normal form, hexadecimal, and with `files` of what these hold too
    text       the bytes of the file
    directory  what file names in the configuration are relative to
    filled     texts that came from the environment, and how they are written in the file
    files      the contents of the files beside it that the options of filters name, as they were when it was loaded: whoever
               builds it later, a worker that takes the place of another, builds the same
    tls_files  the same of the files of certificates, keys and authorities, which a listener's renewal may overtake
    """

    configuration: Configuration
    marks: Marks
    revision: str
    text: bytes
    directory: FilePath
    filled: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    tls_files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def current_text(self) -> bytes | None:
        """The bytes of the file as it is now; None where it cannot be read."""
        try:
            with FilePath(self.marks.file).open("rb") as stream:
                return stream.read(document.MAX_BYTES + 1)
        except (OSError, ValueError):
            return None

    @property
    def beside(self) -> bytes:
        """A hash of `files`."""
        return _hashed(self.files)

    def current_beside(self) -> bytes:
        """The same of the files as they are now."""
        return _hashed(self.current_files())

    def current_files(self) -> dict[str, bytes]:
        """The files as they are now, by their names; those that cannot be read, or are very large, are left out."""
        names, further = option_files(self.configuration), further_files(self.configuration)
        return contents(self.directory, names, MAX_BESIDE, further)

    @property
    def kept(self) -> Mapping[str, bytes]:
        """All contents of files that are kept."""
        return {**self.tls_files, **self.files}

    def with_files(self) -> "Loaded":
        """The same with the contents of all files beside it as they are now."""
        credentials = contents(self.directory, tls_files(self.configuration), MAX_FILE)
        files = self.current_files()
        revision = digest(self.configuration)
        if files:
            revision = hashlib.sha256(revision.encode() + _hashed(files)).hexdigest()
        return replace(self, files=files, tls_files=credentials, revision=revision)


def _hashed(files: Mapping[str, bytes]) -> bytes:
    hashed = hashlib.sha256()
    for name, content in sorted(files.items()):
        hashed.update(name.encode("utf-8", "backslashreplace") + b"\0" + hashlib.sha256(content).digest())
    return hashed.digest()


def load(path: FilePath, *, registry: Registry, environment: Mapping[str, str] | None = None) -> Loaded:
    """Loads a file. Raises ConfigurationError, and nothing else, whatever the file holds."""
    file = str(path)
    data = _bytes(path)
    found = _loaded(data, document.decode(data, file), file, registry, environment, path.parent)
    return found.with_files()


def load_admin(path: FilePath, *, environment: Mapping[str, str] | None = None) -> AdminListen | None:
    """The `admin` of a file, for who wants to ask the gateway that runs with it.

    Whatever else is wrong with the file, or is right for that gateway only (its variables, its secrets), does not matter.
    Raises ConfigurationError.
    """
    file = str(path)
    source = document.read(
        document.decode(_bytes(path), file), file, os.environ if environment is None else environment
    )
    return _Loading(source, None, path.parent).admin()


def load_as(path: FilePath, model: type[M], *, environment: Mapping[str, str] | None = None) -> M:
    """Another file of options, read and checked as configurations are. Raises ConfigurationError."""
    file = str(path)
    source = document.read(
        document.decode(_bytes(path), file), file, os.environ if environment is None else environment
    )
    return _Loading(source, None, path.parent).other(model)


def _bytes(path: FilePath) -> bytes:
    """What is in a file, as far as one may be long. Raises ConfigurationError."""
    try:
        with path.open("rb") as stream:
            return stream.read(document.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [Problem(str(path), 0, 0, "unreadable", f"cannot be read: {_why(error)}")]
        ) from None


def loads(
    text: str,
    filename: str,
    *,
    registry: Registry,
    environment: Mapping[str, str] | None = None,
    directory: FilePath | None = None,
) -> Loaded:
    """Loads a text as if it stood in `filename`. Raises ConfigurationError, and nothing else."""
    data = text.encode("utf-8", "surrogatepass")
    return _loaded(data, text, filename, registry, environment, directory or FilePath())


def normal_form(value: Any) -> Any:
    """JSON values that say the same as `value`: defaults filled in, places left out, secrets only as a hash.

    Two configurations with the same normal form behave in the same way.
    """
    if isinstance(value, Entry):
        return {
            "filter": value.type,
            "name": value.name,
            "when": normal_form(value.when),
            "mode": value.mode,
            "shadow_percent": value.shadow_percent,
            "delegate": value.delegate,
            "options": normal_form(value.options),
        }
    if isinstance(value, BaseModel):
        if isinstance(value, Options) and callable(terse := getattr(value, "terse", None)):
            value = terse()
        fields = type(value).model_fields.items()
        return {key_of(name, field): normal_form(getattr(value, name)) for name, field in fields}
    if isinstance(value, Secret):
        return {"sha256": hashlib.sha256(value.reveal().encode("utf-8", "surrogatepass")).hexdigest()}
    if isinstance(value, Mapping):
        return {str(key): normal_form(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((normal_form(item) for item in value), key=_canonical)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [normal_form(item) for item in value]
    if isinstance(value, re.Pattern):
        return value.pattern
    return to_jsonable_python(value, inf_nan_mode="strings", fallback=str)


def shown(value: Any, filled: Mapping[str, str] | None = None) -> Any:
    """`normal_form` for people to see: of a secret not even a hash, by which a weak one could be found.

    What came from the environment is shown as the file has it, for it may be a secret whatever its place; and the value of
    a header field whose name says that it is one is not shown either.
    """
    return _masked(normal_form(value), filled or {})


def _masked(normal: Any, filled: Mapping[str, str], secret: bool = False) -> Any:
    if isinstance(normal, dict):
        if normal.keys() == {"sha256"}:
            return _MASK
        return {
            key: _masked(item, filled, secret or _SECRET_FIELD.search(key) is not None)
            for key, item in normal.items()
        }
    if isinstance(normal, list):
        return [_masked(item, filled, secret) for item in normal]
    if isinstance(normal, str):
        if normal in filled:
            return filled[normal]
        return _MASK if secret and normal else normal
    return normal


def digest(value: Any) -> str:
    """SHA-256 of the normal form of `value`, hexadecimal."""
    return hashlib.sha256(_canonical(normal_form(value)).encode("ascii")).hexdigest()


def _canonical(normal: Any) -> str:
    return json.dumps(normal, sort_keys=True, separators=(",", ":"))


def _why(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return reason[:1].lower() + reason[1:]


def _loaded(
    data: bytes,
    text: str,
    file: str,
    registry: Registry,
    environment: Mapping[str, str] | None,
    directory: FilePath,
) -> Loaded:
    source = document.read(text, file, os.environ if environment is None else environment)
    loading = _Loading(source, registry, directory)
    configuration = loading.configuration()
    if configuration is None or loading.problems:
        raise ConfigurationError(loading.problems)
    values = ((_at(source.value, path), written) for path, written in source.variables.items())
    filled = {str(value): written for value, written in values if len(str(value)) >= _LEAST_SECRET}
    return Loaded(configuration, source.marks, digest(configuration), data, directory, filled)


class _Loading:
    """One attempt: collects problems, and ends with a configuration when there are none."""

    def __init__(self, source: document.Document, registry: Registry | None, directory: FilePath) -> None:
        self.problems = list(source.problems)
        self._source = source
        self._registry = registry
        self._directory = directory
        self._secrets: set[str] = set()
        self._noted: list[tuple[Path, str, str]] = []

    def configuration(self) -> Configuration | None:
        raw = self._source.value
        if not isinstance(raw, dict):
            self._note((), "type", f"expected a mapping of options, got {message.kind_of(raw)}")
            self._finish()
            return None
        names = _Names(raw)
        core = dict(raw)
        if isinstance(raw.get("filters"), list):
            core["filters"] = self._chain(raw["filters"], ("filters",), names)
        if isinstance(raw.get("routes"), list):
            core["routes"] = [
                self._route(route, ("routes", place), names) for place, route in enumerate(raw["routes"])
            ]
        configuration = self._validated(Configuration, core, ())
        self._check_names(names)
        self._check_routes(raw)
        self._check_mirrors(raw)
        self._check_priority(raw)
        if configuration is not None:
            self._check_addresses(configuration)
        self._finish()
        return configuration

    def admin(self) -> AdminListen | None:
        """That part alone. Raises ConfigurationError."""
        raw = self._source.value
        core = {key: item for key, item in raw.items() if key == "admin"} if isinstance(raw, dict) else {}
        self.problems = [problem for problem in self.problems if _IN_ADMIN.match(problem.key)]
        alone = self._validated(AdminOnly, core, ())
        self._finish()
        if alone is None or self.problems:
            raise ConfigurationError(self.problems)
        return alone.admin

    def other(self, model: type[M]) -> M:
        """Options of another kind. Raises ConfigurationError."""
        raw = self._source.value
        value = None
        if isinstance(raw, dict):
            value = self._validated(model, raw, ())
        else:
            self._note((), "type", f"expected a mapping of options, got {message.kind_of(raw)}")
        self._finish()
        if value is None or self.problems:
            raise ConfigurationError(self.problems)
        return value

    # -- entries -------------------------------------------------------------------------------------------

    def _route(self, route: Any, path: Path, names: "_Names") -> Any:
        if isinstance(route, dict) and isinstance(route.get("filters"), list):
            return {**route, "filters": self._chain(route["filters"], (*path, "filters"), names)}
        return route

    def _chain(self, items: list[Any], path: Path, names: "_Names") -> list[Entry]:
        entries = []
        for place, item in enumerate(items):
            here = (*path, place)
            if here in self._source.broken:
                continue
            if isinstance(item, str):
                kind, options, own_path = item, None, here
            elif isinstance(item, dict) and len(item) == 1:
                kind, options = next(iter(item.items()))
                own_path = (*here, kind)
            else:
                self._note(here, "entry", _no_entry(item))
                continue
            entry = self._entry(kind, options, own_path, names)
            if entry is not None:
                entries.append(entry)
        return entries

    def _entry(self, kind: str, options: Any, path: Path, names: "_Names") -> Entry | None:
        if options is None:
            options = {}
        if not isinstance(options, dict):
            self._note(path, "type", f"expected a mapping of options, got {message.kind_of(options)}")
            options = {}
        name = names.of(kind, options, path)
        assert self._registry is not None
        try:
            filter_class = self._registry.get(kind)
        except UnknownFilter as error:
            self._note(path, "unknown_filter", str(error))
            return None
        except RegistryError as error:
            self._note(path, "filter_unusable", str(error))
            return None
        shared = self._validated(EntryKeys, {key: options[key] for key in ENTRY_KEYS if key in options}, path)
        own = self._validated(
            filter_class.Config,
            {key: item for key, item in options.items() if key not in ENTRY_KEYS},
            path,
            ENTRY_KEYS,
        )
        if shared is None or own is None:
            return None
        return Entry.model_construct(
            type=kind,
            name=name,
            when=shared.when,
            mode=shared.mode,
            shadow_percent=shared.shadow_percent,
            delegate=shared.delegate,
            options=own,
            path=path,
        )

    # -- validation ----------------------------------------------------------------------------------------

    def _validated(
        self, model: type[M], raw: dict[str, Any], base: Path, more_keys: tuple[str, ...] = ()
    ) -> M | None:
        shape = survey(model, raw, base)
        shape.keys.setdefault(base, set()).update(more_keys)
        before = len(self._noted)
        self._fill_secrets(shape, raw, base)
        self._collect_secrets(raw, base)
        for path, expected in shape.mistyped.items():
            if path not in self._source.broken:
                self._note(
                    path,
                    "type",
                    f"expected {expected}{self._got(path, _at(raw, path[len(base) :]), shape, base)}",
                )
        try:
            value = model.model_validate(raw)
        except ValidationError as error:
            self._note_failures(error, raw, base, shape)
            return None
        except Exception as error:  # noqa: BLE001 - a filter's own validator may raise anything
            self._note(
                base,
                "filter_unusable",
                f"the options cannot be checked: {type(error).__name__} in the filter",
            )
            return None
        return value if len(self._noted) == before else None

    def _note_failures(self, error: ValidationError, raw: Any, base: Path, shape: Shape) -> None:
        for failure in message.failures(error.errors(include_url=False), raw, base, shape.keys):
            path = failure.path
            if path in shape.mistyped or any(
                path[:end] in self._source.broken for end in range(len(path) + 1)
            ):
                continue
            value = _at(raw, path[len(base) :])
            text = failure.message
            if failure.got:
                text += self._got(path, value, shape, base)
            elif isinstance(value, (str, int, float)) and self._hides(path, shape, base):
                hidden = self._source.variables.get(path) or message.kind_of(value)
                text = _without(text, value, hidden)
            self._note(path, failure.code, text)

    def _got(self, path: Path, value: Any, shape: Shape, base: Path) -> str:
        """`, got 'ten'`, or without the value where it may be a secret."""
        if path in self._source.variables:
            return f", got {self._source.variables[path]}"
        return f", got {message.kind_of(value) if self._hides(path, shape, base) else message.shown(value)}"

    def _hides(self, path: Path, shape: Shape, base: Path) -> bool:
        if path in self._source.variables:
            return True
        return any(path[:end] in shape.secrets for end in range(len(base), len(path) + 1)) or any(
            isinstance(part, str) and _SECRET_KEY.search(part) for part in path[len(base) :]
        )

    def _fill_secrets(self, shape: Shape, raw: Any, base: Path) -> None:
        """Puts the content of the file in place of `file:PATH`, wherever a secret is expected."""
        for path in shape.secrets:
            value = _at(raw, path[len(base) :])
            if not isinstance(value, str):
                continue
            if value.startswith("file:"):
                content = self._secret(value.removeprefix("file:"), path)
                if content is None:
                    continue
                value = content
                _put(raw, path[len(base) :], value)
            self._secrets.add(value)

    def _secret(self, name: str, path: Path) -> str | None:
        try:
            with (self._directory / name).open("rb") as stream:
                data = stream.read(MAX_SECRET + 1)
            if len(data) > MAX_SECRET:
                raise ValueError(f"larger than {MAX_SECRET >> 10} KiB")
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            self._note(path, "file", f"the file {name!r} is not UTF-8 text")
        except (OSError, ValueError) as error:
            self._note(path, "file", f"the file {name!r} cannot be read: {_why(error)}")
        else:
            return text.removesuffix("\n").removesuffix("\r")
        return None

    def _collect_secrets(self, value: Any, path: Path) -> None:
        """Remembers text under keys that name a secret, and text from the environment: never in a message."""
        if isinstance(value, dict):
            for key, item in value.items():
                self._collect_secrets(item, (*path, key))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                self._collect_secrets(item, (*path, place))
        elif isinstance(value, str) and (
            path in self._source.variables
            or (path and isinstance(path[-1], str) and path[-1] != "key" and _SECRET_KEY.search(path[-1]))
        ):
            self._secrets.add(value)

    # -- what spans the file ---------------------------------------------------------------------------------

    def _check_names(self, names: "_Names") -> None:
        for path, name, first in names.repeated:
            place = self._source.marks.position(first)
            self._note(
                (*path, "name"), "duplicate_name", f"the name {name!r} is taken, first on line {place.line}"
            )

    def _check_routes(self, raw: dict[str, Any]) -> None:
        routes = raw.get("routes")
        upstreams = raw.get("upstreams")
        seen: dict[str, Path] = {}
        for place, route in enumerate(routes if isinstance(routes, list) else []):
            if not isinstance(route, dict):
                continue
            name, upstream = route.get("name"), route.get("upstream")
            if isinstance(name, str):
                first = seen.setdefault(name, ("routes", place, "name"))
                if first != ("routes", place, "name"):
                    line = self._source.marks.position(first).line
                    self._note(
                        ("routes", place, "name"),
                        "duplicate_name",
                        f"the route {name!r} exists, first on line {line}",
                    )
            self._check_upstream(upstream, upstreams, ("routes", place, "upstream"))

    def _check_upstream(self, name: Any, upstreams: Any, path: Path) -> None:
        if isinstance(name, str) and isinstance(upstreams, dict) and name not in upstreams:
            near = did_you_mean(name, upstreams)
            self._note(path, "unknown_upstream", f"there is no upstream {name!r}{near}")

    def _check_mirrors(self, raw: dict[str, Any]) -> None:
        upstreams, routes = raw.get("upstreams"), raw.get("routes")
        mirrored: list[tuple[Any, Any, Path]] = []
        if isinstance(upstreams, dict):
            mirrored += [
                (name, options["mirror"], ("upstreams", name, "mirror"))
                for name, options in upstreams.items()
                if isinstance(options, dict) and isinstance(options.get("mirror"), dict)
            ]
        for place, route in enumerate(routes if isinstance(routes, list) else []):
            if isinstance(route, dict) and isinstance(route.get("mirror"), dict):
                mirrored.append((route.get("upstream"), route["mirror"], ("routes", place, "mirror")))
        for first, mirror, path in mirrored:
            second = mirror.get("upstream")
            self._check_upstream(second, upstreams, (*path, "upstream"))
            if first is not None and second == first:
                self._note(
                    (*path, "upstream"),
                    "mirror_itself",
                    f"{first!r} is where the requests go in the first place",
                )

    def _check_priority(self, raw: dict[str, Any]) -> None:
        classes, routes = raw.get("priority"), raw.get("routes")
        known = [
            route["name"]
            for route in (routes if isinstance(routes, list) else [])
            if isinstance(route, dict) and isinstance(route.get("name"), str)
        ]
        seen: set[str] = set()
        for place, one in enumerate(classes if isinstance(classes, list) else []):
            if not isinstance(one, dict):
                continue
            name, wanted = one.get("name"), one.get("routes")
            if isinstance(name, str):
                if name in seen:
                    self._note(
                        ("priority", place, "name"), "duplicate_name", f"the class {name!r} is listed twice"
                    )
                seen.add(name)
            for number, route in enumerate(wanted if isinstance(wanted, list) else []):
                if isinstance(route, str) and route not in known:
                    near = did_you_mean(route, known)
                    self._note(
                        ("priority", place, "routes", number),
                        "unknown_route",
                        f"there is no route {route!r}{near}",
                    )

    def _check_addresses(self, configuration: Configuration) -> None:
        places = [listen.place for listen in configuration.listen]
        admin = configuration.admin.listen.place if configuration.admin is not None else None
        for number, place in enumerate(places):
            if _certain(place) and place in places[:number]:
                self._note(("listen", number), "duplicate_address", f"{place} is listed twice")
        if admin is not None and _certain(admin) and admin in places:
            self._note(("admin",), "duplicate_address", f"{admin} is the gateway's own address")

    # -- problems --------------------------------------------------------------------------------------------

    def _note(self, path: Path, code: str, text: str) -> None:
        self._noted.append((path, code, text))

    def _finish(self) -> None:
        """Notes become problems once every secret is known, so that none can show in any of them."""
        secrets = sorted(
            (text for text in self._secrets if len(text) >= _LEAST_SECRET), key=len, reverse=True
        )
        for path, code, text in self._noted:
            position: Position = self._source.marks.position(path)
            for secret in secrets:
                text = text.replace(secret, _MASK)
            named = (
                path[:-1] if code in ("unknown_key", "unknown_filter") and isinstance(path[-1], str) else path
            )
            self.problems.append(Problem(*position, code, _visible(text), written(named)))


class _Names:
    """Names of entries: given ones as they are; else the type, with "-2", "-3" for later ones."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.repeated: list[tuple[Path, str, Path]] = []
        self._given: dict[str, Path] = {}
        self._taken = set(_given_names(raw))

    def of(self, kind: str, options: dict[str, Any], path: Path) -> str:
        given = options.get("name")
        if isinstance(given, str):
            first = self._given.setdefault(given, path)
            if first != path:
                self.repeated.append((path, given, (*first, "name")))
            return given
        number = 1
        name = kind
        while name in self._taken:
            number += 1
            name = f"{kind}-{number}"
        self._taken.add(name)
        return name


def _without(text: str, value: str | float, hidden: str) -> str:
    """A message with `hidden` for a value that it may not show; a short one may stand inside our own words."""
    text = text.replace(repr(value), hidden)
    if not str(value):
        return text
    return re.sub(rf"(?<!\w){re.escape(str(value))}(?!\w)", lambda _: hidden, text)


def _certain(place: Place) -> bool:
    """Whether it is one place, and not a port that the system chooses."""
    return isinstance(place, UnixAddress) or place.port != 0


def _given_names(raw: dict[str, Any]) -> Iterator[str]:
    routes = raw.get("routes")
    chains = [raw.get("filters")]
    chains += (
        [route.get("filters") for route in routes if isinstance(route, dict)]
        if isinstance(routes, list)
        else []
    )
    for chain in chains:
        for item in chain if isinstance(chain, list) else []:
            for options in item.values() if isinstance(item, dict) else []:
                if isinstance(options, dict) and isinstance(options.get("name"), str):
                    yield options["name"]


def _no_entry(item: Any) -> str:
    if isinstance(item, dict) and item:
        kind = next(iter(item))
        if item[kind] is None:
            return f"the options of {kind!r} must be indented further than its name"
        return f"an entry is one filter with its options, this has {len(item)} keys: {', '.join(map(repr, item))}"
    return f"expected the name of a filter, got {message.kind_of(item)}"


def _visible(text: str) -> str:
    """`text` on one line, with nothing that a terminal would obey."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _at(raw: Any, path: Path) -> Any:
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _put(raw: Any, path: Path, value: Any) -> None:
    for part in path[:-1]:
        raw = raw[part]
    raw[path[-1]] = value
