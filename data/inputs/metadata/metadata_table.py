"""Metadata tables: ``.jsonl``, ``.csv``, ``.tsv``, ``.parquet`` or a ``.json`` list, one row per video, read row by row.

Column names are trimmed and lower-cased, so ``Title`` is ``title``; :mod:`optsg.data.inputs.metadata.columns` says which are read as what.
A table that cannot be read as a whole is an :class:`InputError`, found on opening where reading once through can find it
(so not after hours of extraction); a single bad row is a :class:`Row` with an error, and the rest goes on.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...errors import InputError, reason_of
from ...foreign.csv_cells import TAG_COLUMNS, from_cell
from ...foreign.json_reader import parse_json
from .class_names import class_names, with_class_names
from .columns import FILE_NAME, ColumnMap, MetadataOptions, column_name, readable_names
from .json_list import BYTE_ORDER_MARK, check_json_list, read_json_list

TABLE_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet", ".json")
"""A folder's own table is called ``metadata`` + one of these."""


ROWS_FOR_COLUMNS = 1000
"""JSON objects may leave columns out: the columns of a table are those of so many first rows, and of all others those that can be read."""


OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs"}
"""Of files that are called ``.csv`` all the same."""


MAX_FIELD_CHARACTERS = 2**31 - 1


ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        where: its place in the file, ``line 7``.
        values: by what the column is read as; of a bad row, what is known.
        error: why the row is bad, ``None`` if it is not.
    """

    where: str
    values: Mapping[str, object]
    error: str | None = None


class MetadataTable(Protocol):
    """A table whose rows can be read any number of times."""

    path: Path
    columns: ColumnMap

    def rows(self) -> Iterator[Row]:
        """Rows in the order of the file, a few in memory at a time."""
        ...


def open_metadata_table(
    path: Path, options: MetadataOptions | None = None, *, required: Sequence[str] = (FILE_NAME,)
) -> MetadataTable:
    """Open and check a metadata table, its format told by its suffix.

    Args:
        path: of the file.
        options: which columns are read as what.
        required: it needs a column for one of these.

    Raises:
        InputError: missing, unknown suffix, not UTF-8, damaged, without a ``file_name`` column, or without rows.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such metadata file")
    kinds: dict[str, Callable[[Path, _Choice], MetadataTable]] = {
        ".jsonl": JsonLinesTable,
        ".json": JsonListTable,
        ".csv": CsvTable,
        ".tsv": TsvTable,
        ".parquet": ParquetTable,
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: unknown kind of metadata file, expected .jsonl, .json, .csv, .tsv or .parquet")
    return kind(path, _Choice(options=options or MetadataOptions(), required=tuple(required)))


def is_table(path: Path) -> bool:
    """Whether a file with a table's name is one: photo managers call the description of an album ``metadata.json``."""
    if path.suffix.lower() != ".json":
        return True
    try:
        with path.open("rb") as file:
            return file.read(1024).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"[")
    except OSError:
        return True  # said on opening


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """How the columns of a table are chosen."""

    options: MetadataOptions
    required: tuple[str, ...]

    def of(self, path: Path, names: Iterable[str]) -> ColumnMap:
        return ColumnMap.choose(path, [column_name(name) for name in names], self.options, self.required)


class _Names:
    """Names of columns as far as objects have been seen; of very many objects no more than can be read, so that they are few."""

    def __init__(self, choice: _Choice) -> None:
        self._readable = readable_names(choice.options)
        self._seen = 0
        self.found: dict[str, None] = {}

    def add(self, values: object) -> None:
        """Takes note of an object's names; anything else is none."""
        names = map(column_name, values if isinstance(values, dict) else ())
        is_early = self._seen < ROWS_FOR_COLUMNS
        self.found.update((name, None) for name in names if is_early or name in self._readable)
        self._seen += 1


def _by_name(values: Mapping[str, object]) -> dict[str, object]:
    return {column_name(name): value for name, value in values.items()}


def _row_of_object(where: str, values: Mapping[str, object], columns: ColumnMap) -> Row:
    """The row that an object is; a bad one where two of its names, such as ``Tags`` and ``tags``, are one column that is read."""
    by_name = _by_name(values)
    error = None
    if len(by_name) < len(values):
        names = [column_name(name) for name in values]
        twice = next((name for name in columns.source.values() if names.count(name) > 1), None)
        error = None if twice is None else f"{names.count(twice)} columns are called '{twice}'"
    return Row(where=where, values=columns.renamed(by_name), error=error)


class JsonLinesTable:
    """One JSON object per line; empty lines are skipped."""

    def __init__(self, path: Path, choice: _Choice) -> None:
        self.path = path
        _check_utf8(path)
        rows = self._rows()
        first = next(rows, None)
        if first is None:
            raise InputError(f"{path}: holds no rows")
        if first.error is not None:
            raise InputError(f"{path}, {first.where}: {first.error}; expected one JSON object per line")
        names = _Names(choice)
        names.add(first.values)
        for row in rows:
            names.add(row.values)
        self.columns = choice.of(path, names.found)

    def rows(self) -> Iterator[Row]:
        """One row for each line that is not empty."""
        return (
            row if row.error is not None else _row_of_object(row.where, row.values, self.columns)
            for row in self._rows()
        )

    def _rows(self) -> Iterator[Row]:
        """Rows with the names that the file gives."""
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
        return Row(where=where, values=values)


class JsonListTable:
    """A JSON file that is one list, with an object for each video."""

    def __init__(self, path: Path, choice: _Choice) -> None:
        self.path = path
        names = _Names(choice)
        check_json_list(path, names.add)
        self.columns = choice.of(path, names.found)

    def rows(self) -> Iterator[Row]:
        """One row for each item of the list, counted from 1."""
        for number, values in enumerate(read_json_list(self.path), start=1):
            if isinstance(values, dict):
                yield _row_of_object(f"item {number}", values, self.columns)
            else:
                yield Row(where=f"item {number}", values={}, error="not a JSON object")


class CsvTable:
    """Comma-separated values with a header line, quoted as by :mod:`csv` or a spreadsheet.

    Where a comma is part of numbers, spreadsheets put semicolons between values: a header that has no comma says so. In tables of
    ``optsg-tag`` an apostrophe before a formula is none of the text.
    """

    delimiter, delimiters = ",", "commas"

    def __init__(self, path: Path, choice: _Choice) -> None:
        self.path = path
        _check_utf8(path)
        self._choose_delimiter()
        self.columns = choice.of(path, self._header())
        if sum(1 for _ in self.rows()) == 0:  # reading it through also finds a quote that is never closed
            raise InputError(f"{path}: holds no rows")

    def rows(self) -> Iterator[Row]:
        """One row for each record; its line is the one that it begins on."""
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, delimiter=self.delimiter)
            line = 1
            try:
                columns = [column_name(name) for name in next(reader, [])]
                line = reader.line_num + 1
                is_of_tagging = columns[: len(TAG_COLUMNS)] == [*TAG_COLUMNS]
                for fields in map(_from_cells, reader) if is_of_tagging else reader:
                    if any(field.strip() for field in fields):  # spreadsheets write rows that are all empty
                        yield self._row(f"line {line}", columns, fields)
                    line = reader.line_num + 1
            except csv.Error as error:
                raise InputError(f"{self.path}, row that begins on line {line}: not CSV ({error})") from error

    def _choose_delimiter(self) -> None:
        header = self._header()
        for delimiter, delimiters in OTHER_DELIMITERS.items() if len(header) == 1 else ():
            if delimiter in header[0]:
                self.delimiter, self.delimiters = delimiter, delimiters
                return

    def _header(self) -> list[str]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            try:
                return next(csv.reader(file, strict=True, delimiter=self.delimiter), [])
            except csv.Error as error:
                raise InputError(f"{self.path}, row that begins on line 1: not CSV ({error})") from error

    def _row(self, where: str, columns: list[str], fields: list[str]) -> Row:
        error = None
        if len(fields) > len(columns):
            error = f"{len(fields)} fields under {len(columns)} columns, text with {self.delimiters} needs double quotes around it"
        return Row(where=where, values=self.columns.renamed(dict(zip(columns, fields, strict=False))), error=error)


def _from_cells(cells: list[str]) -> list[str]:
    return [from_cell(cell) for cell in cells]


class TsvTable(CsvTable):
    """The same with tabs between values."""

    delimiter, delimiters = "\t", "tabs"


class ParquetTable:
    """A Parquet file, read in batches of rows and only the columns in use; numbers of classes are the classes' names."""

    def __init__(self, path: Path, choice: _Choice) -> None:
        self.path = path
        with self._open() as file:
            names = [str(name) for name in file.schema_arrow.names]
            self._classes = class_names(file.schema_arrow)
            rows = file.metadata.num_rows
        self.columns = choice.of(path, names)
        self._names = [name for name in names if column_name(name) in self.columns.source.values()]
        if rows <= 0:
            raise InputError(f"{path}: holds no rows")

    def rows(self) -> Iterator[Row]:
        """One row for each of the file's, counted from 1."""
        number = 0
        with self._open() as file:
            for batch in self._batches(file):
                for values in batch:
                    number += 1
                    named = _by_name(with_class_names(values, self._classes))
                    yield Row(where=f"row {number}", values=self.columns.renamed(named))

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        from ...foreign.parquet_damage import PARQUET_DAMAGE

        try:
            return pq.ParquetFile(self.path)
        except PARQUET_DAMAGE as error:
            raise InputError(f"{self.path}: not a Parquet file ({reason_of(error)})") from error

    def _batches(self, file: Any) -> Iterator[list[dict[str, object]]]:
        from ...foreign.parquet_damage import rows_in_batches

        def refuse(error: BaseException) -> InputError:
            return InputError(f"{self.path}: damaged Parquet file ({reason_of(error)})")

        return rows_in_batches(lambda: file.iter_batches(batch_size=ROWS_AT_ONCE, columns=self._names), refuse)


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
