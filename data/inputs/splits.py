"""Which set a video belongs to: what its metadata says, else its folder or shard, else a hash of its id.

The hash is SHA-256 over the seed and the id, so a video stays in its set on every machine, under every Python version,
and when other videos are added or removed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ..errors import InputError
from ..media import Split

HASH_SHARES: tuple[tuple[Split, int], ...] = (("train", 90), ("val", 5), ("test", 5))
"""Percent of the videos that the hash puts into each set."""

_FOLDER_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
"""What a folder or shard may be called; ``training`` or ``testing`` may as well be what its videos show."""

_NAMES: dict[str, Split] = {
    **_FOLDER_NAMES,
    "training": "train",
    "validate": "val",
    "eval": "val",
    "evaluation": "val",
    "testing": "test",
}
"""What a metadata column may say. ``eval`` is what training is watched on, as Hugging Face's trainers call it."""

_PARTITIONS: dict[str, Split] = {"split=none": "none", **{f"split={name}": split for name, split in _NAMES.items()}}
"""Folders of Parquet that was written in partitions by its column ``split``, which then is in no file."""


def parse_split(text: str) -> Split | None:
    """Set that a metadata column names; ``None`` for an empty text.

    ``none`` is accepted too: such a video is extracted and neither trained on nor scored.

    Raises:
        InputError: the text names no set.
    """
    name = text.strip().lower()
    if not name:
        return None
    if name == "none":
        return "none"
    if name not in _NAMES:
        raise InputError(f"split is {text[:40]!r}, expected train, val (or valid, validation, dev), test or none")
    return _NAMES[name]


def split_of_folders(path: str) -> Split | None:
    """Set named by a folder of a relative POSIX path; the outermost such folder counts.

    The outermost, because sets are divided first: in ``test/train/x.mp4``, ``train`` is more likely a class of videos.
    """
    for folder in PurePosixPath(path).parts[:-1]:
        name = folder.lower()
        if (split := _FOLDER_NAMES.get(name) or _PARTITIONS.get(name)) is not None:
            return split
    return None


def split_of_shard(path: str) -> Split | None:
    """Set named by a shard, ``emoji-train-000012.tar`` or ``train/000012.tar``; a file name that names two sets names none."""
    words = re.split(r"[^a-z]+", PurePosixPath(path).stem.lower())
    named = {_FOLDER_NAMES[word] for word in words if word in _FOLDER_NAMES}
    return named.pop() if len(named) == 1 else split_of_folders(path)


def split_by_hash(video_id: str, *, seed: int = 0) -> Split:
    """Set drawn from :data:`HASH_SHARES` by the SHA-256 of seed and id."""
    digest = hashlib.sha256(f"{seed}:{video_id}".encode("utf-8", "backslashreplace")).digest()
    percent = int.from_bytes(digest[:8], "big") * 100 >> 64
    for split, share in HASH_SHARES:
        if percent < share:
            return split
        percent -= share
    raise AssertionError("the shares add up to 100")


def choose_split(*, tags: Sequence[str], video_id: str, named: Iterable[Split | None]) -> Split:
    """Set of a video: ``none`` without tags, else the first of ``named`` that is one, else by hash."""
    if not tags:
        return "none"
    return named_split(named) or split_by_hash(video_id)


def named_split(named: Iterable[Split | None]) -> Split | None:
    """The first of them that is not ``None``, if any."""
    return next((split for split in named if split is not None), None)
