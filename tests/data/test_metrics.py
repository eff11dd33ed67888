from __future__ import annotations

import random
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optsg.data.metrics import TagScore, per_tag_scores, score_predictions, tag_groups
from sklearn.metrics import precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

TagLists = list[list[str]]
RATES: tuple[Literal["precision", "recall", "f1"], ...] = ("precision", "recall", "f1")


def random_case(seed: int, videos: int = 60) -> tuple[TagLists, TagLists, dict[str, int]]:
    """Long-tailed true and predicted tags; some training tags never appear in the test set and the other way round."""
    dice = random.Random(seed)
    tags = [f"tag{number}" for number in range(80)]
    weights = [1 / (rank + 1) for rank in range(80)]
    true, predicted = [], []
    for _ in range(videos):
        truth = dice.choices(tags, weights, k=dice.randint(0, 6))
        kept = [tag for tag in truth if dice.random() < 0.6]
        true.append(truth)
        predicted.append(kept + dice.choices(tags, weights, k=dice.randint(0, 4)))
    train_counts = {tag: 1 + int(200 / (rank + 1)) for rank, tag in enumerate(tags) if rank % 5}
    return true, predicted, train_counts | {"only in training": 7, "never": 0}


def sklearn_scores(true: TagLists, predicted: TagLists, labels: list[str], average: str) -> tuple[float, float, float]:
    known = set(labels)
    binarizer = MultiLabelBinarizer(classes=labels)
    truth = binarizer.fit_transform([set(tags) & known for tags in true])
    guess = binarizer.fit_transform([set(tags) & known for tags in predicted])
    precision, recall, f1, _ = precision_recall_fscore_support(truth, guess, average=average, zero_division=0)
    return float(precision), float(recall), float(f1)


@pytest.mark.parametrize("seed", range(8))
def test_label_based_scores_are_those_of_scikit_learn(seed):
    true, predicted, train_counts = random_case(seed)
    groups = tag_groups(train_counts, {tag for tags in true for tag in tags})
    scores = score_predictions(true, predicted, train_counts)["label_based"]
    for name, labels in (("full", groups.full), ("rare", groups.rare), ("common", groups.common)):
        rates = scores[name]  # type: ignore[literal-required]
        expected = sklearn_scores(true, predicted, list(labels), "macro")
        np.testing.assert_allclose([rates["precision"], rates["recall"], rates["f1"]], expected, atol=1e-12)
        assert rates["tags"] == len(labels) > 5


@pytest.mark.parametrize("seed", range(8))
def test_example_based_precision_and_recall_are_those_of_scikit_learn(seed):
    true, predicted, train_counts = random_case(seed)
    seen = {tag for tag, count in train_counts.items() if count}
    scored = [index for index, tags in enumerate(true) if set(tags) & seen]
    assert 0 < len(scored) < len(true)
    kept = ([true[index] for index in scored], [predicted[index] for index in scored])
    precision, recall, mean_of_f1 = sklearn_scores(*kept, sorted(seen), "samples")
    rates = score_predictions(true, predicted, train_counts)["example_based"]
    assert rates["precision"] == pytest.approx(precision, abs=1e-12)
    assert rates["recall"] == pytest.approx(recall, abs=1e-12)
    # F1 is the harmonic mean of the two means, which is not scikit-learn's mean of the videos' F1.
    assert rates["f1"] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)
    assert abs(rates["f1"] - mean_of_f1) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_unfiltered_example_based_scores_use_every_tag(seed):
    true, predicted, train_counts = random_case(seed)
    labels = sorted({tag for tags in true + predicted for tag in tags})
    scored = [index for index, tags in enumerate(true) if tags]
    kept = ([true[index] for index in scored], [predicted[index] for index in scored])
    precision, recall, _ = sklearn_scores(*kept, labels, "samples")
    rates = score_predictions(true, predicted, train_counts)["example_based_unfiltered"]
    assert rates["precision"] == pytest.approx(precision, abs=1e-12)
    assert rates["recall"] == pytest.approx(recall, abs=1e-12)


def test_a_case_computed_by_hand():
    train_counts = {"cat": 8, "dog": 2, "fish": 1, "tree": 5}
    true = [["cat", "dog", "moon"], ["cat"], ["moon"]]
    predicted = [["cat", "moon"], ["dog", "tree", "sun"], ["cat"]]
    scores = score_predictions(true, predicted, train_counts)
    # cat: 1 hit, 2 predicted, 2 true; dog: no hit, 1 predicted, 1 true; the other tags are not in both sets.
    assert scores["label_based"] == {
        "full": {"precision": 0.25, "recall": 0.25, "f1": 0.25, "tags": 2},
        # cat alone holds 8 of 10 training occurrences, which is below 90 %.
        "common": {"precision": 0.25, "recall": 0.25, "f1": 0.25, "tags": 2},
        "rare": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "tags": 0},
    }
    # Video 1: {cat} of {cat, dog}, P 1, R 1/2; video 2: {dog, tree} of {cat}, P = R = 0; video 3 has no training tag.
    assert scores["example_based"] == pytest.approx({"precision": 0.5, "recall": 0.25, "f1": 1 / 3})
    # Video 1: P 1, R 2/3; video 2: 0, 0; video 3: 0, 0.
    assert scores["example_based_unfiltered"] == pytest.approx({"precision": 1 / 3, "recall": 2 / 9, "f1": 4 / 15})
    # Predicted outside the training tags: moon (hit), sun (miss); true outside them: moon twice.
    assert scores["novel"] == {
        "predicted_per_item": pytest.approx(2 / 3),
        "hits": 1,
        "unseen_true_tags": 2,
        "precision": 0.5,
        "recall": 0.5,
    }


def test_label_based_f1_is_the_mean_of_the_tags_f1_and_not_the_harmonic_mean_of_the_means():
    # a: P 1, R 1/2, F1 2/3; b: P 1/2, R 1, F1 2/3. The harmonic mean of the means (3/4, 3/4) would be 3/4.
    true = [["a"], ["a"], ["b"], []]
    predicted = [["a"], [], ["b"], ["b"]]
    full = score_predictions(true, predicted, {"a": 1, "b": 1})["label_based"]["full"]
    assert full == {"precision": 0.75, "recall": 0.75, "f1": pytest.approx(2 / 3), "tags": 2}


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcdefgh")), st.lists(st.sampled_from("abcdefghxy"))),
        min_size=1,
        max_size=12,
    ),
    st.dictionaries(st.sampled_from("abcdefghz"), st.integers(min_value=0, max_value=40)),
)
@settings(max_examples=200, deadline=None)
def test_full_scores_are_the_count_weighted_means_of_rare_and_common(pairs, train_counts):
    scores = score_predictions([truth for truth, _ in pairs], [guess for _, guess in pairs], train_counts)[
        "label_based"
    ]
    full, rare, common = scores["full"], scores["rare"], scores["common"]
    assert full["tags"] == rare["tags"] + common["tags"]
    for rate in RATES:
        weighted = rare[rate] * rare["tags"] + common[rate] * common["tags"]
        assert full[rate] * full["tags"] == pytest.approx(weighted, abs=1e-9)


def test_common_tags_are_the_shortest_prefix_with_ninety_percent_of_the_training_occurrences():
    exactly_ninety = tag_groups({"a": 60, "b": 30, "c": 10, "elsewhere": 500}, ["a", "b", "c"])
    assert exactly_ninety.common == ("a", "b")
    assert exactly_ninety.rare == ("c",)
    just_below = tag_groups({"a": 60, "b": 29, "c": 11}, {"a", "b", "c"})
    assert just_below.common == ("a", "b", "c")
    assert just_below.rare == ()


def test_ties_in_the_training_count_are_broken_by_the_key():
    counts = dict.fromkeys("jihgfedcba", 3)
    groups = tag_groups(counts, set(counts))
    assert groups.full == tuple("abcdefghij")
    assert groups.common == tuple("abcdefghi")
    assert groups.rare == ("j",)


def test_a_tag_with_training_count_zero_was_not_seen_in_training():
    scores = score_predictions([["a", "b"]], [["b"]], {"a": 3, "b": 0})
    assert scores["label_based"]["full"]["tags"] == 1
    assert scores["novel"] == {
        "predicted_per_item": 1.0,
        "hits": 1,
        "unseen_true_tags": 1,
        "precision": 1.0,
        "recall": 1.0,
    }


def test_no_test_tag_seen_in_training_gives_zeros_and_empty_groups():
    scores = score_predictions([["x"], ["y"]], [["a"], ["y"]], {"a": 3})
    empty = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "tags": 0}
    assert scores["label_based"] == {"full": empty, "rare": empty, "common": empty}
    assert scores["example_based"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert scores["example_based_unfiltered"]["recall"] == 0.5
    assert per_tag_scores([["x"], ["y"]], [["a"], ["y"]], {"a": 3}) == []


def test_empty_predictions_score_zero_and_still_count():
    scores = score_predictions([["a"], ["a"]], [["a"], []], {"a": 1})
    assert scores["label_based"]["full"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "tags": 1}
    assert scores["example_based"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    nothing = score_predictions([["a"]], [[]], {"a": 1})
    assert nothing["example_based"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert nothing["novel"]["precision"] == 0.0


def test_no_videos_at_all_give_zeros():
    scores = score_predictions([], [], {"a": 1})
    assert scores["label_based"]["full"]["tags"] == 0
    assert scores["novel"]["predicted_per_item"] == 0.0


def test_repeats_within_a_video_count_once():
    once = score_predictions([["a", "b"], ["a"]], [["a", "x"], ["b"]], {"a": 4, "b": 1})
    repeated = score_predictions([["a", "b", "a"], ["a"]], [["a", "x", "a", "x"], ["b", "b"]], {"a": 4, "b": 1})
    assert repeated == once


def test_true_and_predicted_must_be_equally_long():
    with pytest.raises(ValueError, match="2 videos have true tags, but 1 have predicted tags"):
        score_predictions([["a"], ["b"]], [["a"]], {"a": 1})


def test_per_tag_rows_hold_the_counts_and_are_ordered_by_training_frequency():
    rows = per_tag_scores([["a", "b"], ["a"], ["c"]], [["a"], ["b"], ["a", "z"]], {"a": 2, "b": 90, "z": 5})
    assert rows == [
        TagScore(
            key="b",
            group="common",
            train_count=90,
            test_count=1,
            predicted=1,
            hits=0,
            precision=0.0,
            recall=0.0,
            f1=0.0,
        ),
        TagScore(
            key="a", group="rare", train_count=2, test_count=2, predicted=2, hits=1, precision=0.5, recall=0.5, f1=0.5
        ),
    ]


def test_the_groups_of_the_rows_are_those_of_tag_groups():
    true, predicted, train_counts = random_case(1)
    groups = tag_groups(train_counts, {tag for tags in true for tag in tags})
    rows = per_tag_scores(true, predicted, train_counts)
    assert tuple(row.key for row in rows) == groups.full
    assert tuple(row.key for row in rows if row.group == "common") == groups.common
    test_counts = Counter(tag for tags in true for tag in set(tags))
    assert {row.key: row.test_count for row in rows} == {tag: test_counts[tag] for tag in groups.full}
