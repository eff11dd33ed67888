"""The samples of one tar shard: members that follow each other and share a key.

Read with :mod:`optsg.data.foreign.tar_reader` and not with the iterators of the ``webdataset`` package, because those cut a key at its first
dot ("Track 2.0.mp4" becomes "Track 2"), give the last sample of a cut tar without saying that members are missing, run the
command in a name that begins with ``pipe:``, and load torch. What they write is read here just the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tarfile import TarInfo

from ..errors import reason_of
from ..foreign.tar_reader import TAR_DAMAGE, JoinedTarsError, TarReader, open_tar
from ..media import TarMember
from .media_folder import media_kind
from .relative_paths import is_hidden

TEXT_SUFFIXES = frozenset({".json", ".txt"})
LARGEST_TEXT = 64 << 20
"""Bytes of a ``.json`` or ``.txt``, which are read whole."""


@dataclass(frozen=True, kw_only=True)
class TarSample:
    """One sample.

    Attributes:
        key: name of its members without their last suffix, so a key may hold dots and slashes.
        members: its videos, images, ``.json`` and ``.txt`` by suffix (lower case, with the dot), in tar order.
        texts: bytes of those that are ``.json`` or ``.txt``.
    """

    key: str
    members: dict[str, TarMember] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)

    @property
    def roles(self) -> set[str]:
        """What the sample has of ``media``, ``.json`` and ``.txt``."""
        return {suffix if suffix in TEXT_SUFFIXES else "media" for suffix in self.members}


@dataclass(frozen=True, kw_only=True)
class TarProblem:
    """Something that gives no sample: a member's name, or ``None`` for the shard itself, and why."""

    member: str | None
    error: str


def read_samples(path: Path, skip: Callable[[str], None] = lambda _: None) -> Iterator[TarSample | TarProblem]:
    """Samples of a shard in order, one in memory at a time; of videos and images only the headers are read.

    ``skip`` is told the name of every file that is no video, image, ``.json`` or ``.txt``; hidden ones are not spoken of.

    A shard that is cut short, damaged or followed by another tar gives the samples before that place and then one problem. The sample in which it
    ends counts if it has all that the one before it had, or a ``.json`` and a ``.txt`` where it is the first.
    """
    sample: TarSample | None = None
    usual = {"media", *TEXT_SUFFIXES}
    count = 0
    damage = None
    try:
        with open_tar(path) as tar:
            for member in _members(tar, skip):
                if not member.isreg() or member.issparse():
                    yield TarProblem(member=member.name, error="is a link or a sparse file, which is not read")
                    continue
                key, suffix = _split_name(member.name)
                if suffix in TEXT_SUFFIXES and member.size > LARGEST_TEXT:
                    yield TarProblem(member=member.name, error=f"has {member.size:,} bytes, more than {LARGEST_TEXT:,}")
                    continue
                if sample is not None and (key != sample.key or suffix in sample.members):
                    yield sample
                    usual, count, sample = sample.roles, count + 1, None
                sample = sample or TarSample(key=key)
                tar.check_inside(member)
                sample.members[suffix] = TarMember(path=path, offset=member.offset_data, size=member.size)
                if suffix in TEXT_SUFFIXES:
                    sample.texts[suffix] = _read(tar, member)
    except TAR_DAMAGE as error:
        damage = error
    is_whole = damage is None or isinstance(damage, JoinedTarsError)
    if sample is not None and (is_whole or sample.roles >= usual):
        yield sample
        count += 1
    if damage is not None:
        yield TarProblem(
            member=None, error=f"cut short, damaged or not a tar file ({reason_of(damage)}); samples read: {count:,}"
        )


def count_samples(path: Path, *, at_most: int) -> int | None:
    """Number of samples with a video or image, from the headers alone; ``None`` if damaged or above ``at_most``."""
    count = 0
    previous = None
    try:
        with open_tar(path) as tar:
            for member in _members(tar):
                key, suffix = _split_name(member.name)
                if suffix not in TEXT_SUFFIXES and key != previous:
                    count, previous = count + 1, key
                if count > at_most:
                    return None
    except TAR_DAMAGE:
        return None
    return count


def _members(tar: TarReader, skip: Callable[[str], None] = lambda _: None) -> Iterator[TarInfo]:
    """Members with a suffix in use; raises one of ``TAR_DAMAGE`` unless the archive ends with its end mark.

    :mod:`tarfile` takes a broken header after the first for the end of the archive, which would lose the rest silently.
    """
    while (member := tar.next()) is not None:
        if member.isdir() or is_hidden(member.name):
            continue
        suffix = PurePosixPath(member.name).suffix.lower()
        if suffix in TEXT_SUFFIXES or media_kind(member.name) is not None:
            yield member
        else:
            skip(member.name)
    tar.check_end()


def _read(tar: TarReader, member: TarInfo) -> bytes:
    stream = tar.open(member)
    assert stream is not None  # it is a regular file
    return stream.read()


def _split_name(name: str) -> tuple[str, str]:
    """Key and suffix of a member: cut at the last dot."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")), path.suffix.lower()
