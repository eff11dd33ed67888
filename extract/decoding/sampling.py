"""Which frames of a video are kept, decided by presentation time and never by frame number or average rate.

Rule: the first frame whose presentation time is at least start + k / fps seconds, k = 0, 1, …; where more than
``max_frames`` such frames exist, ``max_frames`` of them spread uniformly over the video. A clip shorter than one
interval gives its first frame. (Paper §4.3: 1 frame a second, at most 60.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import ConfigError

TIME_TOLERANCE = 5e-4
"""Seconds by which a frame may be early: containers round times to their own clock and one decoder hands out float32."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How densely a video is sampled.

    Attributes:
        fps: frames kept per second of video.
        max_frames: most frames kept of one video.
        fast_resize: let the decoder shrink frames (quicker, not the encoder's own filter, hence not pixel-exact).
    """

    fps: float = 1.0
    max_frames: int = 60
    fast_resize: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise ConfigError(f"--fps {self.fps:g} is out of range; expected a number above 0 and at most 1000")
        if not 1 <= self.max_frames <= 100_000:
            raise ConfigError(f"--max-frames {self.max_frames} is out of range; expected 1 to 100000")

    def spec(self) -> dict[str, Any]:
        """JSON form, as the feature store records it; ``fast_resize`` appears where it is on."""
        settings = {name: value for name, value in asdict(self).items() if value is not False}
        return {"rule": "first frame at or after every interval, by presentation time", **settings}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Sampling:
        """The sampling that a feature store records."""
        return cls(fps=spec["fps"], max_frames=spec["max_frames"], fast_resize=spec.get("fast_resize", False))


def choose_frames(times: NDArray[np.float64], sampling: Sampling) -> NDArray[np.int64]:
    """Positions in ``times`` of the frames to keep.

    Args:
        times: (F,) presentation times in seconds of all frames, strictly increasing, F ≥ 1.
        sampling: density and limit.

    Returns:
        (M,) strictly increasing positions, 1 ≤ M ≤ ``max_frames``, the first of them 0.
    """
    due = one_per_interval(times, 1.0 / sampling.fps)
    return due[spread(len(due), sampling.max_frames)]


def one_per_interval(times: NDArray[np.float64], interval: float) -> NDArray[np.int64]:
    """Positions of the first frame at or after each multiple of ``interval`` since the first frame, each frame once.

    A frame that follows a gap of several intervals stands for all of them.
    """
    # Frame i is due when it reaches an interval that no earlier frame has reached.
    reached = np.floor((times - times[0] + TIME_TOLERANCE) / interval).astype(np.int64)
    return np.flatnonzero(np.diff(np.maximum.accumulate(reached), prepend=-1) > 0)


def spread(count: int, limit: int) -> NDArray[np.int64]:
    """Positions of at most ``limit`` of ``count`` things, uniformly spread from the first to the last."""
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    if limit == 1:
        return np.zeros(1, dtype=np.int64)
    return np.rint(np.linspace(0, count - 1, limit)).astype(np.int64)
