"""Ragged and fixed columns in an HDF5 file (the only file that imports h5py).

Writers buffer rows and append them in large blocks. Where the final size is known, arrays are contiguous, so that
readers map them into memory instead of going through the HDF5 library for every row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import StoreError

BUFFER_BYTES = 8 << 20
CHUNK_BYTES = 1 << 20

Array = NDArray[Any]


class ArrayWriter:
    """Appends blocks of rows to one dataset; ``rows`` is the final number of rows where it is known."""

    def __init__(self, file: h5py.File, name: str, *, dtype: str, width: int | None = None, rows: int | None = None):
        tail = () if width is None else (width,)
        row_bytes = np.dtype(dtype).itemsize * max(1, width or 1)
        options: dict[str, Any] = {"shape": (0, *tail), "maxshape": (None, *tail)}
        options["chunks"] = (max(1, CHUNK_BYTES // row_bytes), *(max(1, n) for n in tail))
        if rows is not None:
            options = {"shape": (rows, *tail)}
        elif width == 0:
            options = {"shape": (0, 0)}
        self._dataset = file.create_dataset(name, dtype=dtype, **options)
        self._fixed = rows is not None or width == 0
        self._empty = np.empty((0, *tail), dtype)
        self._pending: list[Array] = []
        self._pending_bytes = 0
        self._written = 0

    def append(self, block: Array) -> None:
        """Adds a block of rows; it reaches the file at the next flush or once enough has come together."""
        if len(block):
            self._pending.append(np.ascontiguousarray(block, dtype=self._empty.dtype))
            self._pending_bytes += block.nbytes
        if self._pending_bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what is pending into the dataset."""
        if not self._pending:
            return
        block = np.concatenate([self._empty, *self._pending])
        end = self._written + len(block)
        if not self._fixed:
            self._dataset.resize(end, axis=0)
        self._dataset[self._written : end] = block
        self._written, self._pending, self._pending_bytes = end, [], 0


class RaggedWriter:
    """Appends rows of varying length to ``NAME/values`` and ``NAME/offsets``."""

    def __init__(
        self, file: h5py.File, name: str, *, dtype: str, width: int | None = None, size: tuple[int, int] | None = None
    ):
        rows, values = size if size is not None else (None, None)
        self._values = ArrayWriter(file, f"{name}/values", dtype=dtype, width=width, rows=values)
        self._offsets = ArrayWriter(file, f"{name}/offsets", dtype="int64", rows=None if rows is None else rows + 1)
        self._end = 0
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, row: Array) -> None:
        """Adds one row."""
        self._end += len(row)
        self._values.append(row)
        self._offsets.append(np.array([self._end]))

    def append_text(self, text: str) -> None:
        """Adds one row of UTF-8; lone surrogates, which cannot be encoded, become question marks."""
        self.append(np.frombuffer(text.encode("utf-8", "replace"), np.uint8))

    def flush(self) -> None:
        """Writes what is pending."""
        self._values.flush()
        self._offsets.flush()


def read_array(file: h5py.File, name: str, path: Path) -> Array:
    """One dataset as an array: mapped into memory where it is stored in one piece, read otherwise."""
    dataset = checked_dataset(file, name, path)
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None and dataset.size and dataset.dtype.isnative:
        mapped: Array = np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
        return mapped
    loaded: Array = dataset[()]
    return loaded


def checked_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """The dataset ``name``, refused where it is missing or reaches outside the file (external links or storage)."""
    node: Any = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise StoreError(f"{path}: the array {name!r} is missing; the file is damaged, extract it again")
        if not isinstance(link, h5py.HardLink):
            raise StoreError(f"{path}: {name!r} is a link to elsewhere, which a feature store must not contain")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
        raise StoreError(f"{path}: {name!r} is not an array of its own, which a feature store must not contain")
    return node


class RaggedColumn:
    """Reads the rows of a ragged column."""

    def __init__(self, file: h5py.File, name: str, path: Path):
        self.values = read_array(file, f"{name}/values", path)
        self.offsets: NDArray[np.int64] = read_array(file, f"{name}/offsets", path)
        whole = len(self.offsets) and self.offsets[0] == 0 and self.offsets[-1] == len(self.values)
        if not whole or np.any(np.diff(self.offsets) < 0):
            raise StoreError(f"{path}: the offsets of {name!r} do not fit its values; the file is damaged")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def lengths(self) -> NDArray[np.int64]:
        """Number of values in every row."""
        return np.diff(self.offsets)

    def bytes(self, row: int) -> bytes:
        """Row ``row`` of a byte column."""
        return bytes(self[row].tobytes())

    def text(self, row: int) -> str:
        """Row ``row`` of a text column."""
        return self.bytes(row).decode("utf-8")

    def texts(self) -> list[str]:
        """All rows of a text column."""
        return [self.text(row) for row in range(len(self))]
