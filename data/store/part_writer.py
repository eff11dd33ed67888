"""Writing parts: features video by video while extraction runs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ..media import FEATURE_STATUSES, SPLITS, Failure
from . import schema
from .hdf5.file import ColumnFileWriter
from .plan import TagTableBuilder
from .row_blocks import RaggedBlock
from .schema import StoreHeader, VideoFeatures, digest_to_bytes


class Hdf5StoreWriter:
    """Writes one part. Use as a context manager.

    Raises:
        StoreWriteError: the file cannot be written.
    """

    def __init__(self, path: Path, header: StoreHeader):
        self.path = path
        self._tags = TagTableBuilder()
        self._file = ColumnFileWriter(path, header)
        try:
            for name, spec in {**schema.VIDEO_COLUMNS, **schema.FAILURE_COLUMNS}.items():
                self._file.add_ragged(name, spec)
            for name, dtype in {**schema.FIXED_COLUMNS, **schema.FAILURE_FIXED_COLUMNS}.items():
                self._file.add_fixed(name, dtype)
        except BaseException:
            self._file.abandon()
            raise

    def append(self, video: VideoFeatures) -> None:
        """Adds a video with its features, title and tags."""
        texts = {f"videos/{name}": str(getattr(video, name)) for name in ("id", "title", "source", "note", "backend")}
        arrays = {f"videos/{name}": getattr(video, name) for name in ("frames", "times", "patches")}
        raw = {"videos/thumbnail": video.thumbnail, "videos/digest": digest_to_bytes(video.digest)}
        tags = np.array([self._tags.add(tag) for tag in video.tags], np.int32)
        self._file.append(
            {**texts, **arrays, **raw, "videos/tags": tags},
            {
                "videos/split": SPLITS.index(video.split),
                "videos/kind": schema.KINDS.index(video.kind),
                "videos/status": FEATURE_STATUSES.index(video.status),
                "videos/duration": video.duration,
                "videos/decode_seconds": video.decode_seconds,
            },
        )

    def add_failure(self, failure: Failure) -> None:
        """Records an input that gave no features."""
        texts = {f"failures/{name}": str(getattr(failure, name)) for name in FAILURE_TEXTS}
        self._file.append(
            {**texts, "failures/digest": digest_to_bytes(failure.digest)}, {"failures/seconds": failure.seconds}
        )

    def flush(self) -> None:
        """Hands everything appended so far to the operating system."""
        self._file.flush()

    def finish(self) -> None:
        """Writes the tag table, closes and fsyncs the file."""
        for name, rows in (("tags/key", self._tags.keys()), ("tags/spelling", self._tags.spellings())):
            self._file.write_ragged(name, schema.TEXT, RaggedBlock.of_texts(rows))
        self._file.finish("part")

    def abandon(self) -> None:
        """Closes the file without finishing it; it stays unreadable as a part."""
        self._file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


FAILURE_TEXTS = ("id", "source", "stage", "error", "status")
