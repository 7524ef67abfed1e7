"""Addresses of the other end of a connection, in the one form in which they are compared, counted and told."""

from ipaddress import IPv6Address, ip_address
from typing import Final

UNIX: Final = "unix"
"""What stands for the address of whoever connects through a Unix socket, which has none."""


def normal(address: str | bytes) -> str:
    """The normal form of an address as text or as its 4 or 16 bytes. Raises ValueError.

    An IPv4 address that a socket of both families writes as IPv6 (::ffff:192.0.2.1) is that IPv4 address; a zone
    (fe80::1%eth0) means nothing beyond this host and is left out.
    """
    parsed = ip_address(address.partition("%")[0] if isinstance(address, str) else address)
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed)
    return str(parsed)


def network(address: str) -> str:
    """The text that stands for all addresses of one client: an IPv4 address by itself, IPv6 with all of its /64 (RFC 6177).

    A text that is no address stands for itself.
    """
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has no address
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    # One host owns all of it, and could come from another address each time.
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
