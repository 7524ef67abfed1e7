import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.media import media_type


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ("application/vnd.openstack.compute+json;version=2;", "application/vnd.openstack.compute+json"),
        ('multipart/form-data; boundary="a;b\\"c"', "multipart/form-data"),
        (" text/plain ", "text/plain"),
    ],
)
def test_gives_type_and_subtype_in_lower_case(value: str, expected: str) -> None:
    assert media_type(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "json", "application/", "/json", "application/json, text/html", "application /json", "a/b/c"),
        *(
            "application/json; charset",
            "application/json; =x",
            'a/b; c="d',
            "application/json\n",
            "a/b c",
            "é/b",
        ),
        *("a/b; c = d", 'a/b; c="\x01"'),
    ],
)
def test_gives_none_for_what_is_malformed(value: str) -> None:
    assert media_type(value) is None


@given(st.text(st.characters(max_codepoint=255), max_size=30))
def test_never_raises_and_never_invents(value: str) -> None:
    found = media_type(value)
    assert found is None or found in value.lower()
