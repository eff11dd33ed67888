"""What is to be tagged: files, folders, patterns, shards and tables, one after the other and never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...data.errors import InputError
from ...data.inputs import Inputs, expand_pattern, left_out_thumbnails, open_listing, skipped_files
from ...data.inputs.file_titles import title_from_name
from ...data.inputs.folder_input import FolderInput, read_sidecars
from ...data.inputs.media_folder import SHARD_SUFFIX, SIDECAR_SUFFIX, left_out, media_kind
from ...data.inputs.metadata.columns import FILE_NAME
from ...data.inputs.metadata.metadata_table import TABLE_SUFFIXES, Row, open_metadata_table
from ...data.inputs.metadata.records import Record, parse_record
from ...data.inputs.relative_paths import inside, printable
from ...data.media import Failure, MediaItem
from ...data.sidecars.file_names import unicode_forms
from ...data.sidecars.files import names_beside, read_beside

if TYPE_CHECKING:
    from ...data.store.schema import VideoFeatures
    from ...extract.workers.preparation import Prepared

NO_MEDIA = "neither a video nor an image by its name; expected a suffix such as .mp4 or .jpg"


PATTERN_MARKS = "*?[{"


@dataclass(frozen=True, kw_only=True)
class TagRequest:
    """One video or image to tag, or why it cannot be.

    Attributes:
        path: its name in the output, by which a finished one is known again: the file, or ``shard.tar/member``.
        item: where its bytes are, its title, and the tags that are pinned and forbidden.
        sidecar: the ``.info.json`` beside it; ``None`` for what is not a file of its own.
        in_memory: its pictures or its features, where these are at hand and nothing is to be decoded.
    """

    path: str
    item: MediaItem | Failure
    sidecar: Path | None = None
    in_memory: Prepared | VideoFeatures | None = None


class TagRequests:
    """The requests that paths stand for; every iteration streams them anew.

    - a folder, also its sub-folders, as extraction reads it: metadata tables, yt-dlp sidecars, the annotations of CREATE;
    - a ``.tar`` shard, or a folder of them;
    - a ``.jsonl``, ``.csv`` or ``.parquet`` table whose ``file_name`` is relative to the table's folder;
    - a video or image, with the title that files beside it say (:func:`files_beside`);
    - a pattern with ``*``, ``?``, ``[…]`` or ``{…}`` for any of these.

    A path that cannot be used is a request with a failure. Memory holds the paths of one folder, and no more.

    Args:
        paths: what to tag.
        title: of the one file that is to be tagged; ``None`` takes what the metadata says.
        metadata: a table for a folder, in place of what lies in it.
        is_done: whether nobody wants to know more of the request with this path: files beside it are then not read.
        warn: told in a sentence each which files are skipped, and how many thumbnails are left out.
        name_titles: whether files without a title have that of their names (:mod:`optsg.data.inputs.file_titles`); ``None`` is where
            no metadata names any title.
        note: told in a sentence where titles are those of names though nobody asked for it.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        title: str | None = None,
        metadata: Path | None = None,
        is_done: Callable[[str], bool] = lambda _: False,
        warn: Callable[[str], None] = lambda _: None,
        name_titles: bool | None = False,
        note: Callable[[str], None] = lambda _: None,
    ):
        self._paths = tuple(paths)
        self._title = title
        self._metadata = metadata
        self._is_done = is_done
        self._warn = warn
        self._name_titles = name_titles
        self._note = note
        self._noted = set[Path]()

    def __iter__(self) -> Iterator[TagRequest]:
        for path in self._paths:
            try:
                expanded = _expand(path)
            except InputError as error:
                yield _failed(path, str(error))
                continue
            for one in expanded:
                yield from self._of_path(Path(one))

    def check(self) -> None:
        """Refuses paths of which none can be used, and one title for several files, before a model is loaded for them.

        Raises:
            InputError: the reason of the first.
        """
        first: str | None = None
        for path in self._paths:
            try:
                found = _expand(path)
                if self._title is not None and len(found) > 1:
                    raise InputError(
                        f"{path} stands for {len(found):,} files, and a title is of one; give them titles by metadata"
                    )
                if any(Path(one).exists() for one in found):
                    return
                first = first or f"{path}: there is no such file"
            except InputError as error:
                first = first or str(error)
        raise InputError(first or "there is nothing to tag")

    def count(self) -> int | None:
        """About how many there are, as far as a glance tells; ``None`` where it would take reading everything."""
        total = 0
        try:
            for path in (Path(one) for pattern in self._paths for one in _expand(pattern)):
                is_listed = path.is_dir() or path.suffix.lower() == SHARD_SUFFIX
                found = open_listing(path, metadata=self._metadata if path.is_dir() else None).count if is_listed else 1
                if found is None or path.suffix.lower() in TABLE_SUFFIXES:
                    return None
                total += found
        except InputError:
            return None
        return total

    def _of_path(self, path: Path) -> Iterator[TagRequest]:
        suffix = path.suffix.lower()
        try:
            if path.is_dir():
                yield from self._listed(path, path, self._metadata)
            elif not path.is_file():
                yield _failed(path, f"{path}: there is no such file")
            elif suffix == SHARD_SUFFIX:
                yield from self._listed(path, path.parent, None)
            elif suffix in TABLE_SUFFIXES:
                yield from map(self._titled(self._name_titles, path), _rows(path))
            else:
                is_done = self._title is None and self._is_done(printable(str(path)))
                request = _file(path, "" if is_done else self._title)
                named = self._title is None and self._name_titles is not False
                yield _with_name_title(request) if named else request
        except InputError as error:
            yield _failed(path, str(error))

    def _listed(self, path: Path, base: Path, metadata: Path | None) -> Iterator[TagRequest]:
        def name_of(source: str) -> str:
            return printable(str(base / source))

        listing = open_listing(path, metadata=metadata, needs_title=lambda source: not self._is_done(name_of(source)))
        said = set[str]()
        self._warn_of(listing, path, said)
        titled = self._titled(self._name_titles, path, listing)
        for item in listing:
            file = item.payload if isinstance(item, MediaItem) and isinstance(item.payload, Path) else None
            sidecar = None if file is None else _sidecar(file)
            yield titled(TagRequest(path=name_of(item.source), item=item, sidecar=sidecar))
        self._warn_of(listing, path, said)  # what shards hold besides is known once they have been read

    def _titled(
        self, wanted: bool | None, path: Path, listing: Inputs | None = None
    ) -> Callable[[TagRequest], TagRequest]:
        """What gives the files of a path the titles of their names, if they are to have them."""
        is_silent = isinstance(listing, FolderInput) and not listing.names_titles
        if wanted is None and is_silent and path not in self._noted:
            self._noted.add(path)
            self._note(f"{path}: no metadata names any title; titles are taken from file names (--no-title-from-name)")
        return _with_name_title if wanted or (wanted is None and is_silent) else lambda request: request

    def _warn_of(self, listing: Inputs, path: Path, said: set[str]) -> None:
        for sentence in left_out(skipped_files(listing), left_out_thumbnails(listing), str(path)):
            if sentence not in said:
                self._warn(sentence)
                said.add(sentence)


def _with_name_title(request: TagRequest) -> TagRequest:
    """A request whose file, where nothing gave it a title, has that of its name; members of shards have keys, no names."""
    item = request.item
    if isinstance(item, Failure) or item.title or not isinstance(item.payload, Path):
        return request
    return replace(request, item=replace(item, title=title_from_name(item.payload.name)))


def _expand(path: Path) -> list[str]:
    is_pattern = any(mark in str(path) for mark in PATTERN_MARKS) and not path.exists()
    return expand_pattern(path) if is_pattern else [str(path)]


def _rows(table: Path) -> Iterator[TagRequest]:
    for row in open_metadata_table(table).rows():
        where = f"{table}, {row.where}"
        try:
            yield _of_row(table, row)
        except InputError as error:
            name = row.values.get(FILE_NAME)
            yield _failed(table.parent / name if isinstance(name, str) and name else where, f"{where}: {error}")


def _of_row(table: Path, row: Row) -> TagRequest:
    name = row.values.get(FILE_NAME)
    if row.error is not None or not isinstance(name, str):
        raise InputError(row.error or f"no {FILE_NAME}")
    path = table.parent / inside(name)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    return _request(path, parse_record(row.values))


def _file(path: Path, title: str | None) -> TagRequest:
    values: dict[str, object] = {}
    if media_kind(path.name) is not None and title is None:
        try:
            values = read_sidecars(sidecar for sidecar in _info_files(path) if sidecar.is_file())
            values = values or read_beside([one for one in _of_other_tools(path) if one.is_file()])
        except InputError as error:
            return _failed(path, f"{path}: {error}")
    record = parse_record({"title": values.get("title")})
    return _request(path, record if title is None else Record(title=printable(title)))


def files_beside(path: Path) -> list[Path]:
    """What may lie beside a file and say its title: none of them need be there."""
    return [*_info_files(path), *_of_other_tools(path)]


def _info_files(path: Path) -> list[Path]:
    names = (_sidecar(path).name, path.name + SIDECAR_SUFFIX)
    return [path.with_name(form) for name in names for form in unicode_forms(name)]


def _of_other_tools(path: Path) -> list[Path]:
    return [path.with_name(name) for name in names_beside(path.name)]


def _request(path: Path, record: Record) -> TagRequest:
    kind = media_kind(path.name)
    if kind is None:
        return _failed(path, f"{path}: {NO_MEDIA}")
    name = printable(str(path))
    item = MediaItem(
        id=name,
        source=name,
        kind=kind,
        title=record.title,
        tags=record.tags,
        split="none",
        payload=path,
        pinned=record.pinned,
        forbidden=record.forbidden,
    )
    return TagRequest(path=name, item=item, sidecar=_sidecar(path))


def _sidecar(path: Path) -> Path:
    return path.with_suffix(SIDECAR_SUFFIX)


def _failed(path: Path | str, error: str) -> TagRequest:
    name = printable(str(path))
    return TagRequest(path=name, item=Failure(id=name, source=name, stage="read", error=error))
