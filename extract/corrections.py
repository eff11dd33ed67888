"""What differs from a store that was made: titles, tags and splits of videos that it holds already, and files in their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from ..data.inputs import Inputs, whole_tables
from ..data.inputs.create_annotations import Annotation
from ..data.inputs.splits import choose_split, split_by_hash
from ..data.media import SPLITS, Failure, MediaItem, Split, TarMember
from ..data.store import FeatureStore, open_part, open_store
from ..data.store.hdf5.columns import all_texts
from ..data.store.relabeling import Labels
from ..data.store.row_blocks import decode_text, encode_text
from ..data.store.schema import VideoFeatures
from ..data.tags import clean_tag, tag_key
from .workers.preparation import source_digest


class Labelled(Protocol):
    """What metadata says of a video: a :class:`optsg.data.media.MediaItem`, for one."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str | None: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def tags(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def split(self) -> Split: ...  # noqa: D102
    @property
    def named(self) -> Split | None: ...  # noqa: D102
    @property
    def given(self) -> frozenset[str]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class NewLabels:
    """What metadata says of a video of a store, without the video; fields as of :class:`optsg.data.media.MediaItem`."""

    id: str
    title: str
    tags: tuple[str, ...]
    split: Split
    named: Split | None
    given: frozenset[str]
    source: None = None

    @classmethod
    def of(cls, annotation: Annotation, video_id: str) -> NewLabels:
        """What an annotation says of the video with this id."""
        record, named = annotation.record, annotation.named_split
        return cls(
            id=video_id,
            title=record.title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=video_id, named=(named,)),
            named=named,
            given=annotation.given,
        )


class _Hashes:
    """Rows of texts by hash, which another process would make another of."""

    def __init__(self, texts: Sequence[str]):
        hashes = np.fromiter(map(hash, texts), np.int64, len(texts))
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def rows(self, text: str) -> list[int]:
        """Rows that may hold the text."""
        first, last = (
            np.searchsorted(self._sorted, hash(text), "left"),
            np.searchsorted(self._sorted, hash(text), "right"),
        )
        rows: list[int] = self._order[first:last].tolist()
        return rows


class KnownLabels:
    """Finds videos by id and by source in stores and parts, in 32 bytes a video. Another process has none of it."""

    def __init__(self) -> None:
        self._stores: list[tuple[Path, bool]] = []
        self._ids: list[_Hashes] = []
        self._sources: list[_Hashes] = []
        self._open: dict[int, FeatureStore] = {}

    def add(self, store: FeatureStore, ids: list[str]) -> None:
        """Takes note of a store; of those that have an id, the first counts."""
        self._stores.append((store.path, store.role == "part"))
        self._ids.append(_Hashes(ids))
        self._sources.append(_Hashes(all_texts(store.column("videos/source"))))

    def find(self, video_id: str) -> tuple[FeatureStore, int] | None:
        """The store and the row of a video."""
        for number, hashes in enumerate(self._ids):
            for row in hashes.rows(video_id):
                if (store := self._opened(number)).id(row) == video_id:
                    return store, row
        return None

    def twin(self, features: VideoFeatures) -> str | None:
        """Another id under which the very same file is known: it has the same source and the same bytes."""
        for number, hashes in enumerate(self._sources if features.digest else ()):
            for row in hashes.rows(features.source):
                store = self._opened(number)
                if store.source(row) == features.source and store.digest(row) == features.digest:
                    return None if store.id(row) == features.id else store.id(row)
        return None

    def __reduce__(self) -> tuple[type[KnownLabels], tuple[()]]:
        return KnownLabels, ()

    def _opened(self, number: int) -> FeatureStore:
        if number not in self._open:
            path, is_part = self._stores[number]
            self._open[number] = open_part(path) if is_part else open_store(path)
        return self._open[number]

    def close(self) -> None:
        """Closes the stores that were opened to look into them."""
        for store in self._open.values():
            store.close()
        self._open = {}


ALWAYS_READ_AGAIN = 8
"""Inputs that are read again whatever their files' dates: another folder with files of the same names is found out by them."""

MOST_READ_AGAIN = 1 << 30
"""Bytes of all files that are read again."""


@dataclass(kw_only=True)
class FilesReadAgain:
    """Whether inputs that count as done are the files that a store was made of: some are read again, nothing is decoded.

    Those are the first few, and those whose files were written since, as long as they are not too large together.

    Attributes:
        number, bytes: of the inputs that were read.
        others: how many of them are other files.
        first: the source of the first of these.
    """

    number: int = 0
    bytes: int = 0
    others: int = 0
    first: str = ""

    def compare(self, item: MediaItem, store: FeatureStore, row: int) -> None:
        """Takes note of an input that counts as done, as this row of a store."""
        place = item.payload
        if isinstance(place, bytes) or self.bytes >= MOST_READ_AGAIN:
            return
        try:
            written = (place.path if isinstance(place, TarMember) else place).stat()
            size = place.size if isinstance(place, TarMember) else written.st_size
            is_newer = written.st_mtime > datetime.fromisoformat(store.header.created).timestamp()
            if self.bytes + size > MOST_READ_AGAIN or not (is_newer or self.number < ALWAYS_READ_AGAIN):
                return
            if not (known := store.digest(row)):
                return  # features made elsewhere
            digest = source_digest(place.read() if isinstance(place, TarMember) else place)
        except OSError:
            return  # what is done needs its file no more
        self.number += 1
        self.bytes += size
        if digest and digest != known:
            self.first = self.first or item.source
            self.others += 1

    def warning(self) -> str | None:
        """A sentence where some are other files."""
        if not self.others:
            return None
        what, and_was = ("is another file", "was") if self.others == 1 else ("are other files", "were")
        return (
            f"{self.others:,} of {self.number:,} inputs that count as done and were looked at {what} than the store has "
            f"under {'its id' if self.others == 1 else 'their ids'} ({self.first!r}, for instance), and {and_was} not extracted: "
            "give other videos or images ids of their own in the metadata, or begin anew with --overwrite"
        )


@dataclass(kw_only=True)
class Corrections:
    """What differs from the stores that are known.

    Attributes:
        known: the stores.
        changes: new labels by id.
        counts: videos with another title, other tags, another split.
        kept: videos with a title or tags that metadata says nothing of any more.
        elsewhere: inputs that are another file than the one of which a store has features under their id.
        first_elsewhere: the first of them, and that file.
        again: whether files are still those that they were.
        mended: ids of recorded failures of metadata rows that are no failures any more.
    """

    known: KnownLabels
    again: FilesReadAgain = field(default_factory=FilesReadAgain)
    changes: dict[str, Labels] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    elsewhere: int = 0
    first_elsewhere: tuple[str, str] = ("", "")
    mended: set[str] = field(default_factory=set)
    _spelled: dict[str, Counter[str]] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changes or self.mended or self.spellings())

    def compare(self, item: Labelled) -> None:
        """Takes note of what is another now for a video of a known store; what metadata says nothing of stays."""
        if (found := self.known.find(item.id)) is None:
            return
        store, row = found
        if isinstance(item, MediaItem) and as_stored(item.source) == store.source(row):
            self.again.compare(item, store, row)
        self._compare_source(item.source, store.source(row))
        if not item.given:
            self.kept += bool(len(store.tags(row)) or store.title(row))
            return
        old = Labels(
            title=store.title(row),
            tags=tuple(store.tag_spellings[tag] for tag in store.tags(row)),
            split=SPLITS[int(store.splits[row])],
        )
        new = corrected(old, item)
        keys = tuple(store.tag_keys[tag] for tag in store.tags(row))
        new_keys = keys if new.tags == old.tags else tuple(map(tag_key, new.tags))
        differences = {"titles": new.title != old.title, "tags": new_keys != keys, "splits": new.split != old.split}
        if any(differences.values()):
            self.changes[item.id] = new
            self.counts.update(name for name, differs in differences.items() if differs)
        if new_keys == keys:
            self._compare_spellings(keys, old.tags, new.tags)

    def _compare_source(self, source: str | None, known: str) -> None:
        if source is not None and as_stored(source) != known:
            self.first_elsewhere = self.first_elsewhere if self.elsewhere else (source, known)
            self.elsewhere += 1

    def warning(self) -> str | None:
        """A sentence where inputs have ids of other files: nobody has compared their bytes."""
        if not self.elsewhere:
            return None
        now, known = self.first_elsewhere
        which, was = (
            ("input has the id of another file", "was")
            if self.elsewhere == 1
            else ("inputs have ids of other files", "were")
        )
        return (
            f"{self.elsewhere:,} {which} ({now!r} that of {known!r}, for instance) and {was} not read again, as if moved or "
            "converted: where it is another video or image, give it an id of its own in the metadata, or begin anew with --overwrite"
        )

    def _compare_spellings(self, keys: tuple[str, ...], old: tuple[str, ...], new: tuple[str, ...]) -> None:
        for key, was, tag in zip(keys, old, new, strict=True):
            spelling = clean_tag(tag)
            if spelling == was:
                self._kept.add(key)
            else:
                self._spelled.setdefault(key, Counter())[spelling] += 1

    def spellings(self) -> dict[str, str]:
        """Tags that nobody spells any more as the stores do, by key; the most frequent new spelling."""
        found = {}
        for key, counts in self._spelled.items():
            if key not in self._kept and counts.total() >= self._uses(key):
                found[key] = max(counts, key=counts.__getitem__)
        return found

    def _uses(self, key: str) -> int:
        """Videos that have the tag: where only some were looked at, the others may be spelled as before."""
        return self._numbers.get(key, 0)

    def settle(self, store: FeatureStore) -> None:
        """Takes from the finished store how often tags are used that seem to be spelled in another way."""
        if self._spelled:
            counts = store.tag_counts(np.arange(len(store)))
            self._numbers = {
                key: int(count) for key, count in zip(store.tag_keys, counts, strict=True) if key in self._spelled
            }


def as_stored(text: str) -> str:
    """A text as a store gives it back."""
    return decode_text(encode_text(text))


def corrected(old: Labels, item: Labelled) -> Labels:
    """The labels that a video has by what its metadata says now."""
    title = as_stored(item.title) if "title" in item.given else old.title
    tags = item.tags if "tags" in item.given else old.tags
    if not tags:
        return Labels(title=title, tags=(), split="none")
    split: Split = old.split
    if "split" in item.given or not old.tags:
        split = item.split if "tags" in item.given else item.named or split_by_hash(item.id)
    return Labels(title=title, tags=tags, split=split)


class WatchedInputs:
    """The same inputs; what is corrected of those that are done is noted on the way.

    Attributes:
        description, count: of the inputs.
        failed: ids of the inputs that could not be read.
        is_at_end: whether all were read.
    """

    def __init__(self, inputs: Inputs, corrections: Corrections, done: set[str]):
        self._inputs = inputs
        self._corrections = corrections
        self._done = done
        self.description = inputs.description
        self.failed: set[str] = set()
        self.is_at_end = False

    @property
    def count(self) -> int | None:
        """Number of inputs if known."""
        return self._inputs.count

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        for item in self._inputs:
            if isinstance(item, Failure):
                self.failed.add(item.id)
            elif item.id in self._done:
                self._corrections.compare(item)
            yield item
        self.is_at_end = True

    def read_on(self) -> None:
        """Reads what was not read in this process, where the inputs were sent to another one."""
        if not self.is_at_end:
            for _ in self:
                pass

    def __reduce__(self) -> tuple[Callable[[Inputs], Inputs], tuple[Inputs]]:
        return _the_same, (self._inputs,)  # in another process nobody would see what is noted

    def conclude(self, recorded: set[str]) -> None:
        """Reads on to the end, and notes which recorded failures of metadata rows are none any more."""
        self.read_on()
        starts = tuple(f"{label}, " for label in whole_tables(self._inputs))
        self._corrections.mended = {name for name in recorded - self.failed if name.startswith(starts)}


def _the_same(inputs: Inputs) -> Inputs:
    return inputs
