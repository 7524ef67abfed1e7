"""Media types in options, and whether a message has one of them (RFC 9110 sections 8.3.1 and 12.5.1)."""

from collections.abc import Set as AbstractSet
from typing import Annotated

from pydantic import AfterValidator

from filters._names import FieldValue
from gateway.http.media import media_type


def _type(text: str) -> str:
    kind = media_type(text)
    if kind is None or "*" in kind:
        raise ValueError(f"{text!r} is not a media type, such as application/json")
    return text


MediaType = Annotated[FieldValue, AfterValidator(_type)]
"""A media type, with its parameters if it has any, as it is sent."""


def _range(text: str) -> str:
    kind = media_type(text)  # an asterisk is a token's character: ranges parse as types do
    if kind is None or kind != text.strip().lower():
        raise ValueError(f"{text!r} is not a media type without parameters, such as application/json")
    main, _, sub = kind.partition("/")
    if "*" in kind and kind != "*/*" and ("*" in main or sub != "*"):
        raise ValueError(f"{text!r} is not a range of media types, such as application/*")
    return kind


MediaRange = Annotated[str, AfterValidator(_range)]
"""A media type without parameters, or all of a kind: `text/*`, `*/*`."""


def is_among(value: str, ranges: AbstractSet[str]) -> bool:
    """Whether a Content-Type is a media type that one of the ranges has; never for one that is malformed."""
    kind = media_type(value)
    return kind is not None and (kind in ranges or f"{kind.partition('/')[0]}/*" in ranges or "*/*" in ranges)
