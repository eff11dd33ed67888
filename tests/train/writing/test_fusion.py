"""Written and recognised tags together."""

from __future__ import annotations

import numpy as np
import pytest
from optsg.data.predicted_tag import PredictedTag
from optsg.data.tag_table import TagTable
from optsg.train.systems.tuned_scalar import FUSED_THRESHOLD
from optsg.train.writing.fusion import fuse

TABLE = TagTable(
    keys=("cat", "dog", "owl"),
    spellings=("Cat", "Dog", "Owl"),
    counts=np.array([3, 2, 1]),
    tokens=((5,), (6,), (7,)),
)
WRITTEN = [
    PredictedTag(text="Dog", score=0.6, novel=False, prompt=4),
    PredictedTag(text="Moon", score=0.5, novel=True, prompt=1),
]
CHANCES = np.array([0.3, 0.1, 0.02], np.float32)


def test_a_score_is_the_mean_of_what_writing_and_recognition_give() -> None:
    tags = fuse(WRITTEN, CHANCES, TABLE, 0.0)
    assert [(tag.text, tag.novel, tag.prompt) for tag in tags] == [
        ("Dog", False, 4),
        ("Moon", True, 1),
        ("Cat", False, None),
        ("Owl", False, None),
    ]
    assert [tag.score for tag in tags] == pytest.approx([0.35, 0.25, 0.15, 0.01])


@pytest.mark.parametrize(
    ("least", "texts"), [(0.35, ["Dog"]), (0.25, ["Dog", "Moon"]), (0.15, ["Dog", "Moon", "Cat"]), (0.36, [])]
)
def test_tags_have_at_least_the_threshold(least: float, texts: list[str]) -> None:
    # A hair less: 0.35 is not a number of float32.
    assert [tag.text for tag in fuse(WRITTEN, CHANCES, TABLE, least - 1e-6)] == texts


def test_one_pass_for_all_thresholds_gives_each_its_own_tags() -> None:
    everything = fuse(WRITTEN, CHANCES, TABLE, min(FUSED_THRESHOLD.candidates))
    for value in FUSED_THRESHOLD.candidates:
        assert [tag for tag in everything if tag.score >= value] == fuse(WRITTEN, CHANCES, TABLE, value)


def test_nothing_written_leaves_what_is_recognised() -> None:
    assert [tag.text for tag in fuse([], CHANCES, TABLE, 0.05)] == ["Cat", "Dog"]
    assert fuse([], np.zeros(3, np.float32), TABLE, 0.01) == []
