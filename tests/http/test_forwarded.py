from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import Fields
from gateway.http.forwarded import Forwarding, Trust

PROXIES = Trust(["10.0.0.0/8", "2001:db8:ffff::/48"])
NOBODY = Trust([])

TRUSTED = st.one_of(
    st.integers(0, 2**24 - 1).map(lambda low: f"10.{low >> 16}.{low >> 8 & 255}.{low & 255}"),
    st.integers(0, 2**16 - 1).map(lambda low: str(ip_address(f"2001:db8:ffff::{low:x}"))),
)
UNTRUSTED = st.one_of(
    st.integers(0, 255).map(lambda low: f"192.0.2.{low}"),
    st.integers(1, 2**16 - 1).map(lambda low: f"2001:db8::{low:x}"),
)
ADDRESS = st.one_of(TRUSTED, UNTRUSTED)


def fields(*lines: tuple[str, str]) -> Fields:
    return Fields((name.encode(), value.encode("latin-1")) for name, value in lines)


class TestTrust:
    def test_knows_the_members_of_its_networks(self) -> None:
        assert "10.1.2.3" in PROXIES
        assert "::ffff:10.1.2.3" in PROXIES
        assert "2001:DB8:FFFF:0::1" in PROXIES
        assert "192.0.2.1" not in PROXIES
        assert "2001:db8::1" not in PROXIES

    def test_a_unix_socket_is_trusted_by_its_name_alone(self) -> None:
        both = Trust(["unix", "10.0.0.0/8"])
        assert "unix" in both and "10.0.0.1" in both
        assert "unix" not in PROXIES
        assert bool(Trust(["unix"]))
        assert both.client("unix", ["198.51.100.7, 10.0.0.2"]) == "198.51.100.7"
        # What a socket's name is to us is nothing that a proxy can say of a client.
        assert both.client("10.0.0.1", ["198.51.100.7, unix"]) == "10.0.0.1"

    def test_refuses_a_bad_network(self) -> None:
        with pytest.raises(ValueError, match="host bits"):
            Trust(["10.0.0.1/8"])
        with pytest.raises(ValueError, match="10/x"):
            Trust(["10/x"])

    @given(st.text(max_size=80))
    def test_never_raises_and_never_trusts_garbage(self, text: str) -> None:
        try:
            ip_address(text)
        except ValueError:
            assert text not in PROXIES

    def test_forgets_rather_than_grow(self) -> None:
        trust = Trust(["10.0.0.0/8"])
        for number in range(10_000):
            assert f"10.0.{number >> 8}.{number & 255}" in trust
        assert len(trust._memo) <= 4096

    def test_does_not_keep_long_garbage(self) -> None:
        trust = Trust(["10.0.0.0/8"])
        assert "1" * 10_000 not in trust
        assert trust._memo == {}

    @pytest.mark.parametrize(
        ("peer", "forwarded_for", "client"),
        [
            ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["203.0.113.9", "198.51.100.7,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", ["198.51.100.7, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7, , 10.0.0.2,"], "198.51.100.7"),
            ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", ["[2001:DB8::0:7]:4711"], "2001:db8::7"),
            ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", ["2001:DB8:0::7"], "2001:db8::7"),
            ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["fe80::1%<b>"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7\n"], "10.0.0.1"),
        ],
    )
    def test_counts_from_the_right(self, peer: str, forwarded_for: list[str], client: str) -> None:
        assert PROXIES.client(peer, forwarded_for) == client

    @given(ADDRESS, st.lists(ADDRESS, max_size=6))
    def test_a_trusted_address_is_the_client_only_when_all_are_trusted(
        self, peer: str, hops: list[str]
    ) -> None:
        client = PROXIES.client(peer, [", ".join(hops)])
        if client in PROXIES:
            assert all(hop in PROXIES for hop in (*hops, peer))
            assert client == (hops[0] if hops else peer)
        else:
            assert client == next(hop for hop in reversed([*hops, peer]) if hop not in PROXIES)

    @given(UNTRUSTED, st.lists(TRUSTED, min_size=1, max_size=4), st.text(max_size=40))
    def test_what_stands_left_of_the_client_changes_nothing(
        self, client: str, hops: list[str], forged: str
    ) -> None:
        *inner, peer = hops
        assert PROXIES.client(peer, [forged, ",".join([client, *inner])]) == client

    @given(ADDRESS, st.lists(ADDRESS, max_size=6), st.integers(0, 6))
    def test_lines_are_one_list(self, peer: str, hops: list[str], cut: int) -> None:
        lines = [", ".join(part) for part in (hops[:cut], hops[cut:])]
        assert PROXIES.client(peer, lines) == PROXIES.client(peer, [", ".join(hops)])


class TestOrigin:
    @pytest.mark.parametrize("mode", ["off", "x", "rfc7239", "both"])
    def test_an_untrusted_peer_speaks_for_itself_only(self, mode: str) -> None:
        forged = fields(
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=203.0.113.9;proto=https"),
        )
        for trust in (NOBODY, PROXIES):
            assert Forwarding(mode, trust).origin("192.0.2.1", "http", "h", forged) == (
                "192.0.2.1",
                "http",
                False,
            )

    def test_an_unknown_mode_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="rfc7239"):
            Forwarding("xff", NOBODY)

    @pytest.mark.parametrize("mode", ["off", "x", "both"])
    def test_reads_x_forwarded_of_a_trusted_proxy(self, mode: str) -> None:
        sent = fields(
            ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
            ("X-Forwarded-Proto", "HTTPS"),
            ("Forwarded", "for=203.0.113.1;proto=http"),
        )
        assert Forwarding(mode, PROXIES).origin("10.0.0.1", "http", "h", sent) == (
            "198.51.100.7",
            "https",
            True,
        )

    @pytest.mark.parametrize(
        ("hops", "protos", "scheme"),
        [
            ("198.51.100.7", "http", "http"),
            ("198.51.100.7", "http, https", "https"),
            ("198.51.100.7, 10.0.0.2", "https, http", "https"),
            ("198.51.100.7, 10.0.0.2", "https", "https"),
            ("198.51.100.7, 10.0.0.2", "http, https, http", "https"),
            ("", "https", "https"),
            ("198.51.100.7", "gopher", "http"),
            ("198.51.100.7", "", "http"),
        ],
    )
    def test_takes_the_scheme_from_the_proxy_that_named_the_client(
        self, hops: str, protos: str, scheme: str
    ) -> None:
        sent = fields(("X-Forwarded-For", hops), ("X-Forwarded-Proto", protos))
        assert Forwarding("x", PROXIES).origin("10.0.0.1", "http", "h", sent)[1:] == (scheme, True)

    @pytest.mark.parametrize(
        ("forwarded", "origin"),
        [
            ("for=198.51.100.7;proto=https", ("198.51.100.7", "https")),
            ('For="[2001:db8::7]:4711"; Proto=HTTPS;host=h', ("2001:db8::7", "https")),
            (
                "for=203.0.113.9, for=198.51.100.7;proto=https, for=10.0.0.2;proto=http",
                ("198.51.100.7", "https"),
            ),
            ("for=198.51.100.7, for=unknown", ("10.0.0.1", "http")),
            ("for=198.51.100.7, for=_hidden, for=10.0.0.2;proto=https", ("10.0.0.2", "https")),
            ("for=198.51.100.7, for=10.0.0.2;for=192.0.2.9", ("10.0.0.1", "http")),
            ('for=198.51.100.7;by="x, for=203.0.113.9', ("10.0.0.1", "http")),
            ('for=198.51.100.7;by="x, for=203.0.113.9"', ("198.51.100.7", "http")),
            ("for=198.51.100.7, ,", ("198.51.100.7", "http")),
            ("", ("10.0.0.1", "http")),
            ("proto=https", ("10.0.0.1", "http")),
        ],
    )
    def test_reads_forwarded_of_a_trusted_proxy(self, forwarded: str, origin: tuple[str, str]) -> None:
        sent = fields(("Forwarded", forwarded), ("X-Forwarded-For", "203.0.113.1"))
        assert Forwarding("rfc7239", PROXIES).origin("10.0.0.1", "http", "h", sent) == (*origin, True)

    @given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(["x", "rfc7239"]))
    def test_never_raises(self, value: str, mode: str) -> None:
        sent = fields(("Forwarded", value), ("X-Forwarded-For", value), ("X-Forwarded-Proto", value))
        client, scheme, trusted = Forwarding(mode, PROXIES).origin("10.0.0.1", "http", "h", sent)
        assert trusted
        assert scheme in ("http", "https")
        assert str(ip_address(client)) == client


class TestLines:
    FORGED = fields(
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Host", "other.test"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Prefix", "/p"),
        ("X-Real-IP", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
    )

    @pytest.mark.parametrize("mode", ["off", "x", "rfc7239", "both"])
    def test_every_name_is_stripped_in_every_mode(self, mode: str) -> None:
        assert Forwarding(mode, NOBODY).strips == {
            b"forwarded",
            b"x-forwarded-by",
            b"x-forwarded-for",
            b"x-forwarded-host",
            b"x-forwarded-port",
            b"x-forwarded-prefix",
            b"x-forwarded-proto",
            b"x-real-ip",
        }

    def test_nothing_of_an_untrusted_client_is_passed_on(self) -> None:
        assert Forwarding("both", PROXIES).lines(
            "192.0.2.1", "https", "api.test:8080", self.FORGED, False
        ) == [
            (b"X-Forwarded-For", b"192.0.2.1"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Host", b"api.test:8080"),
            (b"Forwarded", b'for=192.0.2.1;host="api.test:8080";proto=https'),
        ]

    @pytest.mark.parametrize("trusted", [False, True])
    def test_mode_off_writes_nothing(self, trusted: bool) -> None:
        assert Forwarding("off", PROXIES).lines("10.0.0.1", "http", "h", self.FORGED, trusted) == []

    def test_a_trusted_proxys_lines_are_continued(self) -> None:
        sent = fields(
            ("X-Forwarded-For", "198.51.100.7"),
            ("x-forwarded-for", "10.0.0.2"),
            ("X-Forwarded-Host", "forged.test, public.test"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Prefix", "/compute"),
            ("Forwarded", "for=198.51.100.7;proto=https"),
        )
        assert Forwarding("x", PROXIES).lines("10.0.0.1", "https", "inner.test", sent, True) == [
            (b"X-Forwarded-For", b"198.51.100.7, 10.0.0.2, 10.0.0.1"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Host", b"public.test"),
            (b"X-Forwarded-Port", b"443"),
            (b"X-Forwarded-Prefix", b"/compute"),
        ]
        assert Forwarding("rfc7239", PROXIES).lines("10.0.0.1", "https", "inner.test", sent, True) == [
            (b"Forwarded", b"for=198.51.100.7;proto=https, for=10.0.0.1;host=inner.test;proto=https"),
            (b"X-Forwarded-Port", b"443"),
            (b"X-Forwarded-Prefix", b"/compute"),
        ]

    def test_our_element_tells_our_own_hop_and_x_forwarded_proto_the_clients(self) -> None:
        told = fields(
            ("X-Forwarded-For", "198.51.100.7"),
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=198.51.100.7;proto=https"),
        )
        for mode in ("both", "rfc7239"):
            forwarding = Forwarding(mode, PROXIES)
            client, scheme, trusted = forwarding.origin("10.0.0.1", "http", "h", told)
            assert (client, scheme) == ("198.51.100.7", "https")
            lines = forwarding.lines("10.0.0.1", scheme, "h", told, trusted, "http")
            sent = dict(lines)
            assert sent[b"Forwarded"] == b"for=198.51.100.7;proto=https, for=10.0.0.1;host=h;proto=http"
            assert sent.get(b"X-Forwarded-Proto", b"https") == b"https"
            # Whoever trusts both of us still finds the client's.
            assert Forwarding(mode, PROXIES).origin("10.0.0.2", "http", "h", Fields(lines))[:2] == (
                client,
                scheme,
            )

    @pytest.mark.parametrize("mode", ["x", "rfc7239", "both"])
    def test_who_comes_through_a_unix_socket_is_unknown_to_the_upstream(self, mode: str) -> None:
        sent = dict(Forwarding(mode, NOBODY).lines("unix", "http", "h", fields(), False))
        if mode != "rfc7239":
            assert sent[b"X-Forwarded-For"] == b"unknown"
        if mode != "x":
            assert sent[b"Forwarded"] == b"for=unknown;host=h;proto=http"

    def test_a_trusted_proxy_without_an_address_is_no_hop_to_count(self) -> None:
        forwarding = Forwarding("both", Trust(["unix"]))
        told = fields(("X-Forwarded-For", "198.51.100.7"), ("Forwarded", "for=198.51.100.7"))
        sent = dict(forwarding.lines("unix", "http", "h", told, True))
        assert sent[b"X-Forwarded-For"] == b"198.51.100.7"
        assert sent[b"Forwarded"] == b"for=198.51.100.7, for=unknown;host=h;proto=http"
        assert dict(forwarding.lines("unix", "http", "h", fields(), True))[b"X-Forwarded-For"] == b"unknown"

    def test_a_trusted_proxy_that_names_no_host_or_a_bad_one_gets_ours(self) -> None:
        for sent in (fields(), fields(("X-Forwarded-Host", "a b/c"))):
            lines = Forwarding("x", PROXIES).lines("10.0.0.1", "http", "api.test", sent, True)
            assert (b"X-Forwarded-Host", b"api.test") in lines
            assert (b"X-Forwarded-For", b"10.0.0.1") in lines

    @pytest.mark.parametrize(
        ("peer", "element"),
        [
            ("2001:db8::1", b'for="[2001:db8::1]";host="[::1]:80";proto=http'),
            ("", b'for=unknown;host="[::1]:80";proto=http'),
        ],
    )
    def test_forwarded_quotes_ipv6(self, peer: str, element: bytes) -> None:
        lines = Forwarding("rfc7239", NOBODY).lines(peer, "http", "[::1]:80", fields(), False)
        assert lines == [(b"Forwarded", element)]

    @given(UNTRUSTED, st.sampled_from(["http", "https"]), st.sampled_from(["h", "h:80", "[::1]:80"]))
    def test_the_next_gateway_reads_what_we_wrote(self, client: str, scheme: str, host: str) -> None:
        for mode in ("x", "rfc7239"):
            lines = Forwarding(mode, NOBODY).lines(client, scheme, host, fields(), False)
            next_gateway = Forwarding(mode, PROXIES)
            assert next_gateway.origin("10.0.0.1", "http", host, Fields(lines)) == (client, scheme, True)
