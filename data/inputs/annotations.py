"""What metadata says of videos by id, where there are no videos to go with it: for features that were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..errors import InputError
from ..media import Failure
from .create_annotations import Annotation, is_create_layout, open_create_annotations
from .metadata_table import FILE_NAME, MetadataTable, open_metadata_table
from .records import id_or, parse_record


class Annotations(Protocol):
    """Videos in the order of the metadata; read from the disk each time."""

    @property
    def description(self) -> str:
        """One line for people: the files that are read."""
        ...

    def __iter__(self) -> Iterator[Annotation | Failure]: ...


def open_annotations(path: Path) -> Annotations:
    """Annotations of CREATE (a file, or a folder with those of one set), or a metadata table.

    Raises:
        InputError: they cannot be used.
    """
    if path.is_dir() or is_create_layout(path):
        return open_create_annotations(path)
    return TableAnnotations(open_metadata_table(path))


class TableAnnotations:
    """Rows of a metadata table; the id is that of the row, else the stem of its file name."""

    def __init__(self, table: MetadataTable):
        self._table = table

    @property
    def description(self) -> str:
        """Name of the table."""
        return self._table.path.name

    def __iter__(self) -> Iterator[Annotation | Failure]:
        for row in self._table.rows():
            where = f"{self._table.path.name}, {row.where}"
            try:
                if row.error is not None:
                    raise InputError(row.error)
                record = parse_record(row.values)
                name = row.values.get(FILE_NAME)
                stem = PurePosixPath(name).stem if isinstance(name, str) else ""
                if not (record.id or stem):
                    raise InputError(f"neither id nor {FILE_NAME}")
            except InputError as error:
                failed = id_or(row.values, where)
                yield Failure(id=failed, source=where, stage="read", error=f"{where}: {error}")
                continue
            yield Annotation(where=where, record=replace(record, id=record.id or stem), named_split=record.split)
