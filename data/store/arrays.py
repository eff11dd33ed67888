"""A store as arrays by name, the same for both forms and versions: what stands behind :class:`optsg.data.store.FeatureStore`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError, StoreVersionError
from ..foreign.json_reader import parse_json
from ..media import Failure
from . import schema
from .hdf5.columns import HDF5_DAMAGE, Column, RaggedColumn, all_texts, hdf5_damage, read_array
from .row_blocks import RowBlock
from .schema import StoreHeader
from .shards.index import ShardIndex, check_exists, read_index
from .shards.reading import MappedShards, open_shard_columns

StoreRole = Literal["part", "store"]


def _open_hdf5(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except HDF5_DAMAGE as error:
        raise StoreError(f"{path} is not a readable HDF5 file; it is damaged or something else") from error


def _text_attribute(file: h5py.File, name: str, default: str | None = None) -> str:
    """A text that the file's root carries; ``ValueError`` for anything else of that name."""
    if default is not None and name not in file.attrs:
        return default
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None:
        raise ValueError(f"its attribute {name!r} is no text")
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_format(file: h5py.File, path: Path, kind: str) -> int:
    """The store's version, after a look at what kind of file it is."""
    if _text_attribute(file, "format", "") != schema.FORMAT:
        raise StoreError(f"{path} is an HDF5 file but no optsg feature store; make one with optsg-extract")
    version = int(file.attrs["version"])
    if version < 1:
        raise ValueError(f"its version is {version}")
    if version > schema.VERSION:
        raise StoreVersionError(
            f"{path} is a feature store of version {version}; this optsg reads up to version {schema.VERSION}: "
            "upgrade optsg"
        )
    found = _text_attribute(file, "kind", "")
    if found == "tables" != kind:
        raise StoreError(f"{path} is one file of a store of shards; open its folder instead: {path.parent}")
    if found != kind:
        wanted = {"part": "a finished part of a feature store"}.get(kind, "a finished feature store")
        raise StoreError(f"{path} is not {wanted}; run the same optsg-extract command again to finish it")
    return version


class StoreArrays:
    """The columns of an HDF5 file, or of a folder of shards and the tables beside them.

    Attributes:
        path: the file or the folder.
        role: whether it is a finished store or a part of one being made.
        header: how it was made.
        version: of the format; columns that came later have their defaults.
        index: of a folder of shards; ``None`` for one file.
    """

    def __init__(self, path: Path, *, role: StoreRole = "store"):
        self.path = path
        self.role = role
        check_exists(path)
        self.index: ShardIndex | None = None
        self._file_path = path
        if path.is_dir() and role == "store":
            self.index = read_index(path)
            if problems := self.index.file_problems(path):
                raise StoreError(problems[0])
            self._file_path = path / self.index.tables.name
        self._file = _open_hdf5(self._file_path)
        try:
            with hdf5_damage(self._file_path):
                self._read_columns()
        except BaseException:
            self._file.close()
            raise

    def _read_columns(self) -> None:
        self.version = _check_format(self._file, self._file_path, self.role if self.index is None else "tables")
        self.header = StoreHeader.from_json(self.header_text)
        self._columns: dict[str, Column] = {}
        if self.index is not None:
            shards = MappedShards(self.path, self.index)
            self._columns.update(open_shard_columns(self._file, self._file_path, shards, self.header))
        rows = len(self._read_ragged("videos/id", 0))
        for name in schema.VIDEO_COLUMNS:
            if name not in self._columns:
                self._columns[name] = self._read_ragged(name, rows)
        if self.role == "store":
            self._columns[schema.TITLE_TOKENS] = self._read_ragged(schema.TITLE_TOKENS, rows)
        self._fixed = {name: self._read_fixed(name, rows) for name in schema.FIXED_COLUMNS}
        failures = len(self._read_ragged("failures/id", 0))
        self._others = {name: self._read_ragged(name, failures) for name in schema.FAILURE_COLUMNS}
        tag_columns = [*schema.TAG_COLUMNS, schema.TAG_TOKENS] if self.role == "store" else list(schema.TAG_COLUMNS)
        self._others |= {name: self._read_ragged(name, 0) for name in tag_columns}
        self._check_lengths()

    def _is_missing(self, name: str) -> bool:
        return self.version < 2 and name in schema.SINCE_VERSION_2

    def _read_ragged(self, name: str, rows: int) -> RaggedColumn:
        """A ragged column; in a store of version 1, ``rows`` empty rows of one that version 2 brought."""
        if self._is_missing(name):
            return RaggedColumn.of_empty_rows(rows, "uint8")
        form = schema.array_form(f"{name}/values", self.header)
        return RaggedColumn.read(self._file, name, self._file_path, form, lazily=self.role == "part")

    def _read_fixed(self, name: str, rows: int) -> NDArray[Any]:
        if self._is_missing(name):
            return np.zeros(rows, {**schema.FIXED_COLUMNS, **schema.FAILURE_FIXED_COLUMNS}[name])
        return self.array(name)

    def _check_lengths(self) -> None:
        lengths = {name: len(column) for name, column in self._columns.items()}
        lengths |= {name: len(column) for name, column in self._fixed.items()}
        if len(set(lengths.values())) != 1:
            raise StoreError(f"{self.path}: its columns have different numbers of videos ({lengths}); it is damaged")
        for names in (schema.FAILURE_COLUMNS, [*schema.TAG_COLUMNS, schema.TAG_TOKENS]):
            found = {name: len(self._others[name]) for name in names if name in self._others}
            if len(set(found.values())) != 1:
                raise StoreError(f"{self.path}: its columns have different numbers of rows ({found}); it is damaged")
        if self.index is None:
            return
        counts = (self.index.videos, self.index.failures, self.index.tags)
        rows = (len(self), len(self._others["failures/id"]), len(self._others["tags/key"]))
        if counts != rows:
            raise StoreError(
                f"{self.path}: its index counts {_counts(*counts)}, its tables have {_counts(*rows)}; copy it again, or "
                "make the store anew"
            )

    @cached_property
    def failures(self) -> list[Failure]:
        """Inputs that gave no features."""
        columns = self._others
        names = ("id", "source", "stage", "error", "status")
        texts = zip(*(all_texts(columns[f"failures/{name}"]) for name in names), strict=True)
        digests = columns["failures/digest"].block(0, len(columns["failures/digest"])).bytes()
        seconds = self._read_fixed("failures/seconds", len(digests)).tolist()
        rows: list[Any] = [dict(zip(names, row, strict=True)) for row in texts]
        return [
            Failure(
                **{**row, "status": row["status"] or "failed"},
                digest=schema.digest_from_bytes(digest),
                seconds=spent,
            )
            for row, digest, spent in zip(rows, digests, seconds, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._columns["videos/id"])

    def column(self, name: str) -> Column:
        """A ragged column of the videos, tags or failures."""
        return self._columns[name] if name in self._columns else self._others[name]

    def fixed(self, name: str) -> NDArray[Any]:
        """A fixed column of the videos."""
        return self._fixed[name]

    def array(self, name: str) -> NDArray[Any]:
        """Any other array of the file, of the type and shape that the schema says.

        Raises:
            StoreError: it is missing, or of another form.
        """
        try:
            form = schema.array_form(name, self.header)
        except KeyError as error:
            raise StoreError(f"{self._file_path}: a feature store has no array {name!r}") from error
        return read_array(self._file, name, self._file_path, form)

    def array_names(self) -> list[str]:
        """Names of all arrays in the file."""
        names: list[str] = []
        with hdf5_damage(self._file_path):
            self._file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        return names

    @property
    def header_text(self) -> str:
        """The header as it stands in the file."""
        return _text_attribute(self._file, "header")

    def row_bytes(self) -> NDArray[np.int64]:
        """(V,) size of every video's values."""
        total = np.zeros(len(self), np.int64)
        for name, column in self._columns.items():
            spec = schema.RAGGED_COLUMNS[name]
            width = 1 if spec.width_field is None else int(getattr(self.header, spec.width_field))
            total += column.lengths() * (np.dtype(spec.dtype).itemsize * width)
        return total

    def block(self, start: int, stop: int) -> RowBlock:
        """Everything about the videos from ``start`` to before ``stop``."""
        return RowBlock(
            ragged={name: column.block(start, stop) for name, column in self._columns.items()},
            fixed={name: values[start:stop] for name, values in self._fixed.items()},
        )

    def release(self) -> None:
        """Gives the memory of what was read so far back to the system; everything can be read again."""
        for column in self._columns.values():
            column.release()

    def digests(self) -> dict[str, str]:
        """SHA-256 by array, as recorded when it was written; empty for a store of version 1."""
        with hdf5_damage(self._file_path):
            found: Any = parse_json(_text_attribute(self._file, "digests", "{}"))
            if not isinstance(found, dict) or not all(isinstance(digest, str) for digest in found.values()):
                raise ValueError("its digests are none")
        recorded: dict[str, str] = found
        return recorded

    def close(self) -> None:
        """Closes the HDF5 file, in a folder of shards that of the tables."""
        self._file.close()


def _counts(videos: int, failures: int, tags: int) -> str:
    return f"{videos:,} videos, {failures:,} failures and {tags:,} tags"
