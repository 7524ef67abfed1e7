"""Which paths templates have in common."""

import pytest

from gateway.migration.template import covers, meets


@pytest.mark.parametrize(
    ("one", "other", "covering", "meeting"),
    [
        ("/{rest*}", "/", True, True),
        ("/{rest*}", "/a/{x}", True, True),
        ("/a/{rest*}", "/a/", False, False),
        ("/a/{rest*}", "/a/{x}", True, True),
        ("/a/{rest*}", "/a/{x}/", True, True),
        ("/a/{x}", "/a/{rest*}", False, True),
        ("/a/{x}", "/a/b", True, True),
        ("/a/b", "/a/{x}", False, True),
        ("/a/{x}", "/a/", False, False),
        ("/a/{x}", "/b/{x}", False, False),
        ("/a", "/a/b", False, False),
        ("/{x}/b", "/a/{y}", False, True),
    ],
)
def test_which_paths_templates_have_in_common(one: str, other: str, covering: bool, meeting: bool) -> None:
    assert (covers(one, other), meets(one, other), meets(other, one)) == (covering, meeting, meeting)
