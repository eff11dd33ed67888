from __future__ import annotations

import json

from optsg import __version__
from optsg.data.metrics import score_predictions
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.scores.evaluation import evaluate_items, write_metrics
from optsg.evaluate.scores.predictions import ItemPrediction
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision


def item(number: int, true: list[str], tags: list[str]) -> ItemPrediction:
    predicted = tuple(PredictedTag(text=tag, score=0.5, novel=False, prompt=0) for tag in tags)
    return ItemPrediction(id=str(number), title="", true=tuple(true), tags=predicted)


ITEMS = [
    item(0, ["Cat", "DOG", "moon"], ["cat", "Moon"]),
    item(1, ["cat"], ["dog", "tree", "sun"]),
    item(2, ["moon"], []),
]
TRAIN_COUNTS = {"cat": 8, "dog": 2, "tree": 5}


def test_metrics_json_has_exactly_the_documented_shape(tmp_path):
    evaluation = evaluate_items(
        ITEMS,
        TRAIN_COUNTS,
        run="runs/a",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=1.5),
        spellings={"cat": "Cat", "dog": "DOG"},
    )
    write_metrics(tmp_path / "metrics.json", evaluation)
    document = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    rates = {"precision", "recall", "f1"}
    assert set(document) == {
        "label_based", "example_based", "example_based_unfiltered", "novel",
        "items", "split", "run", "tags_per_item", "system", "nil_bias", "optsg_version",
    }  # fmt: skip
    assert set(document["label_based"]) == {"full", "rare", "common"}
    assert all(set(group) == rates | {"tags"} for group in document["label_based"].values())
    assert set(document["example_based"]) == set(document["example_based_unfiltered"]) == rates
    assert set(document["novel"]) == {"predicted_per_item", "hits", "unseen_true_tags", "precision", "recall"}
    assert document["items"] == 3
    assert document["split"] == "test"
    assert document["run"] == "runs/a"
    assert document["system"] == "op-tsg"
    assert document["tags_per_item"] == 5 / 3
    assert document["nil_bias"] == 1.5
    assert document["optsg_version"] == __version__


def test_tags_are_compared_by_key_and_not_by_spelling():
    evaluation = evaluate_items(
        ITEMS,
        TRAIN_COUNTS,
        run="r",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=0.0),
        spellings={},
    )
    assert evaluation.scores == score_predictions(
        [["cat", "dog", "moon"], ["cat"], ["moon"]], [["cat", "moon"], ["dog", "tree", "sun"], []], TRAIN_COUNTS
    )
    assert evaluation.scores["novel"]["hits"] == 1
    assert [row.key for row in evaluation.per_tag] == ["cat", "dog"]
    assert evaluation.true_tags_per_item == 5 / 3
