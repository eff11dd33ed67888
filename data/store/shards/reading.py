"""Values in tar shards, mapped into memory at the places that the store's tables give.

A shard is opened when the first of its videos is asked for. Members of a tar lie in one piece at a multiple of 512 bytes,
and the values of an ``.npy`` file at a multiple of 64 from its start, so every array is aligned.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import StoreError
from .. import schema
from ..hdf5.columns import Array, read_array, read_offsets
from ..mapped_pages import read_pages_ahead
from ..row_blocks import RaggedBlock
from ..schema import StoreHeader
from .index import ShardIndex

OPEN_SHARDS = 256
"""Shards mapped at a time: each holds a file descriptor, of which a process may have 1,024 by default."""


class MappedShards:
    """The shards of a folder as byte arrays."""

    def __init__(self, folder: Path, index: ShardIndex):
        self._paths = [folder / shard.name for shard in index.shards]
        self.sizes = np.array([shard.bytes for shard in index.shards], np.int64)
        self._maps: dict[int, tuple[NDArray[np.uint8], mmap.mmap]] = {}

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        return self._opened(number)[0]

    def map(self, number: int) -> mmap.mmap:
        """The map of a shard, from its first byte on."""
        return self._opened(number)[1]

    def _opened(self, number: int) -> tuple[NDArray[np.uint8], mmap.mmap]:
        opened = self._maps.get(number)
        if opened is None:
            if len(self._maps) >= OPEN_SHARDS:  # arrays that are in use keep their own map
                self._maps.pop(next(iter(self._maps)))
            opened = self._maps[number] = self._open(number)
        return opened

    def _open(self, number: int) -> tuple[NDArray[np.uint8], mmap.mmap]:
        path, size = self._paths[number], int(self.sizes[number])
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} cannot be read any more ({error}); copy it again, or make the store anew"
            ) from error
        return np.frombuffer(mapped, np.uint8), mapped

    def release(self) -> None:
        """Unmaps all shards; what is in use stays."""
        self._maps.clear()


class ShardColumn:
    """A :class:`optsg.data.store.hdf5.columns.Column` whose values are members of tar shards."""

    def __init__(
        self,
        shards: MappedShards,
        *,
        numbers: NDArray[np.uint32],
        places: NDArray[np.int64],
        offsets: NDArray[np.int64],
        dtype: np.dtype[np.generic],
        width: int | None,
    ):
        """``numbers``, ``places``: (V,) shard and byte of each video's first value; ``offsets``: (V + 1,) as if in one array."""
        self._shards = shards
        self._numbers = numbers
        self.places = places
        self._offsets = offsets
        self._dtype = dtype
        self._width = width
        self._value_bytes = dtype.itemsize * (1 if width is None else width)

    @property
    def _tail(self) -> tuple[int, ...]:
        return () if self._width is None else (self._width,)

    def is_inside(self) -> bool:
        """Whether every video's values lie within its shard, and all together are not more than all shards."""
        if int(self._offsets[-1]) > int(self._shards.sizes.sum()) // max(1, self._value_bytes):
            return self._value_bytes == 0  # checked first: sizes of any such offsets fit into 64 bits
        sizes = self.lengths() * self._value_bytes
        filled = sizes > 0
        numbers, places = np.asarray(self._numbers), np.asarray(self.places)
        if filled.any() and int(numbers[filled].max()) >= len(self._shards.sizes):
            return False
        rooms = self._shards.sizes[numbers[filled]] - sizes[filled]
        return bool(np.all(places[filled] >= 0) and np.all(places[filled] <= rooms))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> Array:
        count = int(self._offsets[row + 1] - self._offsets[row])
        return self._values(int(self._numbers[row]), int(self.places[row]), count)

    def take(self, rows: NDArray[np.int64]) -> list[Array]:
        """Values of each of these rows."""
        counts = self._offsets[rows + 1] - self._offsets[rows]
        where = zip(self._numbers[rows].tolist(), self.places[rows].tolist(), counts.tolist(), strict=True)
        return [self._values(*one) for one in where]

    def _values(self, number: int, start: int, count: int) -> Array:
        if not count * self._value_bytes:
            return np.empty((count, *self._tail), self._dtype)
        values: Array = self._shards[number][start : start + count * self._value_bytes]
        return values.view(self._dtype).reshape(count, *self._tail)

    def block(self, start: int, stop: int) -> RaggedBlock:
        """Rows from ``start`` to before ``stop``."""
        lengths = self.lengths(start, stop)
        values = np.empty((int(lengths.sum()), *self._tail), self._dtype)
        end = 0
        for row, length in enumerate(lengths.tolist(), start=start):
            if length:
                values[end : end + length] = self[row]
                end += length
        return RaggedBlock(values=values, lengths=lengths)

    def lengths(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Number of values in every row, or in those from ``start`` to before ``stop``."""
        return np.diff(self._offsets[start : None if stop is None else stop + 1])

    def read_ahead(self, rows: NDArray[np.int64]) -> None:
        """Lets the operating system read rows from the disk in the background."""
        starts = self.places[rows]
        ends = starts + (self._offsets[rows + 1] - self._offsets[rows]) * self._value_bytes
        for number, start, end in zip(self._numbers[rows].tolist(), starts.tolist(), ends.tolist(), strict=True):
            if end > start:
                read_pages_ahead(self._shards.map(number), start, end)

    def release(self) -> None:
        """Gives memory of rows read so far back."""
        self._shards.release()


def open_shard_columns(
    tables: h5py.File, path: Path, shards: MappedShards, header: StoreHeader
) -> dict[str, ShardColumn]:
    """The columns of :data:`optsg.data.store.schema.MEMBERS`.

    Args:
        tables: the folder's HDF5 file, at ``path``.

    Raises:
        StoreError: the tables are damaged.
    """
    numbers = read_array(tables, schema.SHARD_NUMBER, path, schema.array_form(schema.SHARD_NUMBER, header))
    columns = {}
    for name in schema.MEMBERS:
        spec, place = schema.VIDEO_COLUMNS[name], schema.shard_offset(name)
        column = ShardColumn(
            shards,
            numbers=numbers,
            places=read_array(tables, place, path, schema.array_form(place, header)),
            offsets=read_offsets(tables, name, path),
            dtype=np.dtype(spec.dtype),
            width=None if spec.width_field is None else int(getattr(header, spec.width_field)),
        )
        if not len(numbers) == len(column.places) == len(column):
            raise StoreError(f"{path}: the columns of {name!r} have different lengths; the file is damaged")
        if not column.is_inside():
            raise StoreError(f"{path}: the values of {name!r} would lie outside the shards; the file is damaged")
        columns[name] = column
    return columns
