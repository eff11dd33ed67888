"""The sampling rule against values computed by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from optsg.data.errors import ConfigError
from optsg.extract.decoding.sampling import Sampling, choose_frames, one_per_interval, spread


def chosen(times: list[float], **settings: float) -> list[int]:
    positions = choose_frames(np.array(times, dtype=np.float64), Sampling(**settings))  # type: ignore[arg-type]
    return [int(position) for position in positions]


def test_one_frame_a_second_of_a_regular_video() -> None:
    assert chosen([i / 4 for i in range(13)]) == [0, 4, 8, 12]


def test_a_clip_under_one_second_gives_its_first_frame() -> None:
    assert chosen([0.0, 0.1, 0.2]) == [0]


def test_the_first_frame_at_or_after_each_second() -> None:
    assert chosen([0.0, 0.7, 1.3, 1.9, 2.0, 2.1, 3.5]) == [0, 2, 4, 6]


def test_a_frame_after_a_gap_stands_for_all_seconds_of_the_gap_once() -> None:
    assert chosen([0.0, 0.5, 5.2, 5.9, 6.0, 6.5]) == [0, 2, 4]


def test_seconds_count_from_the_first_frame() -> None:
    assert chosen([7.4, 7.9, 8.3, 8.4, 9.3, 9.4]) == [0, 3, 5]


def test_times_rounded_by_the_container_still_reach_their_second() -> None:
    assert chosen([0.0, 0.5, 0.9996, 1.4]) == [0, 2]
    assert chosen([0.0, 0.5, 0.9990, 1.4]) == [0, 3]


def test_more_than_the_limit_are_spread_uniformly_from_first_to_last() -> None:
    assert chosen([float(i) for i in range(9)], max_frames=5) == [0, 2, 4, 6, 8]
    ninety = chosen([i / 2 for i in range(180)])
    assert len(ninety) == 60
    assert (ninety[0], ninety[1], ninety[-1]) == (0, 4, 178)  # 89/59 = 1.508…: second 2 comes next


def test_the_limit_itself_is_not_thinned_out() -> None:
    assert chosen([float(i) for i in range(60)]) == list(range(60))


def test_one_frame_at_most_is_the_first() -> None:
    assert chosen([float(i) for i in range(9)], max_frames=1) == [0]


def test_two_frames_a_second() -> None:
    assert chosen([i / 4 for i in range(9)], fps=2) == [0, 2, 4, 6, 8]


def test_intervals_are_hit_without_drift_over_an_hour_of_ntsc() -> None:
    times = np.arange(3600 * 30) * 1001 / 30000
    due = one_per_interval(times, 1.0)
    assert np.array_equal(np.floor(times[due] + 5e-4), np.arange(len(due)))


@pytest.mark.parametrize(("count", "limit", "expected"), [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (7, 2, [0, 6])])
def test_spread(count: int, limit: int, expected: list[int]) -> None:
    assert spread(count, limit).tolist() == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0.0}, "--fps 0 is out of range; expected a number above 0 and at most 1000"),
        ({"fps": float("nan")}, "--fps nan is out of range; expected a number above 0 and at most 1000"),
        ({"max_frames": 0}, "--max-frames 0 is out of range; expected 1 to 100000"),
    ],
)
def test_settings_out_of_range_name_the_flag(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Sampling(**settings)  # type: ignore[arg-type]
