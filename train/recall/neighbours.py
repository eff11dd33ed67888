"""Nearest neighbours among remembered vectors: exact among some, by cells among many.

Beyond :data:`EXACT` vectors they are kept in the order of cells (k-means), and a query looks into the nearest :data:`PROBED` cells alone:
what one costs grows with the number of cells, a thousandth of the vectors'. It is the inverted file of faiss's ``IndexIVFFlat``, kept
as plain arrays: a run folder may come from anybody, and faiss's reader promises nothing of crafted files.

Vectors may be mapped from a file; no more of them are held at a time than one block. Legend: I vectors, W width, L cells, B queries,
N neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .source import Floats, highest, product

Half = NDArray[np.float16]
Places = NDArray[np.int64]

EXACT = 100_000
"""Vectors up to which each is looked at."""

CELL = 1_000
"""Vectors of a cell, on average."""

PROBED = 16
"""Cells that are looked into: the nearest."""

BLOCK = 1 << 16
"""Vectors that are held as 32-bit numbers at a time."""

SAMPLED = 50
"""Vectors for each cell that its centre is fitted to."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Where vectors lie that are sorted by cell.

    Attributes:
        centres: (L, W) of length 1.
        ends: (L,) behind each cell's last vector.
    """

    centres: Floats
    ends: Places

    def check(self, vectors: Half) -> None:
        """Raises ValueError where they are not those of the vectors."""
        starts = np.concatenate([[0], self.ends])
        if self.centres.shape != (len(self.ends), vectors.shape[1]) or starts[-1] != len(vectors):
            raise ValueError("the memory's cells do not fit its vectors")
        if (np.diff(starts) < 0).any():
            raise ValueError("the memory's cells are not in order")

    def nearest(self, direction: Floats) -> Iterator[slice]:
        """The vectors of the cells nearest to (W,) a query, in the vectors' order."""
        count = min(PROBED, len(self.ends))
        near = np.argpartition(-(self.centres @ direction), count - 1)[:count]
        for cell in np.sort(near).tolist():
            yield slice(int(self.ends[cell - 1]) if cell else 0, int(self.ends[cell]))


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Vectors to be searched.

    Attributes:
        vectors: (I, W) of length 1.
        cells: ``None``: all are looked at.
    """

    vectors: Half
    cells: Cells | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, directions: Floats, count: int, kept: NDArray[np.bool_] | None = None) -> tuple[Floats, Places]:
        """Of every query the nearest vectors, nearest first.

        Args:
            directions: (B, W) of length 1.
            count: N, or I where there are fewer.
            kept: (I,) those that count; all by default.

        Returns:
            (B, N) cosines, −∞ where there are too few neighbours, and (B, N) places.
        """
        if self.cells is None:
            return self._among_all(directions, count, kept)
        found = [self._in_cells(self.cells, direction, count, kept) for direction in directions]
        return np.stack([cosines for cosines, _ in found]), np.stack([places for _, places in found])

    def _among_all(self, directions: Floats, count: int, kept: NDArray[np.bool_] | None) -> tuple[Floats, Places]:
        best = np.empty((len(directions), 0), np.float32), np.empty((len(directions), 0), np.int64)
        for start in range(0, len(self), BLOCK):
            cosines = product(directions, _in_32_bits(self.vectors[start : start + BLOCK]).T)
            if kept is not None:
                cosines[:, ~kept[start : start + BLOCK]] = -np.inf
            nearest = highest(cosines, count)
            places = np.concatenate([best[1], nearest + start], axis=1)
            both = np.concatenate([best[0], np.take_along_axis(cosines, nearest, axis=1)], axis=1)
            order = highest(both, count)
            best = np.take_along_axis(both, order, axis=1), np.take_along_axis(places, order, axis=1)
        return best

    def _in_cells(
        self, cells: Cells, direction: Floats, count: int, kept: NDArray[np.bool_] | None
    ) -> tuple[Floats, Places]:
        parts = list(cells.nearest(direction))
        places = np.concatenate([np.arange(part.start, part.stop) for part in parts])
        cosines = np.concatenate([_in_32_bits(self.vectors[part]) @ direction for part in parts])
        if kept is not None:
            cosines[~kept[places]] = -np.inf
        lacking = max(0, min(count, len(self)) - len(places))
        cosines, places = np.pad(cosines, (0, lacking), constant_values=-np.inf), np.pad(places, (0, lacking))
        order = highest(cosines[None], count)[0]
        return cosines[order], places[order]


def sorted_by_cell(vectors: Half, *, seed: int = 0) -> tuple[Places, Cells] | None:
    """The order that brings (I, W) vectors into cells, and these; ``None`` where there are few enough to look at all."""
    if len(vectors) <= EXACT:
        return None
    from sklearn.cluster import MiniBatchKMeans  # takes longer to import than tagging a video

    rng = np.random.default_rng(seed)
    wanted = math.ceil(len(vectors) / CELL)
    sample = np.sort(rng.choice(len(vectors), min(len(vectors), SAMPLED * wanted), replace=False))
    fitted = MiniBatchKMeans(wanted, batch_size=4096, n_init=1, random_state=seed, init_size=3 * wanted, max_iter=20)
    centres = directions_of(fitted.fit(vectors[sample].astype(np.float32)).cluster_centers_.astype(np.float32))
    cell = np.concatenate(
        [(_in_32_bits(vectors[start : start + BLOCK]) @ centres.T).argmax(1) for start in range(0, len(vectors), BLOCK)]
    )
    ends = np.cumsum(np.bincount(cell, minlength=len(centres)))
    return np.argsort(cell, kind="stable"), Cells(centres=centres, ends=ends.astype(np.int64))


def directions_of(vectors: Floats) -> Floats:
    """Vectors of length 1; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Floats = vectors / np.maximum(lengths, 1e-12)
    return directions


def _in_32_bits(vectors: Half) -> Floats:
    converted: Floats = torch.from_numpy(vectors).float().numpy()  # several times as fast as NumPy's astype
    return converted
