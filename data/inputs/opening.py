"""What ``optsg-extract`` reads: a folder of videos and images, WebDataset shards or a data set, behind one iterator.

- A folder: :mod:`optsg.data.inputs.folder_input` (metadata tables, yt-dlp sidecars), listed by :mod:`optsg.data.inputs.media_folder`.
- The CREATE benchmark: :mod:`optsg.data.inputs.create_input` (annotations by video id).
- Data sets in Parquet or Arrow, or by their name on the Hugging Face hub: :mod:`optsg.data.inputs.datasets`.
- Shards, as a folder of ``.tar`` files, one ``.tar``, or a pattern: :mod:`optsg.data.inputs.shard_input`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..corpus_part import CorpusPart
from ..errors import ConfigError, InputError
from ..media import Failure, MediaItem
from .create_annotations import (
    CreateAnnotations,
    find_create_files,
    is_create_layout,
    open_create_annotations,
)
from .create_input import CreateInput
from .datasets.dataset_files import PARQUET_SUFFIX, DatasetFile, dataset_files, is_dataset, parquet_files
from .datasets.hub import fetch_dataset, is_hub_name
from .folder_input import FolderInput
from .media_folder import SHARD_SUFFIX, MediaFolder, known_suffixes, scan_folder
from .metadata.columns import MEDIA, NO_DATASET, MetadataOptions
from .relative_paths import printable
from .shard_input import Shard, ShardInput


class Inputs(Protocol):
    """Videos and images to extract.

    Iterating streams them one by one, in the same order each time, as often as one likes. Every item has an id of its own.
    An input that cannot be read comes as a :class:`Failure` in its place. Beside the item in hand, memory holds the ids
    and, for a folder, the paths: some hundred bytes a video.
    """

    @property
    def description(self) -> str:
        """One line for people: what is read, with which metadata."""
        ...

    @property
    def count(self) -> int | None:
        """Number of items to come, ``None`` where finding out would take long; failures may make it a little less."""
        ...

    def __iter__(self) -> Iterator[MediaItem | Failure]: ...


@runtime_checkable
class CountsSkipped(Protocol):
    """Inputs that know what they left out.

    Attributes:
        skipped: numbers of files by suffix that are neither videos nor images nor metadata; of shards, as far as they have
            been read.
    """

    skipped: Mapping[str, int]

    @property
    def thumbnails(self) -> int:
        """How many pictures are left out because they stand for a video."""
        ...


def skipped_files(inputs: Inputs) -> Mapping[str, int]:
    """Numbers of files by suffix that ``inputs`` left out, as far as they know."""
    return inputs.skipped if isinstance(inputs, CountsSkipped) else {}


def left_out_thumbnails(inputs: Inputs) -> int:
    """How many pictures ``inputs`` left out because they stand for a video, as far as they know."""
    return inputs.thumbnails if isinstance(inputs, CountsSkipped) else 0


def open_inputs(
    path: Path,
    *,
    metadata: Path | None = None,
    options: MetadataOptions | None = None,
    limit: int | None = None,
    part: CorpusPart | None = None,
) -> Inputs:
    """Open a folder of videos and images, WebDataset shards, or a data set.

    Args:
        path: a folder, a ``.tar``, or a pattern of shards (``shards/{00000..00012}.tar``, ``shards/*.tar``); a ``.parquet`` or
            ``.arrow`` with pictures or videos in it, a folder of them, or the name of such a data set on the hub.
        metadata: table to use instead of what lies in the folder; its file names are relative to the folder. Or
            annotations of CREATE: one of its JSON files, or a folder with those of one set.
        options: how tables are read.
        limit: stop after this many items (failures on the way do not count).
        part: keep only what belongs to it, of these items and failures.

    Raises:
        InputError: missing, empty or ambiguous input, or a metadata table that cannot be used.
        ConfigError: ``limit`` below 1, or ``options`` about a table or a column of media where there is none.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit is {limit}, expected 1 or more")
    inputs = _UniqueInputs(_open(path, metadata, options or MetadataOptions()), limit=limit)
    return inputs if part is None else _PartOfInputs(inputs, part)


def open_listing(
    path: Path, *, metadata: Path | None = None, needs_title: Callable[[str], bool] | None = None
) -> Inputs:
    """The same, for whoever knows videos by their paths: several items may have one id. Errors as :func:`open_inputs`.

    Args:
        needs_title: asked with the source of a file in a folder before the files beside it are read; where it says no, the
            item has neither title nor tags. An archive's ``.info.json`` have some hundred kilobytes each.
    """
    return _open(path, metadata, MetadataOptions(), needs_title)


class _UniqueInputs:
    """Items of ``inputs`` with each id once, up to a limit."""

    def __init__(self, inputs: Inputs, *, limit: int | None) -> None:
        self.whole = inputs
        self._limit = limit
        self.skipped = skipped_files(inputs)
        self.description = inputs.description if limit is None else f"{inputs.description} (the first {limit:,})"

    @property
    def thumbnails(self) -> int:
        """As of all inputs."""
        return left_out_thumbnails(self.whole)

    @property
    def is_limited(self) -> bool:
        """Whether there may be more inputs than are given."""
        return self._limit is not None

    @property
    def count(self) -> int | None:
        """Number of inputs before repeated ids are refused, at most the limit; ``None`` where it is not known."""
        count = self.whole.count
        return count if count is None or self._limit is None else min(count, self._limit)

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        seen: set[str] = set()
        for item in self.whole:
            if item.id not in seen:
                yield item
            elif isinstance(item, Failure):
                yield replace(item, id=item.source)  # the id belongs to an earlier item, which did not fail
            else:
                yield _duplicate(item)
                continue
            if isinstance(item, MediaItem):
                seen.add(item.id)
                if len(seen) == self._limit:
                    return


class _PartOfInputs:
    """Items and failures of ``inputs`` whose ids belong to ``part``: all parts together are ``inputs``.

    Attributes:
        description: one line for people.
        count: ``None``: it takes reading all ids.
    """

    def __init__(self, inputs: Inputs, part: CorpusPart) -> None:
        self.whole = inputs
        self._part = part
        self.count: int | None = None
        self.skipped = skipped_files(inputs)
        self.description = f"{inputs.description} ({part.described()})"

    @property
    def thumbnails(self) -> int:
        """As of all inputs."""
        return left_out_thumbnails(self.whole)

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        return (item for item in self.whole if self._part.holds(item.id))


def _duplicate(item: MediaItem) -> Failure:
    error = f"{item.source}: duplicate id {item.id!r}, which an earlier input has; give each its own id"
    return Failure(id=item.source, source=item.source, stage="read", error=error)


def tables_of(inputs: Inputs) -> FolderInput | None:
    """The folder that inputs are, whose tables can tell more; ``None`` for shards and annotations by id."""
    while isinstance(inputs, (_UniqueInputs, _PartOfInputs)):
        inputs = inputs.whole
    return inputs if isinstance(inputs, FolderInput) else None


def whole_tables(inputs: Inputs) -> list[str]:
    """Names of the files of metadata that ``inputs`` have, as failures of their rows begin.

    None where a limit keeps some items back, or where each shard has its own.
    """
    while isinstance(inputs, (_UniqueInputs, _PartOfInputs)):
        if isinstance(inputs, _UniqueInputs) and inputs.is_limited:
            return []
        inputs = inputs.whole
    return inputs.labels if isinstance(inputs, (FolderInput, CreateInput)) else []


def _open(
    path: Path,
    metadata: Path | None,
    options: MetadataOptions,
    needs_title: Callable[[str], bool] | None = None,
) -> Inputs:
    failures: list[Failure] = []
    skipped: Mapping[str, int] = {}
    path = _local(path)
    if rows := _rows_of(path):
        return _dataset(path, rows, metadata, options)
    if _is_there(path, stat.S_ISDIR):
        folder = scan_folder(path)
        if folder.media and folder.shards:
            raise InputError(_mixed(folder))
        if folder.media:
            return _folder_input(folder, metadata, options, needs_title)
        if not folder.shards:
            return _dataset(path, _parquet_files(folder), metadata, options)
        failures, skipped = folder.failures, folder.skipped
        shards = [Shard(path=path / name, name=printable(name)) for name in folder.shards]
    else:
        shards = _shards_of_pattern(path)
    if metadata is not None:
        raise InputError(f"{path}: --metadata is for a folder of videos and images, shards carry their own metadata")
    if options.group_rows:
        raise ConfigError(f"{path}: --group-rows is for metadata tables, shards have one record for each video")
    if MEDIA in options.columns:
        raise ConfigError(f"{path}: {NO_DATASET}")
    description = f"{path}: {len(shards):,} shard{'' if len(shards) == 1 else 's'}"
    return ShardInput(shards, description=description, failures=failures, skipped=skipped, options=options)


def _local(path: Path) -> Path:
    """The path itself, or where the data set of that name on the hub is kept."""
    return fetch_dataset(path.as_posix()) if not _is_there(path) and is_hub_name(path) else path


def _rows_of(path: Path) -> list[DatasetFile]:
    """The files of a data set that the path names by itself."""
    return dataset_files(path) if _is_there(path) and is_dataset(path) else []


def _parquet_files(folder: MediaFolder) -> list[DatasetFile]:
    """Those of a folder that has neither videos, images nor shards."""
    if not folder.skipped[PARQUET_SUFFIX]:
        raise InputError(_empty(folder))
    return parquet_files(folder.root)


def _dataset(path: Path, files: list[DatasetFile], metadata: Path | None, options: MetadataOptions) -> Inputs:
    if metadata is not None:
        raise InputError(f"{path}: --metadata is for a folder of videos and images, a data set has its own")
    if options.group_rows:
        raise ConfigError(f"{path}: --group-rows is for metadata tables, a data set has one row for each video")
    # pyarrow takes a moment to import, and few inputs are data sets.
    from .datasets.dataset_input import DatasetInput

    return DatasetInput(path, files, options)


def _folder_input(
    folder: MediaFolder,
    metadata: Path | None,
    options: MetadataOptions,
    needs_title: Callable[[str], bool] | None,
) -> Inputs:
    by_id = metadata is not None and (metadata.is_dir() or is_create_layout(metadata))
    if by_id or (metadata is None and not folder.tables):
        _refuse_table_options(folder, options)
    if metadata is not None and by_id:
        return CreateInput(folder, open_create_annotations(metadata))
    if metadata is None and folder.create_files and not folder.tables:
        return CreateInput(folder, CreateAnnotations(find_create_files(folder.root, folder.create_files)))
    return FolderInput(folder, metadata=metadata, options=options, needs_title=needs_title)


def _refuse_table_options(folder: MediaFolder, options: MetadataOptions) -> None:
    given = [name for name, value in (("--columns", options.columns), ("--group-rows", options.group_rows)) if value]
    if given:
        raise ConfigError(f"{folder.root}: there is no metadata table that {' and '.join(given)} could be about")


def _is_there(path: Path, is_kind: Callable[[int], bool] = lambda _mode: True) -> bool:
    """Whether there is such a file; unlike pathlib's tests, a pattern that is too long for a file name is just not there."""
    try:
        return is_kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _mixed(folder: MediaFolder) -> str:
    return (
        f"{folder.root}: holds both videos or images ({len(folder.media):,}, such as {folder.media[0]}) and shards "
        f"({len(folder.shards):,}, such as {folder.shards[0]}); move one kind away, or give the shards as "
        f"'{folder.root}/**/*.tar'"
    )


def _empty(folder: MediaFolder) -> str:
    others = folder.others + len(folder.sidecars)
    problems = f" ({folder.failures[0].error})" if folder.failures else ""
    if not others:
        return f"{folder.root}: there is nothing in this folder, no video, image or .tar shard{problems}"
    return (
        f"{folder.root}: no video, image or .tar shard in this folder, only other files ({others:,}){problems}; "
        f"known are the suffixes {known_suffixes()}"
    )


def _shards_of_pattern(path: Path) -> list[Shard]:
    """Shards that a file name with braces or wildcards stands for, in its order, each once."""
    paths = [path] if _is_there(path, stat.S_ISREG) else [Path(name) for name in expand_pattern(path)]
    for shard in paths:
        if shard.suffix.lower() != SHARD_SUFFIX:
            raise InputError(f"{shard}: not a .tar shard, expected a folder of videos or images, or WebDataset shards")
    top = os.path.commonpath([shard.parent.absolute() for shard in paths])
    return [Shard(path=shard, name=printable(Path(os.path.relpath(shard, top)).as_posix())) for shard in paths]


def expand_pattern(path: Path) -> list[str]:
    """Names of the files and folders that a name with braces or wildcards stands for, each once, as pathlib sorts them.

    Raises:
        InputError: there are none, or the braces are not balanced.
    """
    # Patterns mean here what they mean to WebDataset; importing it takes a second, and few inputs are patterns.
    from webdataset.shardlists import expand_urls

    try:
        names = expand_urls(str(path))
    except ValueError as error:
        raise InputError(f"{path}: the braces of this pattern are not balanced") from error
    found: dict[str, None] = {}  # as texts: a Path takes some hundred bytes more
    for name in map(Path, names):
        matches = [str(name)] if _is_there(name) else _sorted_glob(name)
        if not matches:
            of_pattern = "" if name == path else f" (of the pattern {path})"
            raise InputError(f"{name}: there is no such file or folder{of_pattern}")
        found.update(dict.fromkeys(matches))
    return list(found)


def _sorted_glob(pattern: Path) -> list[str]:
    names = [str(Path(name)) for name in glob(str(pattern), recursive=True)]  # noqa: PTH207 (pathlib takes no absolute pattern)
    return sorted(names, key=lambda name: name.replace(os.sep, "\0"))  # part by part
