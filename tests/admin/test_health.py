"""What the health pages say."""

import pytest

from gateway.admin.health import any_upstream, failed, told

CHECKS = [("accepting", True), ("upstreams", False)]


def test_what_does_not_hold_is_told_unless_it_is_excluded() -> None:
    assert failed(CHECKS) == ["upstreams"]
    assert failed(CHECKS, ["upstreams"]) == []
    assert told(CHECKS, ()) == ["[+] accepting: ok", "[-] upstreams: failed"]
    assert told(CHECKS, ["upstreams"]) == ["[+] accepting: ok", "[+] upstreams: excluded"]


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
    assert any_upstream(upstreams) is expected
