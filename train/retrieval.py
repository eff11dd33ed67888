"""Training items that look and are titled like a video: a frozen index that a run folder holds.

An item's fused feature is [t ; 0.7 · v ; 0.7 · q]. t is the sum of the title's word embeddings, as the store's text model
has them before training, each times its piece's inverse document frequency; v is the mean frame, q the mean image patch,
each dimension standardised. All three are normalised to length 1, and 0 where there is nothing. Nothing is trained and
nothing needs to be refreshed during training. Legend: B videos, S title tokens, I training items, W word pieces, E width
of the text model, F width of the fused feature, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ..data.batching import Batch, collate, sequential_batches
from ..data.errors import RunError
from ..data.store import FeatureStore
from ..data.tag_table import TagTable
from .tensor_files import save_tensors

RETRIEVAL = "retrieval.safetensors"
"""The index's name in a run folder."""

PICTURE_WEIGHT = 0.7
"""Of frames and patches beside the title; chosen by how well the nearest items' tags fit (emoji benchmark, validation)."""

_BATCH = 256
_HALF = ("words", "features")


@dataclass(frozen=True, kw_only=True)
class RetrievalIndex:
    """What is needed to find a video's neighbours among the training items.

    Attributes:
        words: (W, E) word embeddings; idf: (W,).
        frame_mean, frame_scale: (frame_dim,) over the items' mean frames; the scale is 1 / (σ + 0.001).
        patch_mean, patch_scale: (patch_dim,) likewise.
        features: (I, F).
        rows: (I,) the items' rows in the store, rising.
        tag_ends: (I,) where each item's tags end in ``tags``, which are numbers in the run's tag table.
    """

    words: Tensor
    idf: Tensor
    frame_mean: Tensor
    frame_scale: Tensor
    patch_mean: Tensor
    patch_scale: Tensor
    features: Tensor
    rows: Tensor
    tag_ends: Tensor
    tags: Tensor

    @classmethod
    def from_store(cls, store: FeatureStore, words: Tensor, tag_table: TagTable) -> RetrievalIndex:
        """The index over a store's training split.

        Args:
            words: (W, E) the text model's word embeddings before training.
        """
        rows = store.indices("train")
        place_of = {key: place for place, key in enumerate(tag_table.keys)}
        tags = [[place_of[store.tag_keys[tag]] for tag in store.tags(int(row))] for row in rows]
        seen = torch.zeros(len(words))
        for row in rows:
            seen[torch.from_numpy(np.unique(store.title_tokens(int(row)))).long()] += 1
        frame_mean, frame_scale = _standard([_mean(b.frames, b.frame_mask) for b in _batches(store, rows)])
        patch_mean, patch_scale = _standard([_mean(b.patches, b.patch_mask) for b in _batches(store, rows)])
        empty = cls(
            words=words.detach().cpu().half().float(),
            # Marks that every title has get 0.
            idf=torch.log((len(rows) + 1) / (seen + 1)),
            frame_mean=frame_mean,
            frame_scale=frame_scale,
            patch_mean=patch_mean,
            patch_scale=patch_scale,
            features=torch.empty(0),
            rows=torch.from_numpy(rows),
            tag_ends=torch.tensor([len(own) for own in tags]).cumsum(0),
            tags=torch.tensor([tag for own in tags for tag in own]),
        )
        features = torch.cat([empty.fuse(batch) for batch in _batches(store, rows)])
        return replace(empty, features=features.half().float())

    def fuse(self, batch: Batch) -> Tensor:
        """Fused features (B, F) in float32."""
        weight = self.idf[batch.title_tokens].masked_fill(~batch.title_mask, 0.0)
        title = (weight[:, None] @ self.words[batch.title_tokens])[:, 0]
        return torch.cat(
            [
                functional.normalize(title, dim=1),
                PICTURE_WEIGHT * _direction(batch.frames, batch.frame_mask, self.frame_mean, self.frame_scale),
                PICTURE_WEIGHT * _direction(batch.patches, batch.patch_mask, self.patch_mean, self.patch_scale),
            ],
            dim=1,
        )

    def neighbours(self, batch: Batch, count: int, *, exclude_own: bool) -> tuple[NDArray[np.int64], Tensor]:
        """The most similar items of every video, the nearest first, of equally similar ones the earlier in the store.

        Args:
            count: K.
            exclude_own: a video that is itself an item, by its row in the store, is not found; its exact twin is.

        Returns:
            items (B, K) and similarities (B, K) in float32; -1 and -inf where there are fewer items than K.
        """
        # Rounded: the same two features, multiplied in another place of a matrix, differ in the last digit.
        similarity = (self.fuse(batch) @ self.features.T).round(decimals=5)
        if exclude_own and batch.rows is not None:
            own = torch.from_numpy(batch.rows).to(similarity.device)
            similarity = similarity.masked_fill(own[:, None] == self.rows, float("-inf"))
        found = similarity.topk(min(count, similarity.shape[1]), dim=1).values
        items = _first_of_equal(similarity, found)
        missing = count - found.shape[1]
        found = functional.pad(found, (0, missing), value=float("-inf"))
        items = np.pad(items, ((0, 0), (0, missing)))
        return np.where(found.cpu().numpy() > -np.inf, items, -1), found

    def tags_of(self, item: int) -> list[int]:
        """Tags of an item, as numbers in the run's tag table."""
        start = int(self.tag_ends[item - 1]) if item else 0
        own: list[int] = self.tags[start : int(self.tag_ends[item])].tolist()
        return own

    def to(self, device: torch.device) -> RetrievalIndex:
        """The same index on a device; itself if it is there."""
        if self.features.device == device:
            return self
        return RetrievalIndex(**{name: value.to(device) for name, value in self._tensors()})

    def save(self, path: Path) -> None:
        """Writes the index, the large tables in half precision, which they have been rounded to.

        Raises:
            RunError: it cannot be written.
        """
        save_tensors(path, {name: value.half() if name in _HALF else value for name, value in self._tensors()})

    @classmethod
    def load(cls, path: Path) -> RetrievalIndex:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            tensors = load_file(path)
            return cls(**{name: value.float() if name in _HALF else value for name, value in tensors.items()})
        except (SafetensorError, OSError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{path} is not a readable retrieval index ({reason}); train the run again") from error

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


def _batches(store: FeatureStore, rows: NDArray[np.int64]) -> Iterator[Batch]:
    return (collate(store, numbers) for numbers in sequential_batches(rows, _BATCH))


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Means over the features of those videos that have any: (at most B, dim)."""
    some = mask.any(dim=1)
    values, mask = values[some].float(), mask[some][..., None]
    return (values * mask).sum(dim=1) / mask.sum(dim=1)


def _standard(means: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and scale per dimension; 0 and 1 if there is no feature of this kind."""
    joined = torch.cat(means)
    if not len(joined):
        return torch.zeros(joined.shape[1]), torch.ones(joined.shape[1])
    return joined.mean(dim=0), 1.0 / (joined.std(dim=0, correction=0) + 1e-3)


def _direction(values: Tensor, mask: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Standardised means of length 1, (B, dim); 0 for videos without."""
    directions = values.new_zeros((len(values), len(mean)), dtype=torch.float32)
    directions[mask.any(dim=1)] = functional.normalize((_mean(values, mask) - mean) * scale, dim=1)
    return directions


def _first_of_equal(similarity: Tensor, found: Tensor) -> NDArray[np.int64]:
    """Columns of the K largest values ``found`` (B, K) of similarity (B, I); which of equal ones topk takes is open."""
    values = similarity.cpu().numpy()
    rows, columns = np.nonzero(values >= found[:, -1:].cpu().numpy())
    order = np.lexsort((columns, -values[rows, columns], rows))
    starts = np.searchsorted(rows, np.arange(len(values)))
    first: NDArray[np.int64] = columns[order][starts[:, None] + np.arange(found.shape[1])]
    return first
