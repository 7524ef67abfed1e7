"""Facts name what a verdict depends on."""

from gateway.api import fact


def test_header_facts_are_lower_case_and_can_be_listed() -> None:
    facts = (fact.header("X-Auth-Token"), fact.METHOD, fact.header("accept"))
    assert fact.header_names(facts) == ["accept", "x-auth-token"]
