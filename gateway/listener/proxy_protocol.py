"""The PROXY protocol: how a balancer in front tells whom it connects, before the first byte of that client.

Versions 1 and 2 as HAProxy's specification has them (`doc/proxy-protocol.txt`), from bytes to an address. It is known
from the first byte on whether there can be such a prefix, and exactly where it ends: what stands behind it is TLS or
HTTP, and not for us.
"""

import struct
from typing import Final, NamedTuple

from gateway.http.address import UNIX, normal

MAX_SIZE: Final = 4096
"""Bytes of a prefix; what more there may be are extensions, which nobody here reads. nginx draws the line here too."""

_V1: Final = b"PROXY "
_V1_MAX: Final = 107
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEAD: Final = 16

_LOCAL, _PROXY = 0x20, 0x21
_UNKNOWN, _STREAM, _UNIX = 0, 1, 3
_SIZES: Final = {
    1: (4, 12),
    2: (16, 36),
    3: (108, 216),
}  # by family: bytes of an address, and of the whole block


class Prefix(NamedTuple):
    """What a balancer has said.

    size     bytes of the prefix
    address  of the client, in normal form; None where the balancer speaks for itself or does not know
    port     of the client, 0 where there is none
    """

    size: int
    address: str | None
    port: int


def parse(data: bytes) -> Prefix | None:
    """The prefix that `data` begins with; None while more of it is to come. Raises ValueError for anything else."""
    if data.startswith(_V1[: len(data)]):
        return _version_1(data)
    if data.startswith(_V2[: len(data)]):
        return _version_2(data)
    raise ValueError("no PROXY protocol")


def _version_1(data: bytes) -> Prefix | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise ValueError("the line does not end")
        # A carriage return at the very end may be half of the line's end; anywhere else it ends nothing.
        if b"\r" in data[:-1] or b"\n" in data:
            raise ValueError("a bare CR or LF")
        return None
    line = data[:end]
    if b"\r" in line or b"\n" in line or not line.isascii():
        raise ValueError("a byte that cannot be in the line")
    size = end + 2
    family, *rest = line.decode("ascii").split(" ")[1:]
    if family == "UNKNOWN":  # whatever follows it is to be ignored
        return Prefix(size, None, 0)
    if family not in ("TCP4", "TCP6") or len(rest) != 4:
        raise ValueError("not the parts of a line of version 1")
    source, _ = [_text_address(text, family) for text in rest[:2]]
    port, _ = [_text_port(text) for text in rest[2:]]
    return Prefix(size, source, port)


def _text_address(text: str, family: str) -> str:
    """The normal form of an address of the family. Raises ValueError."""
    if (":" in text) != (family == "TCP6") or "%" in text:
        raise ValueError("an address of another family")
    return normal(text)


def _text_port(text: str) -> int:
    if not (text.isdigit() and len(text) <= 5 and str(int(text)) == text and int(text) <= 65535):
        raise ValueError("not a port")
    return int(text)


def _version_2(data: bytes) -> Prefix | None:
    if len(data) < _V2_HEAD:
        return None
    command, kind, length = struct.unpack_from("!BBH", data, len(_V2))
    if command not in (_LOCAL, _PROXY):
        raise ValueError("not version 2, or a command that it does not know")
    size = _V2_HEAD + length
    if size > MAX_SIZE:
        raise ValueError("the prefix is too large")
    family, transport = kind >> 4, kind & 15
    if command == _PROXY and (family > _UNIX or transport not in (_UNKNOWN, _STREAM)):
        raise ValueError("a family or transport that a stream cannot have")
    own = command == _LOCAL or family == _UNKNOWN or transport == _UNKNOWN
    address_size, block_size = (0, 0) if own else _SIZES[family]
    if length < block_size:
        raise ValueError("shorter than its addresses")
    if len(data) < size:
        return None
    if own:
        return Prefix(size, None, 0)
    if family == _UNIX:
        return Prefix(size, UNIX, 0)
    raw = data[_V2_HEAD : _V2_HEAD + address_size]
    (port,) = struct.unpack_from("!H", data, _V2_HEAD + 2 * address_size)
    return Prefix(size, normal(raw), port)
