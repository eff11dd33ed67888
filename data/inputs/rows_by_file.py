"""Which file the rows of a folder's tables name: each file has one row, of the table nearest to it."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import InputError
from ..sidecars.file_names import unicode_forms
from ..tags import unique_tags
from .media_folder import MediaFolder
from .metadata.columns import FILE_NAME, MetadataOptions
from .metadata.metadata_table import MetadataTable, Row, open_metadata_table
from .metadata.records import Record, parse_record
from .relative_paths import inside, printable

NOBODY = -1


SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class FolderTable:
    """A metadata table, its name for people, and the folder that its file names are relative to."""

    base: str
    label: str
    table: MetadataTable


def open_tables(folder: MediaFolder, metadata: Path | None, options: MetadataOptions) -> list[FolderTable]:
    """The table given, or those that lie in the folder, the deepest first.

    Raises:
        InputError: one of them cannot be used, or two lie in one folder.
    """
    if metadata is not None:
        return [FolderTable(base="", label=metadata.name, table=open_metadata_table(metadata, options))]
    return [
        FolderTable(
            base=path.rpartition("/")[0],
            label=printable(path),
            table=open_metadata_table(folder.root / path, options),
        )
        for path in sorted(_one_each(folder), key=lambda path: (-path.count("/"), path))
    ]


def _one_each(folder: MediaFolder) -> Sequence[str]:
    """The folder's tables, refused where two lie in one folder."""
    by_folder: dict[str, str] = {}
    for path in folder.tables:
        base = path.rpartition("/")[0]
        if base in by_folder:
            names = [printable(name.rpartition("/")[2]) for name in folder.tables if name.rpartition("/")[0] == base]
            raise InputError(
                f"{folder.root / base}: holds {len(names)} metadata tables ({', '.join(names)}); keep one of them there, or "
                "name it with --metadata"
            )
        by_folder[base] = path
    return folder.tables


def named_file(folder: MediaFolder, table: FolderTable, row: Row) -> tuple[str, int | None]:
    """The path that a row names, relative to the input, and its number in the folder, ``None`` if it is not there.

    Where there is no such file below the table, the path is tried from where the command runs, as ``optsg-tag`` writes paths;
    it must lead into the folder all the same.

    Raises:
        InputError: it names none, or one outside of the folder.
    """
    name = row.values.get(FILE_NAME)
    if not isinstance(name, str) or not name:
        raise InputError(row.error or f"no {FILE_NAME}, expected the path of a video or image relative to the folder")
    from_here = PurePath(os.path.relpath(name, folder.root)).as_posix() if "\0" not in name else name
    index = None if from_here.startswith("../") else folder.index(from_here)
    try:
        path = inside(name, folder=table.base)
    except InputError:
        if index is None:
            raise
        return from_here, index
    below = folder.index(path)
    if below is None and index is not None:
        return from_here, index
    if below is None:
        for same in unicode_forms(path):
            if (index := folder.index(same)) is not None:
                return same, index
    return path, below


class RowsByFile:
    """Read through the tables once, and once more where a file has several rows.

    Attributes:
        owner: per file of the folder, thumbnails behind the others, the number of the table whose rows count.
        repeated: rows of files that have several in that table.
        farther: rows that do not count, because a table nearer to the file names it too.
    """

    def __init__(self, folder: MediaFolder, tables: Sequence[FolderTable]):
        self._folder = folder
        self.owner = array("i", [NOBODY]) * (len(folder.media) + len(folder.thumbnails))
        self.repeated: dict[int, list[Row]] = {}
        self.farther = 0
        for number, table in enumerate(tables):
            for index, _ in self._named(table):
                if self.owner[index] == NOBODY:
                    self.owner[index] = number
                elif self.owner[index] == number:
                    self.repeated[index] = []
                else:
                    self.farther += 1
        for number, table in enumerate(tables if self.repeated else ()):
            for index, row in self._named(table):
                if self.owner[index] == number and index in self.repeated:
                    self.repeated[index].append(row)

    def _named(self, table: FolderTable) -> Iterator[tuple[int, Row]]:
        for row in table.table.rows():
            try:
                _, index = named_file(self._folder, table, row)
            except InputError:
                continue
            if index is not None:
                yield index, row


def joined_record(rows: Sequence[Row], name: str, options: MetadataOptions) -> Record:
    """One record of all rows about ``name``, where they may be joined: all tags, and the one title, id and split.

    Raises:
        InputError: they may not, one of them is bad, or they contradict each other.
    """
    wheres = [row.where for row in rows]
    if not options.group_rows:
        more = f" and {len(wheres) - SHOWN:,} more" if len(wheres) > SHOWN else ""
        raise InputError(
            f"{len(rows):,} rows are about {name!r} ({', '.join(wheres[:SHOWN])}{more}); give it one row with all its tags, or "
            "add --group-rows to join them"
        )
    records = []
    for row in rows:
        if row.error is not None:
            raise InputError(row.error)
        records.append(parse_record(row.values, options.tag_separator))

    def only(what: str) -> str | None:
        found = list(dict.fromkeys(value for record in records if (value := getattr(record, what))))
        if len(found) > 1:
            raise InputError(
                f"the {len(rows):,} rows about {name!r} have different values of {what} ({found[0]!r}, {found[1]!r})"
            )
        return found[0] if found else None

    return Record(
        id=only("id"),
        title=only("title") or "",
        tags=unique_tags(tag for record in records for tag in record.tags),
        split=only("split"),  # type: ignore[arg-type]
        pinned=unique_tags(tag for record in records for tag in record.pinned),
        forbidden=unique_tags(tag for record in records for tag in record.forbidden),
        given=frozenset().union(*(record.given for record in records)),
    )
