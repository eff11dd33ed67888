"""Videos through decord, which seeks to the wanted frames (the only import of decord).

decord numbers frames by the container's index. Which frame that is, only its time stamps tell
(``get_frame_timestamp``); for some files even they do not describe the frames that come out, without any error, so a
file is read with decord only after the checks of ``preflight.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import decord
import numpy as np
from PIL import Image

from ..data.errors import DecodeError
from .frame_reader import source_of

decord.logging.set_level(decord.logging.QUIET)


class DecordReader:
    """A :class:`~optsg.extract.frame_reader.FrameReader` on decord. Memory grows while it is open: close it promptly."""

    def __init__(self, payload: Path | bytes):
        self.backend = f"decord {decord.__version__}"
        self.note = ""
        try:
            # One thread: videos are decoded side by side, which is faster than many threads on one.
            self._video: Any = decord.VideoReader(source_of(payload), num_threads=1)
            stamps = np.asarray(self._video.get_frame_timestamp(range(len(self._video))), dtype=np.float64)
        except (decord.DECORDError, RuntimeError, AssertionError, IndexError) as error:
            raise DecodeError(f"decord cannot open it: {_first_line(error)}") from error
        self.times = stamps[:, 0] - stamps[0, 0]
        self.duration = float(stamps[-1, 1] - stamps[0, 0])

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at ``positions``, one at a time so that memory does not depend on how many are wanted."""
        for position in positions:
            try:
                pixels = self._video[int(position)].asnumpy()
            except (decord.DECORDError, RuntimeError, StopIteration) as error:
                raise DecodeError(f"decord fails at frame {position}: {_first_line(error)}") from error
            if pixels.ndim != 3 or pixels.shape[2] != 3:
                # Seen on narrow videos: rows padded for alignment come out as a picture of another shape.
                raise DecodeError(f"decord gives frame {position} as an array of shape {pixels.shape}")
            yield int(position), Image.fromarray(pixels)

    def __enter__(self) -> DecordReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._video = None  # the native reader has no close(); it goes with its last reference


def _first_line(error: Exception) -> str:
    """The message without the native stack trace that decord appends."""
    lines = str(error).strip().splitlines()
    return lines[0].split("] ")[-1] if lines else type(error).__name__
