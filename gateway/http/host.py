"""The Host field and the authority of a target: `host [":" port]` (RFC 9110 section 7.2, RFC 3986 3.2.2)."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

# A registered name may hold a comma or an escape by RFC 3986, and no name in the world does: both only serve
# to make two readers of the field disagree.
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]++|\[([0-9A-Fa-f:.]++)\])(?::0*+([0-9]{0,5}))?")


@lru_cache(maxsize=1024)
def valid(value: bytes) -> bool:
    """Whether the value names a host, with or without a port of 0 to 65535."""
    match = _HOST.fullmatch(value)
    if match is None:
        return False
    literal, port = match.groups()
    if port and int(port) > 65535:
        return False
    if literal is not None:
        try:
            IPv6Address(literal.decode("ascii"))
        except AddressValueError:
            return False
    return True


@lru_cache(maxsize=1024)
def name_of(value: str) -> str:
    """The host without its port, in lower case, without the dot that ends an absolute DNS name.

    An IPv6 literal keeps its brackets.
    """
    name = value.lower()
    if name.startswith("["):
        return name[: name.find("]") + 1] or name
    return name.partition(":")[0].removesuffix(".")
