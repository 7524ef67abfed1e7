"""What is no longer true of a body that a filter has changed (RFC 9110 section 8)."""

from typing import Final

from gateway.http.fields import Fields
from gateway.http.media import media_type

_DIGESTS: Final = frozenset((b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges"))


def altered(fields: Fields) -> None:
    """Edits the fields of a message whose body has become another: no digests, no ranges, and a weak ETag for a strong one.

    What the validator stands for is the same to those who ask by it, but not byte for byte (section 8.8.1).
    """
    fields.drop(_DIGESTS)
    tag = fields.index().get(b"etag")
    if isinstance(tag, bytes) and tag.startswith(b'"'):
        fields.set(b"ETag", b"W/" + tag)


def vary(fields: Fields, name: str) -> None:
    """Says that the answer depends on a field of the request (section 12.5.5); nothing where it says so already."""
    values = ",".join(fields.all(b"vary"))
    told = {part.strip(" \t").lower() for part in values.split(",")}
    if "*" not in told and name.lower() not in told:
        fields.add(b"Vary", name)


def is_json(fields: Fields) -> bool:
    """Whether the one Content-Type is a kind of JSON (RFC 6839 section 3.1)."""
    values = fields.all(b"content-type")
    if len(values) != 1:
        return False
    kind = media_type(values[0]) or ""
    return kind == "application/json" or kind.endswith("+json")
