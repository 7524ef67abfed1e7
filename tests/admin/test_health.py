"""What the health pages say."""

import pytest

from gateway.admin.health import chosen, failed, filter_checks, told, upstream_checks
from gateway.api import Check

CHECKS = [Check("accepting", True), Check("upstreams", False), Check("upstream:a", False, counts=False)]


def test_what_counts_and_does_not_hold_is_why_it_is_not_ready() -> None:
    assert failed(CHECKS) == ["upstreams"]
    assert failed(chosen(CHECKS, excluded=["upstreams"])) == []
    assert failed(chosen(CHECKS, included=["upstream:a"])) == ["upstreams", "upstream:a"]
    assert failed(chosen(CHECKS, ["upstream:a"], ["upstreams", "upstream:a"])) == []


def test_every_check_is_told_and_whether_it_counts() -> None:
    assert told(CHECKS) == [
        "[+] accepting: ok",
        "[-] upstreams: failed",
        "[-] upstream:a: failed, does not count",
    ]
    assert told(chosen(CHECKS, excluded=["accepting"]))[0] == "[+] accepting: ok, does not count"


def standing(*states: str) -> dict[str, object]:
    return {"endpoints": [{"state": state} for state in states]}


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ({"a": {"0": standing("up")}}, True),
        ({"a": {"0": standing("unhealthy", "ejected")}}, False),
        ({"a": {"0": standing("unhealthy")}, "b": {"0": standing("unchecked")}}, True),
        ({"a": {"0": standing("unhealthy"), "1": standing("slow_start")}}, True),
        ({}, False),
    ],
)
def test_one_endpoint_of_one_upstream_in_one_worker_is_enough(
    upstreams: dict[str, dict[str, object]], expected: bool
) -> None:
    assert upstream_checks(upstreams)[0] == Check("upstreams", expected)


def test_each_upstream_is_told_and_does_not_count() -> None:
    upstreams = {
        "b": {"0": standing("ejected"), "1": standing("ejected")},
        "a": {"0": standing("ejected", "up")},
    }
    assert upstream_checks(upstreams)[1:] == [
        Check("upstream:a", True, counts=False),
        Check("upstream:b", False, counts=False),
    ]


def test_what_filters_need_holds_where_it_does_in_any_worker() -> None:
    store, counting = Check("a:store", True), Check("b:store", False)
    assert filter_checks([[store, counting], [store._replace(holds=False), counting]]) == [store, counting]
    assert filter_checks([]) == []
