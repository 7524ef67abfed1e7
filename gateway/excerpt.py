"""The beginning of a body, for the record of a route that asks for it: kept as the body passes, which nobody holds up.

It is made into text, without what is secret, when the record's line is made. Of a JSON body the values of members that are
named as secrets are, and those that the route's paths lead to, are left out; where it cannot be read, all of it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from gateway.api.json_path import Path, Place, depth, places, walk
from gateway.http.fields import Fields
from gateway.http.media import media_type
from gateway.redaction import REDACTED, SHORTEST, is_secret_member, redact_target, scrub

LARGEST: Final = 64 << 10
"""Bytes of a body that a record may hold: records wait in memory to be written."""
DEEPEST: Final = 64
"""Containers around a value in a body that is still told."""

_FORM: Final = "application/x-www-form-urlencoded"


class Excerpt:
    """The first bytes of a body; a wrapper of it, which changes nothing.

    size     bytes that have passed
    limit    of them that are kept
    json     whether the body says that it is JSON
    form     whether it says that it is a form
    encoded  whether it is compressed, or something of that kind
    paths    lead to what is secret
    """

    __slots__ = ("_kept", "encoded", "form", "json", "limit", "paths", "size")

    def __init__(self, limit: int, *, json: bool, form: bool, encoded: bool, paths: Sequence[Path]) -> None:
        self._kept: list[bytes] = []
        self.size = 0
        self.limit = limit
        self.json = json
        self.form = form
        self.encoded = encoded
        self.paths = paths

    def __call__(self, chunk: bytes) -> bytes:
        room = self.limit - self.size
        if room > 0 and chunk:
            self._kept.append(chunk[:room])
        self.size += len(chunk)
        return chunk

    @property
    def data(self) -> bytes:
        return b"".join(self._kept)

    @property
    def truncated(self) -> bool:
        """Whether there is more of the body than is kept."""
        return self.size > self.limit


class Bodies:
    """What the records of a route hold of bodies.

    request, response  bytes at most, 0 for nothing
    types              media types that are told, `text/*` for all of that kind
    paths              lead to what is secret in JSON
    """

    def __init__(self, request: int, response: int, types: Sequence[str], paths: Sequence[Path]) -> None:
        self._request = request
        self._response = response
        self._types = frozenset(types)
        self._paths = tuple(paths)

    def of_request(self, fields: Fields) -> Excerpt | None:
        """What takes the beginning of the body of a request with these fields; None where it is not told."""
        return self._excerpt(self._request, fields)

    def of_response(self, fields: Fields) -> Excerpt | None:
        """The same of a response."""
        return self._excerpt(self._response, fields)

    def _excerpt(self, limit: int, fields: Fields) -> Excerpt | None:
        type_ = media_type(fields.get(b"content-type") or "") if limit else None
        if type_ is None or self._types.isdisjoint((type_, f"{type_.partition('/')[0]}/*")):
            return None
        return Excerpt(
            limit,
            json=type_ == "application/json" or type_.endswith("+json"),
            form=type_ == _FORM,
            encoded=(fields.get(b"content-encoding") or "identity").lower() != "identity",
            paths=self._paths,
        )


class Told(NamedTuple):
    """Excerpts as text.

    fields  of the record
    values  that have been left out, and are to be left out of all of the record
    """

    fields: Mapping[str, object]
    values: Sequence[bytes]


def tell(excerpts: Mapping[str, Excerpt | None], secrets: Sequence[str]) -> Told:
    """The fields for the excerpts of a `request` and a `response`, without `secrets` and what is secret in each of them."""
    read = {
        name: (excerpt, _read(excerpt))
        for name, excerpt in excerpts.items()
        if excerpt is not None and excerpt.size
    }
    values: set[str] = set()
    for excerpt, body in read.values():
        if body.document is not None:
            found = _taken_out(body.document, excerpt.paths)
            values.update(value for value in found if len(value) >= SHORTEST)
    texts = sorted({*secrets, *values}, key=len, reverse=True)
    fields: dict[str, object] = {"gateway.bodies": True} if read else {}
    for name, (excerpt, body) in read.items():
        if excerpt.truncated:
            fields[f"gateway.{name}.body_truncated"] = True
        if body.omitted:
            fields[f"gateway.{name}.body_omitted"] = body.omitted
            continue
        text = body.text
        if body.document is not None:
            text = orjson.dumps(scrub(body.document[0], texts)).decode()
        fields[f"gateway.{name}.body"] = scrub(text, texts)
    return Told(fields, [value.encode() for value in sorted(values)])


class _Body(NamedTuple):
    """An excerpt, read: a list of nothing but the JSON document, or a text, or why it is not told."""

    document: list[Any] | None = None
    text: str = ""
    omitted: str = ""


def _read(excerpt: Excerpt) -> _Body:
    if excerpt.encoded:
        return _Body(omitted="encoded")
    data = excerpt.data
    if excerpt.json or excerpt.paths:
        if excerpt.truncated:
            return _Body(omitted="truncated")
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            return _Body(omitted="not_json")
        return _Body(omitted="too_deep") if depth(document) > DEEPEST else _Body([document])
    if excerpt.form:
        data = redact_target(b"?" + data)[1:]
    return _Body(text=data.decode("utf-8", "backslashreplace"))


def _taken_out(root: list[Any], paths: Sequence[Path]) -> list[str]:
    """Takes out of the document what is secret; the texts that were."""
    found = [place for path in paths for place in places(root, path)]
    found += [
        place for place in walk(root) if isinstance(place.container, dict) and is_secret_member(place.key)
    ]
    values: list[str] = []
    for container, key in found:
        inside = [Place(container, key), *walk(container[key])]
        texts = [place.container[place.key] for place in inside]
        values += [text for text in texts if isinstance(text, str) and text != REDACTED]
        container[key] = REDACTED
    return values
