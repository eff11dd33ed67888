"""The tags of similar training videos.

Legend: I training videos, B videos, K training tags, W width of a summary, N neighbours, A examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from .neighbours import Cells, Half, Neighbours, Places, directions_of, sorted_by_cell
from .source import Floats, Scores, Summary
from .tag_rows import row_tensors, rows_of_tensors

NEIGHBOURS = 30

TEMPERATURE = 0.1
"""A neighbour's vote is softmax(cosine / τ) over the neighbours."""


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Videos that were remembered at once.

    Attributes:
        neighbours: (I, W) their directions.
        tags: (I, K) 1 where a video has the tag.
        ids: (I,) :func:`id_digests` of the videos; ``None`` where nobody kept them.
        kept: (I,) whether no later video took its place; ``None``: all are.
    """

    neighbours: Neighbours
    tags: csr_array
    ids: NDArray[np.int64] | None = None
    kept: NDArray[np.bool_] | None = None

    @property
    def places(self) -> NDArray[np.int64]:
        """Numbers of the videos whose place no later one took."""
        return np.arange(len(self.neighbours)) if self.kept is None else np.flatnonzero(self.kept)

    def without(self, ids: NDArray[np.int64], tags: int) -> Remembered:
        """The same with so many tags, K' at least K, and without the videos that come again."""
        table = csr_array((self.tags.data, self.tags.indices, self.tags.indptr), shape=(self.tags.shape[0], tags))
        if self.ids is None:
            return replace(self, tags=table)
        kept = ~np.isin(self.ids, ids) if self.kept is None else self.kept & ~np.isin(self.ids, ids)
        return replace(self, tags=table, kept=kept)


class Memory:
    """Votes of the nearest training videos for their tags.

    Args:
        centre: (W,) mean summary; cosines are taken from there.
        parts: those of training, and those that came later.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, centre: Floats, parts: Sequence[Remembered]):
        self._centre, self._parts = centre, tuple(parts)

    @classmethod
    def of_videos(cls, vectors: Floats, tags: csr_array, ids: NDArray[np.int64] | None = None) -> Memory:
        """Keeps (I, W) summaries, in half precision, (I, K) tags and whose they are."""
        centre = vectors.mean(0)
        kept = _kept_directions(vectors - centre)
        if (found := sorted_by_cell(kept)) is None:
            return cls(centre, [Remembered(neighbours=Neighbours(vectors=kept), tags=tags, ids=ids)])
        order, cells = found
        neighbours = Neighbours(vectors=kept[order], cells=cells)
        own = None if ids is None else ids[order]
        return cls(centre, [Remembered(neighbours=neighbours, tags=csr_array(tags[order, :]), ids=own)])

    def __len__(self) -> int:
        return sum(len(part.places) for part in self._parts)

    @property
    def width(self) -> int:
        """W, the width of a summary."""
        return len(self._centre)

    def tags_of(self, name: str) -> list[int] | None:
        """Columns of the tags of a video that is remembered; ``None`` for any other."""
        for part in reversed(self._parts):
            if part.ids is None:
                continue
            found = part.places[part.ids[part.places] == id_digests([name])]
            if len(found):
                return part.tags[[int(found[-1])], :].indices.tolist()
        return None

    def with_examples(self, vectors: Floats, tags: csr_array, ids: NDArray[np.int64]) -> Memory:
        """With further videos, which take the places of those of the same name.

        Args:
            vectors: (A, W) summaries.
            tags: (A, K') their tags, K' at least K.
            ids: (A,) of different videos.
        """
        new = Neighbours(vectors=_kept_directions(vectors - self._centre))
        old = [part.without(ids, tags.shape[1]) for part in self._parts]
        return Memory(self._centre, [*old, Remembered(neighbours=new, tags=tags, ids=ids)])

    def score(self, summary: Summary) -> Scores:
        """(B, K) in [0, 1]: the neighbours' votes."""
        asked = directions_of(summary.vectors - self._centre)
        found = [part.neighbours.search(asked, NEIGHBOURS, part.kept) for part in self._parts]
        cosines = np.concatenate([cosines for cosines, _ in found], axis=1)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
        votes = np.take_along_axis(cosines, nearest, axis=1)
        votes = np.exp((votes - votes.max(1, keepdims=True)) / TEMPERATURE)
        votes /= votes.sum(1, keepdims=True)
        weights = np.zeros_like(cosines)
        np.put_along_axis(weights, nearest, votes, axis=1)
        ends = np.cumsum([0, *(places.shape[1] for _, places in found)])
        cast: list[Floats] = [
            _votes_for_tags(weights[:, start:end], places, part.tags)
            for part, (_, places), start, end in zip(self._parts, found, ends[:-1], ends[1:], strict=True)
        ]
        return np.asarray(sum(cast), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads, of a memory to which nothing was added."""
        (part,) = self._parts
        ends, columns = row_tensors(part.tags)
        cells = part.neighbours.cells
        return {
            "memory.centre": torch.from_numpy(self._centre),
            "memory.vectors": torch.from_numpy(part.neighbours.vectors),
            "memory.ends": ends,
            "memory.tags": columns,
            **({} if part.ids is None else {"memory.ids": torch.from_numpy(part.ids)}),
            **({} if cells is None else {"memory.cells": torch.from_numpy(cells.centres)}),
            **({} if cells is None else {"memory.cell_ends": torch.from_numpy(cells.ends)}),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], tags: int) -> Memory:
        """A memory whose vectors stay where they are: mapped from a file, where the tensors are.

        Args:
            tags: K.

        Raises KeyError or ValueError where they are missing or do not fit each other.
        """
        centre, vectors = tensors["memory.centre"].float().numpy(), tensors["memory.vectors"].half().numpy()
        if centre.ndim != 1 or not len(vectors) or vectors.shape[1:] != centre.shape:
            raise ValueError("the memory's tensors do not fit each other")
        table = rows_of_tensors(tensors["memory.ends"], tensors["memory.tags"], videos=len(vectors), tags=tags)
        ids = tensors["memory.ids"].numpy() if "memory.ids" in tensors else None
        if ids is not None and (ids.shape != (len(vectors),) or ids.dtype != np.int64):
            raise ValueError("the memory does not say whose its videos are")
        neighbours = Neighbours(vectors=vectors, cells=_cells_of(tensors, vectors))
        return cls(centre, [Remembered(neighbours=neighbours, tags=table, ids=ids)])


def _cells_of(tensors: Mapping[str, Tensor], vectors: Half) -> Cells | None:
    if "memory.cells" not in tensors:
        return None
    centres, ends = tensors["memory.cells"].float().numpy(), tensors["memory.cell_ends"].numpy()
    if ends.ndim != 1 or not len(ends) or ends.dtype != np.int64:
        raise ValueError("the memory's cells are not in order")
    cells = Cells(centres=centres, ends=ends)
    cells.check(vectors)
    return cells


def _votes_for_tags(votes: Floats, places: Places, tags: csr_array) -> Floats:
    """(B, K) of (B, N) votes of the videos at these places."""
    ends = np.arange(len(places) + 1) * places.shape[1]
    weights = csr_array((votes.ravel(), places.ravel(), ends), shape=(len(places), tags.shape[0]))
    return np.asarray((weights @ tags).toarray(), np.float32)


def id_digests(names: Sequence[str]) -> NDArray[np.int64]:
    """(I,) 64 bits of each video's id, which tell any number of videos apart."""
    digests = (hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), np.dtype("<i8")).astype(np.int64)


def _kept_directions(vectors: Floats) -> Half:
    """As they are kept, so that a run predicts the same before and after it is opened again."""
    return directions_of(vectors).astype(np.float16)
