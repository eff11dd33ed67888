"""The page of a comparison: metrics, long tail, every tag, and the videos that runs differ on most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from ... import __version__
from ...data.tags import tag_key
from ..scores.bootstrap import DRAWINGS, Estimate, Group
from ..scores.comparison import Comparison, TagRow, VideoRow
from ..scores.predictions import ItemPrediction
from ..scores.saved import SavedEvaluation
from .charts import Series
from .long_tail import long_tail_chart
from .page import Html, element, page
from .samples import annotated_tags, card_head, judge, legend, predicted_tag, tag_list, video_filter
from .sections import frequency_bins
from .tables import Cell, between, percent, sortable_table

VIDEOS_SHOWN = 24


LINKS = (
    ("metrics", "Metrics"),
    ("frequency", "F1 by frequency"),
    ("videos", "Videos"),
    ("tags", "Every tag"),
    ("about", "What is compared"),
)


F1_ROWS: tuple[tuple[Group, str], ...] = (
    ("full", "F1, all tags"),
    ("rare", "F1, rare tags"),
    ("common", "F1, common tags"),
    ("example", "F1 per video"),
)


def render_comparison(
    comparison: Comparison, runs: Sequence[SavedEvaluation], thumbnail: Callable[[str], bytes]
) -> Html:
    """The comparison as one HTML document without external resources; all text in it is escaped.

    Args:
        runs: what is compared, for the facts.
        thumbnail: the JPEG of a video by its id, ``b""`` if there is none.
    """
    return page(
        "Comparison: " + ", ".join(comparison.names),
        _header(comparison),
        LINKS,
        (
            _metrics(comparison),
            _frequency(comparison),
            _videos(comparison, thumbnail),
            _tags(comparison),
            _facts(comparison, runs),
        ),
        f"Made by optsg {__version__} from the predictions in the runs' eval folders.",
    )


def _header(comparison: Comparison) -> Html:
    first = comparison.evaluations[0]
    names = [
        element(
            "li",
            element("svg", element("line", x1=1, x2=25, y1=5, y2=5), viewBox="0 0 26 10", aria_hidden="true",
                    class_=f"key series run{number + 1}"),
            element("b", name),
            f" {evaluation.system}" + (", the one that the others are compared with" if number == 0 else ""),
        )
        for number, (name, evaluation) in enumerate(zip(comparison.names, comparison.evaluations, strict=True))
    ]  # fmt: skip
    lead = f"{len(first.items):,} videos of “{first.split}”, the same for every run. Rates are percent."
    return element(
        "header",
        element("p", "optsg comparison", class_="eyebrow"),
        element("h1", " · ".join(comparison.names)),
        element("p", lead, class_="lead"),
        element("ul", *names, class_="runs"),
        element("p", *_verdict(comparison), class_="verdict"),
    )


def _verdict(comparison: Comparison) -> list[str]:
    """In words, what the paired intervals of full F1 say."""
    sentences = []
    for name, drawn in zip(comparison.names[1:], comparison.drawn[1:], strict=True):
        gain = drawn.minus(comparison.drawn[0], "full")
        size = f"{abs(100 * gain.value):.1f} points of F1 over all tags"
        if gain.low > 0 or gain.high < 0:
            sentences.append(f"{name} is {size} {'better' if gain.value > 0 else 'worse'} than {comparison.names[0]}. ")
        else:
            sentences.append(f"{name} and {comparison.names[0]} differ by {size}, which may be chance. ")
    return sentences


def _metrics(comparison: Comparison) -> Html:
    first = comparison.drawn[0]
    columns = ["", *comparison.names]
    columns += [
        f"{name} − {comparison.names[0]}" if len(comparison.names) > 2 else "Difference"
        for name in comparison.names[1:]
    ]
    rows = []
    for group, label in F1_ROWS:
        cells = [element("th", label, scope="row")]
        for drawn in comparison.drawn:
            estimate = drawn.estimate(group)
            interval = element("span", between(estimate), class_="interval")
            cells.append(element("td", percent(estimate.value), " ", interval))
        cells += [_difference(drawn.minus(first, group)) for drawn in comparison.drawn[1:]]
        rows.append(element("tr", *cells))
    rows += [_plain_row(label, values) for label, values in _plain(comparison)]
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    table = element("table", element("thead", head), element("tbody", *rows), class_="numbers")
    note = (
        f"With 95 % intervals over the videos from {DRAWINGS:,} bootstrap drawings; those of differences are paired, each drawing "
        "has the same videos for all runs. ▲ better and ▼ worse where the interval leaves zero out; ≈ otherwise."
    )
    frame = element("div", table, class_="metric wide", tabindex="0", role="region", aria_label="Metrics")
    return element("section", element("h2", "Metrics"), frame, element("p", note, class_="note"), id="metrics")


def _difference(gain: Estimate) -> Html:
    sign, kind = ("▲", "up") if gain.low > 0 else ("▼", "down") if gain.high < 0 else ("≈", "same")
    word = {"up": "better: ", "down": "worse: ", "same": "no clear difference: "}[kind]
    return element(
        "td",
        element(
            "b",
            element("span", sign, aria_hidden="true"),
            element("span", word, class_="spoken"),
            f" {signed(gain.value)}",
        ),
        element("span", f" {signed(gain.low)} to {signed(gain.high)}", class_="interval"),
        class_=kind,
    )


def signed(rate: float) -> str:
    """A difference in points, with its sign."""
    text = f"{100 * rate:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _plain(comparison: Comparison) -> list[tuple[str, list[str]]]:
    rows = [
        ("Tags a video", [f"{each.tags_per_item:.1f}" for each in comparison.evaluations]),
        (
            "Novel tags a video",
            [f"{each.scores['novel']['predicted_per_item']:.2f}" for each in comparison.evaluations],
        ),
        ("Novel tags annotated", [f"{each.scores['novel']['hits']:,}" for each in comparison.evaluations]),
    ]
    costs = [each.cost for each in comparison.evaluations]
    sizes = [f"{cost.trained_parameters / 1e6:.1f} M" for cost in costs if cost is not None]
    return [*rows, ("Trained parameters", sizes)] if len(sizes) == len(costs) else rows


def _plain_row(label: str, values: Sequence[str]) -> Html:
    cells = [element("td", value) for value in values]
    return element("tr", element("th", label, scope="row"), *cells, *[element("td")] * (len(values) - 1))


def _frequency(comparison: Comparison) -> Html:
    bins = [frequency_bins(evaluation.per_tag) for evaluation in comparison.evaluations]
    lines = [
        Series(name, [(float(number), 100 * fmean(tag.f1 for tag in tags)) for number, (_, tags) in enumerate(each)])
        for name, each in zip(comparison.names, bins, strict=True)
    ]
    names, counts = [name for name, _ in bins[0]], [len(tags) for _, tags in bins[0]]
    head = element("tr", *(element("th", name, scope="col") for name in ("Training videos", "Tags", *comparison.names)))
    rows = (
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", f"{count:,}"),
            *(element("td", f"{line.points[number][1]:.1f}") for line in lines),
        )
        for number, (name, count) in enumerate(zip(names, counts, strict=True))
    )
    table = element("table", element("thead", head), element("tbody", *rows), class_="numbers frequency")
    body = (
        [long_tail_chart(names, counts, lines, title="The long tail"), table]
        if bins[0]
        else [element("p", "No tag is both in training and in this split.", class_="note")]
    )
    return element("section", element("h2", "F1 by training frequency"), *body, id="frequency")


def _videos(comparison: Comparison, thumbnail: Callable[[str], bytes]) -> Html:
    rows = [row for row in comparison.videos if row.spread > 0][:VIDEOS_SHOWN]
    cards = (_card(row, comparison, thumbnail(row.items[0].id)) for row in rows)
    body = (
        [legend(), video_filter(len(rows)), element("div", element("div", *cards, class_="cards"), class_="samples")]
        if rows
        else [element("p", "Every video has the same F1 by every run.", class_="note")]
    )
    note = element("p", "F1 of a video is over all its tags, novel ones too.", class_="note")
    return element("section", element("h2", "Videos that they differ on most"), note, *body, id="videos")


def _card(row: VideoRow, comparison: Comparison, jpeg: bytes) -> Html:
    first = row.items[0]
    lists = [
        tag_list(
            f"{name}: F1 {percent(f1)}" + (f" ({signed(f1 - row.f1[0])})" if number else ""),
            (predicted_tag(tag, verdict) for tag, verdict in judge(item)),
        )
        for number, (name, f1, item) in enumerate(zip(comparison.names, row.f1, row.items, strict=True))
    ]
    return element(
        "article",
        card_head(first, jpeg),
        *lists,
        tag_list(
            "Annotated, found by any of them first", annotated_tags(_found_by_any(row.items), comparison.evaluations[0])
        ),
        class_="card",
    )


def _found_by_any(items: Sequence[ItemPrediction]) -> ItemPrediction:
    tags = {tag_key(tag.text): tag for item in items for tag in item.tags}
    return ItemPrediction(id=items[0].id, title=items[0].title, true=items[0].true, tags=tuple(tags.values()))


def _tags(comparison: Comparison) -> Html:
    names = comparison.names
    differences = [f"{name} − {names[0]}" for name in names[1:]] if len(names) > 2 else ["Difference"]
    columns = ["Tag", "Group", "Train", "Test", *(f"F1 {name}" for name in names), *differences]
    spellings = comparison.evaluations[0].spellings
    rows = [_tag_row(row, spellings.get(row.scores[0].key, row.scores[0].key)) for row in comparison.tags]
    return element(
        "section",
        element("h2", "Every tag"),
        element(
            "p",
            "Ordered by the difference times the videos with the tag, whichever run is better. A heading sorts the table.",
            class_="note",
        ),
        sortable_table("tag-table", columns, rows, sorted_by=None, label="F1 by tag", things="tag"),
        id="tags",
    )


def _tag_row(row: TagRow, spelling: str) -> list[Cell]:
    first = row.scores[0]
    return [
        Cell(spelling, is_name=True),
        Cell(first.group, is_name=True, kind=f"group {first.group}"),
        Cell(f"{first.train_count:,}", first.train_count),
        Cell(f"{first.test_count:,}", first.test_count),
        *(Cell(percent(score.f1), score.f1) for score in row.scores),
        *(
            Cell(signed(gain), gain, kind="up" if gain > 0 else "down" if gain < 0 else None)
            for gain in row.differences
        ),
    ]


def _facts(comparison: Comparison, runs: Sequence[SavedEvaluation]) -> Html:
    parts = []
    for name, saved in zip(comparison.names, runs, strict=True):
        rows = (
            element("div", element("dt", key), element("dd", value, dir="auto")) for key, value in saved.facts(None)
        )
        parts += [element("h3", name), element("dl", *rows, class_="facts")]
    return element("section", element("h2", "What is compared"), *parts, id="about")
