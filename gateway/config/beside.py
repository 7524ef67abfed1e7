"""The files beside a configuration: which ones its options name, and what is in them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from gateway.api.file import read_regular
from gateway.api.filter import files_of
from gateway.api.network import TlsOptions
from gateway.config.model import Configuration, Export, ListenTLS

MAX_BESIDE: Final = 16 << 20
"""Bytes of a file that is kept; a larger one is read by whoever builds it."""
MAX_KEPT: Final = 64 << 20
"""Bytes of the files that are kept together: they travel to each worker."""

_TLS: Final = (ListenTLS, TlsOptions, Export)
_TLS_OPTIONS: Final = ("ca", "certificate", "client_ca", "key")


def option_files(configuration: Configuration) -> frozenset[str]:
    """Names of those that filters read."""
    entries = chain(configuration.filters, *(route.filters for route in configuration.routes))
    return frozenset(name for entry in entries for name in files_of(entry.options))


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


def contents(directory: Path, names: Iterable[str], most: int) -> dict[str, bytes]:
    """The files of these names, relative to `directory`, as they are now.

    Those that cannot be read, have more than `most` bytes, or are too much together, are left out.
    """
    found: dict[str, bytes] = {}
    room = MAX_KEPT
    for name in sorted(names):
        with suppress(OSError, ValueError):
            content = read_regular(directory / name, most)
            if len(content) <= room:
                found[name] = content
                room -= len(content)
    return found
