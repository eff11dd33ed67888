"""``optsg-store relabel``: other titles, tags and splits for videos of a finished store, out of a metadata table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Unpack

from ...data.errors import InputError
from ...data.inputs import MetadataOptions
from ...data.inputs.annotations import open_annotations
from ...data.inputs.create_annotations import Annotation
from ...data.inputs.media_folder import media_kind
from ...data.inputs.metadata.columns import MetadataKeywords
from ...data.media import Failure
from ...data.store import FeatureStore, open_store
from ...data.store.files import locked_store
from ...data.store.relabeling import relabel_store
from ...data.store.writing import Progress
from ..corrections import Corrections, KnownLabels, NewLabels
from ..encoders.text_encoder import text_maker

SHOWN = 5


@dataclass(kw_only=True)
class Relabelled:
    """What was done.

    Attributes:
        videos: of the store.
        rows: of the table that are about one of them.
        changed: videos that have other labels now.
        counts: of those, other ``titles``, ``tags``, ``splits``; and ``spellings`` of tags.
        new_tags: how many tags were embedded.
        unknown: names of videos that the store does not have.
        missing: videos of the store that no row is about.
        cleared: whether their titles and tags were to be taken away.
        failures: rows that could not be read.
        notes: how the table was read.
    """

    videos: int = 0
    rows: int = 0
    changed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    new_tags: int = 0
    unknown: list[str] = field(default_factory=list)
    missing: int = 0
    cleared: bool = False
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def warnings(self) -> Iterator[str]:
        """What was not applied, a sentence each."""
        if self.unknown:
            verb = "row is about a video" if len(self.unknown) == 1 else "rows are about videos"
            yield f"{len(self.unknown):,} {verb} that the store does not have: {_first(self.unknown)}"
        if self.missing and not self.cleared:
            verb = (
                "video of the store has no row and keeps its"
                if self.missing == 1
                else "videos of the store have no row and keep their"
            )
            yield f"{self.missing:,} {verb} title and tags; --clear-missing takes them away"
        for failure in self.failures[:SHOWN]:
            yield failure.error
        if len(self.failures) > SHOWN:
            yield f"{len(self.failures) - SHOWN:,} more rows cannot be read"

    def sentence(self) -> str:
        """The counts in one line."""
        if not (self.changed or self.counts):
            return "nothing to change, left as it was"
        found = ", ".join(
            f"{name} {self.counts[name]:,}" for name in ("titles", "tags", "splits", "spellings") if self.counts[name]
        )
        return f"{self.changed:,} of {self.videos:,} videos changed ({found}), {self.new_tags:,} new tags embedded"


def relabel(
    path: Path,
    metadata: Path,
    *,
    clear_missing: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    **reading: Unpack[MetadataKeywords],
) -> Relabelled:
    """Applies a metadata table to a store; of titles, tags and splits those that the table has columns for.

    Args:
        path: a finished store of either form; it stays as it is until the new one is whole.
        metadata: a table with ``id`` or ``file_name``, or annotations of CREATE.
        clear_missing: take titles and tags, those that the table has a column for, from videos that it has no row for.
        device: of the text encoder, which is opened where there are new tags or titles.
        progress: called with numbers of videos while they are written.
        reading: how the table is read, as in :func:`optsg.extract.extract`.

    Raises:
        InputError: the table cannot be read, or is about no video of the store; with ``clear_missing``, also where a row cannot
            be read or there is nothing to take away.
        StoreError: it is no store, or damaged, or another process is writing it.
        EncoderError: the store's text encoder cannot be had.
    """
    options = MetadataOptions.of(**reading)
    annotations = open_annotations(metadata, options, by_path=True)

    with locked_store(path):
        done = Relabelled(notes=annotations.notes(needs_all=False))
        with open_store(path) as store:
            corrections = _compare(store, annotations, done, clear_missing)
        corrections.known.close()
        if not done.rows:
            first = done.failures[0].error if done.failures else f"the first: {_first(done.unknown[:1])}"
            raise InputError(f"{metadata}: no row is about a video of {path}; {first}")
        if corrections:
            done.changed, done.counts = len(corrections.changes), Counter(corrections.counts)
            spellings = corrections.spellings()
            done.counts.update({"spellings": len(spellings)} if spellings else {})
            done.new_tags = relabel_store(
                path, corrections.changes, make_text=text_maker(device), spellings=spellings, progress=progress
            )
    return done


def _compare(
    store: FeatureStore, annotations: Iterable[Annotation | Failure], done: Relabelled, clear_missing: bool
) -> Corrections:
    known = KnownLabels()
    known.add(store, store.ids())
    corrections = Corrections(known=known)
    finder, about, given = _Finder(store), dict[str, str](), set[str]()
    done.videos = len(store)
    for annotation in annotations:
        if isinstance(annotation, Failure):
            done.failures.append(annotation)
            continue
        try:
            video_id = finder.find(annotation)
        except InputError as refused:
            where = annotation.where
            done.failures.append(Failure(id=annotation.vid, source=where, stage="read", error=f"{where}: {refused}"))
            continue
        if video_id is None:
            done.unknown.append(annotation.file or annotation.vid)
            continue
        if video_id in about:
            error = f"{annotation.where}: it is about {video_id!r}, as {about[video_id]} is; give each video one row"
            done.failures.append(Failure(id=video_id, source=annotation.where, stage="read", error=error))
            continue
        about[video_id] = annotation.where
        done.rows += 1
        given |= annotation.given
        corrections.compare(NewLabels.of(annotation, video_id))
    done.missing = len(store) - len(about)
    if clear_missing and done.rows:
        _clear(corrections, [name for name in store.ids() if name not in about], given, done)
    corrections.settle(store)
    return corrections


def _clear(corrections: Corrections, missing: Iterable[str], given: set[str], done: Relabelled) -> None:
    """Titles and tags of videos without a row are none. Nothing else is: a row that is bad may be about one of them."""
    if done.failures:
        raise InputError(
            f"{done.failures[0].error}; --clear-missing would take the labels of such rows' videos away: mend the "
            f"{len(done.failures):,} bad rows first"
        )
    taken = frozenset(given & {"title", "tags"})
    if not taken:
        raise InputError("--clear-missing takes titles and tags away, and the table has a column for neither")
    done.cleared = True
    for name in missing:
        corrections.compare(NewLabels(id=name, title="", tags=(), split="none", named=None, given=taken))


class _Finder:
    """The video that an annotation is about: by its id, else by its file, whose stem is the id where that is unique."""

    def __init__(self, store: FeatureStore):
        self._store = store
        self._rows = {name: row for row, name in enumerate(store.ids())}

    def find(self, annotation: Annotation) -> str | None:
        """Its id; ``None`` where the store does not have it. :class:`InputError` where several are from a file of that name."""
        if annotation.has_own_id or not annotation.file:
            return annotation.vid if annotation.vid in self._rows else None
        path = PurePosixPath(annotation.file)
        if not path.name:  # "." and "/" are no files
            return None
        if by_source := self._by_source.get(str(path)):
            if len(by_source) > 1:
                names = f"{by_source[0]!r} and {by_source[1]!r}"
                raise InputError(f"several videos of the store are from {str(path)!r}, such as {names}; give their ids")
            return by_source[0]
        for name in (str(path), str(path.with_suffix("")), path.stem):
            if name in self._rows and _fits(path, PurePosixPath(self._store.source(self._rows[name]))):
                return name
        return None

    @cached_property
    def _by_source(self) -> dict[str, list[str]]:
        """Ids by source: stores of several folders that were merged may have one twice."""
        found: dict[str, list[str]] = {}
        for name, row in self._rows.items():
            found.setdefault(self._store.source(row), []).append(name)
        return found


def _fits(path: PurePosixPath, source: PurePosixPath) -> bool:
    """Whether the two may be one file, seen from different folders; what was no video file before may be any."""
    if media_kind(source.name) is None:
        return True
    shorter, longer = sorted((path.with_suffix("").parts, source.with_suffix("").parts), key=len)
    return longer[len(longer) - len(shorter) :] == shorter


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
