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
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ....data.batching import Batch, collate, reading_ahead, sequential_batches
from ....data.errors import RunError, reason_of
from ....data.foreign.json_reader import check_is_file
from ....data.store import FeatureStore
from ....data.tag_table import TagTable
from ...config import Modality
from ...model.tag_head import mean_over_valid
from ...run_files import save_tensors

PICTURE_WEIGHT = 0.7
"""Of frames and patches beside the title; chosen by how well the nearest items' tags fit (emoji benchmark, validation)."""


_BATCH_OF_ITEMS = 256


_HALF = ("words", "features")


@dataclass(frozen=True, kw_only=True)
class RetrievalIndex:
    """What is needed to find a video's neighbours among the training items.

    Attributes:
        words: (W, E) word embeddings; idf: (W,).
        frame_mean, frame_scale: (frame_dim,) over the items' mean frames; the scale is 1 / (σ + 0.001). Both are empty if
            no item has frames, and then frames are no part of the feature.
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
    def from_store(
        cls, store: FeatureStore, words: Tensor, tag_table: TagTable, modality: Modality = "both"
    ) -> RetrievalIndex:
        """The index over a store's training split.

        Args:
            words: (W, E) the text model's word embeddings before training.
            modality: what is compared; the rest is no part of the feature, or 0.
        """
        rows = store.indices("train")
        words = words.detach().cpu().half().float()
        idf = _inverse_document_frequencies(store, rows, len(words))
        if modality == "video":
            idf = torch.zeros_like(idf)
        batches = list(sequential_batches(rows, _BATCH_OF_ITEMS))
        read = [_Summary.of(collate(store, numbers), words, idf) for numbers in reading_ahead(store, batches)]
        summary = _Summary(*(torch.cat(parts) for parts in zip(*read, strict=True)))
        frame_mean, frame_scale = _standard(summary.frames, summary.has_frames & (modality != "title"))
        patch_mean, patch_scale = _standard(summary.patches, summary.has_patches & (modality != "title"))
        place_of = {key: place for place, key in enumerate(tag_table.keys)}
        tags = [[place_of[store.tag_keys[tag]] for tag in store.tags(int(row))] for row in rows]
        index = cls(
            words=words,
            idf=idf,
            frame_mean=frame_mean,
            frame_scale=frame_scale,
            patch_mean=patch_mean,
            patch_scale=patch_scale,
            features=torch.empty(0),
            rows=torch.from_numpy(rows),
            tag_ends=torch.tensor([len(own) for own in tags]).cumsum(0),
            tags=torch.tensor([tag for own in tags for tag in own], dtype=torch.int64),
        )
        return replace(index, features=index._join(summary).half().float())

    def fuse(self, batch: Batch) -> Tensor:
        """Fused features (B, F) in float32."""
        return self._join(_Summary.of(batch, self.words, self.idf))

    def _join(self, summary: _Summary) -> Tensor:
        parts = [functional.normalize(summary.title, dim=1)]
        for values, some, mean, scale in (
            (summary.frames, summary.has_frames, self.frame_mean, self.frame_scale),
            (summary.patches, summary.has_patches, self.patch_mean, self.patch_scale),
        ):
            if len(mean):
                directions = functional.normalize((values - mean) * scale, dim=1)
                parts.append(PICTURE_WEIGHT * directions.masked_fill(~some[:, None], 0.0))
        return torch.cat(parts, dim=1)

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
            check_is_file(path)
            tensors = load_file(path)
            index = cls(**{name: value.float() if name in _HALF else value for name, value in tensors.items()})
            index._check()
        except (SafetensorError, OSError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path} is not a readable retrieval index ({reason_of(error)}); train the run again"
            ) from error
        return index

    def _check(self) -> None:
        """Raises ValueError where the tensors do not fit each other."""
        items, ends = len(self.features), self.tag_ends
        if not len(self.rows) == len(ends) == items or self.words.ndim != 2 or self.idf.shape != self.words.shape[:1]:
            raise ValueError("its tensors have different lengths")
        for indices in (self.rows, ends, self.tags):
            if indices.ndim != 1 or indices.dtype != torch.int64:
                raise ValueError("its numbers are of another type")
        if items and (int(ends.min()) < 0 or int(ends[-1]) != len(self.tags) or bool((ends[1:] < ends[:-1]).any())):
            raise ValueError("its tags do not fit its items")

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


class _Summary(NamedTuple):
    """Per video the weighted sum of its title's words (B, E), mean frame and mean patch (B, dim), and what it has (B,)."""

    title: Tensor
    frames: Tensor
    has_frames: Tensor
    patches: Tensor
    has_patches: Tensor

    @classmethod
    def of(cls, batch: Batch, words: Tensor, idf: Tensor) -> _Summary:
        weight = idf[batch.title_tokens].masked_fill(~batch.title_mask, 0.0)
        return cls(
            title=(weight[:, None] @ words[batch.title_tokens])[:, 0],
            frames=mean_over_valid(batch.frames.float(), batch.frame_mask),
            has_frames=batch.frame_mask.any(dim=1),
            patches=mean_over_valid(batch.patches.float(), batch.patch_mask),
            has_patches=batch.patch_mask.any(dim=1),
        )


def _inverse_document_frequencies(store: FeatureStore, rows: NDArray[np.int64], pieces: int) -> Tensor:
    """(W,) log((n + 1) / (df + 1)) over the titles of n rows; 0 for marks that every title has."""
    seen = np.zeros(pieces, np.int64)
    for row in rows:
        seen[np.unique(store.title_tokens(int(row)))] += 1
    return torch.from_numpy(np.log((len(rows) + 1) / (seen + 1)).astype(np.float32))


def _standard(means: Tensor, some: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale per dimension over the videos that have any; empty if none has."""
    if not bool(some.any()):
        return torch.empty(0), torch.empty(0)
    present = means[some]
    return present.mean(dim=0), 1.0 / (present.std(dim=0, correction=0) + 1e-3)


def _first_of_equal(similarity: Tensor, found: Tensor) -> NDArray[np.int64]:
    """Columns of the K largest values ``found`` (B, K) of similarity (B, I); which of equal ones topk takes is open."""
    candidates = similarity >= found[:, -1:]
    rows, columns = (places.cpu().numpy() for places in torch.nonzero(candidates, as_tuple=True))
    order = np.lexsort((columns, -similarity[candidates].cpu().numpy(), rows))
    starts = np.searchsorted(rows, np.arange(len(similarity)))
    first: NDArray[np.int64] = columns[order][starts[:, None] + np.arange(found.shape[1])]
    return first
