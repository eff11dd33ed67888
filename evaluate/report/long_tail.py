"""The long tail as a drawing: how many tags there are of each training frequency, and how well they are predicted."""

from __future__ import annotations

from collections.abc import Sequence

from .charts import Axis, Series, line_key
from .page import Html, element

WIDTH, HEIGHT = 960.0, 300.0


LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 22.0, 46.0


BAR_SHARE = 0.55
"""Height of the tallest bar as a share of the drawing: F1 lines stay readable above them."""


def long_tail_chart(bins: Sequence[str], counts: Sequence[int], lines: Sequence[Series], *, title: str) -> Html:
    """Bars with the number of tags of each bin, and lines of mean F1 over the same bins.

    Args:
        bins: their names, from rare to frequent.
        counts: tags in each.
        lines: points (number of the bin, F1 in percent); at most four.
        title: heading of the figure.
    """
    axis = Axis.around([y for line in lines for _, y in line.points], from_zero=True)
    step = (WIDTH - LEFT - RIGHT) / len(bins)

    def x(number: float) -> float:
        return LEFT + (number + 0.5) * step

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in axis.ticks:
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=LEFT - 7, y=y(tick) + 4, class_="tick end"))
    base, tallest = HEIGHT - BOTTOM, BAR_SHARE * (HEIGHT - TOP - BOTTOM)
    for number, (name, count) in enumerate(zip(bins, counts, strict=True)):
        height = tallest * count / max(counts)
        tip = element("title", f"{name} training videos: {count:,} tags")
        parts += [
            element(
                "rect", tip, x=x(number) - 0.36 * step, y=base - height, width=0.72 * step, height=height, class_="mass"
            ),
            element("text", f"{count:,}", x=x(number), y=base - 6, class_="middle mass-count"),
            element("text", name, x=x(number), y=base + 18, class_="tick middle"),
        ]
    middle = (TOP + base) / 2
    parts += [
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base, class_="axis"),
        element(
            "text", "training videos with the tag", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, class_="label middle"
        ),
        element(
            "text", "mean F1, percent", x=10.0, y=middle, transform=f"rotate(-90 10 {middle:g})", class_="label middle"
        ),
    ]
    for place, line in enumerate(lines):
        points = [(x(number), y(value)) for number, value in line.points]
        dots = (
            element("circle", element("title", f"{line.name}, {bins[int(number)]}: {value:.1f}"), cx=cx, cy=cy, r=3.6)
            for (number, value), (cx, cy) in zip(line.points, points, strict=True)
        )
        path = " ".join(f"{cx:.1f},{cy:.1f}" for cx, cy in points)
        parts.append(element("g", element("polyline", points=path), *dots, class_=f"series run{place + 1}"))
    summary = "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} for the rarest to {line.points[-1][1]:.3g} for the most frequent tags"
        for line in lines
    )
    drawing = element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title}: {summary}",
        class_="chart",
    )
    scroll = element("div", drawing, class_="widechart", tabindex="0", role="region", aria_label=title)
    return element("figure", element("figcaption", title), _keys(lines), scroll, class_="plot")


def _keys(lines: Sequence[Series]) -> Html:
    mass = element(
        "svg",
        element("rect", x=2, y=0, width=22, height=10, class_="mass"),
        viewBox="0 0 26 10",
        aria_hidden="true",
        class_="key",
    )
    entries = [line_key(line.name, f"run{place + 1}") for place, line in enumerate(lines)]
    return element("div", *entries, element("span", mass, "number of tags"), class_="keys")
