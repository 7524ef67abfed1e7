"""Descriptions that somebody has tampered with: read, or told what is wrong, and nothing else."""

import copy
import json
import re
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import quoteattr

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import OptionError
from gateway.config.problem import ConfigurationError
from gateway.description.draft import draft
from gateway.description.read import ReadFile, read_description
from tests.description.reading import files
from tests.description.test_read import EXAMPLES
from tests.filters.api.judging import written

_MORE: dict[str, Any] = {
    "/x/{y}.json": {
        "servers": [{"url": "https://{a}/b", "variables": {"a": {"default": "c", "enum": ["c"]}}}],
        "parameters": [{"name": "y", "in": "path", "required": True, "schema": {"type": ["integer", "null"]}}],
        "get": {
            "security": [{"token": ["a"]}, {}],
            "parameters": [
                {"name": "q", "in": "query", "style": "deepObject", "schema": {"properties": {"z": {"type": "integer"}}}},
                {"name": "l", "in": "query", "explode": False, "schema": {"type": "array", "items": {"oneOf": [{"enum": [1]}, {"not": {}}]}}},
                {"name": "u", "in": "query", "schema": {"anyOf": [{"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, {"type": "null"}]}},
                {"name": "X-H", "in": "header", "content": {"application/json": {"schema": {"minimum": 1, "format": "int32", "type": "integer"}}}},
            ],
            "responses": {"4XX": {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        },
    }
}  # fmt: skip
_DOCUMENT = yaml.safe_load((EXAMPLES / "image-metadata.openapi.yaml").read_text())
_DOCUMENT["paths"] |= _MORE
_TEXT = json.dumps(_DOCUMENT)

_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", "#/paths", "#", "$ref", [], [[]], [None], {}, {"": {}}, {"$ref": "#/components"}, {"$ref": 5}, ["a", 1]]
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))][
        0 if path else 1 :
    ]


_PLACES = _places(_DOCUMENT)


def _tampered(changes: list[tuple[int, Any, str | None]]) -> str:
    document = json.loads(_TEXT)
    for place, given_value, name in changes:
        value = copy.deepcopy(given_value)
        path = _PLACES[place % len(_PLACES)]
        target: Any = document
        try:
            for part in path[:-1]:
                target = target[part]
            if name is not None and isinstance(target, dict):
                target[name] = value
            else:
                target[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return json.dumps(document)


_WORDS = st.sampled_from(
    [
        "$ref",
        "$id",
        "type",
        "items",
        "allOf",
        "properties",
        "nullable",
        "enum",
        "servers",
        "security",
        "in",
        "name",
        "content",
    ]
)
_CHANGES = st.lists(st.tuples(st.integers(0, 10_000), _ODD, st.none() | _WORDS), min_size=1, max_size=4)


def _used(file: str, read: ReadFile) -> ConfigurationError | None:
    """Reads a description and makes a draft of it; what is wrong with it."""
    try:
        description = read_description(file, read)
    except ConfigurationError as error:
        return error
    with suppress(ValueError):  # for no path that can be a route
        draft(description, file=file)
    return None


@given(_CHANGES, st.booleans())
def test_openapi_is_read_or_told_what_is_wrong_with_it(
    changes: list[tuple[int, Any, str | None]], old: bool
) -> None:
    text = _tampered(changes)
    if old:
        text = text.replace('"3.1.0"', '"3.0.3"')
    error = _used("api.json", files(api__json=text))
    if error is None:
        with suppress(OptionError):  # for a schema that is none, say
            written(text, "api.json", {"unchecked": "allow"})
    else:
        assert all(problem.line > 0 for problem in error.problems)


_WADL = (EXAMPLES / "image-metadata.wadl").read_text()
_PIECES = re.findall(r"<[^>]+>|[^<]+", _WADL)
_OTHERS = st.sampled_from(
    [
        *_PIECES,
        "",
        '<param name="x" style="query" type="im:UUID" repeating="true"/>',
        '<resource path="{a}/{a}"/>',
        "<method/>",
        "<x>",
        "</x>",
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(_PIECES) - 1), _OTHERS), min_size=1, max_size=3))
def test_wadl_is_read_or_told_what_is_wrong_with_it(changes: list[tuple[int, str]]) -> None:
    pieces = list(_PIECES)
    for place, piece in changes:
        pieces[place] = piece
    error = _used("api.wadl", _beside("".join(pieces)))
    assert error is None or all(problem.line > 0 for problem in error.problems)


@given(
    st.sampled_from(["path", "type", "style", "href", "roles", "mediaType", "status", "name", "base"]),
    st.text(max_size=8),
)
def test_attributes_of_wadl_may_be_anything(name: str, value: str) -> None:
    pattern = re.compile(rf'(?<=[ :]){name}="[^"]*"')
    text = pattern.sub(lambda _: f"{name}={quoteattr(value)}", _WADL)
    error = _used("api.wadl", _beside(text))
    assert error is None or error.problems


def _beside(text: str) -> ReadFile:
    def read(name: str, /, *, beside: str | None = None) -> bytes:
        return text.encode("utf-8", "replace") if name == "api.wadl" else (EXAMPLES / name).read_bytes()

    return read
