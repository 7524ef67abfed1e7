"""What should hold while requests come."""

from gateway.api import Check


def test_what_is_told_counts_unless_it_says_otherwise() -> None:
    assert Check("upstreams", True) == ("upstreams", True, True)
