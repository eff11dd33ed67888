"""A folder of videos and images, with metadata from tables, from yt-dlp's ``NAME.info.json`` beside ``NAME.mp4``, or without any.

video2dataset stores the fields of yt-dlp too, in the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from ..json_reader import read_json
from ..media import Failure, MediaItem
from .media_folder import SIDECAR_SUFFIX, DefaultIds, MediaFolder, media_kind
from .metadata_table import FILE_NAME, MetadataTable, Row, open_metadata_table
from .records import Record, id_or, parse_record
from .relative_paths import inside, printable
from .splits import choose_split, split_of_folders


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A metadata table, its name for people, and the folder that its file names are relative to."""

    base: str
    label: str
    table: MetadataTable


class FolderInput:
    """Items of a folder: first the rows of its tables in their order, then the files that no row names, by path.

    Which metadata counts, first that is present: the table given; ``metadata.jsonl|csv|parquet`` in the folder; such
    tables in sub-folders, with file names relative to these; ``NAME.info.json``. A file that the tables do not name is an
    item without title and tags.

    Attributes:
        description: one line for people.
        count: the number of videos and images in the folder.
    """

    def __init__(
        self, folder: MediaFolder, *, metadata: Path | None = None, needs_title: Callable[[str], bool] | None = None
    ) -> None:
        """Open the tables; an unusable one raises :class:`InputError`.

        Args:
            needs_title: as in :func:`optsg.data.inputs.open_listing`.
        """
        self._folder = folder
        self._needs_title = needs_title
        self._ids = DefaultIds(folder.media)
        self._tables = _open_tables(folder, metadata)
        self.count: int | None = len(folder.media)
        self.description = self._describe()

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        yield from self._folder.failures
        is_named = bytearray(len(self._folder.media))
        for table in self._tables:
            for row in table.table.rows():
                yield self._item_of_row(table, row, is_named)
        for path, named in zip(self._folder.media, is_named, strict=True):
            if not named:
                yield self._item_without_row(path)

    def _item_of_row(self, table: _Table, row: Row, is_named: bytearray) -> MediaItem | Failure:
        """Item of one row; marks the file that it names, also where the rest of the row is bad."""
        where = f"{table.label}, {row.where}"
        path, default_id = where, where
        try:
            path = default_id = inside(_file_name(row), folder=table.base)
            index = self._folder.index(path)
            if index is None:
                raise InputError(self._folder.why_not(path))
            is_named[index] = True
            default_id = self._ids[path]
            if row.error is not None:
                raise InputError(row.error)
            return self._item(path, parse_record(row.values))
        except InputError as error:
            return _failure(path, id_or(row.values, default_id), f"{where}: {error}")

    def _item_without_row(self, path: str) -> MediaItem | Failure:
        values: dict[str, object] = {}
        try:
            sidecar = str(PurePosixPath(path).with_suffix(SIDECAR_SUFFIX))
            is_wanted = self._needs_title is None or self._needs_title(printable(path))
            if is_wanted and not self._tables and self._folder.has_sidecar(sidecar):
                values = read_sidecar(self._folder.root / sidecar)
            return self._item(path, parse_record(values))
        except InputError as error:
            return _failure(path, id_or(values, self._ids[path]), f"{printable(path)}: {error}")

    def _item(self, path: str, record: Record) -> MediaItem:
        video_id = record.id or self._ids[path]
        kind = media_kind(path)
        assert kind is not None  # the listing holds no other files
        return MediaItem(
            id=video_id,
            source=printable(path),
            kind=kind,
            title=record.title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=video_id, named=(record.split, split_of_folders(path))),
            payload=self._folder.root / path,
            pinned=record.pinned,
            forbidden=record.forbidden,
        )

    def _describe(self) -> str:
        videos = sum(1 for path in self._folder.media if media_kind(path) == "video")
        counts = f"{_plural(videos, 'video')}, {_plural(len(self._folder.media) - videos, 'image')}"
        return f"folder {self._folder.root} {self._describe_metadata()}: {counts}"

    def _describe_metadata(self) -> str:
        if len(self._tables) > 1:
            return f"with {len(self._tables)} metadata tables"
        if self._tables:
            return f"with {self._tables[0].label}"
        if self._folder.sidecars:
            return f"with {_plural(len(self._folder.sidecars), 'info.json file')}"
        return "without metadata"


def _open_tables(folder: MediaFolder, metadata: Path | None) -> list[_Table]:
    if metadata is not None:
        return [_Table(base="", label=metadata.name, table=open_metadata_table(metadata))]
    own = [path for path in folder.tables if "/" not in path]
    return [
        _Table(base=path.rpartition("/")[0], label=printable(path), table=open_metadata_table(folder.root / path))
        for path in own or folder.tables
    ]


def _file_name(row: Row) -> str:
    name = row.values.get(FILE_NAME)
    if isinstance(name, str) and name:
        return name
    raise InputError(row.error or f"no {FILE_NAME}, expected the path of a video or image relative to the folder")


def _failure(path: str, failure_id: str, error: str) -> Failure:
    return Failure(id=failure_id, source=printable(path), stage="read", error=error)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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


def read_sidecar(path: Path) -> dict[str, object]:
    """Columns out of one ``.info.json``; errors as :func:`read_info`."""
    info = read_info(path, path.name)
    return {"id": info.get("id"), **yt_dlp_columns(info)}


def yt_dlp_columns(info: Mapping[str, object]) -> dict[str, object]:
    """Title and tags of yt-dlp's information; its ``categories`` are no tags: the site chose them, not the uploader."""
    return {"title": info.get("title"), "tags": info.get("tags")}
