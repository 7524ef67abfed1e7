"""Which buckets somebody asks for: the query of `/limits`, the body of `/limits/reset`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, ValidationError

from gateway.api.bucket import Selection
from gateway.api.option import Options
from gateway.http.address import UNIX, network, normal

MOST: Final = 1000
"""Buckets that are told at once."""

_Text = Annotated[str, Field(min_length=1, max_length=255)]
_Part = Literal["project_id", "user_id", "client_ip", "token", "route", "method"]

PARTS: Final[Sequence[str]] = get_args(_Part)
"""Of a key, by which buckets can be asked for; what else a key may have is told, but not asked for."""


class _Buckets(Options):
    filter: _Text | None = None
    limit: _Text | None = None
    key_hash: _Text | None = None
    key: dict[_Part, _Text] = {}

    @property
    def selection(self) -> Selection:
        parts = {str(name): value for name, value in self.key.items()}
        if "client_ip" in parts:
            parts["client_ip"] = _client(parts["client_ip"])
        return Selection(self.filter, self.limit, self.key_hash, parts)


def _client(address: str) -> str:
    """As keys have it. Raises ValueError for what no client can have."""
    if address == UNIX:
        return address
    host, slash, length = address.partition("/")
    try:
        told = network(normal(host))
    except ValueError:
        told = ""
    if not told or (slash and (length != "64" or not told.endswith("/64"))):
        raise ValueError(
            f"client_ip: {address!r} is no address: expected one such as 192.0.2.7, or 2001:db8::7, which stands for its /64; or {UNIX}"
        )
    return told


class _Query(_Buckets):
    top: int = Field(default=20, ge=1, le=MOST)


def of_query(query: Mapping[str, str]) -> tuple[Selection, int]:
    """The buckets and how many of them. Raises ValueError with what would have been right."""
    values = {name: value for name, value in query.items() if name not in PARTS}
    key = {name: value for name, value in query.items() if name in PARTS}
    names = [name for name in _Query.model_fields if name != "key"]
    try:
        if len(set(query)) < len(query) or "key" in query:  # a name that comes twice says two things
            raise ValueError
        asked = _Query.model_validate({**values, "key": key})
    except ValueError:
        raise ValueError(
            f"expected a query of {', '.join((*names, *PARTS))}, each once; top is from 1 to {MOST}"
        ) from None
    return asked.selection, asked.top


def of_body(body: bytes) -> Selection:
    """The buckets, not all of them. Raises ValueError with what would have been right."""
    try:
        asked = _Buckets.model_validate_json(body)
    except ValidationError:
        asked = _Buckets()
    if not asked.model_dump(exclude_defaults=True):
        raise ValueError(
            f"expected a JSON object with one or more of {', '.join(_Buckets.model_fields)}; "
            f"key is an object with one or more of {', '.join(PARTS)}"
        )
    return asked.selection
