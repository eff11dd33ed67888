"""A new HDF5 file of columns: a full disk is one sentence, and every array gets a digest while it is written.

The HDF5 library cannot survive a failed write: closing the file tries to write again, and the process dies. The file that it
is given (:class:`DiskFile`) never fails towards HDF5. It remembers the first error, lets all later writes go nowhere, and its
owner raises the error.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import schema
from ..files import fsync, write_errors
from ..row_blocks import RaggedBlock, RowBlock
from ..schema import ColumnSpec, StoreHeader
from .columns import ArrayWriter, RaggedWriter

HEADER_DIGEST = "header"
"""Name of the header's digest among those of the arrays."""


class ColumnFileWriter:
    """Creates columns, appends to them and finishes the file. Use as a context manager.

    Raises:
        StoreWriteError: the file cannot be written.
    """

    def __init__(self, path: Path, header: StoreHeader):
        self.path = path
        self._header = header
        self._ragged: dict[str, RaggedWriter] = {}
        self._fixed: dict[str, ArrayWriter] = {}
        self._digests: dict[str, str] = {}
        with write_errors(path):
            self._disk = DiskFile(path)
        self._file: Any = None
        try:
            with self._guarded():
                self._file = h5py.File(self._disk, "w")
                text = header.to_json()
                self._file.attrs.update(format=schema.FORMAT, version=schema.VERSION, header=text, kind="open")
        except BaseException:
            self.abandon()
            raise
        self._digests[HEADER_DIGEST] = hashlib.sha256(text.encode()).hexdigest()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        with write_errors(self.path):
            yield
            if self._disk.error is not None:
                raise self._disk.error

    def add_ragged(
        self, name: str, spec: ColumnSpec, *, size: tuple[int, int] | None = None, with_values: bool = True
    ) -> None:
        """Creates a ragged column; ``size`` is its final number of rows and of values where it is known."""
        width = None if spec.width_field is None else int(getattr(self._header, spec.width_field))
        with self._guarded():
            self._ragged[name] = RaggedWriter(
                self._file, name, dtype=spec.dtype, width=width, size=size, with_values=with_values
            )

    def add_fixed(self, name: str, dtype: str, *, rows: int | None = None) -> None:
        """Creates a fixed column; ``rows`` is its final length where it is known."""
        with self._guarded():
            self._fixed[name] = ArrayWriter(self._file, name, dtype=dtype, rows=rows)

    def append(self, ragged: Mapping[str, NDArray[Any] | bytes | str], fixed: Mapping[str, float]) -> None:
        """Adds one row to each of these columns."""
        with self._guarded():
            for name, row in ragged.items():
                if isinstance(row, str):
                    self._ragged[name].append_text(row)
                else:
                    self._ragged[name].append(np.frombuffer(row, np.uint8) if isinstance(row, bytes) else row)
            for name, value in fixed.items():
                self._fixed[name].append(np.array([value]))

    def extend(self, block: RowBlock) -> None:
        """Adds rows to those of the block's columns that this file has."""
        with self._guarded():
            for name, rows in block.ragged.items():
                if name in self._ragged:
                    self._ragged[name].extend(rows)
            for name, values in block.fixed.items():
                if name in self._fixed:
                    self._fixed[name].append(values)

    def write_ragged(self, name: str, spec: ColumnSpec, rows: RaggedBlock) -> None:
        """Writes a whole ragged column."""
        self.add_ragged(name, spec, size=(len(rows), len(rows.values)))
        with self._guarded():
            self._ragged[name].extend(rows)

    def write_array(
        self, name: str, blocks: Iterable[NDArray[Any]], *, dtype: str, rows: int, width: int | None = None
    ) -> None:
        """Writes a whole array, block by block."""
        with self._guarded():
            writer = self._fixed[name] = ArrayWriter(self._file, name, dtype=dtype, width=width, rows=rows)
        for block in blocks:  # they may come from a model, whose errors are no write errors
            with self._guarded():
                writer.append(block)

    def write_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Writes the title encoder's weights, which share one digest: some models have very many."""
        digest = hashlib.sha256()
        with self._guarded():
            self._file.create_group(schema.TEXT_WEIGHTS)
            for name in sorted(weights):
                weight = np.asarray(weights[name], np.float32, order="C")
                self._file[f"{schema.TEXT_WEIGHTS}/{name}"] = weight
                update_weights_digest(digest, name, weight)
        self._digests[schema.TEXT_WEIGHTS] = digest.hexdigest()

    def flush(self) -> None:
        """Hands everything appended so far to the operating system."""
        with self._guarded():
            for ragged in self._ragged.values():
                ragged.flush()
            for fixed in self._fixed.values():
                fixed.flush()
            self._file.flush()

    def finish(self, kind: str) -> None:
        """Records what kind of file it is and its digests; closes and fsyncs it."""
        self.flush()
        with self._guarded():
            for ragged in self._ragged.values():
                self._digests |= ragged.digests()
            self._digests |= {name: fixed.digest() for name, fixed in self._fixed.items()}
            self._file.attrs["digests"] = json.dumps(self._digests, sort_keys=True)
            self._file.attrs["kind"] = kind
            self._file.close()
            self._disk.close()
        with write_errors(self.path):
            fsync(self.path)

    def abandon(self) -> None:
        """Closes the file without finishing it; it stays unreadable as a part or store."""
        if self._file is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._file.close()
        self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


def update_weights_digest(digest: Any, name: str, weight: NDArray[np.float32]) -> None:
    """Adds one weight to the weights' common digest: its name, shape and values, in order of the names."""
    digest.update(f"{name}{weight.shape}".encode())
    digest.update(weight.tobytes())


class DiskFile(io.RawIOBase):
    """A new, unbuffered file for reading and writing.

    Attributes:
        error: the first error of the operating system; from then on nothing is written any more.
    """

    def __init__(self, path: Path):
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self.error: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Writes everything, or remembers why not; always reports success."""
        rest = memoryview(data).cast("B")
        total = len(rest)
        try:
            while len(rest) and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return total

    def truncate(self, size: int | None = None, /) -> int:
        """Sets the size; an error is remembered."""
        if self.error is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Reads; what was never written because of an error reads as zeros."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves to a place in the file, as ``io`` defines it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file, in bytes from its start."""
        return self._file.tell()

    def readable(self) -> bool:
        """Always: HDF5 reads back what it has written."""
        return True

    def writable(self) -> bool:
        """Always: it is a file being made."""
        return True

    def seekable(self) -> bool:
        """Always: it is a file on the disk."""
        return True

    def close(self) -> None:
        """Closes the file; an error is remembered."""
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or error
        super().close()
