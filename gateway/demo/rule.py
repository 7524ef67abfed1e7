"""What a request to change image metadata may say: the limits of the Compute API on keys, values and roots.

Plain functions from bytes to values. Whatever the bytes are, the outcome is a checked value or `Malformed`.
"""

import json
import re
from typing import Any, Final

KEY_MAX: Final = 255
VALUE_MAX: Final = 255

# Nova's schema spells this with `$`, which lets a key end in a line feed; it is always used with fullmatch.
_KEY = re.compile(rf"[a-zA-Z0-9\-_:. ]{{1,{KEY_MAX}}}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Malformed(ValueError):  # noqa: N818 - a verdict on the input, not an error of ours
    """The body breaks a rule; the text is a sentence for the client and repeats no unchecked input."""


def valid_key(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def valid_image_id(image_id: str) -> bool:
    """The API's UUID type is the canonical form, lower case only."""
    return _UUID.fullmatch(image_id) is not None


def metadata_of(raw: bytes) -> dict[str, str]:
    """The items of `{"metadata": {key: value, ...}}`, in order; of a repeated key the last counts."""
    return _items(raw, "metadata")


def meta_of(raw: bytes, key: str) -> str:
    """The value in `{"meta": {key: value}}`, which names exactly the key of the URI."""
    items = _items(raw, "meta")
    if len(items) > 1:
        raise Malformed("Request body contains too many items")
    if key not in items:
        raise Malformed("Request body and URI mismatch")
    return items[key]


def _items(raw: bytes, root: str) -> dict[str, str]:
    body = _parsed(raw)
    if not isinstance(body, dict):
        raise Malformed("The request body is not an object")
    if root not in body:
        raise Malformed(f"'{root}' is a required property")
    if len(body) > 1:
        raise Malformed(f"Additional properties beside '{root}' are not allowed")
    items = body[root]
    if not isinstance(items, dict):
        raise Malformed(f"'{root}' is not an object")
    for key, value in items.items():
        _check(key, value)
    return items


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    # ValueError: bad UTF-8, bad JSON, an integer of too many digits. RecursionError: `[[[[...`.
    except (ValueError, RecursionError):
        raise Malformed("Malformed request body") from None


def _check(key: str, value: Any) -> None:
    if not key:
        raise Malformed("Image metadata key cannot be blank")
    if len(key) > KEY_MAX:
        raise Malformed("Image metadata key too long")
    if not valid_key(key):
        raise Malformed(
            "Image metadata key has a character other than letters, digits, '-', '_', ':', '.' and ' '"
        )
    if not isinstance(value, str):
        raise Malformed(f"Image metadata value of '{key}' is not a string")
    if len(value) > VALUE_MAX:
        raise Malformed(f"Image metadata value of '{key}' too long")
    # JSON can escape half of a surrogate pair (RFC 8259 section 8.2): no character, in no encoding.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Malformed(f"Image metadata value of '{key}' is not Unicode")
