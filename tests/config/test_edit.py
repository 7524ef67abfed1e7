"""Edits that leave everything else as it is written."""

import pytest

from gateway.config.edit import EditError, as_patch, promoted
from gateway.config.load import Loaded, loads
from gateway.registry import Registry

TEXT = """\
# A comment.
upstreams: { a: { endpoints: ["http://a:1"] } }
filters:
  - methods:
      name: block       # in block style
      mode: shadow      # for now
      shadow_percent: 25
      delegate: 0.5
      allow: [GET]
  - body_size: { name: flow, max: 1, mode: "shadow", shadow_percent: 50, delegate: 0 }
  - uuid: { params: [x], name: on }
routes:
  - { name: r, path: "/{x}", upstream: a, filters: [ip_allow: {mode: shadow, name: inner, allow: [10.0.0.0/8]}] }
"""


def _loaded(text: str = TEXT) -> Loaded:
    return loads(text, "gateway.yaml", registry=Registry())


@pytest.mark.parametrize(
    ("name", "gone", "come"),
    [
        (
            "block",
            ["      mode: shadow      # for now", "      shadow_percent: 25", "      delegate: 0.5"],
            ["      mode: enforce      # for now"],
        ),
        (
            "flow",
            ['  - body_size: { name: flow, max: 1, mode: "shadow", shadow_percent: 50, delegate: 0 }'],
            ["  - body_size: { name: flow, max: 1, mode: enforce }"],
        ),
    ],
)
def test_only_what_has_to_change_changes(name: str, gone: list[str], come: list[str]) -> None:
    text = promoted(_loaded(), name)
    before, after = TEXT.splitlines(), text.splitlines()
    assert [line for line in before if line not in after] == gone
    assert [line for line in after if line not in before] == come


@pytest.mark.parametrize("name", ["block", "flow", "inner"])
def test_the_entry_enforces_afterwards_and_nothing_else_is_different(name: str) -> None:
    before, after = _loaded(), _loaded(promoted(_loaded(), name))

    def modes(loaded: Loaded) -> dict[str, tuple[str, float, float | None]]:
        entries = [*loaded.configuration.filters, *loaded.configuration.routes[0].filters]
        return {entry.name: (entry.mode, entry.shadow_percent, entry.delegate) for entry in entries}

    assert modes(after) == {**modes(before), name: ("enforce", 100.0, None)}


@pytest.mark.parametrize(
    ("written", "promoted_to"),
    [
        ("\"mode\": 'shadow'", "\"mode\": 'enforce'"),
        ("'mode' : shadow", "'mode' : enforce"),
        ('"mode":"shadow","shadow_percent":50,"delegate":0.5', '"mode":"enforce"'),
        ("'shadow_percent': 50, 'mode': \"shadow\"", "'mode': \"enforce\""),
    ],
)
def test_keys_may_be_quoted(written: str, promoted_to: str) -> None:
    text = f"""upstreams: {{ main: {{ endpoints: ["http://127.0.0.1:1"] }} }}
filters: [ {{ body_size: {{ max: 1, {written} }} }} ]
routes: [ {{ name: any, path: "/{{rest*}}", upstream: main }} ]
"""
    loaded = _loaded(text)
    assert promoted(loaded, "body_size") == text.replace(written, promoted_to)
    assert _loaded(promoted(loaded, "body_size")).configuration.filters[0].mode == "enforce"


def test_a_patch() -> None:
    patch = as_patch(_loaded(), promoted(_loaded(), "block"))
    assert patch.startswith("--- gateway.yaml\n+++ gateway.yaml\n@@ ")
    assert (
        "-      mode: shadow      # for now\n" in patch and "+      mode: enforce      # for now\n" in patch
    )


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (TEXT, "other", "no entry is named 'other': there are block, flow, on, inner"),
        (TEXT, "on", "'on' is not in shadow: its mode is enforce"),
        (
            TEXT.replace("mode: shadow      #", "mode: ${M:-shadow}      #"),
            "block",
            "comes from the environment",
        ),
    ],
)
def test_what_cannot_be(text: str, name: str, message: str) -> None:
    with pytest.raises(EditError, match=message):
        promoted(_loaded(text), name)
