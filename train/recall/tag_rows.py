"""Which videos have which tags: sparse tables of ones, a row a video, and the tensors that keep them.

Legend: I videos, K tags, T tags of all videos together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor


def tag_rows(videos: Iterable[Sequence[int] | NDArray[np.integer]], tags: int) -> csr_array:
    """(I, K) of the columns of every video's tags."""
    rows = [np.asarray(columns, np.int64) for columns in videos]
    return _of_parts(np.cumsum([0, *map(len, rows)]), np.concatenate(rows) if rows else np.empty(0, np.int64), tags)


def row_tensors(table: csr_array) -> tuple[Tensor, Tensor]:
    """(I,) where each row ends, and (T,) columns, for :func:`rows_of_tensors`."""
    return torch.from_numpy(table.indptr[1:].astype(np.int64)), torch.from_numpy(table.indices.astype(np.int32))


def rows_of_tensors(ends: Tensor, columns: Tensor, *, videos: int, tags: int) -> csr_array:
    """(I, K) of what :func:`row_tensors` gave; ValueError where it is nothing of the kind."""
    if ends.dtype != torch.int64 or columns.dtype != torch.int32:
        raise ValueError("its tags are no whole numbers")
    starts, numbers = np.concatenate([[0], ends.numpy()]), columns.numpy()
    if ends.shape != (videos,) or numbers.ndim != 1 or (np.diff(starts) < 0).any() or starts[-1] != len(numbers):
        raise ValueError("its tags do not fit its videos")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < tags:
        raise ValueError("its videos have tags that the run does not have")
    return _of_parts(starts, numbers, tags)


def _of_parts(starts: NDArray[np.int64], columns: NDArray[np.integer], tags: int) -> csr_array:
    return csr_array((np.ones(len(columns), np.float32), columns, starts), shape=(len(starts) - 1, tags))
