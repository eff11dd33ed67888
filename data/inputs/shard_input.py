"""WebDataset shards in the layout of video2dataset and img2dataset: ``KEY.mp4`` or ``KEY.jpg``, ``KEY.json``, ``KEY.txt``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..foreign.json_reader import parse_json
from ..media import LABELS, Failure, MediaItem, MediaKind
from .folder_input import yt_dlp_columns
from .media_folder import media_kind, short_suffix
from .metadata.columns import MetadataOptions, column_name
from .metadata.records import FORBIDDEN, PINNED, id_or, parse_record
from .metadata.tag_cells import is_missing
from .relative_paths import inside, printable
from .splits import choose_split, named_split, split_of_folders, split_of_shard
from .tar_samples import TarProblem, TarSample, count_samples, read_samples

_PREFERENCE: tuple[MediaKind, ...] = ("video", "image")

COUNTED_SAMPLES = 100_000
"""Shards with more samples are not counted: their headers take longer than a few seconds to read."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A tar file and its name for people: its path relative to the input."""

    path: Path
    name: str


class ShardInput:
    """Items of tar shards, in the order of the shards and of their samples.

    The ``.json`` gives ``id``, ``title``, ``tags`` and ``split``. Where it lacks a title or tags: those of
    ``yt_meta_dict.info``, then (title) its ``caption``, then the ``.txt``. The id defaults to the key
    with its folders: whether its stem alone is unique would be known only after reading all shards.

    Attributes:
        description: one line for people.
        skipped: numbers of other files by suffix, beside the shards and, as far as they have been read, in them.
        thumbnails: how many pictures were left out so far because their samples have a video.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        *,
        description: str,
        failures: Sequence[Failure] = (),
        skipped: Mapping[str, int] | None = None,
        options: MetadataOptions | None = None,
    ) -> None:
        """``failures``: what is known already not to be readable; it comes first. ``options``: how metadata is read."""
        self._options = options or MetadataOptions()
        self._shards = shards
        self._failures = failures
        self._count: int | None = None
        self._is_counted = False
        self.description = description
        self._beside = skipped or {}
        self.skipped = Counter(self._beside)
        self.thumbnails = 0

    @property
    def count(self) -> int | None:
        """Number of samples with a video or image; ``None`` if a shard is damaged or there are very many."""
        if not self._is_counted:
            self._count = self._count_samples()
            self._is_counted = True
        return self._count

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        self.skipped.clear()
        self.skipped.update(self._beside)
        self.thumbnails = 0
        yield from self._failures
        for shard in self._shards:
            for sample in read_samples(shard.path, self._skip):
                if isinstance(sample, TarProblem):
                    yield _failure_of_problem(shard, sample)
                else:
                    self.thumbnails += _thumbnails(sample)
                    self.skipped.update(map(short_suffix, _not_read(sample)))
                    yield _item(shard, sample, self._options)

    def _skip(self, name: str) -> None:
        self.skipped[short_suffix(name)] += 1

    def _count_samples(self) -> int | None:
        total = 0
        for shard in self._shards:
            count = count_samples(shard.path, at_most=COUNTED_SAMPLES - total)
            if count is None:
                return None
            total += count
        return total


def _item(shard: Shard, sample: TarSample, options: MetadataOptions) -> MediaItem | Failure:
    source = f"{shard.name}/{printable(sample.key)}"
    values: dict[str, object] = {}
    try:
        key = inside(sample.key)
        metadata = _metadata(sample)
        values = _columns(sample, metadata, options)
        suffix, kind = _media(sample, metadata)
        record = parse_record(values, options.tag_separator)
    except InputError as error:
        return Failure(id=id_or(values, sample.key), source=source, stage="read", error=f"{source}: {error}")
    video_id = record.id or printable(key)
    named = (record.split, split_of_folders(key), split_of_shard(shard.name))
    return MediaItem(
        id=video_id,
        source=source + suffix,
        kind=kind,
        title=record.title,
        tags=record.tags,
        split=choose_split(tags=record.tags, video_id=video_id, named=named),
        payload=sample.members[suffix],
        pinned=record.pinned,
        forbidden=record.forbidden,
        given=frozenset(name for name in LABELS if values.get(name) is not None),
        named=named_split(named),
    )


def _metadata(sample: TarSample) -> dict[str, Any]:
    """The sample's ``.json``, empty if there is none."""
    try:
        metadata = parse_json(sample.texts.get(".json", b"{}"), finite=False)
    except ValueError as error:
        raise InputError(f"its .json is not JSON ({error})") from error
    if not isinstance(metadata, dict):
        raise InputError("its .json is not a JSON object")
    return metadata


def _media(sample: TarSample, metadata: Mapping[str, Any]) -> tuple[str, MediaKind]:
    """Suffix and kind of the sample's video, or of its image if it has no video: a picture beside a video is its thumbnail."""
    kinds = {suffix: media_kind(sample.key + suffix) for suffix in sample.members}
    for kind in _PREFERENCE:
        for suffix, found in kinds.items():
            if found == kind:
                return suffix, kind
    if metadata.get("status") not in (None, "success"):
        raise InputError(f"no video or image, its download ended with {_quote(metadata, 'status', 'error_message')}")
    raise InputError(f"no video or image, only {', '.join(sample.members)}")


def _thumbnails(sample: TarSample) -> int:
    """How many pictures it has beside a video."""
    kinds = [media_kind(sample.key + suffix) for suffix in sample.members]
    return kinds.count("image") if "video" in kinds else 0


def _not_read(sample: TarSample) -> list[str]:
    """Further videos, or further pictures where it has no video: one of a sample is read."""
    for kind in _PREFERENCE:
        if names := [name for suffix in sample.members if media_kind(name := sample.key + suffix) == kind]:
            return names[1:]
    return []


def _quote(metadata: Mapping[str, Any], *names: str) -> str:
    return ": ".join(printable(str(metadata[name]))[:200] for name in names if metadata.get(name) is not None)


def _columns(sample: TarSample, metadata: Mapping[str, Any], options: MetadataOptions) -> dict[str, object]:
    """Columns for :func:`optsg.data.inputs.metadata.records.parse_record` out of what the downloaders write."""
    by_name = {**{column_name(name): value for name, value in metadata.items()}, **metadata}
    names = ("id", "title", "tags", "split", PINNED, FORBIDDEN)
    found = {name: by_name.get(options.columns.get(name, name)) for name in names}
    columns = {name: None if is_missing(value) else value for name, value in found.items()}
    if metadata.get("clips"):
        columns["id"] = None  # video2dataset copies the columns of a video to all the clips it cuts out of it
    yt_dlp = metadata.get("yt_meta_dict")
    info = yt_dlp.get("info") if isinstance(yt_dlp, dict) else None
    uploaded = yt_dlp_columns(info) if isinstance(info, dict) else {}
    if columns["tags"] is None:
        columns["tags"] = uploaded.get("tags")
    columns["title"] = columns["title"] or uploaded.get("title") or _caption(sample, metadata)
    return columns


def _caption(sample: TarSample, metadata: Mapping[str, Any]) -> str:
    caption = metadata.get("caption")
    if isinstance(caption, str) and caption:
        return caption
    try:
        return sample.texts.get(".txt", b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"its .txt is not UTF-8 (byte 0x{error.object[error.start]:02x})") from error


def _failure_of_problem(shard: Shard, problem: TarProblem) -> Failure:
    source = shard.name if problem.member is None else f"{shard.name}/{printable(problem.member)}"
    return Failure(id=source, source=source, stage="read", error=f"{source}: {problem.error}")
