"""The PROXY protocol: what a prefix says, where it ends, and what is none."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.address import UNIX, normal
from gateway.listener.proxy_protocol import MAX_SIZE, Prefix, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
INET = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 51234, 443)
INET6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + struct.pack("!HH", 51234, 443)

ADDRESSES = st.ip_addresses()
PORTS = st.integers(0, 65535)


def version_2(block: bytes, kind: int = 0x11, command: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block) if length is None else length) + block


GOOD = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n", "192.0.2.7", 51234),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", "2001:db8::7", 51234),
    (b"PROXY TCP6 2001:DB8:0:0::7 ::1 0 0\r\n", "2001:db8::7", 0),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7", 1),
    (
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        65535,
    ),
    (b"PROXY UNKNOWN\r\n", None, 0),
    (
        b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        None,
        0,
    ),
    (version_2(INET), "192.0.2.7", 51234),
    (version_2(INET6, 0x21), "2001:db8::7", 51234),
    (version_2(b"/run/client.sock".ljust(216, b"\0"), 0x31), UNIX, 0),
    (version_2(INET + b"\x03\x00\x04abcd\x04\x00\x00"), "192.0.2.7", 51234),
    (version_2(b"", 0, 0x20), None, 0),
    (version_2(INET, 0x11, 0x20), None, 0),
    (version_2(b"what ever", 0xFF, 0x20), None, 0),
    (version_2(b"", 0x00), None, 0),
    (version_2(INET, 0x10), None, 0),
    (version_2(INET + bytes(MAX_SIZE - 28)), "192.0.2.7", 51234),
]

BAD = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00",
    b"\r\nGET / HTTP/1.1\r\n",
    b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY\tTCP4 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
    b"PROXY TCP4 192.0.2.7\r10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\rG",
    b"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7  10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    b"PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 \xd9\xa1.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 nowhere 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 -2\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 1 \r\n",
    b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN " + b"x" * 93,
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY UNKNOWN \n\r\n",
    b"PROXY UNKNOWN \xff\r\n",
    version_2(INET, command=0x11),
    version_2(INET, command=0x22),
    version_2(INET, command=0x31),
    version_2(INET, 0x12),
    version_2(INET, 0x13),
    version_2(INET, 0x41),
    version_2(INET[:-1], 0x11),
    version_2(INET6[:-1], 0x21),
    version_2(bytes(215), 0x31),
    version_2(b"", 0x11),
    version_2(b"", 0x11, length=MAX_SIZE - 15),
    version_2(b"", 0x00, 0x20, length=65535),
    SIGNATURE[:-1] + b"\r",
]


@pytest.mark.parametrize(("data", "address", "port"), GOOD)
@pytest.mark.parametrize(
    "behind", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PROXY UNKNOWN\r\n", b"\n"]
)
def test_a_prefix_ends_where_it_ends(data: bytes, address: str | None, port: int, behind: bytes) -> None:
    assert parse(data + behind) == Prefix(len(data), address, port)


@pytest.mark.parametrize(("data", "address", "port"), GOOD)
def test_a_part_of_a_prefix_is_waited_for(data: bytes, address: str | None, port: int) -> None:
    assert [parse(data[:size]) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_prefix_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(data)


@pytest.mark.parametrize("data", [b"G", b"PROXYG", b"\r\n\r\nG", b"\0", b"PROXY TCP4 \n", b"PROXY TCP4 \rG"])
def test_what_can_become_none_is_refused_at_its_first_odd_byte(data: bytes) -> None:
    assert parse(data[:-1]) is None
    with pytest.raises(ValueError, match=r".+"):
        parse(data)


@given(ADDRESSES, PORTS, ADDRESSES, PORTS)
def test_both_versions_say_what_was_put_into_them(
    source: IPv4Address | IPv6Address,
    port: int,
    destination: IPv4Address | IPv6Address,
    destination_port: int,
) -> None:
    family = source.version
    destination = destination if destination.version == family else source
    line = f"PROXY TCP{family} {source} {destination} {port} {destination_port}\r\n".encode()
    block = source.packed + destination.packed + struct.pack("!HH", port, destination_port)
    binary = version_2(block, 0x11 if family == 4 else 0x21)
    expected = normal(str(source).partition("%")[0])
    assert parse(line) == Prefix(len(line), expected, port)
    assert parse(binary) == Prefix(len(binary), expected, port)


@given(st.one_of(st.binary(max_size=300), st.sampled_from([data for data, _, _ in GOOD])), st.data())
def test_any_bytes_give_a_prefix_that_is_there_or_an_error(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    mutated = data[:at] + draw.draw(st.binary(max_size=3)) + data[at + draw.draw(st.integers(0, 2)) :]
    try:
        found = parse(mutated)
    except ValueError:
        return
    if found is None:
        assert len(mutated) < MAX_SIZE
    else:
        assert 15 <= found.size <= min(len(mutated), MAX_SIZE)
        assert parse(mutated[: found.size]) == found
        assert 0 <= found.port <= 65535
