"""Where the videos of a store are on disk: a file, or a stretch of a tar shard."""

from __future__ import annotations

import contextlib
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..foreign.tar_reader import TAR_DAMAGE, open_tar
from ..media import IMAGE_SUFFIXES, VIDEO_SUFFIXES

MEDIA_SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class MediaBytes:
    """``size`` bytes of a file from ``offset`` on, and their media type."""

    path: Path
    offset: int
    size: int
    type: str


class SourceFinder:
    """Finds the sources of a store, such as ``trips/lake.webm`` or ``shard.tar/lake.webm``, below some folders.

    A store may come from anybody: a source that leads out of the folders, or that is no video or image, is not found.
    """

    def __init__(self, roots: Sequence[Path]):
        self._roots = tuple(roots)
        self._shards: dict[Path, dict[str, tuple[int, int]]] = {}

    def find(self, source: str) -> MediaBytes | None:
        """The bytes of a source; ``None`` if they are not there."""
        parts = PurePosixPath(source)
        if parts.is_absolute() or ".." in parts.parts or "\0" in source or parts.suffix.lower() not in MEDIA_SUFFIXES:
            return None
        kind = mimetypes.guess_type(parts.name)[0] or ""
        if not kind.startswith(("video/", "image/")):  # such as .ts, which is a language to some systems
            kind = "application/octet-stream"
        for root in self._roots:
            path = root / parts
            if path.is_file():
                return MediaBytes(path=path, offset=0, size=path.stat().st_size, type=kind)
            if (span := self._in_shard(root, parts)) is not None:
                shard, offset, size = span
                return MediaBytes(path=shard, offset=offset, size=size, type=kind)
        return None

    def _in_shard(self, root: Path, source: PurePosixPath) -> tuple[Path, int, int] | None:
        for count, part in enumerate(source.parts[:-1], start=1):
            if part.lower().endswith(".tar") and (shard := root.joinpath(*source.parts[:count])).is_file():
                span = self._members(shard).get("/".join(source.parts[count:]))
                return None if span is None else (shard, *span)
        return None

    def _members(self, shard: Path) -> dict[str, tuple[int, int]]:
        if shard not in self._shards:
            spans: dict[str, tuple[int, int]] = {}
            with (
                contextlib.suppress(*TAR_DAMAGE),
                open_tar(shard) as tar,
            ):  # of a damaged one, what lies before the damage
                while (member := tar.next()) is not None:
                    if member.isreg() and not member.issparse():
                        tar.check_inside(member)
                        spans[member.name.removeprefix("./")] = (member.offset_data, member.size)
            self._shards[shard] = spans
        return self._shards[shard]
