"""From evidence of frames to spans of seconds: by hand, and the likeliest sequence against all sequences."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray
from optsg.evaluate.tag.evidence import Evidence
from optsg.evaluate.tag.segments import Segment, frame_bounds, holding_frames, likeliest, segments_of

NAN = float("nan")


def evidence(*weights: float, apart: float = 1.0) -> Evidence:
    total = sum(weights) or 1.0
    return Evidence(frames=tuple((apart * n, weight / total) for n, weight in enumerate(weights)), words=())


def spans(found: tuple[Segment, ...]) -> list[tuple[float, float]]:
    return [(one.start, one.end) for one in found]


def test_a_tag_holds_where_its_evidence_is() -> None:
    found = segments_of(evidence(5, 6, 5, 0, 0, 0, 4, 5), duration=8.0)
    assert spans(found) == [(0.0, 3.0), (6.0, 8.0)]
    assert [one.score for one in found] == [pytest.approx(16 / 25), pytest.approx(9 / 25)]
    assert found[0].to_json() == {"start": 0.0, "end": 3.0, "score": 0.64}


def test_even_evidence_is_one_span_to_the_end() -> None:
    assert spans(segments_of(evidence(*[1.0] * 6), duration=5.4)) == [(0.0, 5.4)]
    assert spans(segments_of(evidence(*[1.0] * 6), duration=NAN)) == [(0.0, 6.0)]
    assert spans(segments_of(evidence(3.0), duration=NAN)) == [(0.0, 1.0)]
    assert spans(segments_of(evidence(3.0), duration=2.5)) == [(0.0, 2.5)]


def test_a_gap_of_a_second_is_closed_and_a_longer_one_is_not() -> None:
    assert spans(segments_of(evidence(5, 5, 0, 5, 5, 0, 0, 0, 0), duration=9.0)) == [(0.0, 5.0)]
    assert spans(segments_of(evidence(5, 5, 0, 0, 5, 5, 0, 0, 0), duration=9.0)) == [(0.0, 2.0), (4.0, 6.0)]


def test_a_blink_is_left_out_unless_there_is_no_other_span() -> None:
    many = [5.0] * 8 + [0.0] * 20 + [5.0] * 2 + [0.0] * 10
    assert spans(segments_of(evidence(*many, apart=0.25), duration=10.0)) == [(0.0, 2.0)]
    alone = [0.0] * 20 + [5.0] * 2 + [0.0] * 10
    assert spans(segments_of(evidence(*alone, apart=0.25), duration=8.0)) == [(5.0, 5.5)]


def test_of_one_frame_a_second_a_single_frame_is_no_blink() -> None:
    assert spans(segments_of(evidence(5, 5, 5, 0, 0, 0, 5, 0, 0), duration=9.0)) == [(0.0, 3.0), (6.0, 7.0)]


def test_the_strongest_frame_always_has_the_tag() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shares = rng.gamma(0.3, size=int(rng.integers(1, 12)))
        assert holding_frames(shares / shares.sum())[shares.argmax()]


@pytest.mark.parametrize(
    ("given", "duration"),
    [(None, 3.0), (evidence(0, 0, 0), 3.0), (Evidence(frames=(), words=()), 0.0), (evidence(1.0), 0.0)],
)
def test_pinned_tags_images_and_tags_without_evidence_have_none(given: Evidence | None, duration: float) -> None:
    assert segments_of(given, duration=duration) == ()


def test_bounds_are_the_next_frames_times() -> None:
    assert frame_bounds([0.0, 2.0, 3.0, 7.0], NAN).tolist() == [0.0, 2.0, 3.0, 7.0, 9.0]
    assert frame_bounds([0.0, 2.0, 4.0], 4.5).tolist() == [0.0, 2.0, 4.0, 4.5]
    assert frame_bounds([0.0, 2.0, 4.0], 60.0).tolist() == [0.0, 2.0, 4.0, 6.0]
    assert frame_bounds([0.0, 2.0, 4.0], 3.0).tolist() == [0.0, 2.0, 4.0, 6.0]  # a duration that cannot be


@pytest.mark.parametrize("cost", [0.0, 0.5, 1.3])
def test_the_likeliest_sequence_is_the_best_of_all(cost: float) -> None:
    rng = np.random.default_rng(1)

    def worth(states: tuple[bool, ...], odds: NDArray[np.float64]) -> float:
        changes = sum(a != b for a, b in pairwise(states))
        return float(odds[list(states)].sum()) - cost * changes

    for length in range(1, 10):
        odds = rng.normal(size=length)
        best = max(product([False, True], repeat=length), key=lambda states: worth(states, odds))
        assert likeliest(odds, cost).tolist() == list(best)
