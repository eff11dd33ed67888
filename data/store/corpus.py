"""Every title and tag that a store will hold, for a text encoder whose vocabulary is made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .feature_store import FeatureStore, open_part, open_store

ROWS_AT_ONCE = 2**14


class StoredTexts:
    """Titles and tag keys of a finished store and of parts; read from the disk each time it is iterated.

    A title may come twice. A few thousand titles are in memory at a time.
    """

    def __init__(self, parts: Sequence[Path], *, base: Path | None = None):
        self._parts = list(parts)
        self._base = base

    def __iter__(self) -> Iterator[str]:
        if self._base is not None:
            with open_store(self._base) as store:
                yield from _texts(store)
        for path in self._parts:
            with open_part(path) as store:
                yield from _texts(store)


def _texts(store: FeatureStore) -> Iterator[str]:
    titles = store.column("videos/title")
    for start in range(0, len(store), ROWS_AT_ONCE):
        yield from titles.block(start, min(start + ROWS_AT_ONCE, len(store))).texts()
    yield from store.tag_keys
