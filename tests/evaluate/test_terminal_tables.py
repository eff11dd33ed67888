from __future__ import annotations

import io

from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.scores.evaluation import evaluate_items
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.evaluate.terminal_tables import metrics_table, tags_table
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision
from rich.console import Console, RenderableType


def rendered(table: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip(" ─╴╶")]


def tag(text: str, *, novel: bool = False) -> PredictedTag:
    return PredictedTag(text=text, score=0.5, novel=novel, prompt=0)


def test_the_metrics_table():
    items = [
        ItemPrediction(id="a", title="", true=("cat", "dog"), tags=(tag("cat"), tag("sun", novel=True))),
        ItemPrediction(id="b", title="", true=("cat", "moon"), tags=(tag("moon", novel=True),)),
    ]
    evaluation = evaluate_items(
        items,
        {"cat": 19, "dog": 1},
        run="runs/[red]a",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=1.5),
        spellings={},
    )
    assert rendered(metrics_table(evaluation)) == [
        "op-tsg: runs/[red]a, split test, 2 videos (percent)",
        "P R F1 tags",
        "per tag, all 50.0 25.0 33.3 2",
        "per tag, rare 0.0 0.0 0.0 1",
        "per tag, common 100.0 50.0 66.7 1",
        "per video, tags of training 50.0 25.0 33.3",
        "per video, every tag 75.0 50.0 60.0",
        "novel tags, exact hits 50.0 100.0 1",
        "1.5 tags a video (2.0 annotated), 1.00 of them novel; NIL bias 1.5",
    ]


def test_the_tags_of_a_file_as_plain_text_even_where_they_look_like_markup():
    lines = rendered(tags_table("[b]clip.mp4", [tag("[red]cat"), tag("sun", novel=True)], system="asy"))
    assert lines == ["asy: [b]clip.mp4", "tag score", "[red]cat 0.50 known", "sun 0.50 novel"]


def test_a_file_without_tags_says_so():
    assert rendered(tags_table("a.mp4", [], system="op-tsg"))[-1] == "no tags"
