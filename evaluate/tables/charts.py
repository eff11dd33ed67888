"""Pictures beside the tables, SVG that stands alone and follows light and dark: F1 over a sweep, and Figure 3's similarities."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.dom import minidom

from ..report.charts import Axis
from ..report.page import asset, legal
from .measures import Spread
from .prompt_orders import PromptOrders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, RULE, BLUE = "#1f2328", "#5d646d", "#e3e0da", "#1d5fa8"
"""Colours on light paper; ``picture.css`` says what becomes of them on dark paper."""


LINES = ((BLUE, "-", "o"), ("#b4540a", (0, (3, 2)), "s"), ("#14693a", (0, (1, 1.5)), "^"))
"""Colour, dashes and marks: colour does not tell the lines apart alone."""


@dataclass(frozen=True)
class Line:
    """F1 of one tag group, percent, at each value; ``None`` where there is no finished run."""

    name: str
    points: Sequence[Spread | None]


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Room around the area that is drawn in, in points."""

    left: float
    right: float
    top: float
    bottom: float


SWEEP_SIZE, SWEEP_MARGINS = (520.0, 300.0), Margins(left=46.0, right=76.0, top=22.0, bottom=46.0)


SHIFT = 0.06
"""Lines stand this far beside each other, in steps of the values, so that error bars do not hide one another."""


def sweep_plot(title: str, x_label: str, values: Sequence[str], lines: Sequence[Line]) -> str | None:
    """F1 with its standard deviation; values are evenly spaced. ``None`` where fewer than two of them have a finished run."""
    if sum(point is not None for point in lines[0].points) < 2:
        return None

    def draw(axes: Axes) -> None:
        axis = Axis.around(
            [end for line in lines for point in line.points if point is not None for end in _ends(point)]
        )
        left, right = -0.5, len(values) - 0.5
        axes.set(xlim=(left, right), ylim=(axis.low, axis.high))
        axes.hlines(axis.ticks, left, right, color=RULE, linewidth=1.0, zorder=0, clip_on=False)
        for tick in axis.ticks:
            _write(axes, f"{tick:g}", (left, tick), (-6, -4), QUIET, align="right")
        for place, value in enumerate(values):
            _write(axes, value, (place, axis.low), (0, -17), QUIET)
        _write(axes, x_label, ((left + right) / 2, axis.low), (0, -38), QUIET)
        _write(axes, "F1, percent", (left, axis.high), (-42, 11), QUIET, align="left")
        for number, line in enumerate(lines):
            _draw_line(axes, line, (number - 1) * SHIFT, *LINES[number])

    words = "; ".join(_in_words(line, values) for line in lines)
    return _picture(title, f"{title}: {words}", SWEEP_SIZE, SWEEP_MARGINS, draw)


def _ends(point: Spread) -> tuple[float, float]:
    return point.mean - (point.sd or 0.0), point.mean + (point.sd or 0.0)


def _draw_line(
    axes: Axes, line: Line, shift: float, colour: str, dashes: str | tuple[int, tuple[float, ...]], mark: str
) -> None:
    known = [(place + shift, point) for place, point in enumerate(line.points) if point is not None]
    x, mean, sd = zip(*((x, point.mean, point.sd or math.nan) for x, point in known), strict=True)
    axes.plot(x, mean, color=colour, linestyle=dashes, marker=mark, clip_on=False)
    axes.errorbar(x, mean, sd, color=colour, linestyle="none", capsize=4, elinewidth=1.5, capthick=1.5, clip_on=False)
    _write(axes, line.name, (x[-1], mean[-1]), (10, -4), colour, align="left", weight="bold")


def _in_words(line: Line, values: Sequence[str]) -> str:
    points = zip(values, line.points, strict=True)
    return f"{line.name} {', '.join(f'{value}: {point.mean:.1f}' for value, point in points if point is not None)}"


CELL, GAP, HEAT_MARGINS = 24.0, 2.0, Margins(left=150.0, right=4.0, top=24.0, bottom=4.0)
"""Side of a cell, and the room between two, in points."""


LONGEST = 22
"""Letters of a tag that are shown."""


def heat_map(figure: PromptOrders) -> str:
    """(N, L) cosines, darker for more alike; a frame marks the prompt that is most alike to each tag."""
    prompts, tags = figure.similarity.shape
    low, high = float(figure.similarity.min()), float(figure.similarity.max())
    depths = (figure.similarity - low) / ((high - low) or 1.0)
    names = [tag if len(tag) <= LONGEST else tag[: LONGEST - 1] + "…" for tag in figure.true]

    def draw(axes: Axes) -> None:
        from matplotlib.patches import Rectangle

        def cell(prompt: int, tag: int, **look: Any) -> None:
            axes.add_patch(
                Rectangle((prompt + inset, tag + inset), 1 - 2 * inset, 1 - 2 * inset, clip_on=False, **look)
            )

        inset = GAP / 2 / CELL
        axes.set(xlim=(0, prompts), ylim=(tags, 0))
        for prompt in range(prompts):
            _write(axes, str(prompt), (prompt + 0.5, 0), (0, 8), INK)
        for tag, name in enumerate(names):
            _write(axes, name, (0, tag + 0.5), (-8, -4), INK, align="right")
            for prompt in range(prompts):
                cell(prompt, tag, facecolor=(BLUE, 0.04 + 0.96 * depths[prompt, tag]))
            cell(int(figure.similarity[:, tag].argmax()), tag, fill=False, edgecolor=INK, linewidth=1.5)

    size = (HEAT_MARGINS.left + prompts * CELL + 4.0, HEAT_MARGINS.top + tags * CELL + 4.0)
    title = "Cosine of order prompts and annotated tags"
    return _picture(title, f"{title}, from {low:.2f} to {high:.2f}", size, HEAT_MARGINS, draw)


def _write(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    beside: tuple[float, float],
    colour: str,
    *,
    align: Literal["left", "center", "right"] = "center",
    **look: Any,
) -> None:
    """Writes one line so many points beside a place; never nothing, so that a picture has the same parts for all texts."""
    axes.annotate(
        " ".join(legal(text).split()) or " ",
        at,
        beside,
        textcoords="offset points",
        color=colour,
        annotation_clip=False,
        horizontalalignment=align,
        verticalalignment="baseline",
        parse_math=False,
        **look,
    )


LOOK = {
    "svg.fonttype": "none",
    "font.size": 12.0,
    "lines.linewidth": 2.0,
    "lines.markersize": 7.0,
    "patch.linewidth": 0.0,
}


def _picture(title: str, words: str, size: tuple[float, float], margins: Margins, draw: Callable[[Axes], None]) -> str:
    """The picture as SVG, the same for the same content.

    Args:
        title: tells the picture from others of a page.
        words: what it shows, for screen readers.
        size: width and height in points.
        draw: draws it.
    """
    # It takes a second to import; nobody who makes tables without pictures should wait for it.
    from matplotlib import style
    from matplotlib.figure import Figure

    width, height = size
    area = (width - margins.left - margins.right) / width, (height - margins.top - margins.bottom) / height
    written = io.StringIO()
    with style.context(["default", {**LOOK, "svg.hashsalt": title}]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font here lacks: whoever shows the picture has others
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((margins.left / width, margins.bottom / height, *area))
        axes.set_axis_off()
        draw(axes)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing, transparent=True)
    return _dressed(written.getvalue(), words)


def _dressed(picture: str, words: str) -> str:
    """With a name and our style sheet, and without ids that several pictures of a page would share."""
    root = minidom.parseString(picture).documentElement  # noqa: S318
    assert root is not None
    for name, value in (("class", "plotted"), ("role", "img"), ("aria-label", legal(words))):
        root.setAttribute(name, value)
    for group in root.getElementsByTagName("g"):
        if group.hasAttribute("id"):
            group.removeAttribute("id")
    sheet = root.getElementsByTagName("style")[0].firstChild
    assert isinstance(sheet, minidom.Text)
    sheet.data = asset("picture.css")
    return root.toxml()
