"""The filter `api` beside openapi-core, which knows nothing of it: on descriptions and requests that nobody has thought of, both
let the same pass."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest
from werkzeug.datastructures import ImmutableMultiDict

from filters.api import Api
from tests.filters.api.judging import JSON, described, refused

_NAMES = st.sampled_from(["a", "b", "c"])
_TEXTS = st.sampled_from(["", "a", "b", "ab", "aaaa", "ž", "5", "true", "null"])
_NUMBERS = st.sampled_from([-3, -1, 0, 1, 2, 5, 1.5, 2.0])

_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)

_STRINGS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(1, 3),
        "pattern": st.sampled_from(["^a", "b$", "^a+$", "[0-9]"]),
        "enum": st.lists(_TEXTS, min_size=1, unique=True),
    },
)
_INTEGERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        "minimum": st.integers(-2, 2),
        "maximum": st.integers(0, 4),
        "multipleOf": st.sampled_from([1, 2]),
    },
)
_LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    _STRINGS,
    _INTEGERS,
    st.just({"type": "boolean"}),
    st.just({}),
    st.just({"$ref": "#/components/schemas/S"}),
)


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": st.integers(0, 2), "maxItems": st.integers(1, 3), "uniqueItems": st.booleans()},
    )


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(_NAMES, inner, max_size=3),
            "required": st.lists(_NAMES, min_size=1, max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "maxProperties": st.integers(0, 2),
        },
    )


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    words = st.sampled_from(["anyOf", "oneOf", "allOf"])
    return st.one_of(
        _arrays(inner),
        _objects(inner),
        st.builds(lambda word, of: {word: of}, words, several),
        inner.map(lambda of: {"not": of}),
    )


_SCHEMAS = st.recursive(_LEAVES, _grown, max_leaves=6)


def _nullable(schema: Any, old: bool) -> Any:
    """The same schema, whose first type may be null, as the version says it."""
    if "type" not in schema:
        return schema
    return {**schema, "nullable": True} if old else {**schema, "type": [schema["type"], "null"]}


def _document(
    version: str, operation: dict[str, Any], parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    path = "/a" + "".join(f"/{{{one['name']}}}" for one in parameters if one["in"] == "path")
    return {
        "openapi": version,
        "info": {"title": "t", "version": "1"},
        "paths": {
            path: {
                "post": {
                    **operation,
                    "parameters": list(parameters),
                    "responses": {"200": {"description": "x"}},
                }
            }
        },
    }


def _ours(document: dict[str, Any]) -> Api:
    more = {name: value for name, value in document.items() if name not in ("paths", "openapi")}
    return described(document["paths"], version=document["openapi"], **more)


def _theirs(document: dict[str, Any], request: MockRequest) -> bool:
    try:
        OpenAPI.from_dict(document).validate_request(request)
    except OpenAPIError:
        return False
    return True


_QUICK = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@_QUICK
@given(_SCHEMAS, st.lists(_VALUES, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_bodies_pass_both_or_neither(schema: Any, values: list[Any], old: bool, nullable: bool) -> None:
    if nullable:
        schema = _nullable(schema, old)
    document = _document(
        "3.0.3" if old else "3.1.0",
        {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
    )
    document["components"] = {
        "schemas": {"S": {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/S"}}}}
    }
    api = _ours(document)
    for value in values:
        raw = json.dumps(value).encode()
        expected = _theirs(document, MockRequest("http://x", "post", "/a", data=raw))
        assert (refused(api, "POST", "/a", raw, JSON) == (0, "")) == expected, value


_SKILLS = st.sampled_from(["x", 5, None])
_PETS = st.recursive(
    st.none() | st.just("Cat"),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "petType": st.sampled_from(["Cat", "Dog", "tom", "", "Bird", 5, True, None]),
            "huntingSkill": _SKILLS,
            "packSize": _SKILLS,
            "friend": inner,
        },
    ),
    max_leaves=3,
)


def _animal(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["petType"],
        "properties": {
            "petType": {"type": "string"},
            "friend": {"$ref": "#/components/schemas/Pet"},
            **properties,
        },
    }


@_QUICK
@given(
    st.lists(_PETS, min_size=1, max_size=6), st.sampled_from(["oneOf", "anyOf"]), st.booleans(), st.booleans()
)
def test_bodies_with_a_discriminator_pass_both_or_neither(
    values: list[Any], word: str, old: bool, mapped: bool
) -> None:
    cat, dog = ({"$ref": f"#/components/schemas/{name}"} for name in ("Cat", "Dog"))
    mapping = {"mapping": {"tom": cat["$ref"], "Dog": dog["$ref"]}} if mapped else {}
    pet = {word: [cat, dog], "discriminator": {"propertyName": "petType", **mapping}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}
    document = _document("3.0.3" if old else "3.1.0", {"requestBody": {"required": True, "content": content}})
    document["components"] = {
        "schemas": {
            "Pet": pet,
            "Cat": _animal(huntingSkill={"type": "string"}),
            "Dog": _animal(packSize={"type": "integer"}),
        }
    }
    api = _ours(document)
    for value in values:
        raw = json.dumps(value).encode()
        expected = _theirs(document, MockRequest("http://x", "post", "/a", data=raw))
        assert (refused(api, "POST", "/a", raw, JSON) == (0, "")) == expected, value


_SCALARS = _STRINGS | _INTEGERS | st.just({"type": "boolean"})
_ARGUMENTS = st.sampled_from(["a", "ab", "aaaa", "0", "1", "-1", "5", "1.5", "true", "false"])
"""Texts that both read alike: openapi-core takes what Python takes for a number, ` 5` and `1_0` too."""


def _same(schema: dict[str, Any], *texts: str) -> bool:
    """Whether both read the texts alike: to openapi-core 0 and 1 are booleans."""
    return schema["type"] != "boolean" or not {"0", "1"}.intersection(texts)


@_QUICK
@given(_SCALARS, _ARGUMENTS, st.booleans())
def test_parameters_of_query_path_and_header_pass_both_or_neither(
    schema: Any, text: str, required: bool
) -> None:
    assume(_same(schema, text))
    for where in ("query", "path", "header"):
        one = {"name": "p", "in": where, "required": required or where == "path", "schema": schema}
        document = _document("3.1.0", {}, [one])
        api = _ours(document)
        path = f"/a/{text}" if where == "path" else "/a"
        args = ImmutableMultiDict([("p", text)]) if where == "query" else ImmutableMultiDict()
        headers = {"p": text} if where == "header" else {}
        request = MockRequest("http://x", "post", path, args=args, headers=headers)
        target = f"{path}?{urlencode({'p': text})}" if where == "query" else path
        found = refused(api, "POST", target, b"", headers)
        assert (found == (0, "")) == _theirs(document, request), where


@_QUICK
@given(_SCALARS, st.lists(_ARGUMENTS, max_size=3), st.booleans(), st.booleans())
def test_lists_in_the_query_pass_both_or_neither(
    items: Any, texts: list[str], explode: bool, required: bool
) -> None:
    assume(_same(items, *texts))
    one = {
        "name": "p",
        "in": "query",
        "required": required,
        "explode": explode,
        "schema": {"type": "array", "items": items, "maxItems": 2},
    }
    document = _document("3.1.0", {}, [one])
    pairs = [("p", text) for text in texts] if explode else [("p", ",".join(texts))] if texts else []
    request = MockRequest("http://x", "post", "/a", args=ImmutableMultiDict(pairs))
    found = refused(_ours(document), "POST", f"/a?{urlencode(pairs, safe=',')}")
    assert (found == (0, "")) == _theirs(document, request)
