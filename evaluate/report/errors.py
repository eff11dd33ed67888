"""Errors in the report: by cause, confused tags, and the tags that come out worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...data.metrics import TagScore
from ..scores.errors import BELOW, Cause, Confusion, Embedding, Error, ErrorKind, confusions, errors_by_cause
from ..scores.evaluation import Evaluation
from .page import Html, element
from .tables import Cell, bar, sortable_table

PAIRS_SHOWN = 40


WORST_SHOWN = 20


EXAMPLES = 4


ENOUGH_VIDEOS = (10, 5, 3, 2, 1)
"""A tag on few videos is bad by chance: worst tags are those on at least so many, the first number that gives ten tags."""


KINDS: tuple[tuple[ErrorKind, str, str], ...] = (
    ("missed", "Missed tags", "Annotated, not predicted."),
    ("wrong", "Wrong tags", "Predicted, not annotated. People annotate few of the tags that fit."),
)


def errors_section(evaluation: Evaluation) -> Html:
    """Every wrong and every missed tag, once, under its cause."""
    found = errors_by_cause(evaluation)
    total = sum(map(len, found.values()))
    parts = [
        element(
            "p",
            f"{total:,} errors: pairs of a video and a tag. Each has one cause, the first of its list that applies.",
            class_="note",
        )
    ]
    for kind, title, note in KINDS:
        causes = {cause: errors for cause, errors in found.items() if cause.kind == kind}
        parts.append(_causes_table(title, note, causes, known_ranks=evaluation.below is not None))
    return element("section", element("h2", "Errors by cause"), *parts, id="errors")


def _causes_table(title: str, note: str, causes: dict[Cause, list[Error]], *, known_ranks: bool) -> Html:
    total = sum(map(len, causes.values()))
    rows = (_cause_row(cause, errors, total) for cause, errors in causes.items() if known_ranks or cause != BELOW)
    head = element("tr", *(element("th", name, scope="col") for name in ("Cause", "Tags", "Share", "Most often")))
    notes = [note] if known_ranks or title != "Missed tags" else [note, "How far down tags ranked was not recorded."]
    return element(
        "div",
        element("h3", f"{title}: {total:,}"),
        element("p", " ".join(notes), class_="note"),
        element("table", element("thead", head), element("tbody", *rows), class_="numbers causes"),
        class_="metric",
    )


def _cause_row(cause: Cause, errors: Sequence[Error], total: int) -> Html:
    share = len(errors) / max(total, 1)
    counts = Counter(error.key for error in errors)
    texts = {error.key: error.text for error in errors}
    examples = sorted(counts, key=lambda key: (-counts[key], key))[:EXAMPLES]
    return element(
        "tr",
        element("th", element("b", cause.name), element("span", cause.meaning, class_="meaning"), scope="row"),
        element("td", f"{len(errors):,}"),
        element("td", bar(share), class_="barcell"),
        element("td", *_listed([(texts[key], counts[key]) for key in examples]), class_="examples"),
    )


def _listed(tags: Sequence[tuple[str, int]]) -> list[Html]:
    return [
        element("span", element("span", text, dir="auto"), f" {count:,}" if count > 1 else "", class_="example")
        for text, count in tags
    ]


def confusion_section(evaluation: Evaluation, embedding: Embedding | None) -> Html:
    """Pairs of a wrong and a missed tag of the same video."""
    pairs = confusions(evaluation, embedding, most=PAIRS_SHOWN)
    order = "most similar by tag embedding first" if embedding is not None else "most frequent first"
    note = f"A wrong tag beside a tag that the same video should have had, {order}."
    return element(
        "section",
        element("h2", "Confused near-synonyms"),
        element("p", note, class_="note"),
        _confusion_table(pairs, similar=embedding is not None) if pairs else element("p", "None.", class_="note"),
        id="confusion",
    )


def _confusion_table(pairs: Sequence[Confusion], *, similar: bool) -> Html:
    columns = ["Predicted", "Annotated", "Videos", *(["Similarity"] if similar else [])]
    rows = [
        [
            Cell(pair.wrong, is_name=True),
            Cell(pair.missed, is_name=True),
            Cell(f"{pair.videos:,}", pair.videos),
            *([Cell(f"{pair.similarity:.2f}", pair.similarity)] if pair.similarity is not None else []),
        ]
        for pair in pairs
    ]
    return sortable_table(
        "confusion-table",
        columns,
        rows,
        sorted_by="Similarity" if similar else "Videos",
        label="Confused tags",
        things="pair",
    )


def worst_tags(per_tag: Sequence[TagScore]) -> tuple[int, list[TagScore]]:
    """Least number of videos of a tag, and the tags with the lowest F1 among those on so many."""
    for least in ENOUGH_VIDEOS:
        tags = [tag for tag in per_tag if tag.test_count >= least]
        if len(tags) >= WORST_SHOWN or least == ENOUGH_VIDEOS[-1]:
            break
    tags.sort(key=lambda tag: (tag.f1, -tag.test_count, tag.key))
    return least, tags[:WORST_SHOWN]


def worst_section(evaluation: Evaluation) -> Html:
    """The tags with the lowest F1 among those that are on several videos."""
    least, tags = worst_tags(evaluation.per_tag)
    columns = ["Tag", "Train", "Test", "Predicted", "Hits", "F1"]
    rows = [
        [
            Cell(evaluation.spellings.get(tag.key, tag.key), is_name=True),
            *(Cell(f"{count:,}", count) for count in (tag.train_count, tag.test_count, tag.predicted, tag.hits)),
            Cell(bar(tag.f1), tag.f1),
        ]
        for tag in tags
    ]
    note = f"Lowest F1 of the training tags that are on at least {least} videos of this split."
    if least == 1:
        note = "Lowest F1 of the training tags that are in this split."
    return element(
        "section",
        element("h2", "Worst tags"),
        element("p", note, class_="note"),
        sortable_table("worst-table", columns, rows, sorted_by=None, label="Worst tags", things="tag", search=False),
        id="worst",
    )
