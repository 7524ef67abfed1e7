import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.media import MediaType, media_type, parsed


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


@pytest.mark.parametrize(
    ("value", "parameters", "charset", "written"),
    [
        ("A/B", (), None, "a/b"),
        ("a/b; Version=2 ;X=Y", (("version", "2"), ("x", "Y")), None, "a/b; version=2; x=Y"),
        ('a/b; x=";y=1"', (("x", ";y=1"),), None, 'a/b; x=";y=1"'),
        (r'a/b; x="\"\\"; charset=UTF-8', (("x", '"\\'),), "utf-8", r'a/b; x="\"\\"; charset=utf-8'),
        ('a/b; x="y";;', (("x", "y"),), None, "a/b; x=y"),
        ("a/b; x=1; X=1", None, None, "a/b"),
    ],
)
def test_a_media_type_has_parameters(
    value: str, parameters: tuple[tuple[str, str], ...] | None, charset: str | None, written: str
) -> None:
    found = parsed(value)
    assert found is not None
    expected = MediaType("a/b", None if parameters is None else frozenset(parameters), charset)
    assert (found, str(found)) == (expected, written)


@given(st.text(st.sampled_from('a/b;= "\\Zcharset'), max_size=20))
def test_what_is_written_is_read_as_the_same(value: str) -> None:
    found = parsed(value)
    assert (found.kind if found is not None else None) == media_type(value)
    if found is not None and found.parameters is not None and found.charset is None:
        assert parsed(str(found)) == found
