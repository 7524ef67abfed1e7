"""Whom a limit counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import _key
from filters._key import (
    PLAIN,
    described,
    is_one_key,
    key_facts,
    key_function,
    known,
    may_fit,
    places,
    whole_key,
)
from gateway.api import Exchange, Place, Principal, Route
from gateway.api.fact import CLIENT, METHOD, PRINCIPAL, ROUTE, header
from gateway.api.testing import exchange

ALL = ["project_id", "user_id", "client_ip", "token", "route", "method", "header:X-Key"]
DEMO = Principal(user_id="u", project_id="p", token_key="0f" * 16)


def key(parts: list[str], made: Exchange) -> object:
    return key_function(parts)(made)


def test_reads_each_part() -> None:
    made = exchange(
        "PUT", principal=DEMO, route=Route("images", "/v2", "up"), client="192.0.2.7", headers={"X-Key": "k"}
    )
    assert key(ALL, made) == ("p", "u", ("client_ip", "192.0.2.7"), "0f" * 16, "images", "PUT", "k")
    assert key(["project_id"], made) == "p"
    assert key(["project_id", "method"], made) == ("p", "PUT")


@pytest.mark.parametrize("part", ["project_id", "user_id", "token", "route", "header:X-Key", "client_ip"])
def test_a_missing_part_is_the_client_and_nobody_else(part: str) -> None:
    made = exchange(client="192.0.2.7", route=None, headers={"X-Key": ""})
    assert key([part], made) == ("client_ip", "192.0.2.7")
    assert key([part], made) != key([part], exchange(client="192.0.2.8", route=None))
    named = exchange(client="198.51.100.1", principal=Principal(project_id="192.0.2.7"))
    assert key(["project_id"], named) != key(["project_id"], made)


def test_a_principal_without_a_project_is_the_client() -> None:
    assert key(["project_id"], exchange(principal=Principal(user_id="u"))) == ("client_ip", "192.0.2.1")


def test_parts_are_kept_apart() -> None:
    parts = ["project_id", "user_id"]
    first = exchange(principal=Principal(project_id="abc", user_id="def"))
    second = exchange(principal=Principal(project_id="abcde", user_id="f"))
    assert key(parts, first) != key(parts, second)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix:", "unix:", True),
    ],
)
def test_an_ipv6_host_is_its_network(one: str, other: str, same: bool) -> None:
    assert (key(["client_ip"], exchange(client=one)) == key(["client_ip"], exchange(client=other))) is same


def test_a_long_value_is_kept_as_its_digest() -> None:
    long = key(["header:X-Key"], exchange(headers={"X-Key": "k" * 8000}))
    assert len(repr(long)) < 60
    assert long != key(["header:X-Key"], exchange(headers={"X-Key": "k" * 8001}))


def test_many_addresses_do_not_use_up_the_memory() -> None:
    from filters._key import _networks

    for number in range(5000):
        key(["client_ip"], exchange(client=f"10.0.{number >> 8}.{number & 255}"))
    assert len(_networks) <= 4096


def test_says_what_it_reads() -> None:
    assert key_facts(["client_ip"]) == {CLIENT}
    assert key_facts(ALL) == {CLIENT, PRINCIPAL, ROUTE, METHOD, header("x-key")}


def test_parts_are_known_by_their_names() -> None:
    assert all(map(known, ("project_id", "global", "header:X-Tenant")))
    assert not any(map(known, ("captures", "capture:id", "header:", "header:a b", "role", "")))


def test_where_a_key_is_counted_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_key, "_PLACES_MAX", 4)
    asked: list[bytes] = []

    def place(key: bytes) -> Place:
        asked.append(key)
        return len(asked), key

    known = places(place)
    assert known[0, "a"] == known[0, "a"] == (1, b"(0, 'a')")
    assert known[1, "a"] != known[0, ("a",)]
    assert len(asked) == 3
    for number in range(9):
        assert known[2, number][1] == f"(2, {number})".encode()
    assert len(known.known()) <= 4


# ---- a key that is told by its parts

PARTS = [*PLAIN[:-1], "header:X-Key"]
texts = st.text(min_size=1, max_size=9)


@given(
    st.lists(st.sampled_from(PARTS), unique=True, min_size=1),
    st.builds(
        Principal, user_id=texts | st.none(), project_id=texts | st.none(), token_key=texts | st.none()
    ),
    st.booleans(),
)
def test_what_a_key_is_told_as_leads_back_to_it_or_to_none(
    parts: list[str], principal: Principal, routed: bool
) -> None:
    route = Route("images", "/v2", "up") if routed else None
    made = exchange(principal=principal, route=route, client="2001:db8::1", headers={"X-Key": "k"})
    found = key(parts, made)
    told = {name: str(value) for name, value in described(parts, found, ()).items()}
    # The value of a header is not told.
    assert whole_key(parts, told) == (None if "header:X-Key" in parts else found)


def test_a_key_of_everybody_is_whole_without_a_part() -> None:
    assert whole_key(["global"], {}) == key(["global"], exchange())
    assert whole_key(["global"], {"project_id": "p"}) is None


def test_a_key_is_whole_with_no_part_more_or_less() -> None:
    assert whole_key(["project_id", "user_id"], {"project_id": "p"}) is None
    assert whole_key(["project_id"], {"project_id": "p", "user_id": "u"}) is None
    assert whole_key(["project_id"], {"project_id": "p", "client_ip": "192.0.2.1"}) is None
    assert whole_key(["project_id", "captures"], {"project_id": "p"}) is None


def test_whoever_has_no_project_is_told_by_the_address() -> None:
    assert whole_key(["project_id"], {"client_ip": "2001:db8::7"}) == ("client_ip", "2001:db8::/64")
    assert whole_key(["method"], {"client_ip": "192.0.2.1"}) is None


@pytest.mark.parametrize(
    ("parts", "given", "fits", "one"),
    [
        (["user_id", "client_ip"], {"client_ip": "192.0.2.1"}, True, False),
        (["user_id", "client_ip"], {"user_id": "u", "client_ip": "192.0.2.1"}, True, True),
        (["user_id"], {"client_ip": "192.0.2.1"}, True, True),
        (["user_id", "project_id"], {"client_ip": "192.0.2.1"}, True, False),
        (["user_id", "project_id"], {"user_id": "u", "client_ip": "192.0.2.1"}, True, True),
        (["user_id", "project_id"], {"user_id": "u"}, True, False),
        (["client_ip", "method"], {"client_ip": "192.0.2.1"}, True, False),
        (["method"], {"client_ip": "192.0.2.1"}, False, False),
        (["user_id"], {"user_id": "u", "client_ip": "192.0.2.1"}, False, False),
        (["project_id"], {"user_id": "u"}, False, False),
        (["captures"], {}, True, False),
        (["global"], {}, True, True),
    ],
)
def test_an_address_that_stands_in_for_a_part_says_nothing_of_others_who_come_from_there(
    parts: list[str], given: dict[str, str], fits: bool, one: bool
) -> None:
    assert (may_fit(parts, given), is_one_key(parts, given)) == (fits, one)
