"""Batches: padded tensors of several videos, and batches of videos of similar length.

Legend: B videos, M frames, Q patches, S title tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .store import FeatureStore


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs of several videos; masks are true where there is something.

    Attributes:
        frames: (B, M, frame_dim) float16, as they are stored; the model takes them to its own precision, on its device.
            ``frame_mask`` (B, M).
        patches: (B, Q, patch_dim) float16, ``patch_mask`` (B, Q).
        title_tokens: (B, S) int64, ``title_mask`` (B, S).
        tags: per video, its tags as indices into the store's tag table; empty for videos outside a store.
        rows: (B,) the videos' rows in the store; ``None`` for videos outside a store.
    """

    frames: Tensor
    frame_mask: Tensor
    patches: Tensor
    patch_mask: Tensor
    title_tokens: Tensor
    title_mask: Tensor
    tags: tuple[NDArray[np.int32], ...] = ()
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.title_tokens)

    @classmethod
    def from_features(
        cls,
        frames: Sequence[NDArray[np.float16]],
        patches: Sequence[NDArray[np.float16]],
        title_tokens: Sequence[Sequence[int] | NDArray[np.int32]],
        tags: Sequence[NDArray[np.int32]] = (),
    ) -> Batch:
        """Pads per-video arrays (M, frame_dim), (Q, patch_dim) and token lists to one batch."""
        frame_values, frame_mask = _pad_vectors(frames)
        patch_values, patch_mask = _pad_vectors(patches)
        padded, title_mask = _pad_tokens(title_tokens)
        return cls(
            frames=frame_values,
            frame_mask=frame_mask,
            patches=patch_values,
            patch_mask=patch_mask,
            title_tokens=padded,
            title_mask=title_mask,
            tags=tuple(tags),
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; copies from pinned memory do not wait."""
        names = ("frames", "frame_mask", "patches", "patch_mask", "title_tokens", "title_mask")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


def _pad_vectors(rows: Sequence[NDArray[np.float16]]) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows])
    longest, width = int(lengths.max()), rows[0].shape[1]
    if lengths.min() == longest:
        values = np.concatenate(rows).reshape(len(rows), longest, width)
    else:
        values = np.empty((len(rows), longest, width), np.float16)
        for place, row in zip(values, rows, strict=True):
            place[: len(row)] = row
            place[len(row) :] = 0
    return torch.from_numpy(values), torch.from_numpy(np.arange(longest) < lengths[:, None])


def _pad_tokens(rows: Sequence[Sequence[int] | NDArray[np.int32]]) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows])
    # A multiple of 4: few different shapes, for which a CPU prepares its matrix kernels one by one.
    mask = np.arange(-(-int(lengths.max()) // 4) * 4) < lengths[:, None]
    values = np.zeros(mask.shape, np.int64)
    values[mask] = np.concatenate(rows)
    return torch.from_numpy(values), torch.from_numpy(mask)


def collate(store: FeatureStore, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
    """The batch of the store's videos ``rows``, in that order."""
    numbers = [int(row) for row in rows]
    batch = Batch.from_features(
        [store.frames(row) for row in numbers],
        [store.patches(row) for row in numbers],
        [store.title_tokens(row) for row in numbers],
        [store.tags(row) for row in numbers],
    )
    return replace(batch, rows=np.array(numbers, np.int64))


def video_lengths(store: FeatureStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a video costs in a padded batch, roughly: frames and patches plus four times its tags (pieces and marks)."""
    tags = np.array([len(store.tags(int(row))) for row in rows], np.int64)
    return store.visual_lengths()[rows] + 4 * tags


def bucketed_batches(
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    batch_size: int,
    rng: np.random.Generator,
    *,
    pool_batches: int = 8,
) -> list[NDArray[np.int64]]:
    """Shuffled batches of videos of similar length.

    The rows are shuffled, cut into pools of ``pool_batches`` batches, sorted by length within a pool, and the batches
    are shuffled: each row occurs exactly once, every epoch groups other rows, and little of a batch is padding.
    """
    order = rng.permutation(len(rows))
    batches: list[NDArray[np.int64]] = []
    pool = batch_size * pool_batches
    for start in range(0, len(order), pool):
        chunk = order[start : start + pool]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [rows[chunk[i : i + batch_size]] for i in range(0, len(chunk), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def sequential_batches(rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Batches in the given order."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
