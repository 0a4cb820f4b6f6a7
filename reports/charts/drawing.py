"""The pen that all charts share: an SVG element tree, linear scales, round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from reports.escaping.xml import character_data

WIDTH = 380
SERIES = 6  # colours s1 to s6 of the style sheet


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the class that colours its mark, and its words."""

    style: str
    label: str


@dataclass(frozen=True)
class Chart:
    """A figure: heading, drawing, legend and a sentence that says what it shows."""

    title: str
    svg: Markup
    legend: tuple[Key, ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Scale:
    """Maps ``low``..``high`` linearly to ``start``..``end`` in drawing units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        span = self.high - self.low
        return self.start if span == 0 else self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """Return about ``count`` round values within the scale."""
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(span / count))
        step = min((power * m for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(span / s - count))
        first = math.ceil(self.low / step - 1e-9)
        return [first * step + i * step for i in range(int((self.high - first * step) / step + 1e-9) + 1)][:50]


class Drawing:
    """An SVG image under construction. Text is cleaned here and quoted by the element tree."""

    def __init__(self, height: float, label: str, width: float = WIDTH) -> None:
        self._root = ET.Element("svg", viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}", role="img")
        self._root.set("aria-label", character_data(label))

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        points = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2)}
        ET.SubElement(self._root, "line", {"class": style, **points})

    def rect(self, x: float, y: float, width: float, height: float, style: str, hint: str = "") -> None:
        """Draw a rectangle; ``hint`` shows when the pointer rests on it."""
        size = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0)), "height": _n(height)}
        self._hint(ET.SubElement(self._root, "rect", {"class": style, **size}), hint)

    def circle(self, x: float, y: float, radius: float, style: str, hint: str = "") -> None:
        """Draw a dot."""
        place = {"cx": _n(x), "cy": _n(y), "r": _n(radius)}
        self._hint(ET.SubElement(self._root, "circle", {"class": style, **place}), hint)

    def path(self, points: Sequence[tuple[float, float]], style: str, hint: str = "") -> None:
        """Draw straight lines through the points."""
        if points:
            way = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self._hint(ET.SubElement(self._root, "path", {"class": style, "d": way}), hint)

    def text(self, x: float, y: float, words: str, style: str = "label", anchor: str = "start") -> None:
        """Write one line of text with its baseline at ``y``."""
        attributes = {"class": style, "x": _n(x), "y": _n(y), "text-anchor": anchor}
        ET.SubElement(self._root, "text", attributes).text = character_data(words)

    def markup(self) -> Markup:
        """Return the image; safe because the element tree quotes all text and attributes."""
        return Markup(ET.tostring(self._root, encoding="unicode"))

    @staticmethod
    def _hint(element: ET.Element, words: str) -> None:
        if words:
            ET.SubElement(element, "title").text = character_data(words)


def series(index: int) -> str:
    """Return the class of the n-th series."""
    return f"s{index % SERIES + 1}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
