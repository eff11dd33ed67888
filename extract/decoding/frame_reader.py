"""What every video decoder looks like to the rest of extraction."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import DecodeError

Shrink = Callable[[int, int], tuple[int, int]]
"""From the upright (width, height) of a frame to the (width, height) wanted of it."""


class FrameReader(Protocol):
    """An open video.

    Attributes:
        backend: the decoder's name and version with its FFmpeg's, as recorded with the features.
        times: (F,) presentation times in seconds of all frames, strictly increasing, counted from the first frame.
        duration: seconds from the first frame to the end of the last one.
    """

    backend: str
    times: NDArray[np.float64]
    duration: float

    @property
    def flaws(self) -> list[str]:
        """What keeps frames that should be there from being had, so far; complete once the frames are read."""
        ...

    @property
    def oddity(self) -> str:
        """What is odd about the file although nothing is missing, or ``""``."""
        ...

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at increasing ``positions`` of :attr:`times`, upright, RGB; fewer where the video ends early."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def source_of(payload: Path | bytes) -> str | io.BytesIO:
    """What decoders open: bytes as an in-memory file, or a path, absolute so that FFmpeg sees no "protocol:" in its name."""
    return io.BytesIO(payload) if isinstance(payload, bytes) else str(payload.absolute())


def check_present(payload: Path | bytes) -> None:
    """Raises :class:`DecodeError` where there is no file or nothing in it."""
    if not isinstance(payload, bytes) and not payload.is_file():
        raise DecodeError("there is no such file")
    if not size_of(payload):
        raise DecodeError("the file is empty (0 bytes)")


def size_of(payload: Path | bytes) -> int:
    """Bytes."""
    return len(payload) if isinstance(payload, bytes) else payload.stat().st_size


def first_bytes(payload: Path | bytes, count: int) -> bytes:
    """The beginning of a file."""
    if isinstance(payload, bytes):
        return payload[:count]
    with payload.open("rb") as file:
        return file.read(count)
