"""A folder of videos and images, with metadata from tables, from files beside them, or without any.

Files beside ``NAME.mp4`` are yt-dlp's ``NAME.info.json``, or, where there is none, those of :mod:`optsg.data.sidecars`.

video2dataset stores the fields of yt-dlp too, in the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, counted
from ..foreign.json_reader import read_json
from ..media import Failure, MediaItem
from ..sidecars.files import read_beside
from .file_titles import title_from_name
from .media_folder import DefaultIds, MediaFolder, media_kind
from .metadata.columns import MetadataOptions
from .metadata.metadata_table import Row
from .metadata.records import Record, id_or, parse_id, parse_record
from .metadata.survey import ROWS_BEFORE_READING, TableSurvey, survey_table
from .relative_paths import printable
from .rows_by_file import NOBODY, RowsByFile, joined_record, named_file, open_tables
from .splits import choose_split, named_split, split_of_folders


class FolderInput:
    """Items of a folder: first the rows of its tables in their order, then the files that no row names, by path.

    The table given, or else every ``metadata.jsonl``, ``.csv`` and so on in the folder and its sub-folders, with file names
    relative to where the table lies; of two that name one file, the nearest to it counts. A file that no row names has what
    its ``NAME.info.json`` says, or neither title nor tags. Thumbnails are left out, unless a row names them.

    Attributes:
        description: one line for people.
        count: the number of videos and images in the folder.
        skipped: numbers of other files by suffix.
    """

    def __init__(
        self,
        folder: MediaFolder,
        *,
        metadata: Path | None = None,
        options: MetadataOptions | None = None,
        needs_title: Callable[[str], bool] | None = None,
    ) -> None:
        """Open the tables; an unusable one raises :class:`InputError`.

        Args:
            needs_title: as in :func:`optsg.data.inputs.open_listing`.
        """
        self._folder = folder
        self._options = options or MetadataOptions()
        self._needs_title = needs_title
        self._ids = DefaultIds(folder.media)
        self._tables = open_tables(folder, metadata, self._options)
        self.count: int | None = len(folder.media)
        self.skipped = folder.skipped
        self.description = self._describe()

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        yield from self._folder.failures
        is_done = bytearray(len(self._folder.media) + len(self._folder.thumbnails))
        for number, table in enumerate(self._tables):
            for row in table.table.rows():
                item = self._item_of_row(number, row, is_done)
                if item is not None:
                    yield item
        for path, done in zip(self._folder.media, is_done, strict=False):
            if not done:
                yield self._item_without_row(path)

    @cached_property
    def _rows(self) -> RowsByFile:
        return RowsByFile(self._folder, self._tables)

    @property
    def thumbnails(self) -> int:
        """How many pictures are left out because they stand for a video."""
        behind = range(len(self._folder.media), len(self._folder.media) + len(self._folder.thumbnails))
        return sum(self._rows.owner[index] == NOBODY for index in behind) if self._tables else len(behind)

    @property
    def labels(self) -> list[str]:
        """Names of the tables, as their failures begin."""
        return [table.label for table in self._tables]

    @property
    def names_titles(self) -> bool:
        """Whether any metadata may name a title: a table with such a column, or a file beside a video that has a place for it."""
        titled = any(not path.lower().endswith((".txt", ".xmp")) for path in self._folder.beside)
        return (
            bool(self._folder.sidecars)
            or titled
            or any("title" in table.table.columns.source for table in self._tables)
        )

    def notes(self) -> list[str]:
        """What people should know of the metadata before it is used, a sentence each."""
        surveys = self.surveys(ROWS_BEFORE_READING)
        return list(dict.fromkeys(note for survey in surveys for note in survey.notes()))

    def surveys(self, limit: int | None = None) -> list[TableSurvey]:
        """What each table has, counted over at most ``limit`` rows."""
        return [survey_table(table.label, table.table, self._options, limit) for table in self._tables]

    def _item_of_row(self, number: int, row: Row, is_done: bytearray) -> MediaItem | Failure | None:
        """Item of one row, ``None`` where another row speaks for the file; marks the file, also where the rest is bad."""
        table = self._tables[number]
        where = f"{table.label}, {row.where}"
        path, default_id = where, where
        try:
            path, index = named_file(self._folder, table, row)
            default_id = path
            if index is None:
                raise InputError(self._folder.why_not(path))
            if is_done[index] or self._rows.owner[index] != number:
                return None
            is_done[index] = True
            default_id = self._default_id(path)
            if parse_id(row.values) is None:
                default_id = self._sidecar_id(path) or default_id
            if index in self._rows.repeated:
                where = table.label
                record = joined_record(self._rows.repeated[index], printable(path), self._options)
                return self._item(path, record, default_id)
            if row.error is not None:
                raise InputError(row.error)
            return self._item(path, parse_record(row.values, self._options.tag_separator), default_id)
        except InputError as error:
            return _failure(path, id_or(row.values, default_id), f"{where}: {error}")

    def _item_without_row(self, path: str) -> MediaItem | Failure:
        values: dict[str, object] = {}
        try:
            if self._needs_title is None or self._needs_title(printable(path)):
                values = self._read_sidecars(path)
                values = values or read_beside([self._folder.root / name for name in self._folder.beside_of(path)])
            return self._item(path, parse_record(values, self._options.tag_separator), self._default_id(path))
        except InputError as error:
            return _failure(path, id_or(values, self._default_id(path)), f"{printable(path)}: {error}")

    def _sidecar_id(self, path: str) -> str | None:
        """The id that a file has by its ``NAME.info.json``, which is the same with a row that gives none as without a row.

        Where files are known by their paths, nobody asks for ids.
        """
        if self._needs_title is not None or self._is_thumbnail(path):
            return None
        return parse_id(self._read_sidecars(path))

    def _read_sidecars(self, path: str) -> dict[str, object]:
        """As :func:`read_sidecars` of those that a file has."""
        return read_sidecars(self._folder.root / sidecar for sidecar in self._folder.sidecars_of(path))

    def _default_id(self, path: str) -> str:
        """A thumbnail shares its stem with its video."""
        return printable(path) if self._is_thumbnail(path) else self._ids[path]

    def _is_thumbnail(self, path: str) -> bool:
        index = self._folder.index(path)
        return index is not None and index >= len(self._folder.media)

    def _item(self, path: str, record: Record, default_id: str) -> MediaItem:
        video_id = record.id or default_id
        kind = media_kind(path)
        assert kind is not None  # the listing holds no other files
        named = (record.split, split_of_folders(path))
        title = record.title or (title_from_name(path) if self._options.title_from_name else "")
        return MediaItem(
            id=video_id,
            source=printable(path),
            kind=kind,
            title=title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=video_id, named=named),
            payload=self._folder.root / path,
            pinned=record.pinned,
            forbidden=record.forbidden,
            given=self._given(path, record) | ({"title"} if title else set()),
            named=named_split(named),
        )

    @staticmethod
    def _given(path: str, record: Record) -> frozenset[str]:
        """A folder such as ``test/`` speaks of the split."""
        return record.given | ({"split"} if record.given and split_of_folders(path) is not None else set())

    def _describe(self) -> str:
        videos = sum(1 for path in self._folder.media if media_kind(path) == "video")
        counts = f"{counted(videos, 'video')}, {counted(len(self._folder.media) - videos, 'image')}"
        thumbnails = len(self._folder.thumbnails)
        unless = " unless a row names them" if self._tables else ""
        left_out = (
            f" ({counted(thumbnails, 'picture')} beside a video of that name: thumbnails, left out{unless})"
            if thumbnails
            else ""
        )
        names = "; titles from file names where metadata has none" * self._options.title_from_name
        return f"folder {self._folder.root} {self._describe_metadata()}: {counts}{left_out}{names}"

    def _describe_metadata(self) -> str:
        found = [
            f"{len(self._tables)} metadata tables" if len(self._tables) > 1 else table.label
            for table in self._tables[:1]
        ]
        if self._folder.sidecars:
            found.append(counted(len(self._folder.sidecars), "info.json file"))
        if self._folder.beside:
            kinds = sorted({PurePosixPath(path).suffix.lower() for path in self._folder.beside})
            found.append(f"{counted(len(self._folder.beside), 'file')} beside ({', '.join(kinds)})")
        return f"with {' and '.join(found)}" if found else "without metadata"


def _failure(path: str, failure_id: str, error: str) -> Failure:
    return Failure(id=failure_id, source=printable(path), stage="read", error=error)


LARGEST_INFO = 512 << 20
"""Bytes of a ``.info.json``: with a video's comments in it, it is large."""


def read_info(path: Path, name: str | Path) -> dict[str, Any]:
    """The whole of one ``.info.json``, called ``name`` in errors; :class:`InputError` if it cannot be read."""
    try:
        info = read_json(path, most_bytes=LARGEST_INFO, finite=False)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error})") from error
    if not isinstance(info, dict):
        raise InputError(f"{name} is not a JSON object, which is what yt-dlp --write-info-json writes")
    return info


def read_sidecars(paths: Iterable[Path]) -> dict[str, object]:
    """What the ``.info.json`` of one file say together, the later before the earlier; a null says nothing where another says something."""
    values: dict[str, object] = {}
    for path in paths:
        said = read_sidecar(path)
        values |= {name: value for name, value in said.items() if value is not None or name not in values}
    return values


def read_sidecar(path: Path) -> dict[str, object]:
    """Columns out of one ``.info.json``; errors as :func:`read_info`."""
    info = read_info(path, path.name)
    return {**({"id": info["id"]} if "id" in info else {}), **yt_dlp_columns(info)}


def yt_dlp_columns(info: Mapping[str, object]) -> dict[str, object]:
    """Title and tags of yt-dlp's information; its ``categories`` are no tags: the site chose them, not the uploader."""
    return {name: info[name] for name in ("title", "tags") if name in info}
