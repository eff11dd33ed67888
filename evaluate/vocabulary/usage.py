"""How a store's tags are used: on which videos, beside which other tags, and how these videos look and are titled.

Legend: U tags, V videos with tags, D width of a view.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from ...data.batching import collate, reading_ahead, sequential_batches
from ...data.store import FeatureStore
from ...train.recall.neighbours import directions_of
from ...train.recall.ngrams import Ngrams, main_directions
from ...train.recall.pictures import MeanPictures, Pictures
from ...train.recall.tag_rows import tag_rows

_WORD = re.compile(r"\w+")

Vectors = NDArray[np.float32]
Advance = Callable[[int], None]

MOST_SEEN = 20_000
"""Videos whose pictures and titles are read, drawn at random where there are more."""

AT_ONCE = 256
"""Videos that are read at a time."""

COMPANY_DIMENSIONS, MOST_FITTED = 192, 50_000
"""Width of a video's other tags as a vector, and of how many videos its directions are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One thing that is known of videos, as vectors whose inner products say how alike two are.

    Attributes:
        name: for people.
        vectors: (V, D); 0 for a video of which it is not known.
        own: (U, D) what a tag itself adds to the vectors of its videos, which says nothing of them; ``None``: nothing.
    """

    name: str
    vectors: Vectors
    own: Vectors | None = None

    @cached_property
    def is_known(self) -> NDArray[np.float32]:
        """(V,) 1 where it is known, else 0."""
        return np.asarray(self.vectors.any(axis=1), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class TagUsage:
    """Tags that are used at least once, in the order of the store.

    Attributes:
        keys, spellings: of the tags.
        table: (U, V) 1 where a video has a tag.
        embeddings: (U, E) of the text model, of length 1.
        views: what is known of the videos.
    """

    keys: tuple[str, ...]
    spellings: tuple[str, ...]
    table: csr_array
    embeddings: Vectors
    views: tuple[View, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(U,) videos that have each tag."""
        return np.diff(self.table.indptr).astype(np.int64)


def read_usage(store: FeatureStore, advance: Advance = lambda _: None, *, seed: int = 0) -> TagUsage:
    """Reads the tags of all videos of a store, and pictures and titles of at most :data:`MOST_SEEN`.

    Args:
        advance: called with numbers of videos that were looked at.
        seed: of the sample and of the search of directions.

    Raises:
        StoreError: it is damaged.
    """
    rng = np.random.default_rng(seed)
    tagged = np.flatnonzero(store.tag_lengths() > 0)
    rows = tag_rows(store.tags_of(tagged), len(store.tag_keys)) if len(tagged) else tag_rows([], len(store.tag_keys))
    used = np.flatnonzero(np.bincount(rows.indices, minlength=rows.shape[1]))
    table = csr_array(rows.T.tocsr()[used])
    pictures, titles = _seen_views(store, tagged, advance, rng)
    return TagUsage(
        keys=tuple(store.tag_keys[tag] for tag in used),
        spellings=tuple(store.tag_spellings[tag] for tag in used),
        table=table,
        embeddings=directions_of(store.finite_embeddings()[0][used]),
        views=(pictures, titles, company(table, rng)),
    )


def _seen_views(
    store: FeatureStore, tagged: NDArray[np.int64], advance: Advance, rng: np.random.Generator
) -> tuple[View, View]:
    seen = np.arange(len(tagged))
    if len(tagged) > MOST_SEEN:
        seen = np.sort(rng.choice(seen, MOST_SEEN, replace=False))
    words: list[list[str]] = []
    parts: list[MeanPictures] = []
    for numbers in reading_ahead(store, list(sequential_batches(tagged[seen], AT_ONCE))):
        parts.append(MeanPictures.of(collate(store, numbers)))
        words += [_WORD.findall(store.title(row).casefold()) for row in numbers.tolist()]
        advance(len(numbers))
    vectors = {"titles": Ngrams.of_corpus(words, rng).vectors(words)} if words else {}
    if parts:
        joined = MeanPictures.joined(parts)
        vectors["pictures"] = Pictures.of_corpus(joined, rng).vectors(joined)
    return _placed("pictures", vectors, seen, len(tagged)), _placed("titles", vectors, seen, len(tagged))


def _placed(name: str, found: dict[str, Vectors], seen: NDArray[np.int64], videos: int) -> View:
    """A view with its vectors, less their mean, in the rows of the videos that were looked at."""
    values = found.get(name, np.empty((0, 1), np.float32))
    vectors = np.zeros((videos, values.shape[1]), np.float32)
    is_known = values.any(axis=1)
    if is_known.any():
        vectors[seen[is_known]] = directions_of(values[is_known] - values[is_known].mean(axis=0))
    return View(name=name, vectors=vectors)


def company(table: csr_array, rng: np.random.Generator) -> View:
    """What stands beside a tag: the video's tags, rare ones weighing more, in :data:`COMPANY_DIMENSIONS` dimensions."""
    counts = np.diff(table.indptr)
    rarity = np.log(table.shape[1] / counts).astype(np.float32)  # what every video has says nothing
    weighed = csr_array((diags_array(rarity) @ table).T.tocsr(), dtype=np.float32)
    fitted = weighed
    if weighed.shape[0] > MOST_FITTED:
        fitted = weighed[np.sort(rng.choice(weighed.shape[0], MOST_FITTED, replace=False))]
    directions = main_directions(fitted, COMPANY_DIMENSIONS, rng)
    return View(name="tags beside it", vectors=weighed @ directions, own=rarity[:, None] * directions)
