"""The model of descriptions."""

import pytest

from gateway.config.problem import Position
from gateway.description.model import Operation, Resource, form_of

HERE = Position("a", 1, 1)


def test_a_path_is_told_as_people_write_it() -> None:
    resource = Resource((("v2",), ("", "id", ""), ("a.", "ext", "")), (), (), HERE)
    assert resource.path == "/v2/{id}/a.{ext}"


def test_methods_are_told_once_and_sorted() -> None:
    operations = tuple(Operation(method, "", HERE) for method in ("PUT", "GET", "PUT"))
    assert Resource((), (), operations, HERE).methods == ("GET", "PUT")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("application/json", "json"),
        ("application/problem+json", "json"),
        ("application/xml", "xml"),
        ("text/xml", "xml"),
        ("application/atom+xml", "xml"),
        ("application/octet-stream", "other"),
        ("*/*", "other"),
    ],
)
def test_how_a_body_is_written_is_told_by_its_media_type(kind: str, form: str) -> None:
    assert form_of(kind) == form
