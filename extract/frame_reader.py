"""What every video decoder looks like to the rest of extraction."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class FrameReader(Protocol):
    """An open video.

    Attributes:
        backend: the decoder's name and version, as recorded with the features.
        times: (F,) presentation times in seconds of all frames, strictly increasing, counted from the first frame.
        duration: seconds from the first frame to the end of the last one.
        note: what was odd about the file so far, or ``""``.
    """

    backend: str
    times: NDArray[np.float64]
    duration: float
    note: str

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at increasing ``positions`` of :attr:`times`, upright, RGB; fewer where the video ends early."""
        ...

    def __enter__(self) -> FrameReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def source_of(payload: Path | bytes) -> str | io.BytesIO:
    """What decoders open: bytes as an in-memory file, or a path, absolute so that FFmpeg sees no "protocol:" in its name."""
    return io.BytesIO(payload) if isinstance(payload, bytes) else str(payload.absolute())
