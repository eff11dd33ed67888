"""The results as a page in the report's style. It names the runs, so it is not for annotators who are still at work."""

from __future__ import annotations

from collections.abc import Sequence

from ... import __version__
from ..report.charts import Axis
from ..report.page import Html, element, page
from ..report.tables import Cell, sortable_table
from .results import AGREEMENT_READING, NO_AGREEMENT, READING, Results, gain_rows, kappa_text
from .statistics import Outcome, TagGain, TagVerdict

STYLE = """
.wide { overflow-x: auto; }
.wide .numbers { width: auto; min-width: min(100%, 30rem); }
.wide th, .wide td { white-space: nowrap; padding-left: 28px; }
.intervals { max-width: 620px; margin: 0 0 20px; }
.intervals line.span { stroke: var(--s1); stroke-width: 3; stroke-linecap: round; }
.intervals circle { fill: var(--s1); stroke: var(--paper); stroke-width: 2; }
.intervals .name { fill: var(--ink); font-size: 13px; }
.tags td.words { text-align: left; overflow-wrap: anywhere; }
.tags td.words { max-width: 20rem; }
.tags .tag { white-space: nowrap; }
"""


SIGNS: dict[Outcome, tuple[str, str]] = {
    "relevant": ("✓", "correct"),
    "not relevant": ("✗", "wrong"),
    "not judged": ("–", "missed"),
}


COLUMNS = ("Tag", "Video", "Verdict", "Written by", "Relevant", "Not", "Unsure")


def results_page(results: Results) -> Html:
    """A whole HTML document that fetches nothing."""
    sections = [("gain", "Tag gain", _gain), ("agreement", "Agreement", _agreement), ("tags", "Every tag", _tags)]
    return page(
        "Tag gain by human judgement",
        _header(results),
        [(anchor, name) for anchor, name, _ in sections],
        [element("section", element("h2", name), *make(results), id=anchor) for anchor, name, make in sections],
        f"Made by optsg-judge {__version__}.",
        style=STYLE,
    )


def _header(results: Results) -> Html:
    asked, judged = len(results.verdicts), sum(item.answers > 0 for item in results.verdicts)
    answers = sum(map(len, results.given.values()))
    agreement = results.agreements[0] if results.agreements else None
    kappa = "–" if agreement is None or agreement.kappa is None else f"{agreement.kappa:.2f}"
    by = "once two judge a tag" if agreement is None else f"{agreement.annotators} annotators, {agreement.tags:,} tags"
    tiles = (
        ("Tags judged", f"{judged:,}", f"of {asked:,}"),
        ("Annotators", f"{len(results.given):,}", f"{answers:,} answers"),
        ("Fleiss' kappa", kappa, by),
        ("Videos", f"{results.gains[0].videos:,}", "with true tags"),
    )
    return element(
        "header",
        element("p", "optsg-judge", class_="eyebrow"),
        element("h1", "Tag gain by human judgement"),
        element("p", ", ".join(results.questions.runs), class_="lead"),
        element("dl", *(_tile(*tile) for tile in tiles), class_="tiles"),
    )


def _tile(name: str, value: str, below: str) -> Html:
    return element(
        "div", element("dt", name), element("dd", element("strong", value), element("span", below)), class_="tile"
    )


def _gain(results: Results) -> list[Html]:
    heads, *rows = gain_rows(results)
    return [
        _intervals(results.gains),
        _table(heads, rows),
        element("p", READING, class_="note"),
        element(
            "p",
            "“At most” is the gain if every tag that nobody judged yet were relevant."
            + (" The last column is the difference in percentage points." if len(rows) > 1 else ""),
            class_="note",
        ),
    ]


def _intervals(gains: Sequence[TagGain]) -> Html:
    """Each run's gain as a dot on its interval, in percent."""
    width, left, right, step, top = 480.0, 130.0, 20.0, 30.0, 8.0
    axis = Axis.around(
        [100 * value for gain in gains for value in (*gain.interval, gain.gain)], count=4, from_zero=True
    )
    base = top + step * len(gains)

    def x(percent: float) -> float:
        return left + axis.place(percent) * (width - left - right)

    parts = []
    for tick in axis.ticks:
        parts.append(element("line", x1=x(tick), x2=x(tick), y1=top, y2=base, class_="grid"))
        parts.append(element("text", f"{tick:g} %", x=x(tick), y=base + 18, class_="middle"))
    for row, gain in enumerate(gains):
        y = top + step * (row + 0.5)
        low, high = (100 * value for value in gain.interval)
        name = gain.run if len(gain.run) <= 18 else gain.run[:17] + "…"
        parts += [
            element("text", name, x=left - 12, y=y + 4, class_="name end"),
            element("line", x1=x(low), x2=x(high), y1=y, y2=y, class_="span"),
            element("circle", cx=x(100 * gain.gain), cy=y, r=6),
        ]
    words = "; ".join(
        f"{gain.run} {100 * gain.gain:.2f} %, {100 * gain.interval[0]:.2f} to {100 * gain.interval[1]:.2f}"
        for gain in gains
    )
    size = f"0 0 {width:g} {base + 26:g}"
    drawing = element("svg", *parts, viewBox=size, role="img", aria_label=f"Tag gain: {words}", class_="chart")
    return element("figure", drawing, class_="intervals")


def _agreement(results: Results) -> list[Html]:
    total = len(results.questions.asked)
    people = [(name, f"{len(said):,} of {total:,}") for name, said in results.given.items()]
    groups = [(str(group.annotators), f"{group.tags:,}", kappa_text(group)) for group in results.agreements]
    return [
        _table(("annotators per tag", "tags", "kappa"), groups)
        if groups
        else element("p", f"{NO_AGREEMENT.capitalize()}."),
        element("p", AGREEMENT_READING, class_="note"),
        _table(("annotator", "tags judged"), people) if people else element("p", "Nobody has judged a tag yet."),
    ]


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Html:
    head = element("tr", *(element("th", name.capitalize(), scope="col") for name in heads))
    body = (
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in rows
    )
    table = element("table", element("thead", head), element("tbody", *body), class_="numbers")
    return element("div", table, class_="wide", tabindex="0", role="region", aria_label=heads[0].capitalize())


def _tags(results: Results) -> list[Html]:
    rows = [_tag_row(results, item) for item in results.verdicts]
    return [
        element("p", element("a", "Save as CSV", href="verdicts.csv", download="verdicts.csv")),
        sortable_table("tag-table", COLUMNS, rows, sorted_by=None, label="Every tag", things="tag"),
    ]


def _tag_row(results: Results, item: TagVerdict) -> list[Cell]:
    question = item.question
    video = results.questions.videos[question.video]
    sign, colour = SIGNS[item.outcome]
    verdict = element(
        "span", element("span", sign, class_="sign", aria_hidden="true"), item.outcome, class_=f"tag {colour}"
    )
    runs = ", ".join(
        results.questions.runs[run] + ("" if run in question.novel_in else " (known)") for run in question.runs
    )
    shown = element("span", video.title or video.id, title=video.id)
    return [
        Cell(question.tag, is_name=True),
        Cell(shown, is_name=True, kind="words"),
        Cell(verdict, is_name=True, kind="words"),
        Cell(runs, is_name=True, kind="words"),
        *(Cell(f"{count:,}", value=count) for count in (item.relevant, item.not_relevant, item.unsure)),
    ]
