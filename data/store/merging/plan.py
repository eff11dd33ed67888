"""What a merged store takes from where, known before anything is copied: rows in their order, and numbers for tags.

Only ids, lengths and tags are read, of one source after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import StoreError
from ...media import Failure
from .. import schema
from ..feature_store import FeatureStore, open_part, open_store
from ..plan import MOST_TAGS, JointTags, StorePlan
from ..schema import StoreHeader


@dataclass(frozen=True)
class Source:
    """A part or a finished store; ``opened`` where it stays open all the time."""

    path: Path
    is_part: bool = False
    opened: FeatureStore | None = None

    @contextmanager
    def open(self) -> Iterator[FeatureStore]:
        """The store while the block lasts."""
        if self.opened is not None:
            yield self.opened
            return
        with open_part(self.path) if self.is_part else open_store(self.path) as store:
            yield store


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What the merged store takes from where.

    Attributes:
        sources: numbered from 0.
        order: of the rows that are taken.
        tag_numbers: per source (its tags,) the number of each of its tags in the merged store; −1 where no taken row uses it.
        plan: of the merged store.
    """

    sources: Sequence[Source]
    order: RowOrder
    tag_numbers: Sequence[NDArray[np.int32]]
    plan: StorePlan


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """Which row comes where.

    Attributes:
        sources: (V,) number of the source that each video comes from.
        rows: (V,) its row there.
        sizes: (V,) its bytes.
    """

    sources: NDArray[np.int32]
    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def plan_merge(
    sources: Sequence[Source],
    header: StoreHeader,
    input_order: Iterable[str] | None = None,
    *,
    with_title_tokens: bool = False,
) -> Merge:
    """Which rows are taken in which order, and the final size of every column.

    Args:
        sources: the first occurrence of an id counts, and of failures the last; those of an id that has features are left out.
        header: recorded in the merged store.
        input_order: ids of all inputs in order, which rows and failures follow; else they come source by source.
        with_title_tokens: whether those of all sources are taken over, so that their number is known.

    Raises:
        StoreError: a source was made with other settings than those of ``header``.
    """
    places = {} if input_order is None else {name: place for place, name in enumerate(input_order)}
    ids: set[str] = set()
    failures: dict[str, Failure] = {}
    values = dict.fromkeys([*schema.VIDEO_COLUMNS, *([schema.TITLE_TOKENS] if with_title_tokens else [])], 0)
    tags = JointTags()
    taken: list[_Taken] = []
    for source in sources:
        with source.open() as store:
            if differences := header.before_corpus().differences(store.header.before_corpus()):
                raise StoreError(f"{source.path} was made with other settings: " + "; ".join(differences))
            keep = _keep_new(store, ids, places)
            taken.append(keep)
            for name in values:
                values[name] += int(store.column(name).lengths()[keep.rows].sum())
            tags.add(store.tag_keys, store.tag_spellings, _uses(store, keep))
            failures.update((failure.id, failure) for failure in store.failures)
    plan = StorePlan(
        header=header,
        videos=len(ids),
        values=values,
        tag_keys=tags.keys(),
        tag_spellings=tags.spellings(),
        failures=sorted(
            (failure for failure in failures.values() if failure.id not in ids),
            key=lambda failure: places.get(failure.id, len(places)),
        ),
    )
    return Merge(sources=sources, order=_order(taken), tag_numbers=tags.numbers(), plan=plan)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Rows that are taken of one source.

    Attributes:
        rows: (n,) rising.
        places: (n,) numbers whose order is that of all videos of the merged store.
        sizes: (n,) bytes.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]


def _keep_new(store: FeatureStore, ids: set[str], places: dict[str, int]) -> _Taken:
    """Rows whose id is not among ``ids``, which it then is; one that ``places`` lacks comes after all that it has."""
    rows, found = [], []
    for row, name in enumerate(store.ids()):
        if name not in ids:
            rows.append(row)
            found.append(places.get(name, len(places) + len(ids)))
            ids.add(name)
    kept = np.array(rows, np.int64)
    return _Taken(rows=kept, places=np.array(found, np.int64), sizes=store.row_bytes()[kept])


def _order(taken: Sequence[_Taken]) -> RowOrder:
    nothing = [np.empty(0, np.int64)]
    sources = np.repeat(np.arange(len(taken), dtype=np.int32), np.array([len(some.rows) for some in taken], np.int64))
    rows, places, sizes = (
        np.concatenate([*nothing, *(getattr(some, name) for some in taken)]) for name in ("rows", "places", "sizes")
    )
    by_place = np.argsort(places, kind="stable")
    return RowOrder(sources=sources[by_place], rows=rows[by_place], sizes=sizes[by_place])


def _uses(store: FeatureStore, taken: _Taken) -> Iterator[tuple[int, int, int]]:
    """Every tag that the taken rows use: its number in the store, a number that orders its first use, and how many there are."""
    column = store.column("videos/tags")
    is_taken = np.zeros(len(store), np.bool_)
    is_taken[taken.rows] = True
    used = column.block(0, len(store)).values[np.repeat(is_taken, column.lengths())]
    lengths = column.lengths()[taken.rows]
    ends = np.cumsum(lengths)
    by_place: NDArray[np.int64] | None = None
    if not np.all(np.diff(taken.places) > 0):
        by_place = np.argsort(np.repeat(taken.places, lengths), kind="stable")
        used = used[by_place]
    tags, first, counts = np.unique(used, return_index=True, return_counts=True)
    if by_place is not None:
        first = by_place[first]
    rows = np.searchsorted(ends, first, side="right")
    uses = taken.places[rows] * MOST_TAGS + first - (ends - lengths)[rows]
    yield from zip(tags.tolist(), uses.tolist(), counts.tolist(), strict=True)


def breaks_between(sources: NDArray[np.int32], rows: NDArray[np.int64]) -> list[int]:
    """Where a row does not follow the one before in its source."""
    return (np.flatnonzero((np.diff(sources) != 0) | (np.diff(rows) != 1)) + 1).tolist()
