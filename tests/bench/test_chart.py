from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.chart import Bar, Panel, describe, draw, figure, ticks

_NS = "{http://www.w3.org/2000/svg}"
_PANELS = [
    Panel(
        "W1: a <GET> & its answer",
        "CPU microseconds per request",
        [Bar("nginx", 10.0, 9.0, 12.0), Bar("weir", 20.0, 20.0, 20.0, own=True)],
    ),
    Panel("latency", "milliseconds", [Bar("envoy", 0.25, 0.25, 0.25)]),
]


def _drawn(panels: list[Panel]) -> Element:
    return fromstring(draw("A title", panels, own="Weir", other="others"))


def _texts(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{_NS}text")]


def _bars(root: Element, colour: str) -> list[float]:
    return [
        float(element.attrib["width"])
        for group in root.iter(f"{_NS}g")
        for element in group.iter(f"{_NS}rect")
        if element.attrib["fill"] == colour
    ]


def test_a_picture_has_a_title_and_all_figures_in_words() -> None:
    root = _drawn(_PANELS)
    title, description = root.find(f"{_NS}title"), root.find(f"{_NS}desc")
    assert title is not None
    assert description is not None
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
    assert title.text == "A title"
    assert (
        description.text
        == describe(_PANELS)
        == (
            "W1: a <GET> & its answer, CPU microseconds per request: nginx 10.0, weir 20.0. "
            "latency, milliseconds: envoy 0.25."
        )
    )


def test_bars_are_as_long_as_their_figures_and_ours_stand_out() -> None:
    root = _drawn(_PANELS)
    (own,), others = _bars(root, "#1f5fa8"), _bars(root, "#7a828e")
    assert others[0] == pytest.approx(own / 2, abs=0.2)
    assert len(others) == 2


def test_each_panel_has_its_title_its_axis_and_its_labels() -> None:
    texts = _texts(_drawn(_PANELS))
    for panel in _PANELS:
        assert {panel.title, panel.axis} < set(texts)
        assert {bar.label for bar in panel.bars} < set(texts)
    assert {"Weir", "others", "least and greatest round", "20.0"} < set(texts)


def test_everything_lies_within_the_picture_on_a_white_ground() -> None:
    root = _drawn(_PANELS * 3)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    ground = root.find(f"{_NS}rect")
    assert ground is not None
    assert (ground.attrib["width"], ground.attrib["height"]) == (f"{width:g}", f"{height:g}")
    assert ground.attrib["fill"] == "#ffffff"
    for element in root.iter():
        if "y" in element.attrib:
            assert 0 <= float(element.attrib["x"]) <= width
            assert 0 <= float(element.attrib["y"]) <= height


def test_panels_do_not_overlap() -> None:
    """No two texts at the same place."""
    root = _drawn(_PANELS * 3)
    places = [(element.attrib["x"], element.attrib["y"]) for element in root.iter(f"{_NS}text")]
    assert len(places) == len(set(places))


def test_nothing_to_draw_is_a_picture_too() -> None:
    assert "A title" in _texts(_drawn([]))


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_and_reach_the_greatest_figure(greatest: float) -> None:
    found = ticks(greatest)
    assert found[0] == 0
    assert 3 <= len(found) <= 6
    assert found[-1] >= greatest * (1 - 1e-6)
    assert found[-2] < greatest


@pytest.mark.parametrize(
    ("greatest", "expected"),
    [
        (90.0, [0, 50, 100]),
        (100.0, [0, 50, 100]),
        (0.7, [0, 0.2, 0.4, 0.6, 0.8]),
        (0.0, [0, 1]),
    ],
)
def test_ticks_are_round(greatest: float, expected: list[float]) -> None:
    assert ticks(greatest) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (9.96, "9.96"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_a_figure_has_three_digits(value: float, text: str) -> None:
    assert figure(value) == text
