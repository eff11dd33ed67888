"""Videos of several stores in an order of their own, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .feature_store import FeatureStore
from .row_blocks import RaggedBlock, RowBlock, cut_rows

Change = Callable[[int, RowBlock], RowBlock]
"""Makes rows of the store with that number into rows of the new one."""


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """Which row comes where.

    Attributes:
        sources: (V,) number of the store that each video comes from.
        rows: (V,) its row there.
    """

    sources: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, source: int) -> NDArray[np.int64]:
        """Where every row of a store comes, all of them being in the order."""
        chosen = np.flatnonzero(self.sources == source)
        places = np.empty(len(chosen), np.int64)
        places[self.rows[chosen]] = chosen
        return places


def gather(stores: Sequence[FeatureStore], order: RowOrder, change: Change) -> Iterator[RowBlock]:
    """All videos in that order; memory stays flat, and rows that follow each other in a store are read at once."""
    sizes = np.empty(len(order), np.int64)
    for number, store in enumerate(stores):
        sizes[order.places(number)] = store.row_bytes()
    for start, stop in cut_rows(np.ones(len(order), np.bool_), sizes):
        sources, rows = order.sources[start:stop], order.rows[start:stop]
        by_store = np.lexsort((rows, sources))
        blocks = [
            change(number, stores[number].block(first, last)) for number, first, last in _runs(sources, rows, by_store)
        ]
        yield blocks[0] if len(blocks) == 1 else _arranged(blocks, np.argsort(by_store))
        for number in np.unique(sources).tolist():
            stores[number].release()


def _runs(
    sources: NDArray[np.int64], rows: NDArray[np.int64], by_store: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    """Store, first row and end of all runs of consecutive rows."""
    numbers, sorted_rows = sources[by_store], rows[by_store]
    breaks = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(sorted_rows) != 1)) + 1
    for begin, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
        yield int(numbers[begin]), int(sorted_rows[begin]), int(sorted_rows[end - 1]) + 1


def _arranged(blocks: Sequence[RowBlock], places: NDArray[np.int64]) -> RowBlock:
    """The rows of all blocks; row i of the result is row ``places[i]`` of them one after the other."""
    ragged = {}
    for name in blocks[0].ragged:
        rows = [row for block in blocks for row in block.ragged[name].rows()]
        arranged = [rows[place] for place in places.tolist()]
        lengths = np.array([len(row) for row in arranged], np.int64)
        ragged[name] = RaggedBlock(values=np.concatenate(arranged), lengths=lengths)
    fixed = {name: np.concatenate([block.fixed[name] for block in blocks])[places] for name in blocks[0].fixed}
    return RowBlock(ragged=ragged, fixed=fixed)
