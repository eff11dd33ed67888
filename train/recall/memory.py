"""The tags of similar training videos.

Legend: I training videos, B videos, K training tags, W width of a summary, N neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from .source import Scores, Summary
from .tag_rows import row_tensors, rows_of_tensors

NEIGHBOURS = 30

TEMPERATURE = 0.1
"""A neighbour's vote is softmax(cosine / τ) over the neighbours."""


class Memory:
    """Votes of the nearest training videos for their tags.

    Args:
        centre: (W,) mean summary; cosines are taken from there.
        vectors: (I, W) of length 1.
        tags: (I, K) 1 where a video has the tag.
        ids: (I,) :func:`id_digests` of the videos; ``None`` where nobody kept them.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, centre: Scores, vectors: Scores, tags: csr_array, ids: NDArray[np.int64] | None = None):
        self._centre, self._vectors, self._tags, self._ids = centre, vectors, tags, ids

    @classmethod
    def of_videos(cls, vectors: Scores, tags: csr_array, ids: NDArray[np.int64] | None = None) -> Memory:
        """Keeps (I, W) summaries, in half precision, (I, K) tags and whose they are."""
        centre = vectors.mean(0)
        return cls(centre, _kept_directions(vectors - centre), tags, ids)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def width(self) -> int:
        """W."""
        return len(self._centre)

    def tags_of(self, name: str) -> list[int] | None:
        """Columns of the tags of a video that is remembered; ``None`` for any other."""
        found = np.flatnonzero(self._ids == id_digests([name])) if self._ids is not None else np.empty(0, np.int64)
        return self._tags[[int(found[-1])], :].indices.tolist() if len(found) else None

    def with_examples(self, vectors: Scores, tags: csr_array, ids: NDArray[np.int64]) -> Memory:
        """With further videos, which take the places of those of the same name.

        Args:
            vectors: (A, W) summaries.
            tags: (A, K') their tags, K' at least K.
            ids: (A,) of different videos.
        """
        known = np.zeros(len(self), np.int64) if self._ids is None else self._ids
        kept = np.ones(len(self), np.bool_) if self._ids is None else ~np.isin(known, ids)
        old = self._tags[np.flatnonzero(kept), :]
        wide = csr_array((old.data, old.indices, old.indptr), shape=(old.shape[0], tags.shape[1]))
        new = _kept_directions(vectors - self._centre)
        both = np.concatenate([self._vectors[kept], new])
        return Memory(self._centre, both, csr_array(vstack([wide, tags])), np.concatenate([known[kept], ids]))

    def score(self, summary: Summary) -> Scores:
        """(B, K) in [0, 1]: the neighbours' votes."""
        similarity = _directions(summary.vectors - self._centre) @ self._vectors.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
        votes = np.take_along_axis(similarity, nearest, axis=1)
        votes = np.exp((votes - votes.max(1, keepdims=True)) / TEMPERATURE)
        votes /= votes.sum(1, keepdims=True)
        ends = np.arange(len(nearest) + 1) * nearest.shape[1]
        weights = csr_array((votes.ravel(), nearest.ravel(), ends), shape=(len(nearest), len(self._vectors)))
        return np.asarray((weights @ self._tags).toarray(), np.float32)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        ends, columns = row_tensors(self._tags)
        return {
            "memory.centre": torch.from_numpy(self._centre),
            "memory.vectors": torch.from_numpy(self._vectors).half(),
            "memory.ends": ends,
            "memory.tags": columns,
            **({} if self._ids is None else {"memory.ids": torch.from_numpy(self._ids)}),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], tags: int) -> Memory:
        """Raises KeyError or ValueError where they are missing or do not fit each other.

        Args:
            tags: K.
        """
        centre, vectors = (tensors[f"memory.{name}"].float().numpy() for name in ("centre", "vectors"))
        if vectors.shape[1:] != centre.shape:
            raise ValueError("the memory's tensors do not fit each other")
        table = rows_of_tensors(tensors["memory.ends"], tensors["memory.tags"], videos=len(vectors), tags=tags)
        ids = tensors["memory.ids"].numpy() if "memory.ids" in tensors else None
        if ids is not None and (ids.shape != (len(vectors),) or ids.dtype != np.int64):
            raise ValueError("the memory does not say whose its videos are")
        return cls(centre, vectors, table, ids)


def id_digests(names: Sequence[str]) -> NDArray[np.int64]:
    """(I,) 64 bits of each video's id, which tell any number of videos apart."""
    digests = (hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), np.dtype("<i8")).astype(np.int64)


def _kept_directions(vectors: Scores) -> Scores:
    """As they are kept, so that a run predicts the same before and after it is opened again."""
    return _directions(vectors).astype(np.float16).astype(np.float32)


def _directions(vectors: Scores) -> Scores:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Scores = vectors / np.maximum(lengths, 1e-12)
    return directions
