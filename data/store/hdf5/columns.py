"""Ragged and fixed columns in an HDF5 file.

Writers buffer rows and append them in large blocks. Where the final size is known, arrays are contiguous, so that
readers map them into memory instead of going through the HDF5 library for every row.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import StoreError, reason_of
from ..mapped_pages import map_behind, place_in_map, read_pages_ahead, release_pages
from ..row_blocks import RaggedBlock, decode_text, encode_text
from ..schema import ArrayForm

NUMBER_TYPES = (
    *("float16", "float32", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)

BUFFER_BYTES = 8 << 20


CHUNK_BYTES = 1 << 20


SMALL_CHUNK_BYTES = 1 << 16
"""For arrays that are no vectors: a part has two dozen of them, and each takes a whole chunk on the disk."""


Array = NDArray[Any]


HDF5_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, AttributeError, MemoryError)
"""What h5py makes of a damaged file, whenever it is asked for something of it."""


@contextlib.contextmanager
def hdf5_damage(path: Path) -> Iterator[None]:
    """Turns what h5py makes of a damaged file into one sentence."""
    try:
        yield
    except HDF5_DAMAGE as error:
        raise StoreError(f"{path} is damaged ({reason_of(error)}); copy it again, or make the store anew") from error


class ArrayWriter:
    """Appends blocks of rows to one dataset; ``rows`` is the final number of rows where it is known."""

    def __init__(self, file: h5py.File, name: str, *, dtype: str, width: int | None = None, rows: int | None = None):
        tail = () if width is None else (width,)
        row_bytes = np.dtype(dtype).itemsize * max(1, width or 1)
        options: dict[str, Any] = {"shape": (0, *tail), "maxshape": (None, *tail)}
        chunk_bytes = SMALL_CHUNK_BYTES if width is None else CHUNK_BYTES
        options["chunks"] = (max(1, chunk_bytes // row_bytes), *(max(1, n) for n in tail))
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
        self._digest = hashlib.sha256()

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
        block = self._pending[0] if len(self._pending) == 1 else np.concatenate([self._empty, *self._pending])
        end = self._written + len(block)
        if not self._fixed:
            self._dataset.resize(end, axis=0)
        self._dataset[self._written : end] = block
        if block.size:
            self._digest.update(block.data.cast("B"))
        self._written, self._pending, self._pending_bytes = end, [], 0

    def digest(self) -> str:
        """SHA-256 of everything flushed so far, hexadecimal."""
        return self._digest.hexdigest()


class RaggedWriter:
    """Appends rows of varying length to ``NAME/values`` and ``NAME/offsets``.

    ``with_values`` false leaves the values out: they lie elsewhere, and the offsets only give their lengths.
    """

    def __init__(
        self,
        file: h5py.File,
        name: str,
        *,
        dtype: str,
        width: int | None = None,
        size: tuple[int, int] | None = None,
        with_values: bool = True,
    ):
        rows, values = size if size is not None else (None, None)
        self._name = name
        self._values = (
            ArrayWriter(file, f"{name}/values", dtype=dtype, width=width, rows=values) if with_values else None
        )
        self._offsets = ArrayWriter(file, f"{name}/offsets", dtype="int64", rows=None if rows is None else rows + 1)
        self._end = 0
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, row: Array) -> None:
        """Adds a row of values."""
        self.extend(RaggedBlock(values=row, lengths=np.array([len(row)])))

    def append_text(self, text: str) -> None:
        """Adds one row of UTF-8; lone surrogates, which cannot be encoded, become question marks."""
        self.append(np.frombuffer(encode_text(text), np.uint8))

    def extend(self, block: RaggedBlock) -> None:
        """Adds the rows of a block."""
        ends = self._end + np.cumsum(block.lengths)
        self._end = int(ends[-1]) if len(ends) else self._end
        if self._values is not None:
            self._values.append(block.values)
        self._offsets.append(ends)

    def flush(self) -> None:
        """Writes pending values and offsets into the datasets."""
        if self._values is not None:
            self._values.flush()
        self._offsets.flush()

    def digests(self) -> dict[str, str]:
        """SHA-256 of what was written, by the datasets' names."""
        values = {} if self._values is None else {f"{self._name}/values": self._values.digest()}
        return {**values, f"{self._name}/offsets": self._offsets.digest()}


def read_array(file: h5py.File, name: str, path: Path, form: ArrayForm, *, lazily: bool = False) -> Array:
    """One dataset as an array: mapped into memory where it is stored in one piece, read otherwise.

    ``lazily`` leaves a dataset in pieces in the file: what is returned gives an array when it is sliced. Errors as
    :func:`checked_dataset`.
    """
    with hdf5_damage(path):
        dataset = checked_dataset(file, name, path, form)
        offset = dataset.id.get_offset()
        if dataset.chunks is None and offset is not None and dataset.size and dataset.dtype.isnative:
            # As a plain array: taking a row of numpy's own class of mapped arrays costs several times as much.
            return np.asarray(np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape))
        loaded: Array = dataset if lazily else dataset[()]
        return loaded


def checked_dataset(file: h5py.File, name: str, path: Path, form: ArrayForm) -> h5py.Dataset:
    """The dataset ``name``, of which no value has been read.

    A file may come from anybody. Values of a type that stands for Python objects would be taken for their addresses, and a
    few kilobytes can announce terabytes, so a dataset has to lie in the file itself, uncompressed and in full.

    Raises:
        StoreError: it is missing, of another type or shape, compressed, or reaches outside the file.
    """
    with hdf5_damage(path):
        dataset = _own_dataset(file, name, path)
        _check_form(dataset, name, path, form)
        if dataset.id.get_create_plist().get_nfilters():
            raise StoreError(f"{path}: {name!r} is compressed or filtered, which a feature store must not contain")
        _check_storage(dataset, name, path)
        return dataset


def foreign_array(file: h5py.File, name: str, path: Path, *, most_bytes: int) -> Array:
    """An array of numbers out of a file that is no feature store, compressed or not.

    Raises:
        StoreError: it is missing, holds something else than numbers, is larger than ``most_bytes``, or reaches outside.
    """
    dataset = _own_dataset(file, name, path)
    if _type_name(dataset) is None or dataset.shape is None:
        raise StoreError("it holds something else than plain numbers")
    if dataset.nbytes > most_bytes:
        raise StoreError(f"it announces {dataset.nbytes:,} bytes, more than {most_bytes:,}")
    if not dataset.id.get_create_plist().get_nfilters():
        _check_storage(dataset, name, path)
    values: Array = dataset[()]
    return values


def _own_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    node = _checked_node(file, name, path)
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
        raise StoreError(f"{path}: {name!r} is not an array of its own, which a feature store must not contain")
    return node


def _check_form(dataset: h5py.Dataset, name: str, path: Path, form: ArrayForm) -> None:
    found = _type_name(dataset)
    if found != form.dtype:
        raise StoreError(
            f"{path}: {name!r} has values of {found or 'another kind than numbers'}, expected {form.dtype}; the file is "
            "damaged, or no optsg wrote it"
        )
    shape = dataset.shape
    if shape is None or (form.tail is not None and (not shape or shape[1:] != form.tail)):
        expected = " × ".join(["rows", *map(str, form.tail or ())])
        raise StoreError(f"{path}: {name!r} has the shape {shape}, expected {expected}; the file is damaged")


def _type_name(dataset: h5py.Dataset) -> str | None:
    """``float16`` and the like; ``None`` for whatever is not exactly one of numpy's integers or floating-point numbers."""
    stored = dataset.id.get_type()
    for name in NUMBER_TYPES:
        for order in ("<", ">"):
            if stored.equal(h5py.h5t.py_create(np.dtype(name).newbyteorder(order))):
                return name
    return None


def _check_storage(dataset: h5py.Dataset, name: str, path: Path) -> None:
    stored, announced, size = dataset.id.get_storage_size(), int(dataset.nbytes), path.stat().st_size
    if announced and not announced <= stored <= size:
        raise StoreError(
            f"{path}: {name!r} announces {announced:,} bytes where the file of {size:,} holds {min(stored, size):,}; the "
            "file is damaged"
        )
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None and offset + announced > size:
        raise StoreError(f"{path}: {name!r} goes on after the end of the file; the file is damaged")


def group_names(file: h5py.File, name: str, path: Path) -> list[str]:
    """What the group ``name`` holds; refused as :func:`checked_dataset`."""
    with hdf5_damage(path):
        node = _checked_node(file, name, path)
        if not isinstance(node, h5py.Group):
            raise StoreError(f"{path}: {name!r} is no group of arrays; the file is damaged")
        return list(node)


def _checked_node(file: h5py.File, name: str, path: Path) -> Any:
    node: Any = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise StoreError(f"{path}: the array {name!r} is missing; the file is damaged, extract it again")
        if not isinstance(link, h5py.HardLink):
            raise StoreError(f"{path}: {name!r} is a link to elsewhere, which a feature store must not contain")
        node = node[part]
    return node


def read_offsets(file: h5py.File, name: str, path: Path) -> NDArray[np.int64]:
    """Offsets of a ragged column, checked to start at 0 and never to fall."""
    offsets: NDArray[np.int64] = read_array(file, f"{name}/offsets", path, ArrayForm(dtype="int64", tail=()))
    # Compared, not subtracted: a difference of two numbers of 64 bits may be one of 65.
    if not len(offsets) or offsets[0] != 0 or np.any(offsets[1:] < offsets[:-1]):
        raise _misfit(path, name)
    return offsets


def _misfit(path: Path, name: str) -> StoreError:
    return StoreError(f"{path}: the offsets of {name!r} do not fit its values; the file is damaged")


class Column(Protocol):
    """A column whose rows have values of varying number."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Array:
        """Values of row ``row``."""
        ...

    def take(self, rows: NDArray[np.int64]) -> list[Array]:
        """Values of each of these rows."""
        ...

    def block(self, start: int, stop: int) -> RaggedBlock:
        """Rows from ``start`` to before ``stop``."""
        ...

    def lengths(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Number of values in every row, or in those from ``start`` to before ``stop``."""
        ...

    def read_ahead(self, rows: NDArray[np.int64]) -> None:
        """Lets the operating system read rows from the disk in the background."""
        ...

    def release(self) -> None:
        """Gives memory of rows read so far back."""
        ...


class RaggedColumn:
    """A :class:`Column` whose values lie in one array."""

    def __init__(self, values: Array, offsets: NDArray[np.int64]):
        self.values = values
        self.offsets = offsets

    @classmethod
    def read(cls, file: h5py.File, name: str, path: Path, form: ArrayForm, *, lazily: bool = False) -> RaggedColumn:
        """The column ``name`` of a file, its values of this form; ``lazily`` as in :func:`read_array`."""
        values = read_array(file, f"{name}/values", path, form, lazily=lazily)
        offsets = read_offsets(file, name, path)
        if offsets[-1] != len(values):
            raise _misfit(path, name)
        return cls(values, offsets)

    @classmethod
    def of_empty_rows(cls, rows: int, dtype: str) -> RaggedColumn:
        """A column in which no row has values."""
        return cls(np.empty(0, dtype), np.zeros(rows + 1, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        values: Array = self.values[self.offsets[row] : self.offsets[row + 1]]
        return values

    def take(self, rows: NDArray[np.int64]) -> list[Array]:
        """Values of each of these rows."""
        starts, ends = self.offsets[rows].tolist(), self.offsets[rows + 1].tolist()
        return [self.values[start:end] for start, end in zip(starts, ends, strict=True)]

    def block(self, start: int, stop: int) -> RaggedBlock:
        """Rows from ``start`` to before ``stop``."""
        values = self.values[self.offsets[start] : self.offsets[stop]]
        return RaggedBlock(values=values, lengths=self.lengths(start, stop))

    def lengths(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Number of values in every row, or in those from ``start`` to before ``stop``."""
        return np.diff(self.offsets[start : None if stop is None else stop + 1])

    def read_ahead(self, rows: NDArray[np.int64]) -> None:
        """Lets the operating system read rows from the disk in the background."""
        mapped = map_behind(self.values) if len(self.values) else None
        if mapped is None:
            return
        begin, size = place_in_map(self.values, mapped), self.values.nbytes // len(self.values)
        starts, ends = begin + self.offsets[rows] * size, begin + self.offsets[rows + 1] * size
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            read_pages_ahead(mapped, start, end)

    def release(self) -> None:
        """Gives memory of rows read so far back."""
        release_pages(self.values)


def row_bytes(column: Column, row: int) -> bytes:
    """Row ``row`` of a byte column."""
    return bytes(column[row].tobytes())


def row_text(column: Column, row: int) -> str:
    """Row ``row`` of a text column."""
    return decode_text(row_bytes(column, row))


def all_texts(column: Column) -> list[str]:
    """All rows of a text column, decoded."""
    return column.block(0, len(column)).texts()
