"""Writing a finished store in either form: rows in blocks, then the text model's tables, then its name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import StoreWriteError
from . import schema
from .digests import file_digest
from .files import (
    INDEX_NAME,
    TABLES_NAME,
    check_target,
    fsync,
    is_file_name,
    make_read_only,
    publish_file,
    publish_folder,
    recover_store,
    remove_folder,
    temporary_name,
    write_errors,
)
from .plan import StoreColumns, StorePlan, TextTables
from .row_blocks import Array, RowBlock
from .shards.index import IndexedFile, ShardIndex
from .shards.writing import Samples, ShardSetWriter, record_json, sample_key

Progress = Callable[[int], None]
"""Called with numbers of videos that were dealt with since the last call."""


class StoreSink(Protocol):
    """Where a finished store is written to, in one form or the other."""

    def begin(self) -> None:
        """Makes the temporary file or folder."""
        ...

    def add(self, block: RowBlock) -> None:
        """Adds the videos of a block."""
        ...

    def finish(self, text: TextTables) -> None:
        """Writes the rest and gives the store its name."""
        ...

    def abandon(self) -> None:
        """Removes everything written so far."""
        ...


def write_store(
    out: Path,
    plan: StorePlan,
    blocks: Iterable[RowBlock],
    text: Callable[[], TextTables],
    *,
    progress: Progress | None = None,
) -> None:
    """Writes a finished, read-only store; one that was at ``out`` is replaced in the last moment.

    Args:
        out: a name that ends in ``.h5`` for one file, any other for a folder of shards.
        plan: what is in it.
        blocks: its videos with tags numbered as in the plan.
        text: asked for after the last block.
        progress: called after every block.

    Raises:
        StoreWriteError: it cannot be written; what was at ``out`` stays, and nothing else is left.
    """
    check_target(out)
    recover_store(out)
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    sink: StoreSink = _FileSink(out, plan) if is_file_name(out) else _ShardSink(out, plan)
    try:
        sink.begin()
        for block in blocks:
            sink.add(block)
            if progress is not None:
                progress(len(block))
        sink.finish(text())
    except BaseException:
        sink.abandon()
        raise


class _FileSink:
    """A store as one HDF5 file."""

    def __init__(self, out: Path, plan: StorePlan):
        self._out = out
        self._plan = plan
        self._temporary = temporary_name(out)
        self._columns = StoreColumns(plan, without=())

    def begin(self) -> None:
        with write_errors(self._out):
            self._temporary.unlink(missing_ok=True)
        self._columns.create(self._temporary)

    def add(self, block: RowBlock) -> None:
        self._columns.add(block)

    def finish(self, text: TextTables) -> None:
        self._columns.finish(text, kind="store")
        with write_errors(self._out):
            publish_file(self._temporary, self._out)

    def abandon(self) -> None:
        self._columns.abandon()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)


class _ShardSink:
    """A store as a folder of tar shards."""

    def __init__(self, out: Path, plan: StorePlan):
        self._out = out
        self._plan = plan
        self._folder = temporary_name(out)
        places = {schema.shard_offset(name): "int64" for name in schema.MEMBERS}
        self._columns = StoreColumns(
            plan, without=tuple(schema.MEMBERS), fixed={schema.SHARD_NUMBER: "uint32", **places}
        )
        self._shards = ShardSetWriter(self._folder)
        self._samples = Samples(plan.tag_spellings)

    def begin(self) -> None:
        with write_errors(self._out):
            remove_folder(self._folder)
            self._folder.mkdir()
        self._columns.create(self._folder / TABLES_NAME)

    def add(self, block: RowBlock) -> None:
        records = self._samples.records(block)
        columns = {name: block.ragged[name].rows() for name in schema.MEMBERS}
        numbers = np.empty(len(block), np.uint32)
        places = {name: np.full(len(block), -1, np.int64) for name in schema.MEMBERS}
        for row, record in enumerate(records):
            arrays = {name: values[row] for name, values in columns.items() if len(values[row])}
            members, headers = self._members(arrays)
            found = self._shards.add(sample_key(record["id"]), {**members, "json": record_json(record)})
            numbers[row] = self._shards.number
            for name, header in headers.items():
                places[name][row] = found[schema.MEMBERS[name]] + header
        fixed = {schema.shard_offset(name): values for name, values in places.items()}
        self._columns.add(RowBlock(ragged=block.ragged, fixed={**block.fixed, **fixed, schema.SHARD_NUMBER: numbers}))

    def _members(self, arrays: Mapping[str, Array]) -> tuple[dict[str, bytes], dict[str, int]]:
        """Members by suffix, and by column the number of bytes before its values."""
        members, headers = {}, {}
        for name, array in arrays.items():
            suffix = schema.MEMBERS[name]
            header = self._samples.npy_header(array) if suffix.endswith(".npy") else b""
            members[suffix] = header + array.tobytes()
            headers[name] = len(header)
        return members, headers

    def finish(self, text: TextTables) -> None:
        self._shards.finish()
        self._columns.finish(text, kind="tables")
        with write_errors(self._out):
            tables = self._folder / TABLES_NAME
            make_read_only(tables)
            index = ShardIndex(
                videos=self._plan.videos,
                failures=len(self._plan.failures),
                tags=len(self._plan.tag_keys),
                tables=IndexedFile(
                    name=TABLES_NAME, samples=0, bytes=tables.stat().st_size, sha256=file_digest(tables)
                ),
                shards=tuple(self._shards.finished),
            )
            _write_whole(self._folder / INDEX_NAME, index.to_json())
            publish_folder(self._folder, self._out)

    def abandon(self) -> None:
        self._shards.abandon()
        self._columns.abandon()
        with contextlib.suppress(OSError, StoreWriteError):
            remove_folder(self._folder)


def _write_whole(path: Path, text: str) -> None:
    temporary = temporary_name(path)
    temporary.write_text(text, encoding="utf-8")
    make_read_only(temporary)
    fsync(temporary)
    temporary.replace(path)
