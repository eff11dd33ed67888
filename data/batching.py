"""Batches: padded tensors of several videos, and batches of videos of similar length.

Legend: B videos, M frames, Q patches, S title tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .store import FeatureStore

T = TypeVar("T")
Number = TypeVar("Number", bound=np.generic)

TENSORS = ("frames", "frame_mask", "patches", "patch_mask", "title_tokens", "title_mask")
"""The fields of a :class:`Batch` that a model reads."""

SMALL_BYTES = 1 << 16
"""Of a tensor that travels between processes by value."""


@dataclass(frozen=True, kw_only=True)
class JointBatch:
    """The batch of several processes or micro-batches, as one of its shares sees it.

    What is drawn at random for the videos is drawn for all of them, in order: a step is the same however it is shared out.

    Attributes:
        tags: of all its videos, as in :class:`Batch`.
        places: (B,) where in it the share's own videos are.
    """

    tags: tuple[NDArray[np.int32], ...]
    places: NDArray[np.int64]


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
        joint: the batch that this one is a share of; ``None`` where it is a whole one.
    """

    frames: Tensor
    frame_mask: Tensor
    patches: Tensor
    patch_mask: Tensor
    title_tokens: Tensor
    title_mask: Tensor
    tags: tuple[NDArray[np.int32], ...] = ()
    rows: NDArray[np.int64] | None = None
    joint: JointBatch | None = None

    def __len__(self) -> int:
        return len(self.title_tokens)

    @property
    def every_tags(self) -> tuple[NDArray[np.int32], ...]:
        """The tags of all videos of the joint batch."""
        return self.tags if self.joint is None else self.joint.tags

    def own(self, every: Sequence[T]) -> list[T]:
        """Of something for each video of the joint batch, that for the own ones."""
        return list(every) if self.joint is None else [every[place] for place in self.joint.places]

    def own_rows(self, every: NDArray[Number]) -> NDArray[Number]:
        """Of an array with a row for each video of the joint batch, the rows of the own ones."""
        return every if self.joint is None else every[self.joint.places]

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
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS})

    def with_few_shapes(self) -> Batch:
        """The same batch with frames and patches filled up to a multiple of 4, as titles are: what is done for a shape serves more batches."""
        frames, frame_mask, patches, patch_mask = map(
            _filled_up, (self.frames, self.frame_mask, self.patches, self.patch_mask)
        )
        return replace(self, frames=frames, frame_mask=frame_mask, patches=patches, patch_mask=patch_mask)

    def pinned(self) -> Batch:
        """The same batch in pinned memory, from which a CUDA device takes it while the host goes on."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in TENSORS})

    def __getstate__(self) -> dict[str, Any]:
        """Small tensors as arrays.

        From a worker of a ``DataLoader`` each tensor comes as a file of shared memory of its own: more than a small one's copy.
        """
        state = dict(vars(self))
        for name in TENSORS:
            tensor: Tensor = state[name]
            if tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16 and tensor.nbytes <= SMALL_BYTES:
                state[name] = tensor.numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in TENSORS:
            state[name] = torch.as_tensor(state[name])
        vars(self).update(state)


def _filled_up(x: Tensor) -> Tensor:
    """(B, M, …) with zeros behind, M a multiple of 4."""
    missing = -x.shape[1] % 4
    return torch.cat([x, x.new_zeros(len(x), missing, *x.shape[2:])], dim=1) if missing else x


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
    """The batch of the store's videos ``rows``, in that order.

    Raises:
        StoreError: features, tokens or tags of one of them are damaged.
    """
    numbers = np.array(rows, np.int64)
    batch = Batch.from_features(*store.model_inputs(numbers))
    _check_finite(store, numbers, batch)
    return replace(batch, rows=numbers)


_POSITIVE_INFINITY, _NEGATIVE_INFINITY = 0x7C00, 0xFC00
"""Bits of float16."""


def _check_finite(store: FeatureStore, rows: NDArray[np.int64], batch: Batch) -> None:
    """Refuses features that are infinite or no numbers: nothing can be learned from them, and no later score says why."""
    features = (batch.frames.numpy(), batch.patches.numpy())
    if all(map(_is_finite, features)):
        return
    wrong = np.flatnonzero(
        [any(not np.isfinite(values[place]).all() for values in features) for place in range(len(rows))]
    )
    more = f" and those of {len(wrong) - 1} more of its batch of {len(rows)}" if len(wrong) > 1 else ""
    raise store.damage(f"the features of {store.id(int(rows[wrong[0]]))!r}{more} have values that are not finite")


def _is_finite(values: NDArray[np.float16]) -> bool:
    """Whether all are, by their bits: a tenth of the time of ``isfinite``, which makes an array of its own.

    With all five bits of the exponent set, a value is infinite or no number. Read as signed numbers, bits of positive values
    are the largest; read as unsigned ones, those of negative values.
    """
    if not values.size:
        return True
    return bool(values.view(np.int16).max() < _POSITIVE_INFINITY and values.view(np.uint16).max() < _NEGATIVE_INFINITY)


READ_AHEAD = 4
"""Batches whose features are on their way from the disk while one is computed."""


def reading_ahead(
    store: FeatureStore, batches: Sequence[NDArray[np.int64]], *, share: slice = slice(None)
) -> Iterator[NDArray[np.int64]]:
    """The batches in order, while the system reads the features of the next ones from the disk.

    A mapped store is otherwise read page by page, when a video's turn has come: at random, that is tens of times slower.

    Args:
        share: the places of a batch that this process reads.
    """
    asked = 0
    for number, rows in enumerate(batches):
        for coming in batches[asked : number + 1 + READ_AHEAD]:
            store.read_ahead(coming[share])
        asked = number + 1 + READ_AHEAD
        yield rows


def video_lengths(store: FeatureStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a video costs in a padded batch, roughly: frames and patches plus four times its tags (pieces and marks)."""
    return (store.visual_lengths() + 4 * store.tag_lengths())[rows]


def writing_lengths(store: FeatureStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a video costs in a padded batch of a small model: eight times its tags' pieces and marks, frames and patches."""
    return (store.visual_lengths() + 8 * (store.tag_piece_counts() + store.tag_lengths()))[rows]


POOL_BATCHES = 8
"""Batches whose videos are sorted by length together."""

TITLE_POOL_BATCHES, TITLE_GROUP_BATCHES = 12, 3
"""Batches whose videos are sorted by their titles together, and those of them that are then sorted by length."""

WINDOW_STRETCHES = 16
"""Stretches of consecutive videos that are mixed in a window."""


def bucketed_batches(
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    batch_size: int,
    rng: np.random.Generator,
    *,
    titles: NDArray[np.int64] | None = None,
    window: int = 0,
) -> list[NDArray[np.int64]]:
    """Shuffled batches of videos of similar length.

    The rows are shuffled, cut into pools of :data:`POOL_BATCHES` batches, sorted by length within a pool, and the batches
    are shuffled: each row occurs exactly once, every epoch groups other rows, and little of a batch is padding.

    Args:
        rows: in the order of the store.
        titles: lengths of the titles. A pool, of :data:`TITLE_POOL_BATCHES`, is then sorted by them, and the videos of
            :data:`TITLE_GROUP_BATCHES` after each other by ``lengths``.
        window: for a store that is read well only in sequence: at any time the batches come from this many videos (at
            least a pool's), which lie in :data:`WINDOW_STRETCHES` stretches of the store. 0 mixes all rows.
    """
    pool = batch_size * (POOL_BATCHES if titles is None else TITLE_POOL_BATCHES)
    window = -(-window // pool) * pool or max(pool, len(rows))
    order = rng.permutation(len(rows)) if window >= len(rows) else _mixed_stretches(len(rows), window, rng)
    batches: list[NDArray[np.int64]] = []
    for begin in range(0, len(order), window):
        mixed: list[NDArray[np.int64]] = []
        for start in range(begin, min(begin + window, len(order)), pool):
            chunk = order[start : min(start + pool, begin + window)]
            if titles is None:
                chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
            else:
                chunk = _sorted_in_groups(chunk, titles, lengths, batch_size * TITLE_GROUP_BATCHES)
            mixed += [rows[chunk[i : i + batch_size]] for i in range(0, len(chunk), batch_size)]
        batches += [mixed[number] for number in rng.permutation(len(mixed))]
    return batches


def _sorted_in_groups(
    chunk: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64], group: int
) -> NDArray[np.int64]:
    """Sorted by the first lengths, then every ``group`` of them by the second."""
    chunk = chunk[np.argsort(first[chunk], kind="stable")]
    groups = (chunk[start : start + group] for start in range(0, len(chunk), group))
    return np.concatenate([part[np.argsort(second[part], kind="stable")] for part in groups])


def _mixed_stretches(count: int, window: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The numbers below ``count``: stretches of consecutive ones in random order, shuffled within each window."""
    stretch = -(-window // WINDOW_STRETCHES)
    # The first stretch is of a random length, or the same videos would always come together.
    cuts = [0, *range(int(rng.integers(1, stretch + 1)), count, stretch), count]
    order = np.concatenate([np.arange(cuts[n], cuts[n + 1]) for n in rng.permutation(len(cuts) - 1)])
    for begin in range(0, count, window):
        rng.shuffle(order[begin : begin + window])
    return order


def sequential_batches(rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Batches of consecutive rows, in the given order; the last may be smaller."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
