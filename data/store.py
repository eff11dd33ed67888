"""Reading feature stores: ``open_store`` for a finished one, ``open_part`` for a part of one being made."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from . import store_schema as schema
from .errors import StoreError, StoreVersionError
from .hdf5_columns import RaggedColumn, checked_dataset, read_array
from .media import SPLITS, Failure, MediaKind, Split
from .store_schema import StoreHeader, VideoFeatures

StoreKind = Literal["part", "store"]


def open_store(path: Path) -> FeatureStore:
    """Opens a finished feature store.

    Raises:
        StoreVersionError: a newer optsg wrote it.
        StoreError: it is missing, not a store, unfinished or damaged.
    """
    return FeatureStore(path, kind="store")


def open_part(path: Path) -> FeatureStore:
    """Opens one part of a store that is being made; errors as :func:`open_store`."""
    return FeatureStore(path, kind="part")


def _open_file(path: Path) -> h5py.File:
    if not path.exists():
        raise StoreError(f"there is no feature store at {path}; make one with: optsg-extract VIDEOS --out {path}")
    if not path.is_file():
        raise StoreError(f"{path} is a folder; a feature store is one .h5 file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path} is not a readable HDF5 file; it is damaged or something else") from error


def _check_format(file: h5py.File, path: Path, kind: StoreKind) -> None:
    if file.attrs.get("format") != schema.FORMAT:
        raise StoreError(f"{path} is an HDF5 file but no optsg feature store; make one with optsg-extract")
    version = int(file.attrs["version"])
    if version > schema.VERSION:
        raise StoreVersionError(
            f"{path} is a feature store of version {version}; this optsg reads up to version {schema.VERSION}: "
            "upgrade optsg"
        )
    if file.attrs.get("kind") != kind:
        wanted = "a finished feature store" if kind == "store" else "a finished part of a feature store"
        raise StoreError(f"{path} is not {wanted}; run the same optsg-extract command again to finish it")


class FeatureStore:
    """A feature store opened for reading; arrays are mapped into memory, so opening is instant at any size.

    Attributes:
        header: how it was made.
        splits: (V,) uint8, index into :data:`optsg.data.media.SPLITS`.
        tag_keys, tag_spellings: U strings.
        failures: inputs that gave no features.
    """

    def __init__(self, path: Path, *, kind: StoreKind = "store"):
        self.path = path
        self._file = _open_file(path)
        try:
            _check_format(self._file, path, kind)
            self.header = StoreHeader.from_json(str(self._file.attrs["header"]))
            self._columns = {name: RaggedColumn(self._file, name, path) for name in schema.VIDEO_COLUMNS}
            self._fixed = {name: read_array(self._file, name, path) for name in schema.FIXED_COLUMNS}
            self._check_lengths()
            self.tag_keys = RaggedColumn(self._file, "tags/key", path).texts()
            self.tag_spellings = RaggedColumn(self._file, "tags/spelling", path).texts()
            self.failures = self._read_failures()
            self._tokens = {
                name: RaggedColumn(self._file, name, path) for name in schema.TOKEN_COLUMNS if kind == "store"
            }
        except BaseException:
            self._file.close()
            raise

    def _check_lengths(self) -> None:
        lengths = {name: len(column) for name, column in self._columns.items()}
        lengths |= {name: len(column) for name, column in self._fixed.items()}
        if len(set(lengths.values())) != 1:
            raise StoreError(f"{self.path}: its columns have different numbers of videos ({lengths}); it is damaged")

    def _read_failures(self) -> list[Failure]:
        names = ("id", "source", "stage", "error")
        rows = zip(*(RaggedColumn(self._file, f"failures/{name}", self.path).texts() for name in names), strict=True)
        return [Failure(**dict(zip(names, row, strict=True))) for row in rows]

    def __len__(self) -> int:
        return len(self._columns["videos/id"])

    def id(self, row: int) -> str:
        """Id of video ``row``."""
        return self._columns["videos/id"].text(row)

    def ids(self) -> list[str]:
        """All ids in store order."""
        return self._columns["videos/id"].texts()

    def title(self, row: int) -> str:
        """Title of video ``row``; empty if it has none."""
        return self._columns["videos/title"].text(row)

    def source(self, row: int) -> str:
        """Where video ``row`` came from."""
        return self._columns["videos/source"].text(row)

    def note(self, row: int) -> str:
        """What was odd about the source of video ``row``; mostly empty."""
        return self._columns["videos/note"].text(row)

    def thumbnail(self, row: int) -> bytes:
        """A small JPEG of video ``row``; empty if the store has none."""
        return self._columns["videos/thumbnail"].bytes(row)

    def duration(self, row: int) -> float:
        """Seconds; NaN if unknown, 0 for an image."""
        return float(self._fixed["videos/duration"][row])

    def kind(self, row: int) -> MediaKind:
        """``video`` or ``image``."""
        return schema.KINDS[int(self._fixed["videos/kind"][row])]

    def frames(self, row: int) -> NDArray[np.float16]:
        """(M, frame_dim) float16."""
        return self._columns["videos/frames"][row]

    def times(self, row: int) -> NDArray[np.float32]:
        """(M,) seconds."""
        return self._columns["videos/times"][row]

    def patches(self, row: int) -> NDArray[np.float16]:
        """(P, patch_dim) float16."""
        return self._columns["videos/patches"][row]

    def visual_lengths(self) -> NDArray[np.int64]:
        """(V,) frames plus patches of every video."""
        return self._columns["videos/frames"].lengths() + self._columns["videos/patches"].lengths()

    def patch_lengths(self) -> NDArray[np.int64]:
        """(V,) patches of every video; 0 for those that are no image."""
        return self._columns["videos/patches"].lengths()

    def tags(self, row: int) -> NDArray[np.int32]:
        """Tags of video ``row`` as indices into the tag table."""
        return self._columns["videos/tags"][row]

    def title_tokens(self, row: int) -> NDArray[np.int32]:
        """Word-piece ids of the title with special tokens, at most 40."""
        return self._tokens["videos/title_tokens"][row]

    def tag_tokens(self, tag: int) -> NDArray[np.int32]:
        """Word-piece ids of tag number ``tag`` without special tokens."""
        return self._tokens["tags/tokens"][tag]

    @property
    def splits(self) -> NDArray[np.uint8]:
        """(V,) index into ``SPLITS``."""
        return self._fixed["videos/split"]

    def indices(self, split: Split) -> NDArray[np.int64]:
        """Rows of a split.

        Raises:
            StoreError: the split is empty; the message names those that are there.
        """
        rows = np.flatnonzero(self.splits == SPLITS.index(split)) if split in SPLITS else np.empty(0, np.int64)
        if not len(rows):
            counts = {name: int(np.sum(self.splits == number)) for number, name in enumerate(SPLITS)}
            present = ", ".join(f"{name} ({count})" for name, count in counts.items() if count) or "no videos"
            raise StoreError(f"{self.path} has no videos in split {split!r}; it has {present}")
        return rows

    @property
    def tag_embeddings(self) -> NDArray[np.float32]:
        """(U, E) float32."""
        return read_array(self._file, schema.TAG_EMBEDDING, self.path)

    @property
    def nil_embedding(self) -> NDArray[np.float32]:
        """(E,) float32, of the text "[PAD]"."""
        return read_array(self._file, schema.NIL_EMBEDDING, self.path)

    @property
    def tokenizer_json(self) -> str:
        """The text model's tokenizer."""
        return bytes(read_array(self._file, schema.TOKENIZER, self.path).tobytes()).decode()

    @property
    def title_encoder_config(self) -> str:
        """Hugging Face configuration of the title encoder as JSON."""
        return bytes(read_array(self._file, schema.TEXT_CONFIG, self.path).tobytes()).decode()

    def title_encoder_weights(self) -> dict[str, NDArray[Any]]:
        """State dict of the title encoder, float32."""
        group = self._file[schema.TEXT_WEIGHTS]
        return {name: checked_dataset(self._file, f"{schema.TEXT_WEIGHTS}/{name}", self.path)[()] for name in group}

    def features(self, row: int) -> VideoFeatures:
        """Everything about video ``row`` as it was appended."""
        return VideoFeatures(
            id=self.id(row),
            title=self.title(row),
            tags=tuple(self.tag_spellings[tag] for tag in self.tags(row)),
            split=SPLITS[int(self.splits[row])],
            source=self.source(row),
            kind=self.kind(row),
            duration=self.duration(row),
            frames=self.frames(row),
            times=self.times(row),
            patches=self.patches(row),
            thumbnail=self.thumbnail(row),
            note=self.note(row),
        )

    def row_lengths(self, row: int) -> dict[str, int]:
        """Number of values of video ``row`` in every ragged column."""
        return {name: len(column[row]) for name, column in self._columns.items()}

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
