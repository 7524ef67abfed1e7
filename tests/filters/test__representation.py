"""What is no longer true of a body that was changed."""

import pytest

from filters._representation import altered, is_json, vary
from gateway.http.fields import Fields


def fields(*lines: tuple[str, str]) -> Fields:
    return Fields([(name.encode(), value.encode()) for name, value in lines])


def test_digests_and_ranges_go_and_a_strong_tag_becomes_weak() -> None:
    edited = fields(
        *(("content-md5", "x"), ("Digest", "x"), ("Content-Digest", "x"), ("Repr-Digest", "x")),
        *(("Accept-Ranges", "bytes"), ("ETag", '"1"'), ("A", "b")),
    )
    altered(edited)
    assert list(edited) == [(b"ETag", b'W/"1"'), (b"A", b"b")]
    altered(edited)
    assert list(edited) == [(b"ETag", b'W/"1"'), (b"A", b"b")]


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ([], ["Origin"]),
        (["Accept"], ["Accept", "Origin"]),
        (["Accept, origin"], ["Accept, origin"]),
        (["Accept", "ORIGIN"], ["Accept", "ORIGIN"]),
        (["*"], ["*"]),
    ],
)
def test_vary_names_a_field_once(given: list[str], after: list[str]) -> None:
    edited = fields(*(("Vary", value) for value in given))
    vary(edited, "Origin")
    assert edited.all("vary") == after


@pytest.mark.parametrize(
    ("values", "json"),
    [
        (["application/json"], True),
        (["Application/JSON; charset=utf-8"], True),
        (["application/vnd.openstack.compute+json"], True),
        (["application/jsonp"], False),
        (["text/json+x"], False),
        ([], False),
        (["nonsense"], False),
        (["application/json", "application/json"], False),
    ],
)
def test_knows_json_by_its_type(values: list[str], json: bool) -> None:
    assert is_json(fields(*(("Content-Type", value) for value in values))) is json
