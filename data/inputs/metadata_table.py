"""Metadata tables: ``.jsonl``, ``.csv``, ``.parquet`` or a ``.json`` list, one row per video, read row by row.

Column names are trimmed and lower-cased, so ``Title`` is ``title``. ``file_name`` is required; every other column is optional.
A table that cannot be read as a whole is an :class:`InputError`, found on opening where reading once through can find it
(so not after hours of extraction); a single bad row is a :class:`Row` with an error, and the rest goes on.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError, reason_of
from ..json_reader import parse_json
from .json_list import check_json_list, read_json_list
from .records import FORBIDDEN, PINNED

FILE_NAME = "file_name"
COLUMNS = (FILE_NAME, "id", "title", "tags", "split", PINNED, FORBIDDEN)
TABLE_SUFFIXES = (".jsonl", ".csv", ".parquet")
"""In the order in which a folder is searched for ``metadata`` + suffix; a ``.json`` list has to be named."""

MAX_FIELD_CHARACTERS = 2**31 - 1
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        where: its place in the file, ``line 7``.
        values: by column name; of a bad row, what is known.
        error: why the row is bad, ``None`` if it is not.
    """

    where: str
    values: Mapping[str, object]
    error: str | None = None


class MetadataTable(Protocol):
    """A table whose rows can be read any number of times."""

    path: Path

    def rows(self) -> Iterator[Row]:
        """Rows in the order of the file, a few in memory at a time."""
        ...


def open_metadata_table(path: Path) -> MetadataTable:
    """Open and check a metadata table, its format told by its suffix.

    Raises:
        InputError: missing, unknown suffix, not UTF-8, damaged, without a ``file_name`` column, or without rows.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such metadata file")
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return JsonLinesTable(path)
    if suffix == ".json":
        return JsonListTable(path)
    if suffix == ".csv":
        return CsvTable(path)
    if suffix == ".parquet":
        return ParquetTable(path)
    raise InputError(f"{path}: unknown kind of metadata file, expected .jsonl, .json, .csv or .parquet")


class JsonLinesTable:
    """One JSON object per line; empty lines are skipped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_utf8(path)
        first = next(self.rows(), None)
        if first is None:
            raise InputError(f"{path}: holds no rows")
        if first.error is not None:
            raise InputError(f"{path}, {first.where}: {first.error}; expected one JSON object per line")
        _check_columns(path, list(first.values))

    def rows(self) -> Iterator[Row]:
        """One row for each line that is not empty."""
        with self.path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield self._row(f"line {number}", line)

    @staticmethod
    def _row(where: str, line: str) -> Row:
        try:
            values = parse_json(line, finite=False)
        except ValueError as error:
            return Row(where=where, values={}, error=f"not JSON ({reason_of(error)})")
        if not isinstance(values, dict):
            return Row(where=where, values={}, error="not a JSON object")
        return Row(where=where, values={_column(name): value for name, value in values.items()})


class JsonListTable:
    """A JSON file that is one list, with an object for each video."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_columns(path, [_column(name) for name in check_json_list(path)])

    def rows(self) -> Iterator[Row]:
        """One row for each item of the list, counted from 1."""
        for number, values in enumerate(read_json_list(self.path), start=1):
            if isinstance(values, dict):
                yield Row(where=f"item {number}", values={_column(name): value for name, value in values.items()})
            else:
                yield Row(where=f"item {number}", values={}, error="not a JSON object")


class CsvTable:
    """Comma-separated values with a header line, quoted as by :mod:`csv` or a spreadsheet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_utf8(path)
        if sum(1 for _ in self.rows()) == 0:  # reading it through also finds a quote that is never closed
            raise InputError(f"{path}: holds no rows")

    def rows(self) -> Iterator[Row]:
        """One row for each record; its line is the one that it begins on."""
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            line = 1
            try:
                columns = [_column(name) for name in next(reader, [])]
                _check_columns(self.path, columns)
                line = reader.line_num + 1
                for fields in reader:
                    if fields:
                        yield self._row(f"line {line}", columns, fields)
                    line = reader.line_num + 1
            except csv.Error as error:
                raise InputError(f"{self.path}, row that begins on line {line}: not CSV ({error})") from error

    @staticmethod
    def _row(where: str, columns: list[str], fields: list[str]) -> Row:
        error = None
        if len(fields) > len(columns):
            error = f"{len(fields)} fields under {len(columns)} columns, text with commas needs double quotes around it"
        return Row(where=where, values=dict(zip(columns, fields, strict=False)), error=error)


class ParquetTable:
    """A Parquet file, read in batches of rows and only the columns in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            names = [str(name) for name in file.schema_arrow.names]
            rows = file.metadata.num_rows
        _check_columns(path, [_column(name) for name in names])
        self._columns = [name for name in names if _column(name) in COLUMNS]
        if rows <= 0:
            raise InputError(f"{path}: holds no rows")

    def rows(self) -> Iterator[Row]:
        """One row for each of the file's, counted from 1."""
        number = 0
        with self._open() as file:
            for batch in self._batches(file):
                for values in batch:
                    number += 1
                    yield Row(where=f"row {number}", values={_column(name): value for name, value in values.items()})

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        from ..parquet_damage import PARQUET_DAMAGE

        try:
            return pq.ParquetFile(self.path)
        except PARQUET_DAMAGE as error:
            raise InputError(f"{self.path}: not a Parquet file ({reason_of(error)})") from error

    def _batches(self, file: Any) -> Iterator[list[dict[str, object]]]:
        from ..parquet_damage import PARQUET_DAMAGE

        batches = file.iter_batches(batch_size=ROWS_AT_ONCE, columns=self._columns)
        while True:
            try:
                batch = next(batches, None)
                rows = None if batch is None else batch.to_pylist()
            except PARQUET_DAMAGE as error:
                raise InputError(f"{self.path}: damaged Parquet file ({reason_of(error)})") from error
            if rows is None:
                return
            yield rows


def _column(name: str) -> str:
    return name.strip().lower()


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    columns = list(columns)
    if FILE_NAME not in columns:
        found = ", ".join(columns)[:200] or "nothing"
        raise InputError(f"{path}: no column '{FILE_NAME}' (found: {found})")
    for name in COLUMNS:
        if columns.count(name) > 1:
            raise InputError(f"{path}: {columns.count(name)} columns are called '{name}'")


def _check_utf8(path: Path) -> None:
    """Read the file once through, so that a wrong encoding is an error at the start."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    try:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                decoder.decode(chunk)
                line += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += bytes(error.object[: error.start]).count(b"\n")
        byte = error.object[error.start]
        raise InputError(f"{path}, line {line}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
