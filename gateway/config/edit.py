"""Edits of a configuration's text that leave everything else as it is written."""

import re
from difflib import unified_diff
from typing import Final

from gateway.config.load import Loaded
from gateway.config.model import Entry

_MODE: Final = re.compile(r"(mode\s*:\s*)(['\"]?)shadow\2")
_SHARE_FLOW: Final = re.compile(
    r",\s*shadow_percent\s*:\s*[0-9.]+(?=\s*[,}])|shadow_percent\s*:\s*[0-9.]+\s*,\s*"
)
_SHARE_LINE: Final = re.compile(r"^\s*(?:- )?shadow_percent\s*:\s*[0-9.]+\s*(?:#.*)?$")


class EditError(ValueError):
    """The text cannot be edited as is asked. The message says why."""


def entry_named(loaded: Loaded, name: str) -> Entry:
    """The entry of a name. Raises EditError."""
    configuration = loaded.configuration
    entries = [*configuration.filters, *(entry for route in configuration.routes for entry in route.filters)]
    for entry in entries:
        if entry.name == name:
            return entry
    raise EditError(
        f"no entry is named {name!r}: there are {', '.join(entry.name for entry in entries) or 'none'}"
    )


def promoted(loaded: Loaded, name: str) -> str:
    """The text in which an entry that is in shadow enforces. Raises EditError."""
    entry = entry_named(loaded, name)
    if entry.mode != "shadow":
        raise EditError(f"{name!r} is not in shadow: its mode is {entry.mode}")
    lines = loaded.text.decode("utf-8-sig").splitlines(keepends=True)
    mode = (*entry.path, "mode")
    if mode not in loaded.marks:
        raise EditError(
            f"{name!r} does not say itself that it is in shadow: it is written elsewhere, by an alias, say"
        )
    place = loaded.marks.position(mode)
    number, column = place.line - 1, place.column - 1
    line = lines[number]
    match = _MODE.search(line, column)
    if match is None:
        raise EditError(f"the mode at {place} is not written as text: it comes from the environment, say")
    lines[number] = line[: match.start()] + match[1] + "enforce" + line[match.end() :]
    share = (*entry.path, "shadow_percent")
    if share in loaded.marks:
        there = loaded.marks.position(share).line - 1
        if _SHARE_LINE.match(lines[there]):
            lines[there] = ""
        else:
            lines[there] = _SHARE_FLOW.sub("", lines[there], count=1)
    return "".join(lines)


def as_patch(loaded: Loaded, text: str) -> str:
    """The way from the configuration's text to another, as `patch` reads it."""
    file = loaded.marks.file
    before = loaded.text.decode("utf-8-sig").splitlines(keepends=True)
    return "".join(unified_diff(before, text.splitlines(keepends=True), file, file))
