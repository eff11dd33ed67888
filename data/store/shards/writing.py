"""Writing tar shards with the ``webdataset`` package, one sample per video."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import StoreWriteError
from ...media import FEATURE_STATUSES, SPLITS
from .. import schema
from ..files import READ_ONLY, fsync, make_read_only, write_errors
from ..hdf5.columns import Array
from ..row_blocks import RowBlock
from .index import IndexedFile, shard_name

SHARD_SAMPLES = 10_000


SHARD_BYTES = 1 << 30


_WRITE_BYTES = 1 << 20


_TAR_BLOCK = 512


_KEY_CHARACTERS = 32


def sample_key(video_id: str) -> str:
    """Key of a video's members: a digest of its id, without the dots and slashes that cut a key short elsewhere."""
    return hashlib.sha256(video_id.encode("utf-8", "replace")).hexdigest()[:_KEY_CHARACTERS]


class ShardFile(io.RawIOBase):
    """A new file that counts and digests what is written; like :class:`optsg.data.store.hdf5.file.DiskFile` it never fails.

    The tar library would write again while it is torn down; here the first error is kept, and the owner raises it.

    Attributes:
        error: the first error of the operating system.
        size: bytes written.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self._file = path.open("wb", buffering=_WRITE_BYTES)
        self._digest = hashlib.sha256()
        self.error: OSError | None = None
        self.size = 0

    def writable(self) -> bool:
        """Always: it is a file being made."""
        return True

    def write(self, data: Any, /) -> int:
        """Writes everything, or remembers why not."""
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
            self._digest.update(data)
            self.size += len(data)
        return len(data)

    def close(self) -> None:
        """Closes the file; an error is remembered."""
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or error
        super().close()

    def hexdigest(self) -> str:
        """SHA-256 of everything written."""
        return self._digest.hexdigest()


class ShardSetWriter:
    """Writes samples to ``shard-000000.tar`` and so on.

    Attributes:
        finished: the shards that are complete.

    Raises:
        StoreWriteError: a shard cannot be written.
    """

    def __init__(self, folder: Path, *, shard_samples: int = SHARD_SAMPLES, shard_bytes: int = SHARD_BYTES):
        self.finished: list[IndexedFile] = []
        self._folder = folder
        self._limits = (shard_samples, shard_bytes)
        self._file: ShardFile | None = None
        self._tar: Any = None
        self._samples = 0

    @property
    def number(self) -> int:
        """Number of the shard that the last sample went to."""
        return len(self.finished)

    def add(self, key: str, members: dict[str, bytes]) -> dict[str, int]:
        """Writes one sample.

        Returns:
            Where each member's bytes begin in the shard.
        """
        shard_samples, shard_bytes = self._limits
        if self._file is not None and (self._samples >= shard_samples or self._tar.tarstream.offset >= shard_bytes):
            self.finish()
        if self._file is None:
            self._open()
        assert self._file is not None
        places, place = {}, int(self._tar.tarstream.offset)
        for suffix in sorted(members):  # the order in which webdataset writes them
            places[suffix] = place + _TAR_BLOCK
            place += _TAR_BLOCK + -(-len(members[suffix]) // _TAR_BLOCK) * _TAR_BLOCK
        self._tar.write({"__key__": key, **members})
        self._check(self._file)
        if self._tar.tarstream.offset != place:
            raise StoreWriteError(f"{self._file.path}: the webdataset package lays its members out in another way")
        self._samples += 1
        return places

    def _open(self) -> None:
        from webdataset import TarWriter  # it loads torch, which nobody else here needs

        path = self._folder / shard_name(self.number)
        with write_errors(path):
            self._file = ShardFile(path)
        # Nothing of the machine or the moment goes in: the same features make the same bytes.
        self._tar = TarWriter(self._file, user="", group="", mode=READ_ONLY, mtime=0, encoder=False)
        self._samples = 0

    def _check(self, file: ShardFile) -> None:
        with write_errors(file.path):
            if file.error is not None:
                raise file.error

    def finish(self) -> None:
        """Completes the shard in progress, if any."""
        if self._file is None:
            return
        file, self._file = self._file, None
        self._tar.close()
        file.close()
        self._check(file)
        with write_errors(file.path):
            make_read_only(file.path)
            fsync(file.path)
        self.finished.append(
            IndexedFile(name=file.path.name, samples=self._samples, bytes=file.size, sha256=file.hexdigest())
        )

    def abandon(self) -> None:
        """Closes the shard in progress without completing it."""
        if self._file is not None:
            self._file.close()
            self._file.error = self._file.error or OSError(
                "abandoned"
            )  # the tar library writes its end mark when torn down
            self._tar.close()
            self._file = None


class Samples:
    """Turns rows into members of samples."""

    def __init__(self, tag_spellings: Sequence[str]):
        self._spellings = tag_spellings
        self._npy_headers: dict[tuple[str, tuple[int, ...]], bytes] = {}

    def npy_header(self, array: Array) -> bytes:
        """What comes before the values in an ``.npy`` file."""
        key = (array.dtype.str, array.shape)
        header = self._npy_headers.get(key)
        if header is None:
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array)
            header = stream.getvalue()[: stream.tell() - array.nbytes]
            self._npy_headers[key] = header
        return header

    def records(self, block: RowBlock) -> list[dict[str, Any]]:
        """What the ``.json`` of every video says."""
        names = ("id", "title", "source", "note", "backend")
        texts = {name: block.ragged[f"videos/{name}"].texts() for name in names}
        digests = block.ragged["videos/digest"].bytes()
        tags = [row.tolist() for row in block.ragged["videos/tags"].rows()]
        fixed = {name: values.tolist() for name, values in block.fixed.items()}
        return [
            {
                **{name: texts[name][row] for name in names},
                "tags": [self._spellings[tag] for tag in tags[row]],
                "split": SPLITS[fixed["videos/split"][row]],
                "kind": schema.KINDS[fixed["videos/kind"][row]],
                "duration": _number(fixed["videos/duration"][row]),
                "status": FEATURE_STATUSES[fixed["videos/status"][row]],
                "digest": schema.digest_from_bytes(digests[row]),
                "decode_seconds": _number(fixed["videos/decode_seconds"][row]),
                "frames": int(block.ragged["videos/frames"].lengths[row]),
                "patches": int(block.ragged["videos/patches"].lengths[row]),
            }
            for row in range(len(block))
        ]


def _number(value: float) -> float | None:
    """A number as JSON has it: ``None`` for NaN."""
    return value if math.isfinite(value) else None


def record_json(record: dict[str, Any]) -> bytes:
    """A ``.json`` member of a sample as bytes."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
