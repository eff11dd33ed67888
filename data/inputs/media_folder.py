"""What is in an input folder: its videos and images, its shards, its metadata tables, and what in it cannot be used.

Hidden files and folders (a leading dot) are ignored, and so are files that are neither video, image nor shard, and the
shards of feature stores in sub-folders, such as the one that an extraction writes into its own input.
Links to files are followed: a download cache keeps every file of a data set as a link that leads out of the folder, and
whoever makes a folder decides what is in it. Links to folders are not (they can lead in circles, or over the whole disk);
each is a recorded failure.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError
from ..media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Failure, MediaKind
from ..sidecars.file_names import unicode_forms
from ..sidecars.files import BACKUP, SUFFIXES, names_beside
from .create_annotations import is_create_file
from .files_by_stem import PathList
from .metadata.metadata_table import TABLE_SUFFIXES, is_table
from .relative_paths import is_hidden, printable, without_suffix
from .thumbnails import part_thumbnails

SHARD_SUFFIX = ".tar"
SIDECAR_SUFFIX = ".info.json"

LONGEST_SUFFIX, MOST_SUFFIXES = 10, 12
"""Characters of a suffix that is counted by itself, and suffixes that are named."""

REMEDIES = {".jxl": " (JPEG XL, to be converted, for instance with djxl)"}
"""What helps where a format is not read."""

_TABLE_NAMES = tuple(f"metadata{suffix}" for suffix in TABLE_SUFFIXES)


def media_kind(name: str) -> MediaKind | None:
    """Kind of a file by its suffix, ``None`` if it is neither video nor image."""
    suffix = PurePosixPath(name).suffix.lower()
    return "video" if suffix in VIDEO_SUFFIXES else "image" if suffix in IMAGE_SUFFIXES else None


@dataclass(kw_only=True)
class MediaFolder:
    """Listing of a folder, all paths relative to ``root`` with forward slashes, sorted.

    It holds the paths, as no more than their bytes where there are many, and nothing of what is in the files.

    Attributes:
        root: the folder.
        media: videos and images.
        shards: tar files.
        thumbnails: pictures that stand for a video beside them; not in ``media``.
        tables: metadata tables, by their names; a ``metadata.json`` is one if it is a list.
        sidecars: ``.info.json`` files; ask :meth:`sidecars_of`.
        beside: other files beside a video or picture that speak of it; ask :meth:`beside_of`.
        create_files: annotation files of CREATE, by the names they were published under.
        others: how many other files there are, metadata tables included.
        skipped: how many of these there are with each suffix, metadata tables aside.
        failures: links and folders that cannot be used.
    """

    root: Path
    media: PathList = field(default_factory=PathList)
    thumbnails: PathList = field(default_factory=PathList)
    shards: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    sidecars: PathList = field(default_factory=PathList)
    beside: PathList = field(default_factory=PathList)
    create_files: list[str] = field(default_factory=list)
    others: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def index(self, path: str) -> int | None:
        """Position of ``path`` in ``media``, or behind these in ``thumbnails``; ``None`` if it is in neither."""
        position = _position(self.media, path)
        if position is None and (behind := _position(self.thumbnails, path)) is not None:
            position = len(self.media) + behind
        return position

    def sidecars_of(self, path: str) -> list[str]:
        """The ``.info.json`` of a video or picture: that of its stem, and that of its whole name, which says more of it."""
        bases = (form for base in (without_suffix(path), path) for form in unicode_forms(base))
        return [name for base in bases if _position(self.sidecars, name := base + SIDECAR_SUFFIX) is not None]

    def beside_of(self, path: str) -> list[str]:
        """Other files that speak of a video or picture (:mod:`optsg.data.sidecars`), in the order in which they count."""
        return [name for name in names_beside(path) if _position(self.beside, name) is not None]

    def why_not(self, path: str) -> str:
        """Why a path that metadata names is not in ``media``."""
        if is_hidden(path):
            return f"{printable(path)!r} is hidden"
        if media_kind(path) is None:
            return f"{printable(path)!r} has no known video or image suffix (known: {known_suffixes()})"
        return f"{printable(path)!r} is not in the folder {self.root}"


def _position(paths: PathList, path: str) -> int | None:
    position = bisect_left(paths, path)
    return position if position < len(paths) and paths[position] == path else None


def known_suffixes() -> str:
    """The suffixes of videos and images, for error messages."""
    return " ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))


def scan_folder(root: Path) -> MediaFolder:
    """List ``root`` and its sub-folders.

    Raises:
        InputError: ``root`` itself cannot be listed.
    """
    folder = MediaFolder(root=root)
    pending = [""]
    while pending:
        _scan_one(folder, pending.pop(), pending)
    folder.media.sort()
    folder.sidecars.sort()
    folder.media, folder.thumbnails = part_thumbnails(
        folder.media, lambda base: _position(folder.sidecars, base + SIDECAR_SUFFIX) is not None, media_kind
    )
    _keep_beside(folder)
    folder.shards.sort()
    folder.tables.sort()
    folder.create_files.sort()
    folder.failures.sort(key=lambda failure: failure.source)
    return folder


def _scan_one(folder: MediaFolder, path: str, pending: list[str]) -> None:
    """Add one folder's files to the listing and its sub-folders to ``pending``."""
    is_own = _own_names(folder.root / path) if path else lambda _name: False
    try:
        with os.scandir(folder.root / path) as entries:
            for entry in entries:
                if is_own(entry.name):
                    continue
                name = f"{path}/{entry.name}" if path else entry.name
                if entry.name.lower() in _TABLE_NAMES and _is_table(entry):
                    folder.tables.append(name)
                    folder.others += 1
                elif not entry.name.startswith("."):
                    _add_entry(folder, name, entry, pending)
    except OSError as error:
        if not path:
            raise InputError(f"{folder.root}: the folder cannot be listed ({error.strerror})") from error
        _fail(folder, path, f"cannot be listed ({error.strerror})")


def _own_names(folder: Path) -> Callable[[str], bool]:
    """Which names are those of the files of a feature store, in a folder that is one, finished or not."""
    if not os.path.lexists(folder / "tables.h5"):
        return lambda _name: False
    # h5py takes a moment to import, and few inputs have a store in them.
    from ..store.files import is_own_name

    return is_own_name


def is_metadata_table(path: Path) -> bool:
    """Whether a file would count as the table of its folder, by its name and what is in it, if it is there."""
    return path.name.lower() in _TABLE_NAMES and not path.is_dir() and is_table(path)


def _is_table(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere is one too, so that opening it says so."""
    is_file = _leads_to(entry, os.DirEntry.is_file)
    return is_table(Path(entry.path)) if is_file else not _leads_to(entry, os.DirEntry.is_dir)


def _add_entry(folder: MediaFolder, path: str, entry: os.DirEntry[str], pending: list[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        pending.append(path)
    elif _leads_to(entry, os.DirEntry.is_dir):
        _fail(folder, path, "is a link to a folder, which is not followed; give that folder as the input")
    elif media_kind(path) is not None or entry.name.lower().endswith(SHARD_SUFFIX):
        if _leads_to(entry, os.DirEntry.is_file):
            (folder.shards if media_kind(path) is None else folder.media).append(path)
        else:
            _fail(folder, path, "is not a file, or a link that leads nowhere")
    elif entry.name.endswith(SIDECAR_SUFFIX):
        folder.sidecars.append(path)
    elif is_create_file(entry.name) and _leads_to(entry, os.DirEntry.is_file):
        folder.create_files.append(path)
    elif _may_speak(entry.name) and _leads_to(entry, os.DirEntry.is_file):
        folder.beside.append(path)
    elif not entry.name.endswith(BACKUP):
        _skip(folder, path)


def _may_speak(name: str) -> bool:
    suffix = PurePosixPath(name).suffix
    is_found = suffix.islower() or suffix.isupper()  # as names_beside spells it
    return is_found and suffix.lower() in SUFFIXES and name.lower() not in _TABLE_NAMES


def _skip(folder: MediaFolder, path: str) -> None:
    folder.others += 1
    folder.skipped[short_suffix(PurePosixPath(path).name)] += 1


def _keep_beside(folder: MediaFolder) -> None:
    """Keeps the files that lie beside an input; the others are skipped."""
    found, folder.beside = folder.beside, PathList()
    for path in found:
        if any(_speaks_of(folder.media, path, base) for base in unicode_forms(without_suffix(path))):
            folder.beside.append(path)
        else:
            _skip(folder, path)
    folder.beside.sort()


def _speaks_of(media: PathList, path: str, base: str) -> bool:
    """Whether a file beside others is called as some path with its suffix, or, of an XMP, as the whole of it and one more."""
    return (path.lower().endswith(".xmp") and _position(media, base) is not None) or _is_stem(media, base)


def _is_stem(media: PathList, base: str) -> bool:
    """Whether some path is ``base`` with one more suffix; such names follow each other among sorted ones."""
    start = f"{base}."
    for number in range(bisect_left(media, start), len(media)):
        if not media[number].startswith(start):
            return False
        if without_suffix(media[number]) == base:
            return True
    return False


def short_suffix(name: str) -> str:
    """A suffix as it is counted; one that is no usual suffix counts as none, so that there are few."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if 1 < len(suffix) <= LONGEST_SUFFIX and suffix[1:].isalnum() and not suffix[1:].isdigit() else ""


def left_out(skipped: Mapping[str, int], thumbnails: int, place: str) -> list[str]:
    """What is said of files that are left out, a sentence each: those that are skipped, and the thumbnails of videos."""
    said = [] if (sentence := skipped_sentence(skipped, place)) is None else [sentence]
    pictures = (
        "picture beside a video of its name is" if thumbnails == 1 else "pictures beside videos of their names are"
    )
    return said + [f"{thumbnails:,} {pictures} left out in {place}: thumbnails"] * (thumbnails > 0)


def skipped_sentence(skipped: Mapping[str, int], place: str) -> str | None:
    """What is said of files that are skipped, with their suffixes, most frequent first; ``None`` where there are none."""
    if not (total := sum(skipped.values())):
        return None
    ranked = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(
        f"{count:,} {suffix or 'without a suffix'}{REMEDIES.get(suffix, '')}"
        for suffix, count in ranked[:MOST_SUFFIXES]
    )
    more = ", …" if len(ranked) > MOST_SUFFIXES else ""
    files = "file is" if total == 1 else "files are"
    return f"{total:,} {files} skipped in {place}, being neither video nor image by their suffixes: {counts}{more}"


def _leads_to(entry: os.DirEntry[str], is_kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Whether the entry, or what it is a link to, is of a kind; a link in a circle is of no kind."""
    try:
        return is_kind(entry)
    except OSError:
        return False


def _fail(folder: MediaFolder, path: str, error: str) -> None:
    name = printable(path)
    folder.failures.append(Failure(id=name, source=name, stage="read", error=f"{name}: {error}"))


class DefaultIds:
    """Ids of files that metadata gives none: the path's stem, made longer only where it is not unique.

    ``cats/a.mp4`` is ``a``; beside ``dogs/a.mp4`` it is ``cats/a``; beside ``cats/a.jpg`` as well it is ``cats/a.mp4``.
    """

    def __init__(self, paths: PathList) -> None:
        self._stems = repeated_texts(lambda: (PurePosixPath(path).stem for path in paths))
        self._bases = repeated_texts(
            lambda: (without_suffix(path) for path in paths if PurePosixPath(path).stem in self._stems)
        )

    def __getitem__(self, path: str) -> str:
        """Id of one of the folder's paths."""
        stem, base = PurePosixPath(path).stem, without_suffix(path)
        return printable(stem if stem not in self._stems else base if base not in self._bases else path)


def repeated_texts(read_texts: Callable[[], Iterator[str]]) -> frozenset[str]:
    """Texts that come more than once; read twice, so that memory holds eight bytes of each and those few."""
    hashes = np.sort(np.fromiter(map(hash, read_texts()), np.int64))
    candidates = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    counts = Counter(text for text in read_texts() if hash(text) in candidates) if candidates else Counter()
    return frozenset(text for text, count in counts.items() if count > 1)
