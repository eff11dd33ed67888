"""Which output a person means, by ``--format`` or by the name of the file, and the Parquet file.

A Parquet file is there only once all is done; until then the work is kept as JSON lines beside it. Which run and options made
it is in its metadata, under ``optsg``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ...data.errors import ConfigError, RunError, reason_of
from ...data.json_reader import check_is_file
from ...data.parquet_damage import PARQUET_DAMAGE
from ...data.whole_files import lock_out, whole_file
from .journal import CsvOutput, JsonLinesOutput, LinesOutput, PathSet
from .made_with import MadeWith, check_made_with, record_path
from .tagged_file import TaggedFile

ROWS_AT_ONCE = 1000
"""Rows of a row group, and in memory."""


TAG = pa.struct(
    {
        "tag": pa.string(),
        "score": pa.float64(),
        "novel": pa.bool_(),
        "prompt": pa.int32(),
        "pinned": pa.bool_(),
        "written": pa.string(),
        "distance": pa.float64(),
        "evidence": pa.string(),
    }
)


SCHEMA = pa.schema({"path": pa.string(), "title": pa.string(), "tags": pa.list_(TAG), "error": pa.string()})
"""``evidence`` is JSON; a file that could not be read has neither title nor tags."""


MADE_WITH = b"optsg"
"""Key of the file's metadata."""


class ParquetOutput:
    """A table of files. Use as a context manager; :meth:`finish` makes the file.

    Where the file is there already, new rows are added to it.

    Args:
        path: of the file.
        made_with: the run and options that are to go on with it.
        overwrite: begin anew; what is there is kept until there is something to write.
        retry_failed: files that could not be tagged are not done; until they are, their rows are kept.

    Raises:
        RunError: a file cannot be read or written, holds something else, or was made with another run or other options.
    """

    def __init__(self, path: Path, made_with: MadeWith, *, overwrite: bool = False, retry_failed: bool = False):
        self.path = path
        self._schema = SCHEMA.with_metadata({MADE_WITH: made_with.to_json()})
        self._replaces = overwrite
        self._tagged, self._failed = PathSet(), PathSet()
        self._retries = retry_failed
        if path.exists() and not overwrite:
            self._check(made_with)
            for rows in self._old_rows(["path", "error"]):
                for row in rows:
                    (self._tagged if row["error"] is None else self._failed).add(row["path"])
        unfinished = path.with_name(path.name + ".unfinished.jsonl")
        self._lines = JsonLinesOutput(unfinished, made_with, overwrite=overwrite, retry_failed=retry_failed)

    def _is_in_file(self, path: str) -> bool:
        return path in self._tagged or (path in self._failed and not self._retries)

    def is_done(self, path: str) -> bool:
        """See :class:`LinesOutput`."""
        return self._is_in_file(path) or self._lines.is_done(path)

    def claim(self, path: str) -> bool:
        """See :class:`LinesOutput`."""
        return not self._is_in_file(path) and self._lines.claim(path)

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Adds a group to what is kept; errors as :meth:`LinesOutput.write`."""
        self._begin_anew()
        self._lines.write(group)

    def _begin_anew(self) -> None:
        """With ``overwrite``, the old file goes once there is something new: the next command shall go on with that."""
        if self._replaces:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"{self.path} cannot be written: {error.strerror or error}") from error
            self._replaces = False

    def finish(self) -> None:
        """Writes the file, which then is whole; one that nothing is added to stays as it is.

        Raises:
            RunError: it cannot be written.
        """
        self._begin_anew()
        self._lines.finish()
        if self._lines.path.stat().st_size or not self.path.exists():
            self._merge()
        self._lines.path.unlink()
        record_path(self._lines.path).unlink()

    def _merge(self) -> None:
        with whole_file(self.path) as temporary, pq.ParquetWriter(temporary, self._schema) as writer:
            if self.path.exists():
                for rows in self._old_rows():
                    kept = [row for row in rows if row["error"] is None or not self._lines.is_done(row["path"])]
                    writer.write_table(pa.Table.from_pylist(kept, self._schema))
            with self._lines.path.open(encoding="utf-8", newline="\n") as lines:
                while some := list(islice(lines, ROWS_AT_ONCE)):
                    # A kill right after the last finish leaves lines that are in the file already.
                    rows = [row for row in map(_row, some) if row["path"] not in self._tagged]
                    writer.write_table(pa.Table.from_pylist(rows, self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.__exit__()

    def _check(self, made_with: MadeWith) -> None:
        try:
            check_is_file(self.path)
            found = pq.read_schema(self.path)
        except PARQUET_DAMAGE as error:
            raise RunError(
                f"{self.path} is not a Parquet file ({reason_of(error)}); name another file with --out"
            ) from error
        if not found.equals(SCHEMA):
            raise RunError(f"{self.path} is no table of optsg-tag; name another file with --out")
        there = (found.metadata or {}).get(MADE_WITH, b"")
        check_made_with(self.path, there, made_with, where=f"the metadata of {self.path}")

    def _old_rows(self, columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
        with self._opened() as file:
            batches = file.iter_batches(ROWS_AT_ONCE, columns=columns)
            while True:
                try:
                    batch = next(batches, None)
                    rows = None if batch is None else batch.to_pylist()
                except PARQUET_DAMAGE as error:
                    raise self._damage(error) from error
                if rows is None:
                    return
                yield rows

    def _opened(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except PARQUET_DAMAGE as error:
            raise self._damage(error) from error

    def _damage(self, error: BaseException) -> RunError:
        return RunError(f"{self.path} is damaged ({reason_of(error)}); name another file with --out, or begin anew")


def _row(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    for tag in row.get("tags", ()):
        if "evidence" in tag:
            tag["evidence"] = json.dumps(tag["evidence"], ensure_ascii=False)
    return row


Output = LinesOutput | ParquetOutput


FORMATS: dict[str, type[Output]] = {"jsonl": JsonLinesOutput, "csv": CsvOutput, "parquet": ParquetOutput}


@contextmanager
def open_output(
    path: Path, kind: str | None, made_with: MadeWith, *, overwrite: bool = False, retry_failed: bool = False
) -> Iterator[Output]:
    """Opens an output, which no other process can write while the block lasts.

    Args:
        kind: one of ``FORMATS``; ``None`` goes by the suffix.
        made_with: the run and options; what the file holds was made by the same, and is done.
        overwrite: begin anew, whatever made the file.
        retry_failed: what the file holds is done, less the files that could not be tagged.

    Raises:
        ConfigError: the suffix says nothing.
        RunError: the file cannot be used, was made with another run or other options, or another process is writing it.
    """
    kind = kind or path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ConfigError(f"--out {path}: no known suffix; use .jsonl, .csv or .parquet, or say --format")
    with lock_out(path, RunError):
        output = FORMATS[kind](path, made_with, overwrite=overwrite, retry_failed=retry_failed)
        with output:
            yield output
