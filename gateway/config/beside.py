"""The files beside a configuration: which ones its options name, and what is in them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gateway.api.file import hold_beside, read_regular
from gateway.api.filter import files_in, files_of
from gateway.api.network import TlsOptions
from gateway.config.model import Configuration, Export, ListenTLS

MAX_BESIDE: Final = 16 << 20
"""Bytes of a file that is kept; a larger one is read by whoever builds it."""
MAX_KEPT: Final = 64 << 20
"""Bytes of the files that are kept together: they travel to each worker."""

_MANY: Final = 1000
"""Files that one names."""

_TLS: Final = (ListenTLS, TlsOptions, Export)
_TLS_OPTIONS: Final = ("ca", "certificate", "client_ca", "key")


def option_files(configuration: Configuration) -> frozenset[str]:
    """Names of those that filters read."""
    entries = chain(configuration.filters, *(route.filters for route in configuration.routes))
    return frozenset(name for entry in entries for name in files_of(entry.options))


def further_files(configuration: Configuration) -> Callable[[str, bytes], Iterable[str]]:
    """Says which files filters read because one that they read names them, by its name and content."""
    entries = [*chain(configuration.filters, *(route.filters for route in configuration.routes))]
    naming = [entry.options for entry in entries if hasattr(entry.options, "files_in")]
    return lambda name, content: chain.from_iterable(files_in(options, name, content) for options in naming)


def tls_files(configuration: Configuration) -> frozenset[str]:
    """Names of those with certificates, keys and authorities, of listeners, upstreams, collectors and services of filters."""
    return frozenset(_tls_files(configuration))


def _tls_files(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        if isinstance(value, _TLS):
            named = (getattr(value, option, None) for option in _TLS_OPTIONS)
            yield from (name for name in named if name is not None)
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return
    for item in value:
        yield from _tls_files(item)


def contents(
    directory: Path,
    names: Iterable[str],
    most: int,
    further: Callable[[str, bytes], Iterable[str]] = lambda name, content: (),
) -> dict[str, bytes]:
    """The files of these names, relative to `directory`, as they are now; and `further` ones that one of them names.

    Those that cannot be read, have more than `most` bytes, or are too much together, are left out; and so are such as lead out of
    the directory of the file that names them.
    """
    found: dict[str, bytes] = {}
    room = MAX_KEPT
    ahead: list[tuple[str, str]] = [(name, "") for name in sorted(names, reverse=True)]
    seen = {name for name, _ in ahead}
    while ahead:
        name, by = ahead.pop()
        with suppress(OSError, ValueError):
            if by:
                hold_beside(directory / name, directory / by)
            content = read_regular(directory / name, most)
            if len(content) > room:
                continue
            found[name] = content
            room -= len(content)
            new = [other for other in further(name, content) if other not in seen][:_MANY]
            seen.update(new)
            ahead += [(other, name) for other in sorted(new, reverse=True)]
    return found
