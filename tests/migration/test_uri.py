"""The target: parameters that may stay, suffixes, and segments that are left out."""

from gateway.migration.source import parse
from gateway.migration.uri import query


def test_parameters_that_may_stay() -> None:
    target = parse(
        b'<target alphabetize="true"><whitelist id="w"><parameter name="a"/>'
        b'<parameter name="b" multiplicity="2" case-sensitive="false"/></whitelist></target>',
        "a.cfg.xml",
        {},
    )
    assert query(target) == {
        "allow": ["a", {"name": "b", "max": 2, "case_sensitive": False}],
        "others": "drop",
        "sort": True,
    }
    assert query(parse(b"<target><whitelist/></target>", "a", {})) == {"allow": [], "others": "drop"}
    assert query(parse(b"<target/>", "a", {})) == {}
