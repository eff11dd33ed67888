"""``index.json``: which files a store of WebDataset shards consists of. Written last, so a folder without it is unfinished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import StoreError, StoreVersionError
from ...foreign.json_reader import LARGE_FILE, read_json
from ..files import INDEX_NAME, TABLES_NAME, replaced_name
from ..schema import VERSION

SHARD_FORMAT = "optsg-features-shards"


def shard_name(number: int) -> str:
    """File name of shard ``number``."""
    return f"shard-{number:06d}.tar"


@dataclass(frozen=True, kw_only=True)
class IndexedFile:
    """A file of the store.

    Attributes:
        name: file name, directly in the folder.
        samples: videos in it; 0 for the tables.
        bytes: size.
        sha256: of its contents, hexadecimal.
    """

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """Contents of a folder.

    Attributes:
        videos, failures, tags: numbers of rows.
        tables: the HDF5 file with everything small.
        shards: the tar files by number.
    """

    videos: int
    failures: int
    tags: int
    tables: IndexedFile
    shards: tuple[IndexedFile, ...]

    def to_json(self) -> str:
        """The index as the text of ``index.json``."""
        return json.dumps({"format": SHARD_FORMAT, "version": VERSION, **asdict(self)}, indent=1) + "\n"

    def file_problems(self, folder: Path) -> list[str]:
        """Files that are missing or of another size, one sentence each."""
        problems = []
        for file in (self.tables, *self.shards):
            path = folder / file.name
            if not path.is_file():
                problems.append(f"{path} is missing; copy it again, or make the store anew")
            elif (size := path.stat().st_size) != file.bytes:
                problems.append(
                    f"{path} has {size:,} bytes where {INDEX_NAME} says {file.bytes:,}; copy it again, or make the store "
                    "anew"
                )
        return problems


def read_index(folder: Path) -> ShardIndex:
    """The index of a finished folder.

    Raises:
        StoreVersionError: a newer optsg wrote it.
        StoreError: the folder is unfinished, something else, or its index is damaged.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        raise StoreError(_no_index(folder))
    try:
        values = read_json(path, most_bytes=LARGE_FILE)
        found = values["format"] if isinstance(values, dict) else None
    except (OSError, ValueError, KeyError):
        found = None
    if found != SHARD_FORMAT:
        raise StoreError(f"{path} is no index of a feature store; {folder} is damaged or something else")
    if not isinstance(values.get("version"), int) or values["version"] > VERSION:
        raise StoreVersionError(
            f"{folder} is a feature store of version {values.get('version')}; this optsg reads up to version {VERSION}: "
            "upgrade optsg"
        )
    try:
        return _parse(values)
    except (TypeError, ValueError, KeyError) as error:
        raise StoreError(f"{path} is damaged ({error}); copy it again, or make the store anew") from error


def check_exists(path: Path) -> None:
    """Says what is the matter where there is nothing at ``path``.

    Raises:
        StoreError: there is nothing; the message tells of a replacement that was interrupted.
    """
    if path.exists():
        return
    if replaced_name(path).is_dir():
        raise StoreError(
            f"{path} was being replaced when the program was ended; run the same command again, or rename "
            f"{replaced_name(path)} to {path}"
        )
    raise StoreError(f"there is no feature store at {path}; make one with: optsg-extract VIDEOS --out {path}")


def _no_index(folder: Path) -> str:
    if folder.suffix == ".tmp" or (folder / TABLES_NAME).exists():
        return f"{folder} is not a finished feature store (it has no {INDEX_NAME}); run the command that wrote it again"
    return f"{folder} is a folder but no feature store (it has no {INDEX_NAME}); make one with optsg-extract"


def _parse(values: Mapping[str, Any]) -> ShardIndex:
    counts = {name: _count(values, name) for name in ("videos", "failures", "tags")}
    tables = _file(values["tables"], TABLES_NAME)
    shards = tuple(_file(shard, shard_name(number)) for number, shard in enumerate(values["shards"]))
    if (samples := sum(shard.samples for shard in shards)) != counts["videos"]:
        raise ValueError(f"its shards have {samples:,} samples, but it counts {counts['videos']:,} videos")
    return ShardIndex(**counts, tables=tables, shards=shards)


def _file(values: Mapping[str, Any], name: str) -> IndexedFile:
    # The name is compared, not used: an index cannot lead out of its folder.
    if values["name"] != name:
        raise ValueError(f"it names the file {values['name']!r} where {name!r} is due")
    return IndexedFile(
        name=name, samples=_count(values, "samples"), bytes=_count(values, "bytes"), sha256=str(values["sha256"])
    )


def _count(values: Mapping[str, Any], name: str) -> int:
    count = values[name]
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{name} is {count!r}, not a number")
    return count
