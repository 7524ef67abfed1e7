"""Bar charts as SVG: panels of horizontal bars, each with its own axis, for a page with a white or any other ground.

Every figure stands in words as well, in the description and beside its bar, for who cannot see lengths or colours.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_WIDTH: Final = 960
_MARGIN: Final = 16
_GAP: Final = 32  # between the columns of panels
_TOP: Final = 64  # title and legend
_COLUMN: Final = (_WIDTH - 2 * _MARGIN - _GAP) // 2
_LABELS: Final = 136  # left of the bars
_FIGURES: Final = 56  # right of the longest
_HEADING: Final = 28
_ROW: Final = 22
_BAR: Final = 14
_AXIS: Final = 56
_TICKS: Final = 4

_INK: Final = "#1b1f24"
_MUTED: Final = "#57606a"
_GRID: Final = "#d0d7de"
_OWN: Final = "#1f5fa8"
_OTHER: Final = "#7a828e"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


class Bar(NamedTuple):
    """One figure, with its least and greatest; `own` ones stand out."""

    label: str
    value: float
    low: float
    high: float
    own: bool = False


class Panel(NamedTuple):
    """Bars on one axis, whose name says what is measured and in what."""

    title: str
    axis: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        return _HEADING + _ROW * len(self.bars) + _AXIS


class _Placed(NamedTuple):
    panel: Panel
    x: int
    y: int


def draw(title: str, panels: Sequence[Panel], *, own: str, other: str) -> str:
    """The document; `own` and `other` are the words of the legend."""
    placed = list(_place(panels))
    height = max((each.y + each.panel.height for each in placed), default=_TOP) + _MARGIN
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "width": str(_WIDTH),
            "height": str(height),
            "role": "img",
            "aria-labelledby": "title description",
            "font-family": _FONT,
            "font-size": "12",
        },
    )
    SubElement(root, "title", {"id": "title"}).text = title
    SubElement(root, "desc", {"id": "description"}).text = describe(panels)
    _rectangle(root, 0, 0, _WIDTH, height, "#ffffff")
    _text(root, _MARGIN, 26, title, size=16, weight="600")
    _legend(root, own, other)
    for each in placed:
        _draw_panel(root, each)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def describe(panels: Sequence[Panel]) -> str:
    """All figures in words."""
    return " ".join(
        f"{panel.title}, {panel.axis}: {', '.join(f'{bar.label} {figure(bar.value)}' for bar in panel.bars)}."
        for panel in panels
    )


def figure(value: float) -> str:
    """Three digits are what a measurement is worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ticks(greatest: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `greatest`, some four steps apart."""
    if greatest <= 0:
        return [0.0, 1.0]
    rough = greatest / _TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(greatest / step - 1e-9) + 1)]


def _place(panels: Sequence[Panel]) -> Iterator[_Placed]:
    """Each panel goes below the shorter of two columns."""
    bottoms = [_TOP, _TOP]
    for panel in panels:
        column = bottoms.index(min(bottoms))
        yield _Placed(panel, _MARGIN + column * (_COLUMN + _GAP), bottoms[column])
        bottoms[column] += panel.height


def _draw_panel(root: Element, placed: _Placed) -> None:
    panel, left, top = placed
    group = SubElement(root, "g")
    _text(group, left, top + 14, panel.title, size=13, weight="600")
    marks = ticks(max((bar.high for bar in panel.bars), default=0.0))
    start, width = left + _LABELS, _COLUMN - _LABELS - _FIGURES
    above, below = top + _HEADING, top + _HEADING + _ROW * len(panel.bars)

    def place(value: float) -> float:
        return round(start + value / marks[-1] * width, 1)

    for mark in marks:
        _line(group, place(mark), above, place(mark), below + 4, _GRID)
        _text(group, place(mark), below + 18, f"{mark:,.10g}", anchor="middle", colour=_MUTED, size=11)
    _text(group, start + width / 2, below + 36, panel.axis, anchor="middle", colour=_MUTED, size=11)
    for number, bar in enumerate(panel.bars):
        y = above + _ROW * number + (_ROW - _BAR) // 2
        middle = y + _BAR / 2
        _text(group, start - 8, middle + 4, bar.label, anchor="end", weight="600" if bar.own else "400")
        _rectangle(group, start, y, round(place(bar.value) - start, 1), _BAR, _OWN if bar.own else _OTHER)
        if bar.low < bar.high:
            _line(group, place(bar.low), middle, place(bar.high), middle, _INK)
            for end in (bar.low, bar.high):
                _line(group, place(end), middle - 3, place(end), middle + 3, _INK)
        _text(group, place(max(bar.value, bar.high)) + 6, middle + 4, figure(bar.value))
    _line(group, start, above, start, below + 4, _INK)


def _legend(root: Element, own: str, other: str) -> None:
    x = _MARGIN
    for colour, word in ((_OWN, own), (_OTHER, other)):
        _rectangle(root, x, 38, 12, 12, colour)
        _text(root, x + 18, 48, word, colour=_MUTED)
        x += 36 + 7 * len(word)
    _line(root, x, 44, x + 16, 44, _INK)
    for end in (x, x + 16):
        _line(root, end, 41, end, 47, _INK)
    _text(root, x + 24, 48, "least and greatest round", colour=_MUTED)


def _text(
    parent: Element,
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    colour: str = _INK,
    size: int = 12,
    weight: str = "400",
) -> None:
    attributes = {"x": f"{x:g}", "y": f"{y:g}", "fill": colour}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    if size != 12:
        attributes["font-size"] = str(size)
    if weight != "400":
        attributes["font-weight"] = weight
    SubElement(parent, "text", attributes).text = words


def _rectangle(parent: Element, x: float, y: float, width: float, height: float, colour: str) -> None:
    attributes = {
        "x": f"{x:g}",
        "y": f"{y:g}",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "fill": colour,
    }
    SubElement(parent, "rect", attributes)


def _line(parent: Element, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
    attributes = {"x1": f"{x1:g}", "y1": f"{y1:g}", "x2": f"{x2:g}", "y2": f"{y2:g}", "stroke": colour}
    SubElement(parent, "line", attributes)
