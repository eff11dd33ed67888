"""Which output a person means, by ``--format`` or by the name of the file; and CSV and Parquet, made from the journal.

A table is there only once all is done; until then the work is kept in a journal beside it, ``OUT.unfinished.jsonl``.
"""

from __future__ import annotations

import codecs
import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ....data.errors import ConfigError, RunError, reason_of
from ....data.foreign.csv_cells import TAG_COLUMNS, as_cell, from_cell
from ....data.foreign.json_reader import check_is_file, parse_json
from ....data.foreign.parquet_damage import PARQUET_DAMAGE, rows_in_batches
from ....data.inputs.metadata.metadata_table import MAX_FIELD_CHARACTERS
from ....data.inputs.relative_paths import printable
from ....data.whole_files import lock_out, whole_file
from ...scores.predictions import json_line
from ..tagged_file import TaggedFile
from .hugging_face import HuggingFaceOutput
from .journal import Journal, PathSet, real_path
from .made_with import MadeWith, check_made_with, check_record, record_path, write_record


class Row(NamedTuple):
    """A row of a table: whose, whether that file failed, and what stands there in the table's own terms."""

    path: str
    failed: bool
    content: Any


class TableOutput(ABC):
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
        self._made_with = made_with
        self._replaces = overwrite
        self._retries = retry_failed
        self._tagged, self._failed = PathSet(), PathSet()
        if path.exists() and not overwrite:
            for row in self.read(only_paths=True):
                (self._failed if row.failed else self._tagged).add(row.path)
        unfinished = path.with_name(f"{path.name}.unfinished.jsonl")
        self._journal = Journal(unfinished, made_with, overwrite=overwrite, retry_failed=retry_failed)

    @abstractmethod
    def read(self, *, only_paths: bool = False) -> Iterator[Row]:
        """Rows of the file that is there; ``only_paths`` needs no content.

        Raises:
            RunError: it is something else, or was made with another run or other options.
        """

    @abstractmethod
    def from_json(self, row: dict[str, Any]) -> Any:
        """What stands in the table for a line of the journal."""

    @abstractmethod
    def save(self, path: Path, contents: Iterator[Any]) -> None:
        """Writes a file with these rows, of which few are held at a time."""

    def _is_in_file(self, path: str) -> bool:
        return path in self._tagged or (path in self._failed and not self._retries)

    def is_done(self, path: str) -> bool:
        """See :class:`Journal`."""
        return self._is_in_file(path) or self._journal.is_done(path)

    def claim(self, path: str) -> bool:
        """See :class:`Journal`."""
        return not self._is_in_file(path) and self._journal.claim(path)

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Adds a group to the journal; errors as :meth:`Journal.write`."""
        self._begin_anew()
        self._journal.write(group)

    def _begin_anew(self) -> None:
        """With ``overwrite``, the old file goes once there is something new: the next command shall go on with that."""
        if self._replaces:
            try:
                real_path(self.path).unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"{self.path} cannot be written: {error.strerror or error}") from error
            self._replaces = False

    def finish(self) -> None:
        """Writes the file, which then is whole; one that nothing is added to stays as it is.

        Raises:
            RunError: it cannot be written.
        """
        self._begin_anew()
        self._journal.finish()
        if self._journal.path.stat().st_size or not self.path.exists():
            with whole_file(real_path(self.path)) as temporary:
                self.save(temporary, self._merged())
        self._journal.remove()

    def _merged(self) -> Iterator[Any]:
        """Rows of the file that is there, less those of failed files that were tried again, and those of the journal."""
        for row in self.read() if self.path.exists() else ():
            if not (row.failed and self._journal.is_done(row.path)):
                yield row.content
        for line in self._journal.rows():
            if line["path"] not in self._tagged:  # a kill right after the last finish leaves lines that the file has
                yield self.from_json(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()


COLUMNS = TAG_COLUMNS
"""Of CSV. ``tags``, ``scores`` and ``novel`` are JSON lists of the same length, ``details`` is all that JSON lines hold."""


SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
"""Of CSV, by the names that ``--csv-separator`` has for them."""


class CsvOutput(TableOutput):
    """Comma-separated values, one row a file, so that its ``tags`` can be read again as metadata.

    With another separator the file is as spreadsheets want it, UTF-8 with a byte order mark. A file that is there keeps its form.

    Which run and options made it is kept beside it. Half of a last line is that of an interrupted command of a version that
    wrote the table line by line: the file is gone on with, without that line.
    """

    def __init__(self, path: Path, made_with: MadeWith, *, separator: str | None = None, **how: bool):
        self._separator, self._mark = separator or ",", b"" if separator is None else codecs.BOM_UTF8
        super().__init__(path, made_with, **how)

    def read(self, *, only_paths: bool = False) -> Iterator[Row]:  # noqa: ARG002
        """See :class:`TableOutput`."""
        csv.field_size_limit(MAX_FIELD_CHARACTERS)  # details of many tags with evidence and segments are long
        try:
            with self.path.open("rb") as file:
                self._mark = codecs.BOM_UTF8 if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else b""
                file.seek(len(self._mark))
                self._check_head(file.readline())
                for number, line in enumerate(file, start=2):
                    if line.endswith(b"\n") or self._is_whole(line):
                        yield self._row(line, number)
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _check_head(self, line: bytes) -> None:
        heads = {separator.join(COLUMNS): separator for separator in SEPARATORS.values()}
        head = line.rstrip(b"\r\n").decode("utf-8", "replace")
        is_half = not line.endswith(b"\n") and any(one.startswith(head) for one in heads)
        is_begun = is_half and (self.path.stat().st_size == 0 or record_path(self.path).exists())
        if not is_begun and head not in heads:
            raise RunError(f"{self.path} is no table of optsg-tag; name another file with --out")
        if not is_begun:
            self._separator = heads[head]
            check_record(self.path, self._made_with)

    def _is_whole(self, line: bytes) -> bool:
        """Whether a last line lacks nothing but its end, as an editor may leave it; the list in its last cell says so."""
        try:
            return isinstance(parse_json(self._row(line, 0).content[-1]), list)
        except (RunError, ValueError):
            return False

    def _row(self, line: bytes, number: int) -> Row:
        try:
            fields = next(csv.reader([line.decode("utf-8")], strict=True, delimiter=self._separator))
            if len(fields) != len(COLUMNS):
                raise ValueError(f"{len(fields)} fields in place of {len(COLUMNS)}")
        except (ValueError, csv.Error, StopIteration) as error:
            raise RunError(
                f"{self.path}, line {number}, is not what optsg-tag writes ({reason_of(error)}); name another file with --out"
            ) from error
        return Row(from_cell(fields[0]), bool(fields[COLUMNS.index("error")]), fields)

    def from_json(self, row: dict[str, Any]) -> list[str]:
        """See :class:`TableOutput`; line ends within a field become spaces."""
        tags = row.get("tags", [])
        lists = (json_line([tag[name] for tag in tags]) for name in ("tag", "score", "novel"))
        fields = (row["path"], row.get("title", ""), *lists, row.get("error", ""), json_line(tags))
        return [as_cell(printable(field)) for field in fields]

    def save(self, path: Path, contents: Iterator[list[str]]) -> None:
        """See :class:`TableOutput`."""
        write_record(self.path, self._made_with)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(self._mark.decode("utf-8"))
            writer = csv.writer(file, lineterminator="\n", delimiter=self._separator)
            writer.writerow(COLUMNS)
            writer.writerows(contents)


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

WITH_SEGMENTS = pa.schema(
    {
        **{field.name: field.type for field in SCHEMA},
        "tags": pa.list_(pa.struct([*TAG, pa.field("segments", pa.string())])),
    }
)
"""The same where tags say when they hold, as JSON."""

JSON_TEXTS = ("evidence", "segments")
"""What of a tag is JSON in Parquet."""

MADE_WITH = b"optsg"
"""Key of the file's metadata, which says which run and options made it."""


class ParquetOutput(TableOutput):
    """A Parquet file with :data:`SCHEMA`, or with segments :data:`WITH_SEGMENTS`."""

    @property
    def _schema(self) -> pa.Schema:
        return WITH_SEGMENTS if self._made_with.segments else SCHEMA

    def read(self, *, only_paths: bool = False) -> Iterator[Row]:
        """See :class:`TableOutput`."""
        try:
            check_is_file(self.path)
            found = pq.read_schema(self.path)
        except PARQUET_DAMAGE as error:
            raise RunError(
                f"{self.path} is not a Parquet file ({reason_of(error)}); name another file with --out"
            ) from error
        if not any(found.equals(schema) for schema in (SCHEMA, WITH_SEGMENTS)):
            raise RunError(f"{self.path} is no table of optsg-tag; name another file with --out")
        there = (found.metadata or {}).get(MADE_WITH, b"")
        check_made_with(self.path, there, self._made_with, where=f"the metadata of {self.path}")
        columns = ["path", "error"] if only_paths else None
        for rows in rows_in_batches(
            lambda: pq.ParquetFile(self.path).iter_batches(ROWS_AT_ONCE, columns=columns), self._damage
        ):
            for row in rows:
                if not isinstance(row["path"], str):
                    raise self._damage(ValueError("a row without a path"))
                yield Row(row["path"], row["error"] is not None, row)

    def _damage(self, error: BaseException) -> RunError:
        return RunError(f"{self.path} is damaged ({reason_of(error)}); name another file with --out, or begin anew")

    def from_json(self, row: dict[str, Any]) -> dict[str, Any]:
        """See :class:`TableOutput`."""
        for tag in row.get("tags", ()):
            for name in JSON_TEXTS:
                if name in tag:
                    tag[name] = json.dumps(tag[name], ensure_ascii=False)
        return row

    def save(self, path: Path, contents: Iterator[dict[str, Any]]) -> None:
        """See :class:`TableOutput`."""
        schema = self._schema.with_metadata({MADE_WITH: self._made_with.to_json()})
        with pq.ParquetWriter(path, schema) as writer:
            while some := list(islice(contents, ROWS_AT_ONCE)):
                writer.write_table(self._table(some, schema))

    def _table(self, rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
        try:
            return pa.Table.from_pylist(rows, schema)
        except PARQUET_DAMAGE as error:
            raise RunError(
                f"{self._journal.path} holds what Parquet cannot ({reason_of(error)}); begin anew with --overwrite"
            ) from error


Output = Journal | TableOutput | HuggingFaceOutput

FORMATS: dict[str, type[Journal | CsvOutput | ParquetOutput | HuggingFaceOutput]] = {
    "jsonl": Journal,
    "csv": CsvOutput,
    "parquet": ParquetOutput,
    "hf": HuggingFaceOutput,
}


@contextmanager
def open_output(
    path: Path,
    kind: str | None,
    made_with: MadeWith,
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
    csv_separator: str | None = None,
    replace: bool = False,
) -> Iterator[Output]:
    """Opens an output, which no other process can write while the block lasts.

    Args:
        kind: one of ``FORMATS``; ``None`` goes by the suffix.
        made_with: the run and options; what the file holds was made by the same, and is done.
        overwrite: begin anew, whatever made the file.
        retry_failed: what the file holds is done, less the files that could not be tagged.
        csv_separator: of CSV, one of ``SEPARATORS``.
        replace: of ``hf``: tags that rows have already are replaced.

    Raises:
        ConfigError: the suffix says nothing.
        RunError: the file cannot be used, was made with another run or other options, or another process is writing it.
    """
    kind = kind or path.suffix.lower().removeprefix(".")
    if csv_separator is not None and kind != "csv":
        raise ConfigError(f"--csv-separator is of CSV, and --out {path} is none")
    if kind not in FORMATS:
        raise ConfigError(f"--out {path}: no known suffix; use .jsonl, .csv or .parquet, or say --format")
    with lock_out(path, RunError):
        how: dict[str, Any] = {"overwrite": overwrite, "retry_failed": retry_failed}
        how |= {"separator": SEPARATORS[csv_separator]} if kind == "csv" and csv_separator else {}
        how |= {"replace": replace} if kind == "hf" else {}
        output = FORMATS[kind](path, made_with, **how)
        with output:
            yield output
