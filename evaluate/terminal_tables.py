"""Results as tables for the terminal; rates in percent with one decimal, as the paper prints them."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..data.metrics import GroupRates, Rates
from ..data.predicted_tag import PredictedTag
from .scores.evaluation import Evaluation


def metrics_table(evaluation: Evaluation) -> Group:
    """Label-based, example-based and novel-tag metrics of an evaluation, with a line above and one below.

    The system comes first in the line above: a narrow terminal cuts off its end, and paths can be long.
    """
    novel = evaluation.scores["novel"]
    return Group(
        _heading(
            f"{evaluation.system}: {evaluation.run}, split {evaluation.split}, {len(evaluation.items):,} videos (percent)"
        ),
        _rates_table(evaluation),
        Text(
            f"{evaluation.tags_per_item:.1f} tags a video ({evaluation.true_tags_per_item:.1f} annotated), "
            f"{novel['predicted_per_item']:.2f} of them novel; {evaluation.decision}"
            + "".join(f"; {name.lower()} {value}" for name, value in evaluation.options.items())
        ),
    )


def _rates_table(evaluation: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in ("P", "R", "F1", "tags"):
        table.add_column(name, justify="right")
    scores = evaluation.scores
    label_based = scores["label_based"]
    _add_rates(table, "per tag, all", label_based["full"], label_based["full"]["tags"])
    _add_rates(table, "per tag, rare", label_based["rare"], label_based["rare"]["tags"])
    _add_rates(table, "per tag, common", label_based["common"], label_based["common"]["tags"], end_section=True)
    _add_rates(table, "per video, tags of training", scores["example_based"])
    _add_rates(table, "per video, every tag", scores["example_based_unfiltered"], end_section=True)
    novel = scores["novel"]
    table.add_row(
        "novel tags, exact hits", _percent(novel["precision"]), _percent(novel["recall"]), "", f"{novel['hits']:,}"
    )
    return table


def tags_table(path: str, tags: Sequence[PredictedTag], *, system: str) -> Group:
    """Tags of one file with their scores; above them the system that wrote them and the path, wrapped where it is long."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("tag")
    table.add_column("score", justify="right")
    table.add_column("")
    for tag in tags:
        table.add_row(
            Text(tag.text),
            f"{tag.score:.2f}",
            _origin(tag),
        )
    if not tags:
        table.add_row(Text("no tags", style="dim"), "", "")
    return Group(Text(f"{system}: {path}", style="bold", overflow="fold"), table)


def _origin(tag: PredictedTag) -> Text:
    if tag.pinned:
        return Text("pinned", style="green")
    if tag.written is not None:
        distance = "" if tag.distance is None else f", distance {tag.distance:.2f}"
        return Text(f"for “{tag.written}”{distance}", style="magenta")
    return Text("novel", style="magenta") if tag.novel else Text("known", style="dim")


def _heading(text: str) -> Text:
    return Text(text, style="bold", no_wrap=True, overflow="ignore")


def _add_rates(
    table: Table, name: str, rates: Rates | GroupRates, tags: int | None = None, *, end_section: bool = False
) -> None:
    cells = (_percent(rates["precision"]), _percent(rates["recall"]), _percent(rates["f1"]))
    table.add_row(name, *cells, "" if tags is None else f"{tags:,}", end_section=end_section)


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"
