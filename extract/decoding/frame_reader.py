"""What every video decoder looks like to the rest of extraction.

A file may end before its container says that it does. MP4 lists its frames, so that missing ones show in its index; of the other containers Matroska (and WebM), AVI and
fragmented MP4 state how many bytes belong to them. MPEG streams, FLV, GIF and raw streams state nothing: of these a
truncated file cannot be told from a shorter one.
"""

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
    def aspect(self) -> float:
        """Width of a pixel over its height in the picture that was read last (:func:`as_shown`)."""
        ...

    @property
    def flaws(self) -> list[str]:
        """What keeps frames that should be there from being had, so far; complete once the frames are read."""
        ...

    @property
    def oddity(self) -> str:
        """What is odd about the file although nothing is missing, or ``""``."""
        ...

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Frames at increasing ``positions`` of :attr:`times`, upright, RGB; fewer where the video ends early.

        Pixels that are not square stay so, for whoever resizes the picture anyway: :attr:`aspect` says how they are.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def shown_size(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """(width, height) at which a picture with pixels of this width over height is shown; no side becomes shorter."""
    width, height = size
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def as_shown(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture in the size at which it is shown."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)


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
    """Size of the file or of the bytes."""
    return len(payload) if isinstance(payload, bytes) else payload.stat().st_size


def first_bytes(payload: Path | bytes, count: int) -> bytes:
    """The first ``count`` bytes of a file, fewer where it is shorter."""
    if isinstance(payload, bytes):
        return payload[:count]
    with payload.open("rb") as file:
        return file.read(count)


EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


MOST_BOXES = 1_000_000
"""Boxes of a fragmented MP4 that are looked at."""


def ends_early(payload: Path | bytes) -> bool:
    """Whether the outermost structure of the file reaches past its end."""
    with io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb") as file:
        head = file.read(64)
        size = size_of(payload)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[:4] == EBML:
            return _matroska_end(head + file.read(4096)) > size
        if head[4:8] in (b"ftyp", b"styp", b"moov", b"moof"):
            return _boxes_end(file, size) > size
    return False


def _matroska_end(head: bytes) -> int:
    """Where the Segment ends, 0 where its size is unknown, as in live recordings."""
    start = head.find(SEGMENT)
    if start < 0 or start + 5 > len(head):
        return 0
    length = 9 - head[start + 4].bit_length()
    value = int.from_bytes(head[start + 4 : start + 4 + length], "big")
    unknown = (1 << 7 * length) - 1
    value &= unknown
    return 0 if value == unknown else start + 4 + length + value


def _boxes_end(file: io.BufferedIOBase | io.BytesIO, size: int) -> int:
    """Where the last of the outermost boxes of an MP4 ends."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: the box reaches to the end of the file
            break
        position += length
        if position >= size:
            break
    return position
