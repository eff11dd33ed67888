"""Charts of the pages: where everything of a drawing lies; the template draws it as inline SVG.

Legend of coordinates: data (x, y) are mapped to the drawing area of a frame, in whose view box y points down. The page's style
sheet gives the colours, so that they follow light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One named line; at most four share a chart, told apart by colour and by dashes."""

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
            high = low + max(1.0, abs(low) / 1e6)  # a number beside which 1 is lost
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


@dataclass(frozen=True)
class Frame:
    """A view box ``width`` by ``height``, and the edges of the area in it that is drawn in."""

    width: float
    height: float
    left: float
    end: float
    top: float
    base: float

    @property
    def middle(self) -> float:
        """The height at which the name of the vertical axis stands."""
        return (self.top + self.base) / 2

    def x(self, axis: Axis, value: float) -> float:
        """Where a value of the horizontal axis lies."""
        return self.left + axis.place(value) * (self.end - self.left)

    def y(self, axis: Axis, value: float) -> float:
        """Where a value of the vertical axis lies."""
        return self.base - axis.place(value) * (self.base - self.top)


FRAME = Frame(width=480.0, height=270.0, left=60.0, end=466.0, top=16.0, base=228.0)
WIDE_FRAME = Frame(width=960.0, height=300.0, left=60.0, end=950.0, top=22.0, base=254.0)


@dataclass(frozen=True)
class Place:
    """A point of the drawing with its text; ``is_right`` says that there is more room for it on the left."""

    x: float
    y: float
    text: str
    is_right: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the drawing with a dot of this radius for each point; ``kind`` is the class that gives its colour."""

    name: str
    kind: str
    dots: Sequence[Place]
    radius: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The bar of one bin in a histogram."""

    name: str
    count: int
    tip: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Where the middle of the bar is (x), at which its texts stand."""
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing with its title, its axes and a legend of its lines.

    Attributes:
        summary: the lines in words, for screen readers.
        x_ticks, y_ticks: where a tick lies, and its text.
        best: a vertical mark.
        mark: a point to point out.
    """

    title: str
    summary: str
    frame: Frame
    x_label: str
    y_label: str
    y_ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]] = ()
    bars: Sequence[Bar] = ()
    best: Place | None = None
    mark: Place | None = None


MOST_DOTS = 24
"""Many dots would hide which line is dashed; where there are more, they are small."""


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    best_x: float | None = None,
    axes: tuple[Axis, Axis] | None = None,
    mark: Mark | None = None,
) -> Chart:
    """One or more lines and, at ``best_x``, a mark.

    Args:
        series: lines with at least one point in all.
        title: heading of the figure, also its name for screen readers.
        x_label, y_label: what the axes show, with the unit.
        best_x: x of a vertical mark labelled "best".
        axes: the horizontal and the vertical axis; by default they hold all points, the horizontal one in whole numbers.
        mark: a point to point out.
    """
    points = [point for line in series for point in line.points]
    x_values, y_values = [x for x, _ in points], [y for _, y in points]
    x_axis, y_axis = axes or (Axis.around(x_values, count=6, whole=True), Axis.around(y_values))

    def place(point: Point, text: str) -> Place:
        return Place(FRAME.x(x_axis, point[0]), FRAME.y(y_axis, point[1]), text, x_axis.place(point[0]) > 0.5)

    drawn = [line for line in series if line.points]
    lines = [
        Line(
            name=line.name,
            kind=f"s{number}",
            dots=[place(point, f"{line.name}, {point[0]:g}: {point[1]:.4g}") for point in line.points],
            radius=2.8 if len(line.points) <= MOST_DOTS else 1.2,
        )
        for number, line in enumerate(series, 1)
        if line.points
    ]
    return Chart(
        title=title,
        summary="; ".join(f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in drawn),
        frame=FRAME,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[(FRAME.x(x_axis, tick), f"{tick:g}") for tick in x_axis.ticks],
        y_ticks=_y_ticks(FRAME, y_axis),
        lines=lines,
        best=None if best_x is None else place((best_x, y_axis.low), f"best: {best_x:g}"),
        mark=None if mark is None else place(mark.point, f"{mark.name}: {mark.point[0]:.2f}, {mark.point[1]:.2f}"),
    )


def _y_ticks(frame: Frame, axis: Axis) -> list[tuple[float, str]]:
    return [(frame.y(axis, tick), f"{tick:g}") for tick in axis.ticks]


BAR_HEIGHT, BAR_WIDTH = 0.55, 0.72
"""Of the tallest bar as a share of the drawing, so that F1 lines stay readable above; of each as a share of its room."""


def long_tail_chart(bins: Sequence[str], counts: Sequence[int], lines: Sequence[Series], *, title: str) -> Chart:
    """How many tags there are of each training frequency as bars, and mean F1 over the same bins as lines.

    Args:
        bins: their names, from rare to frequent.
        counts: tags in each.
        lines: points (number of the bin, F1 in percent); at most four.
        title: heading of the figure.
    """
    frame = WIDE_FRAME
    axis = Axis.around([y for line in lines for _, y in line.points], from_zero=True)
    step = (frame.end - frame.left) / len(bins)

    def dot(name: str, point: Point) -> Place:
        x = frame.left + (point[0] + 0.5) * step
        return Place(x, frame.y(axis, point[1]), f"{name}, {bins[int(point[0])]}: {point[1]:.1f}")

    drawn = [
        Line(name=line.name, kind=f"run{number}", dots=[dot(line.name, point) for point in line.points], radius=3.6)
        for number, line in enumerate(lines, 1)
    ]
    return Chart(
        title=title,
        summary="; ".join(
            f"{line.name} from {line.points[0][1]:.3g} for the rarest to {line.points[-1][1]:.3g} for the most frequent tags"
            for line in lines
        ),
        frame=frame,
        x_label="training videos with the tag",
        y_label="mean F1, percent",
        y_ticks=_y_ticks(frame, axis),
        bars=_bars(bins, counts, frame, step),
        lines=drawn,
    )


def _bars(bins: Sequence[str], counts: Sequence[int], frame: Frame, step: float) -> list[Bar]:
    tallest = BAR_HEIGHT * (frame.base - frame.top) / max(counts)
    return [
        Bar(
            name=name,
            count=count,
            tip=f"{name} training videos: {count:,} tags",
            x=frame.left + (number + (1 - BAR_WIDTH) / 2) * step,
            y=frame.base - tallest * count,
            width=BAR_WIDTH * step,
            height=tallest * count,
        )
        for number, (name, count) in enumerate(zip(bins, counts, strict=True))
    ]
