"""Features that were made elsewhere, by video id: a folder of ``VID.npy``, one ``.npz``, or one ``.h5``.

CREATE publishes "features extracted by the CLIP model" without a word on their files; these three are what people use: one
array per video, named by its id, as clip-video-encode (``.npy``), numpy (``.npz``) and most captioning code (``.h5``) write it.

Legend: M frames or patches, D width.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import h5py
import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ..errors import InputError, StoreError, reason_of
from ..foreign.json_reader import read_bounded
from ..store.hdf5.columns import foreign_array
from .files_by_stem import FilesByStem
from .relative_paths import is_hidden, printable

HDF5_SUFFIXES = (".h5", ".hdf5")

LARGEST_ARRAY = 1 << 30
"""Bytes of one video's features."""

ARRAY_DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, OverflowError, SyntaxError, RuntimeError),
    *(MemoryError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy, zipfile and h5py make of damaged files."""


@dataclass(frozen=True, kw_only=True)
class ReadyArray:
    """Features of one video.

    Attributes:
        values: (M, D) finite float16, M ≥ 1.
        source: where they were, for people.
        digest: of the file's bytes where the file holds nothing else, else empty.
    """

    values: NDArray[np.float16]
    source: str
    digest: str = ""


class ReadyFeatures(Protocol):
    """Feature arrays that were made elsewhere, found by video id."""

    path: Path

    def read(self, vid: str) -> ReadyArray:
        """Features of one video; :class:`InputError` if there are none or they cannot be used."""
        ...


def open_ready_features(path: Path) -> ReadyFeatures:
    """Opens what ``path`` is, told by its suffix.

    Raises:
        InputError: it is not there, of another kind, damaged or empty.
    """
    if path.is_dir():
        return NpyFolder(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder")
    if path.suffix.lower() == ".npz":
        return NpzFile(path)
    if path.suffix.lower() in HDF5_SUFFIXES:
        return Hdf5File(path)
    raise InputError(f"{path}: not ready features; expected a folder of VID.npy, a .npz or a .h5")


class NpyFolder:
    """One ``VID.npy`` per video, anywhere in a folder; links to folders and hidden files are ignored."""

    def __init__(self, path: Path):
        self.path = path
        names = [
            (Path(folder) / name).relative_to(path).as_posix() for folder, _, files in os.walk(path) for name in files
        ]
        arrays = sorted(name for name in names if name.lower().endswith(".npy") and not is_hidden(name))
        if not arrays:
            raise InputError(f"{path}: no .npy in this folder; expected one VID.npy per video")
        self._files = FilesByStem(arrays, what="feature file", place=f"the folder {path}")

    def read(self, vid: str) -> ReadyArray:
        """The array in ``VID.npy``."""
        name = self._files.find(vid)
        file = self.path / name
        source = f"{self.path.name}/{printable(name)}"
        try:
            data = read_bounded(file, LARGEST_ARRAY)
            values = parse_npy(io.BytesIO(data), len(data))
        except ARRAY_DAMAGE as error:
            raise InputError(f"{source} is no array of numbers ({reason_of(error)})") from error
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return ReadyArray(values=usable(values, source), source=source, digest=digest)


class NpzFile:
    """One ``.npz`` with an array per video."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except ARRAY_DAMAGE as error:
            raise InputError(f"{path}: not a .npz file ({reason_of(error)})") from error
        self._members = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}
        if not self._members:
            raise InputError(f"{path}: holds no arrays")

    def read(self, vid: str) -> ReadyArray:
        """The array of that name in the archive."""
        if vid not in self._members:
            raise InputError(f"no array called {printable(vid)!r} in {self.path}")
        source = f"{self.path.name}/{printable(vid)}"
        member = self._members[vid]
        try:
            if member.file_size > LARGEST_ARRAY:
                raise ValueError(f"it announces {member.file_size:,} bytes, more than {LARGEST_ARRAY:,}")
            with self._archive.open(member) as stream:  # gives no more than it has announced
                values = parse_npy(stream, member.file_size)
        except ARRAY_DAMAGE as error:
            raise InputError(f"{source} is no array of numbers ({reason_of(error)})") from error
        return ReadyArray(values=usable(values, source), source=source)


def parse_npy(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array in ``size`` bytes of ``.npy``; memory is taken for no more than they hold.

    Raises:
        ValueError: it holds Python objects, which are never made, or announces more than is there.
    """
    read_header = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    version = npy_format.read_magic(stream)
    if version not in read_header:
        raise ValueError(f"version {version[0]}.{version[1]} of .npy is not known")
    shape, _, dtype = read_header[version](stream)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    announced, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or announced > there:
        raise ValueError(f"it announces {announced:,} bytes and has {there:,}")
    stream.seek(0)
    values: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False)
    return values


class Hdf5File:
    """One ``.h5`` with a data set per video at its top; links to other files are refused."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except ARRAY_DAMAGE as error:
            raise InputError(f"{path}: not an HDF5 file ({reason_of(error)})") from error

    def read(self, vid: str) -> ReadyArray:
        """The dataset of that name in the file."""
        source = f"{self.path.name}/{printable(vid)}"
        try:
            if vid not in self._file:
                raise InputError(f"no array called {printable(vid)!r} in {self.path}")
            values = foreign_array(self._file, vid, self.path, most_bytes=LARGEST_ARRAY)
        except (*ARRAY_DAMAGE, StoreError) as error:
            raise InputError(f"{source} is no array of numbers ({reason_of(error)})") from error
        return ReadyArray(values=usable(values, source), source=source)


def usable(values: Any, source: str) -> NDArray[np.float16]:
    """(M, D) float16 from an array of numbers.

    Raises:
        InputError: another shape or type, nothing in it, or values that are not finite in float16.
    """
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        shape = "x".join(map(str, np.shape(values))) or "a single value"
        raise InputError(
            f"{source} is {shape} of {np.asarray(values).dtype}; expected floating-point numbers, frames x width"
        )
    if values.size == 0:
        raise InputError(f"{source} holds no frames")
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise InputError(f"{source} holds values that are not finite, or above 65504")
    return half
