from __future__ import annotations

import numpy as np
import pytest
from optsg.data.predicted_tag import PredictedTag
from optsg.data.tags import tag_key
from optsg.evaluate.report.errors import cause_tables, worst_tags
from optsg.evaluate.scores import errors
from optsg.evaluate.scores.errors import CAUSES, confusions, errors_by_cause
from optsg.evaluate.scores.evaluation import Evaluation, evaluate_items
from optsg.evaluate.scores.predictions import ItemPrediction, ranked_below, read_ranked_below, write_ranked_below
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision

TRAIN_COUNTS = {"cat": 60, "dog": 5, "tree": 1, "ball": 3, "red": 9}


def tag(text: str, *, novel: bool = False) -> PredictedTag:
    return PredictedTag(text=text, score=0.5, novel=novel, prompt=0)


def evaluation_of(items: list[ItemPrediction], **options) -> Evaluation:
    return evaluate_items(
        items,
        TRAIN_COUNTS,
        run="runs/a",
        split="test",
        system="op-tsg",
        decision=Decision(scalar=NIL_BIAS, value=0.0),
        spellings={key: key for key in TRAIN_COUNTS},
        **options,
    )


ITEMS = [
    ItemPrediction(
        id="a",
        title="My dog, and a new moon",
        true=("Cat", "Moon", "Tree", "comet", "red"),
        tags=(tag("black cat", novel=True), tag("dog"), tag("starry", novel=True), tag("ball")),
    ),
    ItemPrediction(id="b", title="a ball", true=("ball", "dog", "Cat"), tags=(tag("Cat"),)),
]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (errors.FORM, ["black cat"]),
        (errors.NOVEL, ["starry"]),
        (errors.FROM_TITLE, ["dog"]),
        (errors.OTHER, ["ball"]),
        (errors.BELOW, ["Tree"]),
        (errors.UNSEEN_IN_TITLE, ["Moon"]),
        (errors.UNSEEN, ["comet"]),
        (errors.TITLE_MISSED, ["ball"]),
        (errors.NEVER, ["red"]),
        (errors.NOT_HERE, ["Cat", "dog"]),
    ],
    ids=lambda value: value.name if isinstance(value, errors.Cause) else "",
)
def test_an_error_has_the_cause_that_its_sentence_describes(cause, expected):
    found = errors_by_cause(evaluation_of(ITEMS, below={"a": ("Tree",), "b": ()}))
    assert sorted(error.text for error in found[cause]) == expected


def random_items(count: int) -> list[ItemPrediction]:
    dice = np.random.default_rng(3)
    words = ["cat", "dog", "tree", "ball", "red", "moon", "comet", "red cat", "!"]

    def some() -> list[str]:
        return [str(word) for word in dice.choice(words, size=dice.integers(0, 6), replace=False)]

    return [
        ItemPrediction(
            id=f"v{number}",
            title=" ".join(some()),
            true=tuple(some()),
            tags=tuple(tag(text, novel=text not in TRAIN_COUNTS) for text in some()),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("looked", [True, False])
def test_causes_partition_the_errors(looked):
    items = random_items(60)
    below = {item.id: item.true[:2] for item in items} if looked else None
    found = errors_by_cause(evaluation_of(items, below=below))
    assert tuple(found) == CAUSES
    expected = set()
    for item in items:
        true, predicted = {tag_key(text) for text in item.true}, {tag_key(each.text) for each in item.tags}
        expected |= {("wrong", item.id, key) for key in predicted - true}
        expected |= {("missed", item.id, key) for key in true - predicted}
    seen = [(cause.kind, error.video, error.key) for cause, errors in found.items() for error in errors]
    assert len(seen) == len(set(seen)), "no error has two causes"
    assert set(seen) == expected
    assert (found[errors.BELOW] == []) == (not looked)


def test_a_page_without_ranks_says_so():
    missed, wrong = cause_tables(evaluation_of(ITEMS))
    assert missed.note == "Annotated, not predicted. How far down tags ranked was not recorded."
    assert "How far down" not in wrong.note
    tables = cause_tables(evaluation_of(ITEMS, below={"a": ("Tree",)}))
    assert not [table for table in tables if "How far down" in table.note]
    assert sum(table.errors for table in tables) == 11
    assert len(tables[0].rows) == len(missed.rows) + 1


def test_confused_tags_are_counted_once_a_video_and_ranked():
    items = [
        ItemPrediction(id="a", title="", true=("cat", "tree"), tags=(tag("Dog"), tag("dog"))),
        ItemPrediction(id="b", title="", true=("cat", "red"), tags=(tag("dog"), tag("red"))),
    ]
    pairs = confusions(evaluation_of(items), None, most=9)
    assert [(pair.wrong, pair.missed, pair.videos) for pair in pairs] == [("dog", "cat", 2), ("dog", "tree", 1)]
    vectors = {"dog": (1, 0), "cat": (0, 2), "tree": (3, 3)}
    pairs = confusions(evaluation_of(items), lambda key: np.array(vectors[key], np.float32), most=9)
    assert [(pair.missed, pytest.approx(pair.similarity)) for pair in pairs] == [("tree", 0.5**0.5), ("cat", 0.0)]
    assert confusions(evaluation_of(items), lambda _: None, most=9) == []


def test_worst_tags_are_on_several_videos_where_there_are_enough():
    least, tags = worst_tags(evaluation_of(ITEMS).per_tag)
    assert least == 1
    assert [each.f1 for each in tags] == sorted(each.f1 for each in tags)


def test_what_ranks_below_is_annotated_within_reach_and_not_predicted(tmp_path):
    candidates = [
        ItemPrediction(id="a", title="", true=ITEMS[0].true, tags=(*ITEMS[0].tags, tag("TREE"), tag("nothing"))),
        ItemPrediction(id="b", title="", true=ITEMS[1].true, tags=ITEMS[1].tags),
    ]
    below = ranked_below(ITEMS, candidates)
    assert below == {"a": ("Tree",), "b": ()}
    write_ranked_below(tmp_path / "ranked_below.jsonl", below)
    assert read_ranked_below(tmp_path / "ranked_below.jsonl") == below
    assert read_ranked_below(tmp_path / "other.jsonl") is None
