"""The sentence on top of a report, and how many tags a share rests on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.report.sections import headline, reliability_rows
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.train.confidence.rated_tags import ReliabilityBin


def evaluation(*scores_right: tuple[float, bool]) -> Any:
    tags = tuple(
        PredictedTag(text=f"Tag {number}", score=score, novel=False) for number, (score, _) in enumerate(scores_right)
    )
    true = tuple(f"tag {number}" for number, (_, is_right) in enumerate(scores_right) if is_right)
    return SimpleNamespace(items=[ItemPrediction(id="a", title="", true=true, tags=tags)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "No tag was predicted."),
        (
            [(0.95, True), (0.5, False), (0.2, False)],
            "1 of 3 tags that it gave are right; of those it is sure of (a score of 0.9 or more), 1 of 1.",
        ),
        ([(0.5, True)], "1 of 1 tags that it gave are right; it is sure of none (a score of 0.9 or more)."),
        (
            [(0.95, True)] * 18 + [(0.9, False)] * 2 + [(0.3, False)] * 20,
            "4 of 10 tags that it gave are right; of those it is sure of (a score of 0.9 or more), 9 of 10.",
        ),
    ],
)
def test_what_there_is_to_say_in_a_sentence(given: list[tuple[float, bool]], said: str) -> None:
    assert headline(evaluation(*given)) == said


def test_no_share_is_said_of_few_tags() -> None:
    bins = [
        ReliabilityBin(low=0.0, high=0.5, tags=9, score=0.3, precision=1 / 3),
        ReliabilityBin(low=0.5, high=1.0, tags=1_200, score=0.8, precision=0.75),
    ]
    assert reliability_rows(SimpleNamespace(reliability=bins)) == [  # type: ignore[arg-type]
        ("0.00–0.50", "9", "too few"),
        ("0.50–1.00", "1,200", "75.0"),
    ]
