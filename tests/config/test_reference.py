"""The reference page and the JSON Schema."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.document import read
from gateway.config.reference import SCHEMA_DIALECT, reference, schema
from gateway.registry import Registry

CONFIG = Path(__file__).parents[2] / "config"
FILES = [CONFIG / "gateway.yaml", *sorted((CONFIG / "examples").glob("*.yaml"))]

_BUILT_IN = Registry(entry_points=lambda: ())
_SAMPLE = Registry(package="tests.config.sample", entry_points=lambda: ())


def test_the_page_in_the_tree_is_what_the_code_says() -> None:
    page = (CONFIG / "REFERENCE.md").read_text()
    assert page == reference(_BUILT_IN), "stale: run `weir reference > config/REFERENCE.md`"


def test_every_option_of_a_filter_is_a_line() -> None:
    page = reference(_SAMPLE)
    section = page[page.index("### gate") : page.index("### mark")]
    assert section.splitlines()[2] == "Has one option of every kind. It passes everything."
    for line in [
        "| `count` | whole number | `1` | A whole number. |",
        "| `ratio` | number or `null` | `null` | A number \\| null. |",
        "| `switch` | `true` or `false` | `false` | A switch. |",
        "| `word` | `red`, `green` | `red` | One of two. |",
        "| `wait` | duration | `250ms` | A duration. |",
        "| `room` | size | `1KiB` | A size. |",
        "| `password` | secret or `null` | `null` | A secret. |",
        "| `items` | list of mapping | `[]` | A list of mappings. |",
        "| `items[].rate` | text or mapping | required | A rate. |",
        "| `items[].rate.unit` | `second`, `minute` | required | In which time. |",
        "| `numbers` | mapping of name to whole number | `{}` | A mapping. |",
    ]:
        assert line in section.splitlines()
    assert "It has no options." in page[page.index("### mark") :]


def test_every_filter_has_a_section_that_says_what_it_is_for() -> None:
    page = reference(_BUILT_IN)
    for name in _BUILT_IN.names():
        section = page.split(f"\n### {name}\n\n")[1]
        assert re.match(r"[A-Z][^\n|]{20,}\.\n", section), name


@pytest.mark.parametrize("registry", [_BUILT_IN, _SAMPLE])
def test_every_option_is_described(registry: Registry) -> None:
    assert [line for line in reference(registry).splitlines() if re.search(r"^\| `.*\| \|$", line)] == []


def test_the_schema_refers_to_nothing_that_it_lacks() -> None:
    whole = schema(_BUILT_IN)
    assert whole["$schema"] == SCHEMA_DIALECT
    for target in re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(whole)):
        assert target in whole["$defs"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_schema_takes_what_the_gateway_takes(path: Path) -> None:
    whole = schema(_BUILT_IN)
    assert list(_errors(read(path.read_text(), path.name, {}).value, whole, whole["$defs"], "")) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"listne": "127.0.0.1:1"}, ""),
        ({"listen": 8080}, ".listen"),
        ({"routes": []}, ".routes"),
        ({"filters": ["nosuch"]}, ".filters[0]"),
        ({"filters": ["mark", {"gate": {"count": 11}}]}, ".filters[1]"),
        ({"filters": [{"gate": {"mode": "of"}}]}, ".filters[0]"),
        ({"filters": [{"gate": {"when": {"pth": "/"}}}]}, ".filters[0]"),
        ({"filters": [{"gate": {}, "mark": {}}]}, ".filters[0]"),
    ],
)
def test_the_schema_refuses_what_the_gateway_refuses(change: dict[str, Any], place: str) -> None:
    whole = schema(_SAMPLE)
    base = {
        "upstreams": {"a": {"endpoints": ["http://a:1"]}},
        "routes": [{"name": "r", "path": "/", "upstream": "a"}],
        "filters": [
            "mark",
            {"mark": None},
            {"gate": {"name": "x", "mode": "shadow", "when": {"method": "GET"}}},
        ],
    }
    assert list(_errors(base, whole, whole["$defs"], "")) == []
    assert list(_errors(base | change, whole, whole["$defs"], "")) == [place]


_KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def _errors(value: Any, rules: dict[str, Any], definitions: dict[str, Any], path: str) -> Any:
    """The places where `value` breaks the schema: the keywords that ours uses, and no others."""

    def fits(option: dict[str, Any]) -> bool:
        return not list(_errors(value, option, definitions, path))

    known = {
        "$ref",
        "anyOf",
        "oneOf",
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
    }
    known |= {"items", "minItems", "minProperties", "pattern", "minimum", "maximum", "minLength", "maxLength"}
    known |= {"maxItems", "exclusiveMinimum", "exclusiveMaximum"}
    known |= {"title", "description", "default", "$defs", "$schema", "writeOnly", "format", "examples"}
    assert rules.keys() <= known, rules.keys() - known
    if "$ref" in rules:
        yield from _errors(value, definitions[rules["$ref"].removeprefix("#/$defs/")], definitions, path)
    broken = (
        ("anyOf" in rules and not any(map(fits, rules["anyOf"])))
        or ("oneOf" in rules and sum(map(fits, rules["oneOf"])) != 1)
        or ("enum" in rules and value not in rules["enum"])
        or ("const" in rules and value != rules["const"])
        or ("type" in rules and not isinstance(value, _KINDS[rules["type"]]))
        or (rules.get("type") in ("integer", "number") and isinstance(value, bool))
    )
    if isinstance(value, str):
        broken = broken or not re.search(rules.get("pattern", ""), value)
        broken = broken or not rules.get("minLength", 0) <= len(value) <= rules.get("maxLength", len(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        broken = broken or not rules.get("minimum", value) <= value <= rules.get("maximum", value)
    elif isinstance(value, list):
        broken = broken or len(value) < rules.get("minItems", 0)
        for place, item in enumerate(value):
            yield from _errors(item, rules.get("items", {}), definitions, f"{path}[{place}]")
    elif isinstance(value, dict):
        properties = rules.get("properties", {})
        more = rules.get("additionalProperties", {})
        broken = broken or not value.keys() >= set(rules.get("required", ()))
        broken = broken or len(value) < rules.get("minProperties", 0)
        broken = broken or (more is False and not value.keys() <= properties.keys())
        for key, item in value.items():
            rule = properties.get(key, more)
            if isinstance(rule, dict):
                yield from _errors(item, rule, definitions, f"{path}.{key}")
    if broken:
        yield path
