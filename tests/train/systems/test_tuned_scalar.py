"""The tuned scalar: by one rule for all systems, written and read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from optsg.data.errors import RunError
from optsg.train.confidence.few_videos import ENOUGH, F1Pair
from optsg.train.systems.classifiers import THRESHOLD
from optsg.train.systems.op_tsg import NIL_BIAS
from optsg.train.systems.tuned_scalar import Decision


def test_candidates_go_from_few_tags_to_many() -> None:
    assert list(THRESHOLD.candidates) == sorted(set(THRESHOLD.candidates), reverse=True)
    assert list(NIL_BIAS.candidates) == sorted(set(NIL_BIAS.candidates))
    assert (THRESHOLD.candidates[0], THRESHOLD.candidates[-1]) == (0.95, 0.01)
    assert {THRESHOLD.untuned, *THRESHOLD.during_training} <= set(THRESHOLD.candidates)
    assert {NIL_BIAS.untuned, *NIL_BIAS.during_training} <= set(NIL_BIAS.candidates)


def test_a_threshold_is_stored_as_the_nil_bias_is(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    found = {0.9: (0.1, 0.6), 0.5: (0.399, 0.5), 0.3: (0.4, 0.4), 0.1: (0.2, 0.3)}
    document = THRESHOLD.tuned({value: F1Pair(*f1) for value, f1 in found.items()}, ENOUGH)
    assert document == {
        "threshold": 0.5,
        "tuned_on": "val",
        "weight_of_full_f1": 1.0,
        "full_f1": 0.399,
        "example_f1": 0.5,
        "full_f1_by_threshold": {"0.9": 0.1, "0.5": 0.399, "0.3": 0.4, "0.1": 0.2},
        "example_f1_by_threshold": {"0.9": 0.6, "0.5": 0.5, "0.3": 0.4, "0.1": 0.3},
    }
    path.write_text(json.dumps(document))
    assert THRESHOLD.read(path) == Decision(scalar=THRESHOLD, value=0.5)
    assert str(THRESHOLD.read(path)) == "threshold 0.5"
    assert {name for name in NIL_BIAS.tuned({0.0: F1Pair(0.5, 0.5)}, 9) if "bias" in name} == {
        "nil_bias",
        "full_f1_by_bias",
        "example_f1_by_bias",
    }
    assert NIL_BIAS.not_tuned() == {"nil_bias": 0.0, "tuned_on": None}
    assert THRESHOLD.not_tuned() == {"threshold": 0.5, "tuned_on": None}


@pytest.mark.parametrize(("videos", "chosen"), [(ENOUGH, 0.1), (80, 0.1), (20, 0.5), (8, 0.5)])
def test_the_fewer_videos_validate_the_more_their_own_f1_decides(videos: int, chosen: float) -> None:
    """Thirty tags a video are best for the few tags that eight videos have, and bad for the videos."""
    found = {0.5: F1Pair(tags=0.40, videos=0.50), 0.1: F1Pair(tags=0.45, videos=0.25)}
    document = THRESHOLD.tuned(found, videos)
    assert document["threshold"] == chosen
    assert document["full_f1"] == found[chosen].tags
    assert document["example_f1"] == found[chosen].videos


def test_the_decision_of_another_system_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text(json.dumps(NIL_BIAS.not_tuned()))
    message = (
        f"{tmp_path} cannot be read: decision.json does not hold the system's threshold ('threshold'); "
        "train the run again"
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        THRESHOLD.read(path)
