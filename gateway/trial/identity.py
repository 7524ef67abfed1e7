"""Who is calling, as people write it on a command line or in a test."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from gateway.api.message import did_you_mean
from gateway.api.principal import Principal
from gateway.trial.given import Identity

_ALIASES: Final = {
    "user": "user_id",
    "project": "project_id",
    "domain": "domain_id",
}
_LISTS: Final = frozenset(
    field.name for field in fields(Principal) if str(field.type).startswith("tuple[str, ...]")
)
_TEXTS: Final = frozenset(field.name for field in fields(Principal) if str(field.type).startswith("str"))
NOBODY: Final = "nobody"


def parse_identity(text: str) -> Identity:
    """`user=u1,project=p1,roles=member,reader`, or `nobody`. Raises ValueError with one sentence."""
    if text == NOBODY:
        return Identity(None)
    given: dict[str, Any] = {}
    last = ""
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if mark:
            last = name.strip()
            value = value.strip()
            given[last] = [value] if _named(last) in _LISTS else value
        elif last and isinstance(given[last], list):
            given[last].append(part.strip())
        else:
            raise ValueError(f"expected NAME=VALUE, got {part!r}")
    return identity_of(given)


def identity_of(given: Mapping[str, Any]) -> Identity:
    """The principal of these members. Raises ValueError with one sentence."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        member = _named(name)
        if member in _LISTS:
            values = [value] if isinstance(value, str) else value
            if not isinstance(values, (list, tuple)) or not all(isinstance(item, str) for item in values):
                raise ValueError(f"{name}: expected a list of texts")
            made[member] = tuple(values)
        elif member in _TEXTS:
            if not isinstance(value, str):
                raise ValueError(f"{name}: expected text, got {value!r}")
            made[member] = value
        else:
            known = sorted({*_LISTS, *_TEXTS, *_ALIASES})
            raise ValueError(f"a caller has no {name!r}{did_you_mean(name, known)}")
    return Identity(Principal(**made))


def _named(name: str) -> str:
    return _ALIASES.get(name, name)
