"""One form of store to the other, or a copy in the same form: every array and attribute verbatim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreWriteError
from . import schema
from .feature_store import FeatureStore, open_store
from .files import locked_store
from .plan import StorePlan, TextTables
from .row_blocks import RowBlock, cut_rows
from .writing import Progress, write_store

_EMBEDDING_ROWS = 4096


def convert_store(source: Path, out: Path, *, overwrite: bool = False, progress: Progress | None = None) -> None:
    """Writes the store ``source`` anew as ``out``; nothing is computed again. A store of version 1 becomes one of version 2.

    Args:
        source: a finished store of either form.
        out: a name that ends in ``.h5`` for one file, any other for a folder of WebDataset shards.
        overwrite: replace a store at ``out``.
        progress: called with numbers of videos.

    Raises:
        StoreError: ``source`` is no store or damaged.
        StoreWriteError: ``out`` exists or cannot be written, or another process is writing it.
    """
    with locked_store(out):
        if out.exists() and source.exists() and out.samefile(source):
            raise StoreWriteError(f"{out} is the store to convert itself; choose another name")
        if out.exists() and not overwrite:
            raise StoreWriteError(f"{out} exists already; choose another name, or add --overwrite to replace it")
        with open_store(source) as store:
            columns = [*schema.VIDEO_COLUMNS, schema.TITLE_TOKENS]
            plan = StorePlan(
                header=store.header,
                videos=len(store),
                values={name: int(store.column(name).lengths().sum()) for name in columns},
                tag_keys=store.tag_keys,
                tag_spellings=store.tag_spellings,
                failures=store.failures,
            )
            write_store(out, plan, store_blocks(store), lambda: _text_tables(store), progress=progress)


def store_blocks(store: FeatureStore) -> Iterator[RowBlock]:
    """All videos of a store in order; memory stays flat."""
    for start, stop in cut_rows(store.row_bytes()):
        yield store.block(start, stop)
        store.release()


def _text_tables(store: FeatureStore) -> TextTables:
    tokens = store.column(schema.TAG_TOKENS)
    return TextTables.of_store(store, tokens.block(0, len(tokens)), _slices(store.tag_embeddings))


def _slices(embeddings: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(embeddings), _EMBEDDING_ROWS):
        yield embeddings[start : start + _EMBEDDING_ROWS]
