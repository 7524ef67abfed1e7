"""Which buckets a request to the admin listener is about."""

from typing import Any

import pytest
from multidict import MultiDict

from gateway.admin.selection import of_body, of_query
from gateway.api import Selection


def test_a_query_names_limits_and_parts_of_a_key() -> None:
    query = {
        "top": "3",
        "limit": "writes",
        "filter": "rate_limit",
        "project_id": "p1",
        "client_ip": "2001:db8::1",
    }
    selection, count = of_query(query)
    assert count == 3
    parts = {"project_id": "p1", "client_ip": "2001:db8::/64"}
    assert selection == Selection("rate_limit", "writes", None, parts)
    assert of_query({}) == (Selection(), 20)


@pytest.mark.parametrize(
    "query",
    [
        {"top": "0"},
        {"top": "1001"},
        {"top": "many"},
        {"limit": ""},
        {"nobody": "x"},
        {"key": "x"},
        {"project_id": ""},
        {"project_id": "x" * 256},
        MultiDict([("limit", "a"), ("limit", "b")]),
    ],
)
def test_anything_else_is_told_what_would_have_been_right(query: Any) -> None:
    with pytest.raises(ValueError, match="expected a query of filter, limit, key_hash, top, project_id"):
        of_query(query)


def test_a_body_does_too() -> None:
    assert of_body(b'{"limit": "writes"}') == Selection(limit="writes")
    assert of_body(b'{"key": {"user_id": "u1"}}') == Selection(parts={"user_id": "u1"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"key": {}}',
        b'{"limit": null}',
        b'{"limit": 1}',
        b'{"key": {"nobody": "x"}}',
        b'{"key": {"user_id": ""}}',
        b'{"all": true}',
        b'{"limit": "a", "top": 1}',
    ],
)
def test_a_body_that_names_nothing_empties_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected a JSON object with one or more of filter, limit"):
        of_body(body)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::7", "2001:db8::/64"),
        ("2001:db8:0:0::/64", "2001:db8::/64"),
        ("unix", "unix"),
    ],
)
def test_an_address_is_written_as_keys_have_it(given: str, told: str) -> None:
    assert of_query({"client_ip": given})[0].parts == {"client_ip": told}


@pytest.mark.parametrize(
    "given", ["nonsense", "10.000.0.1", "192.0.2.7/32", "192.0.2.7/64", "2001:db8::/48", "::/"]
)
def test_what_is_no_address_is_said(given: str) -> None:
    with pytest.raises(ValueError, match="is no address: expected one such as"):
        of_query({"client_ip": given})
    with pytest.raises(ValueError, match="is no address"):
        of_body(b'{"key": {"client_ip": "%s"}}' % given.encode())
