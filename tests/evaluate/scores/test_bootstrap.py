"""The vectorised bootstrap against the plainest loop over the metrics that evaluation reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optsg.data.metrics import per_tag_scores, score_predictions
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.scores.bootstrap import GROUPS, DrawnF1, Estimate, draw, f1_by_drawing, interval, outcomes
from optsg.evaluate.scores.evaluation import evaluate_items
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision

TAGS = [f"tag {number}" for number in range(12)]
COUNTS = {**{tag: 2 ** (11 - number) for number, tag in enumerate(TAGS[:10])}}


def random_items(videos: int, seed: int) -> list[ItemPrediction]:
    dice = np.random.default_rng(seed)

    def some() -> list[str]:
        return [str(tag) for tag in dice.choice(TAGS, size=dice.integers(0, 5), replace=False)]

    return [
        ItemPrediction(
            id=str(number),
            title="",
            true=tuple(some()),
            tags=tuple(PredictedTag(text=tag, score=0.5, novel=tag not in COUNTS) for tag in some()),
        )
        for number in range(videos)
    ]


def loop_f1(items: list[ItemPrediction], weights: np.ndarray) -> dict[str, float]:
    """One drawing, video by video; the groups are those of all videos."""
    group = {
        row.key: row.group
        for row in per_tag_scores([i.true for i in items], [[t.text for t in i.tags] for i in items], COUNTS)
    }
    drawn = [item for item, times in zip(items, weights, strict=True) for _ in range(times)]
    true, predicted = [item.true for item in drawn], [[tag.text for tag in item.tags] for item in drawn]
    by_tag = {row.key: row.f1 for row in per_tag_scores(true, predicted, COUNTS)}
    means = {
        name: float(np.mean([f1 for tag, f1 in by_tag.items() if name in ("full", group[tag])] or [np.nan]))
        for name in ("full", "rare", "common")
    }
    return {**means, "example": score_predictions(true, predicted, COUNTS)["example_based"]["f1"]}


def test_every_drawing_is_what_a_loop_gives() -> None:
    items = random_items(15, seed=1)
    weights = draw(15, 150)
    found = f1_by_drawing(outcomes(items, COUNTS), weights)
    for number, one in enumerate(weights):
        expected = loop_f1(items, one)
        assert {name: values[number] for name, values in found.items()} == pytest.approx(expected, nan_ok=True)


def test_each_video_once_gives_the_metrics_themselves() -> None:
    items = random_items(20, seed=2)
    found = f1_by_drawing(outcomes(items, COUNTS), np.ones((1, 20), np.int64))
    scores = score_predictions([i.true for i in items], [[t.text for t in i.tags] for i in items], COUNTS)
    for group in ("full", "rare", "common"):
        assert found[group][0] == pytest.approx(scores["label_based"][group]["f1"])
    assert found["example"][0] == pytest.approx(scores["example_based"]["f1"])


def test_drawings_are_the_same_each_time_and_hold_as_many_videos() -> None:
    assert (draw(9) == draw(9)).all()
    assert draw(9).shape == (1000, 9)
    assert (draw(9).sum(axis=1) == 9).all()


def test_the_interval_is_centred_on_the_estimate() -> None:
    low, high = interval(np.linspace(0, 1, 1001), 0.7, (0, 2))
    assert (low, high) == pytest.approx((0.225, 1.175))


def test_an_interval_ends_where_values_do() -> None:
    drawn = np.array([0.9, 0.99, 1.0, 1.0])
    assert interval(drawn, 0.98, (0.0, 1.0))[1] == 1.0
    assert interval(100 * drawn, 98.0, (0.0, 100.0))[1] == 100.0
    assert interval(1 - drawn, 0.02, (0.0, 1.0))[0] == 0.0
    items = [ItemPrediction(id=str(n), title="", true=("tag 1",), tags=()) for n in range(3)]
    good = [replace(item, tags=(PredictedTag(text="tag 1", score=1.0, novel=False),)) for item in items]
    outcome = outcomes([*good, items[0], *good * 5], COUNTS)
    values = f1_by_drawing(outcome, draw(19))
    assert interval(values["full"], 36 / 37, (0.0, 1.0)) == pytest.approx((36 / 37, 1.0), abs=0.1)
    assert interval(values["full"], 36 / 37, (0.0, 1.0))[1] <= 1.0


def test_the_interval_of_a_difference_is_of_the_same_videos() -> None:
    """Of runs that hardly differ: how hard the drawn videos are does not count, as it is the same for both."""
    items = random_items(40, seed=3)
    found = next(number for number, item in enumerate(items) if item.true and item.true[0] in COUNTS)
    tags = (PredictedTag(text=items[found].true[0], score=0.5, novel=False),)
    others = [replace(item, tags=tags) if number == found else item for number, item in enumerate(items)]
    one, other = (
        DrawnF1.of(
            evaluate_items(
                each,
                COUNTS,
                run="runs/a",
                split="test",
                system="op-tsg",
                decision=Decision(scalar=NIL_BIAS, value=0.0),
                spellings={},
            )
        )
        for each in (items, others)
    )
    for group in GROUPS:
        assert one.minus(one, group) == Estimate(0.0, 0.0, 0.0)
        alone, difference = one.estimate(group), one.minus(other, group)
        assert difference.value == one.values[group] - other.values[group]
        assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def test_drawings_without_a_tag_of_the_group_are_passed_over() -> None:
    assert interval(np.array([np.nan, 0.2, 0.4, np.nan]), 0.3, (0.0, 1.0)) == pytest.approx((0.205, 0.395))
    assert interval(np.array([np.nan]), 0.0, (0.0, 1.0)) == (0.0, 0.0)
