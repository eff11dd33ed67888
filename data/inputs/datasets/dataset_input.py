"""Rows of a data set as items: a picture or video, its title, its tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import InputError
from ...media import LABELS, Failure, MediaItem, MediaKind, Payload
from ..media_folder import media_kind, repeated_texts
from ..metadata.class_names import class_names, with_class_names
from ..metadata.columns import FILE_NAME, ColumnMap, MetadataOptions, column_name
from ..metadata.records import id_or, parse_record
from ..metadata.tag_cells import describe
from ..relative_paths import inside, printable, without_suffix
from ..splits import choose_split, named_split
from .dataset_files import DatasetFile
from .media_column import (
    BYTES,
    PATH,
    choose_media_column,
    has_names,
    kind_of_column,
)
from .row_files import NAMES_AT_ONCE, RowFile


@dataclass(frozen=True, kw_only=True)
class _Table:
    """One file of the data set.

    Attributes:
        file: which.
        rows: what reads it.
        columns: what is read as what.
        exact: the names that columns have in the file, by those of ``columns``.
        media: the column of pictures or videos.
        kind: what they are where their names do not say.
        classes: what numbers of classes stand for, by column.
    """

    file: DatasetFile
    rows: RowFile
    columns: ColumnMap
    exact: Mapping[str, str]
    media: str
    kind: MediaKind
    classes: Mapping[str, Sequence[str]]

    @classmethod
    def open(cls, file: DatasetFile, options: MetadataOptions) -> _Table:
        """Chooses the columns; :class:`InputError` where the file cannot be read or has none of pictures."""
        rows = RowFile(file.path)
        media = choose_media_column(file.path, rows.schema, options)
        others = [name for name in rows.schema.names if name != media]
        columns = ColumnMap.choose(file.path, [column_name(name) for name in others], options, required=())
        return cls(
            file=file,
            rows=rows,
            columns=columns,
            exact={column_name(name): name for name in others},
            media=media,
            kind=kind_of_column(rows.schema, media),
            classes=class_names(rows.schema),
        )

    def read(self) -> Iterator[tuple[object, dict[str, object]]]:
        """Of every row the picture or video, and the other values by what they are read as."""
        names = [self.exact[column] for column in self.columns.source.values()]
        for row in self.rows.rows([self.media, *names]):
            values = with_class_names(row, self.classes)
            yield row[self.media], self.columns.renamed({column_name(name): values[name] for name in names})

    def names(self) -> Iterator[str]:
        """Names of the files, as far as rows have some, without reading the files; of a damaged table those before the damage."""
        wanted = [f"{self.media}.{PATH}"] if has_names(self.rows.schema, self.media) else []
        beside = self.columns.source.get(FILE_NAME)
        wanted += [] if beside is None else [self.exact[beside]]
        try:
            for row in self.rows.rows(wanted, NAMES_AT_ONCE) if wanted else ():
                values = {} if beside is None else {FILE_NAME: row[self.exact[beside]]}
                if (name := file_name_of(row.get(self.media), values)) is not None:
                    yield name
        except InputError:
            return  # said where the rows are read


class DatasetInput:
    """Items of a data set, in the order of its files and rows.

    A row's ``bytes`` are read; where it has none, the file that its ``path`` names within the data set's folder. The id is that
    of a column ``id``, else the file's name without suffix where no other row has it, else ``FILE/ROW``.

    Attributes:
        description: one line for people.
        count: number of rows; ``None`` where the files do not say.
    """

    def __init__(self, path: Path | str, files: Sequence[DatasetFile], options: MetadataOptions):
        """Reads what the files say of themselves.

        Raises:
            InputError: one cannot be read, lacks a column, or none has rows.
        """
        self._tables = [_Table.open(file, options) for file in files]
        self._options = options
        self._repeated: frozenset[str] | None = None
        counts = [table.rows.count for table in self._tables]
        self.count: int | None = None if None in counts else sum(count or 0 for count in counts)
        if self.count == 0:
            raise InputError(f"{path}: holds no rows")
        first = self._tables[0]
        read = ", ".join(
            name if name == column else f"{column} as {name}" for name, column in first.columns.source.items()
        )
        files_of = f"{len(files):,} file{'' if len(files) == 1 else 's'} of rows"
        self.description = f"data set {path}: {files_of}; read are {', '.join(filter(None, [first.media, read]))}"

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        for table in self._tables:
            number = 0
            try:
                for number, (media, values) in enumerate(table.read(), start=1):
                    yield self._item(table, number, media, values)
            except InputError as error:
                name = table.file.name
                yield Failure(id=name, source=name, stage="read", error=f"{name}: {error}; rows read: {number:,}")

    def _item(self, table: _Table, number: int, media: object, values: dict[str, object]) -> MediaItem | Failure:
        name = file_name_of(media, values)
        if name in self._names_of_many:
            name = None
        place = f"{table.file.name}/{number if name is None else name}"
        default = f"{without_suffix(table.file.name)}/{number}" if name is None else without_suffix(name)
        try:
            payload = _payload(media, values, table.file.folder)
            record = parse_record(values, self._options.tag_separator)
        except InputError as error:
            return Failure(id=id_or(values, default), source=place, stage="read", error=f"{place}: {error}")
        video_id = record.id or printable(default)
        named = (record.split, table.file.split)
        return MediaItem(
            id=video_id,
            source=place,
            kind=(media_kind(name) if name else None) or table.kind,
            title=record.title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=video_id, named=named),
            payload=payload,
            pinned=record.pinned,
            forbidden=record.forbidden,
            given=frozenset(name for name in LABELS if values.get(name) is not None),
            named=named_split(named),
        )

    @property
    def _names_of_many(self) -> frozenset[str]:
        """Names that several rows have: they tell nothing apart."""
        if self._repeated is None:
            self._repeated = repeated_texts(lambda: (name for table in self._tables for name in table.names()))
        return self._repeated


def file_name_of(media: object, values: Mapping[str, object]) -> str | None:
    """The name of a row's file as people should see it, relative; ``None`` where it has none."""
    path = media.get(PATH) if isinstance(media, dict) else None
    found = path or values.get(FILE_NAME)
    if not isinstance(found, str) or not found:
        return None
    try:
        return printable(inside(found))
    except InputError:
        return printable(PurePosixPath(found.replace("\\", "/")).name) or None


def _payload(media: object, values: Mapping[str, object], folder: Path) -> Payload:
    """The bytes of a row, or the file that it names.

    Raises:
        InputError: it has neither, or the file leads outside of the folder.
    """
    data: Any = media.get(BYTES) if isinstance(media, dict) else media
    if isinstance(data, bytes):
        return data
    if data is not None:
        raise InputError(f"its bytes are {describe(data)}, expected bytes")
    path = (media.get(PATH) if isinstance(media, dict) else None) or values.get(FILE_NAME)
    if not isinstance(path, str) or not path:
        raise InputError("has neither bytes nor the name of a file")
    try:
        return folder / inside(path)
    except InputError as error:
        raise InputError(
            f"has no bytes, and {error}; write the set with Dataset.save_to_disk, which puts the bytes into it"
        ) from error
