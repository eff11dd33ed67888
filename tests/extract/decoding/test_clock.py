"""One timeline of a stream, by hand: where its clock starts anew, where it only wraps, and where B-frames go back and forth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from optsg.extract.decoding.clock import WRAP, Timeline, continuous

BASE = Fraction(1, 90_000)
STEP = 9000
"""A tenth of a second."""


def line(
    pts: Sequence[int],
    dts: Sequence[int | None] | None = None,
    *,
    keys: Sequence[int] = (0,),
    broadcast: bool = True,
    step: int = STEP,
) -> Timeline:
    """A timeline, all numbers in steps."""
    is_key = np.isin(np.arange(len(pts)), keys)
    stamps = [None if time is None else time * step for time in (pts if dts is None else dts)]
    return continuous(np.array(pts) * step, stamps, is_key, base=BASE, broadcast=broadcast)


def in_steps(found: Timeline) -> list[int]:
    """Its times in steps."""
    assert np.all(found.pts % STEP == 0)
    return [int(time) for time in found.pts // STEP]


def test_b_frames_are_no_restart() -> None:
    found = line([2, 5, 3, 4, 8, 6, 7], range(7))
    assert in_steps(found) == [2, 5, 3, 4, 8, 6, 7]
    assert found.starts.tolist() == []


@pytest.mark.parametrize("first", [0, 1000, 3])
def test_a_part_goes_on_behind_the_last_frame_of_the_part_before(first: int) -> None:
    """The second part has B-frames too: its first frame is not the one with its least time."""
    found = line(
        [5, 8, 6, 7, first + 2, first + 5, first + 3, first + 4], [3, 4, 5, 6, *range(first, first + 4)], keys=(0, 4)
    )
    assert in_steps(found) == [5, 8, 6, 7, 9, 12, 10, 11]
    assert found.starts.tolist() == [4]


def test_one_frame_back_at_a_key_frame_is_a_restart_and_elsewhere_it_is_not() -> None:
    assert line([0, 1, 2, 1, 2, 3], keys=(0, 3)).starts.tolist() == [3]
    assert line([0, 1, 2, 1, 2, 3], keys=(0,)).starts.tolist() == []
    assert line([0, 1, 2, 0, 1, 2], keys=(0,)).starts.tolist() == [3]


def test_a_leap_forward_is_a_restart_in_broadcast_formats_alone() -> None:
    stamps = [0, 1, 2, 1000, 1001]
    assert in_steps(line(stamps)) == [0, 1, 2, 3, 4]
    assert in_steps(line(stamps, broadcast=False)) == stamps


def test_a_pause_and_slow_frames_are_no_restart() -> None:
    assert line([0, 1, 2, 90, 91]).starts.tolist() == []  # nine seconds
    assert line(range(0, 2000, 200)).starts.tolist() == []  # a frame in twenty seconds


def test_a_clock_that_wraps_goes_on() -> None:
    found = continuous(
        np.array([WRAP - STEP, 0, STEP]),
        [WRAP - STEP, 0, STEP],
        np.array([True, False, False]),
        base=BASE,
        broadcast=True,
    )
    assert np.diff(found.pts).tolist() == [STEP, STEP]
    assert found.starts.tolist() == []


def test_a_restart_that_was_taken_for_a_wrap_is_a_restart() -> None:
    """FFmpeg adds the length of the clock where it sees a time far below the first one."""
    late = 10_000 * STEP
    stamps = np.array([late, late + STEP, WRAP, WRAP + STEP])
    found = continuous(stamps, stamps.tolist(), np.array([True, False, True, False]), base=BASE, broadcast=True)
    assert np.diff(found.pts).tolist() == [STEP, STEP, STEP]
    assert found.starts.tolist() == [2]


def test_decoding_times_that_are_missing_are_no_restart() -> None:
    found = line([0, 2, 1, 4, 3], [None, 1, None, None, 4])
    assert in_steps(found) == [0, 2, 1, 4, 3]
    assert line([0, 2, 1, 4, 3, 6, 5], [None] * 7).starts.tolist() == []


def test_streams_too_short_for_a_step() -> None:
    assert line([]).pts.tolist() == []
    assert in_steps(line([7])) == [7]
