"""Files of vectors: rows in the order of a store, in a form that other programs read.

Legend: V videos, D the width of one kind of vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...data.errors import ConfigError

Vectors = NDArray[np.float32]

ROWS_AT_ONCE = 1 << 14
"""Rows of a group in a Parquet file."""


class VectorColumns:
    """Columns of vectors that are written a few rows at a time and read as a whole: in memory are those rows alone.

    Args:
        folder: for a file of each column.
        widths: D of every column, by name.
    """

    def __init__(self, folder: Path, widths: Mapping[str, int]):
        self._folder, self._widths = folder, widths

    def append(self, name: str, rows: Sequence[Vectors | None]) -> None:
        """Adds rows to a column; one that is not there is all NaN.

        Raises:
            OSError: the disk is full.
        """
        nothing = np.full(self._widths[name], np.nan, np.float32)
        with self._file(name).open("ab") as file:
            file.write(np.stack([nothing if row is None else row for row in rows]).astype(np.float32).tobytes())

    def arrays(self) -> dict[str, Vectors]:
        """(V, D) of every column, mapped into memory."""
        return {
            name: np.memmap(self._file(name), np.float32, "r").reshape(-1, width)
            for name, width in self._widths.items()
        }

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.float32"


def write_npy(path: Path, ids: Sequence[str], columns: Mapping[str, Vectors]) -> None:
    """The one column; ids have no place in it."""
    del ids
    (vectors,) = columns.values()
    with path.open("wb") as file:
        np.save(file, vectors)


def write_npz(path: Path, ids: Sequence[str], columns: Mapping[str, Vectors]) -> None:
    """``ids`` and an array for each column."""
    arrays: dict[str, Any] = {"ids": np.array(ids, np.str_), **columns}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def write_parquet(path: Path, ids: Sequence[str], columns: Mapping[str, Vectors]) -> None:
    """``id`` and a list of D numbers for each column; a vector that is not there is null."""
    lists = [(name, pa.list_(pa.float32(), vectors.shape[1])) for name, vectors in columns.items()]
    schema = pa.schema([("id", pa.string()), *lists])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(ids), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            arrays = [pa.array(ids[rows], pa.string()), *(_lists(vectors[rows]) for vectors in columns.values())]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _lists(vectors: Vectors) -> pa.Array:
    is_missing = np.isnan(vectors).all(axis=1)
    values, width = pa.array(vectors.ravel(), pa.float32()), vectors.shape[1]
    return pa.FixedSizeListArray.from_arrays(values, width, mask=pa.array(is_missing))


Writer = Callable[[Path, Sequence[str], Mapping[str, Vectors]], None]

WRITERS: Mapping[str, Writer] = {".npy": write_npy, ".npz": write_npz, ".parquet": write_parquet}


def writer_of(path: Path) -> Writer:
    """What writes a file of this name.

    Raises:
        ConfigError: its suffix says no known form.
    """
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"--out {path}: no known suffix; use .npy, .npz or .parquet")
    return WRITERS[path.suffix.lower()]
