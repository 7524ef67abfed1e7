"""The request target: its forms, and whether it can be read in two ways (RFC 9112 section 3.2, RFC 3986).

A gateway that judges one path while its upstream serves another is a way around every filter. So no target is
changed on its own: what is odd is named by `ambiguity`, also in what a filter sends the upstream instead, and what
is equivalent by RFC 3986 is compared in the one form that `matchable` gives.
"""

import re
import string
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes


class Target(NamedTuple):
    """A request target.

    raw        the origin form to forward, byte for byte; b"*" for the asterisk form
    path       the raw path as latin-1 text, not decoded
    query      without its "?"; None when there is no "?", "" for a trailing one
    authority  of an absolute form, else None
    """

    raw: bytes
    path: str
    query: str | None
    authority: str | None


_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*+)(.*+)", re.DOTALL)

ASTERISK = Target(b"*", "*", None, None)


def split(raw: bytes) -> Target:
    """The parts of a target in origin, absolute or asterisk form. Raises ValueError for every other."""
    text = raw.decode("latin-1")
    # A space or a line end would end the request line that goes upstream: refused in any form, on any route.
    if "#" in text or " " in text or "\r" in text or "\n" in text:
        raise ValueError(
            "The request target carries a fragment."
            if "#" in text
            else "The request target contains white space."
        )
    if text.startswith("/"):
        path, mark, query = text.partition("?")
        return Target(raw, path, query if mark else None, None)
    if text == "*":
        return ASTERISK
    absolute = _ABSOLUTE.fullmatch(raw)
    if absolute is None:
        raise ValueError(
            "The request target is neither an absolute path nor an http or https URI."
            if raw
            else "The request target is empty."
        )
    authority, rest = absolute.groups()
    if not authority:
        raise ValueError("The request target has an empty authority.")
    if b"@" in authority:
        # RFC 9110 section 4.2.4: userinfo disguises the host, and is an error from an untrusted source.
        raise ValueError("The request target carries userinfo.")
    if not rest.startswith(b"/"):
        rest = b"/" + rest
    path, mark, query = rest.decode("latin-1").partition("?")
    return Target(rest, path, query if mark else None, authority.decode("latin-1"))


_PCHAR = rb"A-Za-z0-9\-._~!$&'()*+,;=:@"
_DOT_SEGMENT = rb"(?:\.|%2[Ee]){1,2}"

# Leaves as it is what is made of the characters of a path, without an escape.
_PATH = (string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/").encode("ascii")
_SIMPLE: Final = bytes(byte if byte in _PATH else byte ^ 0xFF for byte in range(256))
_DOT: Final = ord(".")
_SEMICOLON: Final = ord(";")

# A dot segment with a parameter ("/..;x/") is one for servers that cut parameters off before they resolve
# the path, as Java's do.
_CLEAN = re.compile(
    rb"((?:/(?!" + _DOT_SEGMENT + rb"(?:[/?;]|\Z))"
    rb"(?:[" + _PCHAR + rb"]++|%(?!2[Ff]|5[Cc]|00)[0-9A-Fa-f]{2})++)*+/?+)"
    rb"(?:\?((?:[^%\x00-\x1f\x7f]++|%[0-9A-Fa-f]{2})*+))?+"
)


def plain(raw: bytes) -> tuple[str, str | None] | None:
    """Path and query of an origin-form target that nobody could read in two ways; None for any other.

    The fast path of `split` and `ambiguity` in one.
    """
    simple, mark, asked = raw.partition(b"?")
    if simple.startswith(b"/") and simple.translate(_SIMPLE) == simple and asked.translate(_SIMPLE) == asked:
        # Nearly every target, at a third of the cost: no segment that is empty or may be a dot segment, and no escape.
        for segment in simple[1:].split(b"/"):
            if not segment or segment[0] == _DOT or segment[0] == _SEMICOLON:
                break
        else:
            return simple.decode("ascii"), asked.decode("ascii") if mark else None
    clean = _CLEAN.fullmatch(raw)
    if clean is None or not raw.startswith(b"/"):
        return None
    path, query = clean.groups()
    if query is None:
        return path.decode("ascii"), None
    if b"#" in query or b" " in query:
        return None
    return path.decode("ascii"), query.decode("latin-1")


_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = re.compile(r"/(?:\.|%2[Ee]){1,2}(?=[/;]|\Z)")
_ENCODED = re.compile(r"%(?:2[Ff]|5[Cc]|00)")
_NOT_IN_PATH = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@%/]")


def ambiguity(target: Target) -> str | None:
    """One sentence on how the target could be read in two ways, or None when it cannot."""
    raw = target.raw
    if _CLEAN.fullmatch(raw) is not None or raw == b"*":
        return None
    path, query = target.path, target.query or ""
    if _CONTROL.search(path) or _CONTROL.search(query):
        return "The request target contains a control character."
    if _BAD_ESCAPE.search(path) or _BAD_ESCAPE.search(query):
        return "The request target contains a percent sign that begins no escape."
    if _DOTS.search(path):
        return "The path contains a dot segment."
    if _ENCODED.search(path):
        return "The path contains an encoded slash, backslash or NUL."
    if "//" in path:
        return "The path contains an empty segment."
    if "\\" in path:
        return "The path contains a backslash."
    assert _NOT_IN_PATH.search(path), "every way to leave the fast path has its sentence"
    return "The path contains a character that a path cannot hold unencoded."


_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_DECODED = {
    f"%{high}{low}": char
    for char in _UNRESERVED
    for high in f"{ord(char):02X}"[0]
    for low in {f"{ord(char):02X}"[1], f"{ord(char):02x}"[1]}
}
# After a stray "%" nothing is decoded: what it made would complete an escape that never was one.
_DECODABLE = re.compile(r"(?<!%)(?<!%[0-9A-Fa-f])%(?:2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")


def matchable(path: str) -> str:
    """The path with escapes of unreserved characters decoded (RFC 3986 section 6.2.2.2), nothing else.

    Routes and conditions compare this form, so that `/v2/%69mages` is `/v2/images` to them as it is to
    the upstream. A path without "%" is returned as it is.
    """
    if "%" not in path:
        return path
    return _DECODABLE.sub(lambda escape: _DECODED[escape[0]], path)


def decode(segment: str) -> str:
    """The segment percent-decoded once, as UTF-8; bytes that are none become U+FFFD."""
    if "%" not in segment and segment.isascii():
        return segment
    return unquote_to_bytes(segment.encode("latin-1")).decode("utf-8", "replace")
