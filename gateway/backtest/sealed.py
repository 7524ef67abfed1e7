"""Header fields of a recorded request of which some values are not known: of what is secret a record has only a hash.

Such a field is there, and may be copied to another name or joined to another line; who asks what it holds gets no answer.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from gateway.http.fields import Fields, Overlay

_SEAL: Final = "\0"  # no client can send one
REDACTED: Final = b"[redacted]"
"""What stands in a record for a secret that is met where no hash is kept."""

_WHOLE: Final = re.compile(_SEAL + "[0-9a-f]+")
_PLAIN: Final = ""

Spelling: TypeAlias = tuple[str | None, ...]
"""How the values of header fields stand in a key, one after the other: plain, or by what they are hashed; None for one that is
not there. Keys that are spelled otherwise may be the same."""


class Unread(Exception):  # noqa: N818 - it is no error, but an answer
    """What a header field holds has been asked, and is not recorded."""

    @property
    def why(self) -> str:
        return f"the value of {self} is secret, and not recorded"


def sealed(told: str) -> bytes:
    """The value of a field that is known by no more than this."""
    return (_SEAL + told).encode("latin-1", "replace")


def spelling(fields: Fields, names: Sequence[str], hashed_by: str, *, split: bool) -> Spelling | None:
    """How the values of these fields stand in a key; None where they do not tell whose it is.

    hashed_by  what tells the keys of hashes apart; empty where that is not known
    split      whether lines may have been made of the members of one: a hash is of a whole line
    """
    found: list[str | None] = []
    for name in names:
        value = fields.get(name)
        if not value:
            found.append(None)
        elif _SEAL not in value:
            found.append(_PLAIN)
        elif split or not hashed_by or _WHOLE.fullmatch(value) is None:
            return None
        else:
            found.append(hashed_by)
    return tuple(found)


class SealedFields(Fields):
    """Fields that do not tell what is sealed. Raises Unread, unless it is `opened`: then what a record has tells values apart."""

    opened = False

    def get(self, name: str | bytes, default: str | None = None) -> str | None:
        value = super().get(name, default)
        if value is not None and _SEAL in value and not self.opened:
            raise Unread(_named(name))
        return value

    def all(self, name: str | bytes) -> list[str]:
        return _unsealed(name, super().all(name), self.opened)


class SealedOverlay(Overlay):
    """An overlay of such."""

    opened = False

    def all(self, name: str | bytes) -> list[str]:
        return _unsealed(name, super().all(name), self.opened)


def _unsealed(name: str | bytes, values: list[str], opened: bool) -> list[str]:
    if not opened and any(_SEAL in value for value in values):
        raise Unread(_named(name))
    return values


def _named(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")
