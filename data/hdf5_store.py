"""Writing feature stores as HDF5: parts while extraction runs, one finished file at the end.

A *part* holds the features of some videos. The finished *store* holds all parts' videos, each id once, and the text
model's tables. Both come into being under another name, are flushed to the disk and only then renamed, so that a file
with the right name is always whole.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from . import store_schema as schema
from .disk_file import DiskFile
from .errors import StoreError, StoreWriteError
from .hdf5_columns import ArrayWriter, RaggedColumn, RaggedWriter
from .media import SPLITS, Failure
from .store import FeatureStore, open_part
from .store_schema import StoreHeader, TextModelTables, VideoFeatures
from .tags import clean_tag, tag_key

TEXT_BATCH = 1024


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's and HDF5's write errors into one sentence."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 reports a full disk as RuntimeError when it flushes or closes; other errors keep their own type.
        if isinstance(error, RuntimeError) and "write" not in str(error) and "flush" not in str(error):
            raise
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).split("(")[0]
        message = f"{path} cannot be written: {reason.strip()}; what was finished before is kept"
        raise StoreWriteError(message) from error


@dataclass(frozen=True, kw_only=True)
class StoreSize:
    """Final number of rows and of values per column, where known before writing."""

    videos: int
    values: dict[str, int]


class TagTableBuilder:
    """Numbers tags by key in order of first use and remembers each key's most frequent spelling."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._spellings: list[Counter[str]] = []

    def add(self, tag: str) -> int:
        """Number of the tag."""
        index = self._index.setdefault(tag_key(tag), len(self._index))
        if index == len(self._spellings):
            self._spellings.append(Counter())
        self._spellings[index][clean_tag(tag)] += 1
        return index

    def keys(self) -> list[str]:
        """Tag keys by number."""
        return list(self._index)

    def spellings(self) -> list[str]:
        """The most frequent spelling of every tag, the first used one among equals."""
        return [counts.most_common(1)[0][0] for counts in self._spellings]


class Hdf5StoreWriter:
    """Writes one part, or the finished store where ``size`` is known. Use as a context manager.

    Raises:
        StoreWriteError: the file cannot be written.
    """

    def __init__(self, path: Path, header: StoreHeader, *, size: StoreSize | None = None):
        self.path = path
        self._header = header
        self._tags = TagTableBuilder()
        self._videos = 0
        with write_errors(path):
            self._disk = DiskFile(path)
        with self._guarded():
            self._file = h5py.File(self._disk, "w")
            self._file.attrs.update(format=schema.FORMAT, version=schema.VERSION, header=header.to_json(), kind="open")
            self._columns = self._create_columns(size)
            self._fixed = {
                name: ArrayWriter(self._file, name, dtype=dtype, rows=size.videos if size else None)
                for name, dtype in schema.FIXED_COLUMNS.items()
            }

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        with write_errors(self.path):
            yield
            if self._disk.error is not None:
                raise self._disk.error

    def _create_columns(self, size: StoreSize | None) -> dict[str, RaggedWriter]:
        columns = {}
        for name, spec in schema.VIDEO_COLUMNS.items():
            width = None if spec.width_field is None else int(getattr(self._header, spec.width_field))
            known = (size.videos, size.values[name]) if size else None
            columns[name] = RaggedWriter(self._file, name, dtype=spec.dtype, width=width, size=known)
        for name, spec in {**schema.FAILURE_COLUMNS, **schema.TAG_COLUMNS}.items():
            columns[name] = RaggedWriter(self._file, name, dtype=spec.dtype)
        return columns

    def append(self, video: VideoFeatures) -> None:
        """Adds one video."""
        with self._guarded():
            for name in ("id", "title", "source", "note"):
                self._columns[f"videos/{name}"].append_text(getattr(video, name))
            self._columns["videos/thumbnail"].append(np.frombuffer(video.thumbnail, np.uint8))
            self._columns["videos/tags"].append(np.array([self._tags.add(tag) for tag in video.tags], np.int32))
            for name in ("frames", "times", "patches"):
                self._columns[f"videos/{name}"].append(getattr(video, name))
            self._fixed["videos/split"].append(np.array([SPLITS.index(video.split)]))
            self._fixed["videos/kind"].append(np.array([schema.KINDS.index(video.kind)]))
            self._fixed["videos/duration"].append(np.array([video.duration]))
        self._videos += 1

    def add_failure(self, failure: Failure) -> None:
        """Records an input that gave no features."""
        with self._guarded():
            for name in ("id", "source", "stage", "error"):
                self._columns[f"failures/{name}"].append_text(getattr(failure, name))

    def flush(self) -> None:
        """Hands everything appended so far to the operating system."""
        with self._guarded():
            for ragged in self._columns.values():
                ragged.flush()
            for fixed in self._fixed.values():
                fixed.flush()
            self._file.flush()

    def finish(self, text: TextModelTables | None = None) -> None:
        """Writes the tag table and, for a finished store, the text model's tables; closes and fsyncs the file."""
        with self._guarded():
            for key, spelling in zip(self._tags.keys(), self._tags.spellings(), strict=True):
                self._columns["tags/key"].append_text(key)
                self._columns["tags/spelling"].append_text(spelling)
            self.flush()
            if text is not None:
                self._write_text_tables(text)
            self._file.attrs["kind"] = "part" if text is None else "store"
            self._file.close()
            self._disk.close()
        with write_errors(self.path):
            fsync(self.path)

    def _write_text_tables(self, text: TextModelTables) -> None:
        titles = RaggedColumn(self._file, "videos/title", self.path)
        title_tokens = RaggedWriter(self._file, "videos/title_tokens", dtype="int32")
        for start in range(0, self._videos, TEXT_BATCH):
            rows = range(start, min(start + TEXT_BATCH, self._videos))
            for ids in text.title_tokens([titles.text(row) for row in rows]):
                title_tokens.append(np.array(ids, np.int32))
        title_tokens.flush()
        self._write_tag_tables(text)
        self._file[schema.NIL_EMBEDDING] = text.nil_embedding.astype(np.float32)
        self._file[schema.TOKENIZER] = np.frombuffer(text.tokenizer_json.encode(), np.uint8)
        self._file[schema.TEXT_CONFIG] = np.frombuffer(text.config_json.encode(), np.uint8)
        self._file.create_group(schema.TEXT_WEIGHTS)
        for name, weight in text.weights.items():
            self._file[f"{schema.TEXT_WEIGHTS}/{name}"] = np.asarray(weight, np.float32)

    def _write_tag_tables(self, text: TextModelTables) -> None:
        keys = self._tags.keys()
        tokens = RaggedWriter(self._file, "tags/tokens", dtype="int32")
        embedding = ArrayWriter(
            self._file, schema.TAG_EMBEDDING, dtype="float32", width=self._header.tag_dim, rows=len(keys)
        )
        for start in range(0, len(keys), TEXT_BATCH):
            batch = keys[start : start + TEXT_BATCH]
            for ids in text.tag_tokens(batch):
                tokens.append(np.array(ids, np.int32))
            embedding.append(text.tag_embeddings(batch))
        tokens.flush()
        embedding.flush()

    def abandon(self) -> None:
        """Closes the file without finishing it; it stays unreadable as a part or store."""
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()
        self._disk.close()

    def __enter__(self) -> Hdf5StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self.abandon()


def fsync(path: Path) -> None:
    """Forces a file's contents to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_durably(temporary: Path, final: Path) -> None:
    """Renames a finished file into place and forces the new name to the disk."""
    temporary.replace(final)
    fsync(final.parent)


def merge_parts(
    parts: Sequence[Path],
    out: Path,
    header: StoreHeader,
    text: TextModelTables,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Writes the finished store ``out`` from parts, one video at a time, each id once.

    The first occurrence of an id counts. A failure is kept where its id has no features in any part.

    Raises:
        StoreError: a part is damaged or was made with other settings.
        StoreWriteError: ``out`` cannot be written; the parts stay as they are.
    """
    temporary = out.with_name(out.name + ".tmp")
    owners, size = _plan_merge(parts, header)
    with Hdf5StoreWriter(temporary, header, size=size) as writer:
        failed: set[str] = set()
        for number, path in enumerate(parts):
            with open_part(path) as part:
                for row in range(len(part)):
                    if owners[part.id(row)] == (number, row):
                        writer.append(part.features(row))
                for failure in part.failures:
                    if failure.id not in owners and failure.id not in failed:
                        failed.add(failure.id)
                        writer.add_failure(failure)
                if progress is not None:
                    progress(len(part))
        writer.finish(text)
    with write_errors(out):
        replace_durably(temporary, out)


def _plan_merge(parts: Sequence[Path], header: StoreHeader) -> tuple[dict[str, tuple[int, int]], StoreSize]:
    """Which part and row each id is taken from, and the final size of every column."""
    owners: dict[str, tuple[int, int]] = {}
    values = dict.fromkeys(schema.VIDEO_COLUMNS, 0)
    for number, path in enumerate(parts):
        with open_part(path) as part:
            if differences := header.differences(part.header):
                raise StoreError(f"{path} was made with other settings: " + "; ".join(differences))
            for row in range(len(part)):
                if owners.setdefault(part.id(row), (number, row)) == (number, row):
                    for name, length in part.row_lengths(row).items():
                        values[name] += length
    return owners, StoreSize(videos=len(owners), values=values)


__all__ = ["FeatureStore", "Hdf5StoreWriter", "StoreSize", "fsync", "merge_parts", "replace_durably", "write_errors"]
