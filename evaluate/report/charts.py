"""Line charts as inline SVG, coloured by the page's style sheet so that they follow light and dark.

Legend of coordinates: data (x, y) are mapped to the drawing area of a WIDTH × HEIGHT view box, y upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .page import Html, element

WIDTH, HEIGHT = 480.0, 270.0


LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 16.0, 42.0


MOST_DOTS = 24


Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One named line; at most three share a chart, told apart by colour and by dashes."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """A named point beside the lines."""

    name: str
    point: Point


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high`` with its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Sequence[float], *, count: int = 5, from_zero: bool = False, whole: bool = False) -> Axis:
        """An axis that holds all values, with about ``count`` round ticks, at its ends too unless ``whole``."""
        low, high = min(values), max(values)
        if from_zero:
            low = min(low, 0.0)
        if high <= low:
            high = low + 1.0
        step = _round_step((high - low) / count)
        if whole:
            step = max(1.0, step)
            first, last = math.ceil(low / step), math.floor(high / step)
            return cls(low, high, tuple(number * step for number in range(first, last + 1)))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks)

    def place(self, value: float) -> float:
        """Where a value lies, 0 at ``low`` and 1 at ``high``."""
        return (value - self.low) / (self.high - self.low)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is at least ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9)))


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    best_x: float | None = None,
    from_zero: bool = False,
    axes: tuple[Axis, Axis] | None = None,
    mark: Mark | None = None,
) -> Html:
    """A figure with one or more lines, a legend and, at ``best_x``, a mark.

    Args:
        series: lines with at least one point in all.
        title: heading of the figure, also its name for screen readers.
        x_label, y_label: what the axes show, with the unit.
        best_x: x of a vertical mark labelled "best".
        from_zero: whether the vertical axis starts at zero.
        axes: the horizontal and the vertical axis; by default they hold all points, the horizontal one in whole numbers.
        mark: a point to point out.
    """
    points = [point for line in series for point in line.points]
    x_axis, y_axis = axes or (
        Axis.around([x for x, _ in points], count=6, whole=True),
        Axis.around([y for _, y in points], from_zero=from_zero),
    )
    drawing = element(
        "svg",
        *_grid(x_axis, y_axis),
        *_axis_titles(x_label, y_label),
        *(_best_mark(x_axis, best_x) if best_x is not None else ()),
        *(_line(number, line, x_axis, y_axis) for number, line in enumerate(series) if line.points),
        *(_point_mark(mark, x_axis, y_axis) if mark is not None else ()),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title}: {_summary(series)}",
        class_="chart",
    )
    return element("figure", element("figcaption", title), _legend(series), drawing, class_="plot")


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _grid(x_axis: Axis, y_axis: Axis) -> list[Html]:
    parts = []
    for tick in y_axis.ticks:
        y = _y(y_axis, tick)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", f"{tick:g}", x=LEFT - 7, y=y + 4, class_="tick end"))
    for tick in x_axis.ticks:
        x = _x(x_axis, tick)
        parts.append(element("line", x1=x, x2=x, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 4, class_="axis"))
        parts.append(element("text", f"{tick:g}", x=x, y=HEIGHT - BOTTOM + 18, class_="tick middle"))
    base = HEIGHT - BOTTOM
    parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"))
    return parts


def _axis_titles(x_label: str, y_label: str) -> list[Html]:
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    turned = f"rotate(-90 10 {middle_y:g})"
    return [
        element("text", x_label, x=middle_x, y=HEIGHT - 6, class_="label middle"),
        element("text", y_label, x=10.0, y=middle_y, transform=turned, class_="label middle"),
    ]


def _best_mark(axis: Axis, best_x: float) -> list[Html]:
    x = _x(axis, best_x)
    on_right_half = axis.place(best_x) > 0.5
    return [
        element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="best"),
        element(
            "text",
            f"best: {best_x:g}",
            x=x - 5 if on_right_half else x + 5,
            y=TOP - 4,
            class_="label end" if on_right_half else "label",
        ),
    ]


def _point_mark(mark: Mark, x_axis: Axis, y_axis: Axis) -> list[Html]:
    x, y = _x(x_axis, mark.point[0]), _y(y_axis, mark.point[1])
    on_right_half = x_axis.place(mark.point[0]) > 0.5
    values = f"{mark.point[0]:.2f}, {mark.point[1]:.2f}"
    return [
        element("circle", element("title", f"{mark.name}: {values}"), cx=x, cy=y, r=6, class_="mark"),
        element(
            "text",
            f"{mark.name}: {values}",
            x=x - 11 if on_right_half else x + 11,
            y=y - 9,
            class_="label end" if on_right_half else "label",
        ),
    ]


def _line(number: int, line: Series, x_axis: Axis, y_axis: Axis) -> Html:
    places = [(_x(x_axis, x), _y(y_axis, y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    # Many dots would hide which line is dashed.
    radius = 2.8 if len(places) <= MOST_DOTS else 1.2
    dots = (
        element("circle", element("title", f"{line.name}, {x:g}: {y:.4g}"), cx=cx, cy=cy, r=radius)
        for (x, y), (cx, cy) in zip(line.points, places, strict=True)
    )
    return element("g", element("polyline", points=path), *dots, class_=f"series s{number + 1}")


def _legend(series: Sequence[Series]) -> Html:
    entries = (line_key(line.name, f"s{number + 1}") for number, line in enumerate(series) if line.points)
    return element("div", *entries, class_="keys")


def line_key(name: str, kind: str) -> Html:
    """A line's entry in a legend; ``kind`` is the class that gives the line its colour."""
    sample = element(
        "svg",
        element("line", x1=1, x2=25, y1=5, y2=5),
        viewBox="0 0 26 10",
        aria_hidden="true",
        class_=f"key series {kind}",
    )
    return element("span", sample, name)


def _summary(series: Sequence[Series]) -> str:
    """The lines in words: first and last value of each."""
    return "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in series if line.points
    )
