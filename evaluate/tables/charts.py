"""A sweep as a picture: F1 of the tag groups with error bars, an SVG that stands alone and follows light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..report.charts import Axis
from ..report.page import Html, element
from .measures import Spread

WIDTH, HEIGHT = 520.0, 300.0


LEFT, RIGHT, TOP, BOTTOM = 46.0, 76.0, 18.0, 46.0


SHIFT = 5.0
"""Lines stand this far beside each other, so that error bars do not hide one another."""


STYLE = """
.sweep { --ink: #1f2328; --quiet: #5d646d; --line: #e3e0da; --g0: #1d5fa8; --g1: #b4540a; --g2: #14693a; font: 12px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  .sweep { --ink: #e6e8ea; --quiet: #a0a7b0; --line: #31363c; --g0: #7db4f0; --g1: #f0a35e; --g2: #7fd8a0; }
}
.sweep text { fill: var(--quiet); } .sweep .rule { stroke: var(--line); }
.sweep .g0 { --c: var(--g0); } .sweep .g1 { --c: var(--g1); } .sweep .g2 { --c: var(--g2); }
.sweep g polyline { fill: none; stroke: var(--c); stroke-width: 2; } .sweep g line { stroke: var(--c); stroke-width: 1.5; }
.sweep g path { fill: var(--c); } .sweep g text { fill: var(--c); font-weight: 600; }
.sweep .g1 polyline { stroke-dasharray: 6 4; } .sweep .g2 polyline { stroke-dasharray: 2 3; }
"""


MARKS = ("M-4 0 a4 4 0 1 0 8 0 a4 4 0 1 0 -8 0Z", "M-4 -4h8v8h-8Z", "M0 -5l5 9h-10Z")
"""A circle, a square and a triangle: colour does not tell the lines apart alone."""


@dataclass(frozen=True)
class Line:
    """F1 of one tag group, percent, at each value; ``None`` where there is no finished run."""

    name: str
    points: Sequence[Spread | None]


def sweep_plot(title: str, x_label: str, values: Sequence[str], lines: Sequence[Line]) -> Html | None:
    """The picture; values are evenly spaced. ``None`` where fewer than two of them have a finished run."""
    ends = [end for line in lines for point in line.points if point is not None for end in _ends(point)]
    if sum(point is not None for point in lines[0].points) < 2:
        return None
    axis = Axis.around(ends)
    return element(
        "svg",
        element("title", title),
        element("style", Html(STYLE)),
        *_frame(axis, values, x_label),
        *(_line(number, line, axis, len(values)) for number, line in enumerate(lines)),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title}: {'; '.join(_in_words(line, values) for line in lines)}",
        class_="sweep",
    )


def _ends(point: Spread) -> tuple[float, float]:
    return point.mean - (point.sd or 0.0), point.mean + (point.sd or 0.0)


def _x(number: int, count: int) -> float:
    return LEFT + (number + 0.5) * (WIDTH - LEFT - RIGHT) / count


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _frame(axis: Axis, values: Sequence[str], x_label: str) -> list[Html]:
    parts = []
    for tick in axis.ticks:
        y = _y(axis, tick)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="rule"))
        parts.append(element("text", f"{tick:g}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    for number, value in enumerate(values):
        parts.append(element("text", value, x=_x(number, len(values)), y=HEIGHT - BOTTOM + 17, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(element("text", x_label, x=middle, y=HEIGHT - 8, text_anchor="middle"))
    parts.append(element("text", "F1, percent", x=4.0, y=TOP - 6))
    return parts


def _line(number: int, line: Line, axis: Axis, count: int) -> Html:
    shift = (number - 1) * SHIFT
    places = [(_x(place, count) + shift, point) for place, point in enumerate(line.points) if point is not None]
    drawn = [element("polyline", points=" ".join(f"{x:.1f},{_y(axis, point.mean):.1f}" for x, point in places))]
    for x, point in places:
        low, high = (_y(axis, end) for end in _ends(point))
        if point.sd is not None:
            drawn.append(element("line", x1=x, x2=x, y1=low, y2=high))
            drawn += [element("line", x1=x - 4, x2=x + 4, y1=end, y2=end) for end in (low, high)]
        name = element("title", f"{line.name}: {point.mean:.1f}")
        drawn.append(element("path", name, d=MARKS[number], transform=f"translate({x:.1f} {_y(axis, point.mean):.1f})"))
    last_x, last = places[-1]
    drawn.append(element("text", line.name, x=last_x + 10, y=_y(axis, last.mean) + 4))
    return element("g", *drawn, class_=f"g{number}")


def _in_words(line: Line, values: Sequence[str]) -> str:
    known = [
        f"{value}: {point.mean:.1f}" for value, point in zip(values, line.points, strict=True) if point is not None
    ]
    return f"{line.name} {', '.join(known)}"
