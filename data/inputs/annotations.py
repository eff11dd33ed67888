"""What metadata says of videos by id, where there are no videos to go with it: for features that were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..errors import InputError
from ..media import Failure
from .create_annotations import Annotation, is_create_layout, open_create_annotations
from .metadata.columns import FILE_NAME, MetadataOptions
from .metadata.metadata_table import MetadataTable, Row, open_metadata_table
from .metadata.records import Record, id_or, parse_id, parse_record
from .metadata.survey import ROWS_BEFORE_READING, survey_table
from .rows_by_file import joined_record


class Annotations(Protocol):
    """Videos in the order of the metadata; read from the disk each time."""

    @property
    def description(self) -> str:
        """One line for people: the files that are read."""
        ...

    def notes(self, *, needs_all: bool = True) -> list[str]:
        """What people should know of them before they are used, a sentence each."""
        ...

    def __iter__(self) -> Iterator[Annotation | Failure]: ...


def open_annotations(path: Path, options: MetadataOptions | None = None, *, by_path: bool = False) -> Annotations:
    """Annotations of CREATE (a file, or a folder with those of one set), or a metadata table.

    Args:
        path: of the file or folder.
        options: how a table is read.
        by_path: the id of a row without one is its whole file name.

    Raises:
        InputError: they cannot be used.
    """
    if path.is_dir() or is_create_layout(path):
        return open_create_annotations(path)
    options = options or MetadataOptions()
    table = open_metadata_table(path, options, required=(FILE_NAME, "id"))
    return TableAnnotations(table, options, by_path=by_path)


class TableAnnotations:
    """Rows of a metadata table; the id is that of the row, else the stem of its file name.

    Several rows with one id are one annotation where they may be joined, else one failure.
    """

    def __init__(self, table: MetadataTable, options: MetadataOptions, *, by_path: bool = False):
        self._table = table
        self._options = options
        self._by_path = by_path

    @property
    def description(self) -> str:
        """Name of the table."""
        return self._table.path.name

    def notes(self, *, needs_all: bool = True) -> list[str]:
        """What people should know of the table before it is used; as :meth:`optsg.data.inputs.metadata.survey.TableSurvey.notes`."""
        survey = survey_table(self._table.path.name, self._table, self._options, ROWS_BEFORE_READING)
        return list(survey.notes(needs_all=needs_all))

    def __iter__(self) -> Iterator[Annotation | Failure]:
        done: set[str] = set()
        for row in self._table.rows():
            name = self._id(row)
            if name is None or name not in self._repeated:
                yield self._of_row(row)
            elif name not in done:
                done.add(name)
                yield self._of_rows(name, self._repeated[name])

    @cached_property
    def _repeated(self) -> dict[str, list[Row]]:
        """Rows of the ids that several rows have; the table is read once more where there are any."""
        seen: set[str] = set()
        repeated: dict[str, list[Row]] = {}
        for row in self._table.rows():
            if name := self._id(row):
                if name in seen:
                    repeated[name] = []
                seen.add(name)
        for row in self._table.rows() if repeated else ():
            if (name := self._id(row)) in repeated:
                repeated[name].append(row)
        return repeated

    def _id(self, row: Row) -> str | None:
        """Id of a row, else the stem of its file name; ``None`` if it has neither."""
        try:
            own = parse_id(row.values)
        except InputError:
            return None
        name = row.values.get(FILE_NAME)
        if own or not isinstance(name, str):
            return own
        path = PurePosixPath(name)
        return (str(path) if self._by_path else path.stem) or None

    def _of_row(self, row: Row) -> Annotation | Failure:
        where = f"{self._table.path.name}, {row.where}"
        try:
            if row.error is not None:
                raise InputError(row.error)
            record = parse_record(row.values, self._options.tag_separator)
            name = self._id(row)
            if name is None:
                raise InputError(f"neither id nor {FILE_NAME}")
        except InputError as error:
            return Failure(id=id_or(row.values, where), source=where, stage="read", error=f"{where}: {error}")
        return _annotation(where, record, name, row)

    def _of_rows(self, name: str, rows: list[Row]) -> Annotation | Failure:
        where = f"{self._table.path.name}, {rows[0].where}"
        try:
            record = joined_record(rows, name, self._options)
        except InputError as error:
            return Failure(id=name, source=where, stage="read", error=f"{self._table.path.name}: {error}")
        return _annotation(where, record, name, rows[0])


def _annotation(where: str, record: Record, name: str, row: Row) -> Annotation:
    file = row.values.get(FILE_NAME)
    return Annotation(
        where=where,
        record=replace(record, id=name),
        named_split=record.split,
        file=file if isinstance(file, str) else "",
        has_own_id=record.id is not None,
    )
