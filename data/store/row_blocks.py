"""Consecutive videos as they travel between stores: whole slices of columns instead of one video at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BLOCK_BYTES = 32 << 20
BLOCK_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class RaggedBlock:
    """Rows of a ragged column.

    Attributes:
        values: the rows' values, one row after the other.
        lengths: number of values of every row.
    """

    values: Array
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[int]]) -> RaggedBlock:
        """A block of rows of numbers, kept as int32."""
        lengths = np.array([len(row) for row in rows], np.int64)
        return cls(values=np.array([number for row in rows for number in row], np.int32), lengths=lengths)

    @classmethod
    def of_bytes(cls, rows: Sequence[bytes]) -> RaggedBlock:
        """A block of rows of bytes."""
        lengths = np.array([len(row) for row in rows], np.int64)
        return cls(values=np.frombuffer(b"".join(rows), np.uint8), lengths=lengths)

    @classmethod
    def of_texts(cls, rows: Sequence[str]) -> RaggedBlock:
        """A block of rows of UTF-8 text."""
        return cls.of_bytes([encode_text(row) for row in rows])

    def rows(self) -> list[Array]:
        """The values of each row, as views of the block."""
        ends = np.cumsum(self.lengths).tolist()
        return [self.values[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def bytes(self) -> list[bytes]:
        """Each row of a byte column as ``bytes``."""
        raw = self.values.tobytes()
        ends = np.cumsum(self.lengths).tolist()
        return [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def texts(self) -> list[str]:
        """Each row of a text column as ``str``."""
        return [decode_text(row) for row in self.bytes()]


@dataclass(frozen=True, kw_only=True)
class RowBlock:
    """Consecutive videos.

    Attributes:
        ragged: by column name.
        fixed: by column name, one value per video.
    """

    ragged: Mapping[str, RaggedBlock]
    fixed: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.ragged["videos/id"])


def encode_text(text: str) -> bytes:
    """UTF-8; lone surrogates, which cannot be encoded, become question marks."""
    return text.encode("utf-8", "replace")


def decode_text(raw: bytes) -> str:
    """Inverse of :func:`encode_text`; damaged bytes become replacement characters, which ``optsg-store verify`` reports."""
    return raw.decode("utf-8", "replace")


def cut_rows(sizes: NDArray[np.int64], breaks: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Ranges of rows, each at most :data:`BLOCK_ROWS` rows and, unless it is one row, :data:`BLOCK_BYTES`.

    Args:
        sizes: (V,) bytes of every row.
        breaks: rising; a range ends before each of these rows.
    """
    ends = np.cumsum(sizes)
    start = 0
    for last in [*breaks, len(sizes)]:
        while start < last:
            before = int(ends[start - 1]) if start else 0
            fitting = int(np.searchsorted(ends, before + BLOCK_BYTES, side="right"))
            stop = min(max(fitting, start + 1), start + BLOCK_ROWS, last)
            yield start, stop
            start = stop
