"""The configurations that come along: they load, and they hold what they promise."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway.condition import When
from gateway.config.load import load, loads, normal_form
from gateway.config.model import Configuration, EntryKeys, Route, Upstream
from gateway.config.shape import key_of, union_members
from gateway.demo.sample import token_list
from gateway.plan import build_plan
from gateway.registry import Registry

CONFIG = Path(__file__).parents[2] / "config"
DEFAULT = CONFIG / "gateway.yaml"
EXAMPLES = sorted((CONFIG / "examples").glob("*.yaml"))

_REGISTRY = Registry(entry_points=lambda: ())


@pytest.mark.parametrize("path", [DEFAULT, *EXAMPLES], ids=lambda path: path.name)
def test_can_be_put_in_force(path: Path) -> None:
    loaded = load(path, registry=_REGISTRY, environment={})
    assert build_plan(loaded, _REGISTRY).revision == loaded.revision


def test_the_examples_are_those_that_are_promised() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "jwt",
        "keystone",
        "minimal",
        "oidc",
        "openapi",
        "openstack",
        "strict",
        "tls",
    ]


def test_the_default_says_the_defaults() -> None:
    """A value in the default file that is a core option's own default, so that nothing there surprises."""
    found = normal_form(load(DEFAULT, registry=_REGISTRY, environment={}).configuration)
    plain = normal_form(
        load(CONFIG / "examples" / "minimal.yaml", registry=_REGISTRY, environment={}).configuration
    )
    for key in (
        "listen",
        "admin",
        "limits",
        "timeouts",
        "drain_timeout",
        "via",
        "forwarded",
        "trusted_proxies",
        "faults",
        "log",
    ):
        assert found[key] == plain[key], key
    assert found["upstreams"]["compute"] == plain["upstreams"]["api"]


def test_the_default_names_every_option() -> None:
    text = DEFAULT.read_text()
    core = [key for model in (Configuration, Upstream, Route, EntryKeys) for key in _keys(model)]
    assert [key for key in core if not re.search(rf"\b{key}:", text)] == []


def test_every_filter_is_shown_in_the_default() -> None:
    text = DEFAULT.read_text()
    assert [name for name in _REGISTRY.names() if not re.search(rf"- {name}:", text)] == []


def test_what_is_commented_out_is_right_too() -> None:
    """Each commented entry or option of one line, put in place, still loads."""
    text = DEFAULT.read_text()
    lines = text.splitlines(keepends=True)
    commented = [
        place
        for place, line in enumerate(lines)
        if re.match(r"\s+# (- )?\w+: (\{.*\}|\[.*\]|\S+)(\s{4,}.*)?$", line)
    ]
    assert len(commented) >= 7
    for place in commented:
        opened = re.sub(r"# (.*?)(\s{4,}.*)?$", r"\1", lines[place])
        if "jwt" in opened:  # its key set is the operator's
            continue
        changed = "".join([*lines[:place], opened, *lines[place + 1 :]])
        loads(changed, "gateway.yaml", registry=_REGISTRY, environment={})


def test_the_default_knows_the_sample_tokens() -> None:
    written: Any = yaml.safe_load(DEFAULT.read_text())
    assert written["filters"][0]["token_auth"]["providers"][0]["static"]["tokens"] == token_list()


def test_the_default_routes_the_two_resources_of_image_metadata() -> None:
    routes = {
        route.name: route for route in load(DEFAULT, registry=_REGISTRY, environment={}).configuration.routes
    }
    methods = {name: normal_form(route.filters[0])["options"]["allow"] for name, route in routes.items()}
    assert methods == {
        "image-metadata": ["GET", "POST", "PUT"],
        "image-metadata-item": ["GET", "PUT", "DELETE"],
    }
    assert [entry.type for entry in routes["image-metadata"].filters] == [
        "methods",
        "uuid",
        "body_size",
        "content_type",
    ]


def _keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(key_of(name, field))
        for member in union_members(field.annotation) or (field.annotation,):
            if isinstance(member, type) and issubclass(member, BaseModel) and member is not When:
                keys += _keys(member)
    return keys
