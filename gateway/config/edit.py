"""Edits of a configuration's text that leave everything else as it is written."""

import re
from difflib import unified_diff
from typing import Final

from gateway.config.load import Loaded
from gateway.config.model import Entry

_MODE: Final = re.compile(r"((?:mode|'mode'|\"mode\")\s*:\s*)(['\"]?)shadow\2")
_SHADOWS: Final = ("shadow_percent", "delegate")
"""Keys that say something of an entry in shadow alone."""
_FLOW: Final = {
    key: re.compile(rf",\s*(['\"]?){key}\1\s*:\s*[0-9.]+(?=\s*[,}}])|(['\"]?){key}\2\s*:\s*[0-9.]+\s*,\s*")
    for key in _SHADOWS
}
_LINE: Final = {key: re.compile(rf"^\s*(?:- )?(['\"]?){key}\1\s*:\s*[0-9.]+\s*(?:#.*)?$") for key in _SHADOWS}


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
    quote = match[2] if match[1][0] in "'\"" else ""  # it may be JSON
    lines[number] = f"{line[: match.start()]}{match[1]}{quote}enforce{quote}{line[match.end() :]}"
    for key in _SHADOWS:
        option = (*entry.path, key)
        if option in loaded.marks:
            there = loaded.marks.position(option).line - 1
            if _LINE[key].match(lines[there]):
                lines[there] = ""
            else:
                lines[there] = _FLOW[key].sub("", lines[there], count=1)
    return "".join(lines)


def as_patch(loaded: Loaded, text: str) -> str:
    """The way from the configuration's text to another, as `patch` reads it."""
    file = loaded.marks.file
    before = loaded.text.decode("utf-8-sig").splitlines(keepends=True)
    return "".join(unified_diff(before, text.splitlines(keepends=True), file, file))
