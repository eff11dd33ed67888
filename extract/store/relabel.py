"""``optsg-store relabel``: other titles, tags and splits for videos of a finished store, out of a metadata table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Unpack

from ...data.errors import InputError, StoreWriteError
from ...data.inputs import MetadataOptions
from ...data.inputs.annotations import open_annotations
from ...data.inputs.create_annotations import Annotation
from ...data.inputs.media_folder import media_kind
from ...data.inputs.metadata.columns import MetadataKeywords
from ...data.media import Failure
from ...data.store import FeatureStore, open_store
from ...data.store.files import recover_store
from ...data.store.relabeling import relabel_store
from ...data.store.schema import StoreHeader, TextModelTables
from ...data.store.writing import Progress
from ...data.whole_files import lock_out
from ..corrections import Corrections, KnownLabels, NewLabels
from ..encoders.text_encoder import open_text_encoder

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
        failures: rows that could not be read.
        notes: how the table was read.
    """

    videos: int = 0
    rows: int = 0
    changed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    new_tags: int = 0
    unknown: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def warnings(self) -> Iterator[str]:
        """What was not applied, a sentence each."""
        if self.unknown:
            verb = "row is about a video" if len(self.unknown) == 1 else "rows are about videos"
            yield f"{len(self.unknown):,} {verb} that the store does not have: {_first(self.unknown)}"
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
    device: str = "auto",
    progress: Progress | None = None,
    **reading: Unpack[MetadataKeywords],
) -> Relabelled:
    """Applies a metadata table to a store; of titles, tags and splits those that the table has columns for.

    Args:
        path: a finished store of either form; it stays as it is until the new one is whole.
        metadata: a table with ``id`` or ``file_name``, or annotations of CREATE.
        device: of the text encoder, which is opened where there are new tags or titles.
        progress: called with numbers of videos while they are written.
        reading: how the table is read, as in :func:`optsg.extract.extract`.

    Raises:
        InputError: the table cannot be read, or is about no video of the store.
        StoreError: it is no store, or damaged, or another process is writing it.
        EncoderError: the store's text encoder cannot be had.
    """
    options = MetadataOptions.of(**reading)
    annotations = open_annotations(metadata, options, by_path=True)

    def make_text(header: StoreHeader, corpus: Iterable[str]) -> TextModelTables:
        return open_text_encoder(header.text_encoder, device=device).tables(corpus)

    with lock_out(path, StoreWriteError):
        recover_store(path)
        done = Relabelled(notes=annotations.notes(needs_all=False))
        with open_store(path) as store:
            corrections = _compare(store, annotations, done)
        corrections.known.close()
        if not done.rows:
            first = done.failures[0].error if done.failures else f"the first: {_first(done.unknown[:1])}"
            raise InputError(f"{metadata}: no row is about a video of {path}; {first}")
        if corrections:
            done.changed, done.counts = len(corrections.changes), Counter(corrections.counts)
            spellings = corrections.spellings()
            done.counts.update({"spellings": len(spellings)} if spellings else {})
            done.new_tags = relabel_store(
                path, corrections.changes, make_text=make_text, spellings=spellings, progress=progress
            )
    return done


def _compare(store: FeatureStore, annotations: Iterable[Annotation | Failure], done: Relabelled) -> Corrections:
    known = KnownLabels()
    known.add(store, store.ids())
    corrections = Corrections(known=known)
    finder, about = _Finder(store), dict[str, str]()
    done.videos = len(store)
    for annotation in annotations:
        if isinstance(annotation, Failure):
            done.failures.append(annotation)
            continue
        video_id = finder.find(annotation)
        if video_id is None:
            done.unknown.append(annotation.file or annotation.vid)
            continue
        if video_id in about:
            error = f"{annotation.where}: it is about {video_id!r}, as {about[video_id]} is; give each video one row"
            done.failures.append(Failure(id=video_id, source=annotation.where, stage="read", error=error))
            continue
        about[video_id] = annotation.where
        done.rows += 1
        corrections.compare(NewLabels.of(annotation, video_id))
    corrections.settle(store)
    return corrections


class _Finder:
    """The video that an annotation is about: by its id, else by its file, whose stem is the id where that is unique."""

    def __init__(self, store: FeatureStore):
        self._store = store
        self._rows = {name: row for row, name in enumerate(store.ids())}

    def find(self, annotation: Annotation) -> str | None:
        if annotation.has_own_id or not annotation.file:
            return annotation.vid if annotation.vid in self._rows else None
        path = PurePosixPath(annotation.file)
        if (by_source := self._by_source.get(str(path))) is not None:
            return by_source
        for name in (str(path), str(path.with_suffix("")), path.stem):
            if name in self._rows and _fits(path, PurePosixPath(self._store.source(self._rows[name]))):
                return name
        return None

    @cached_property
    def _by_source(self) -> dict[str, str]:
        return {self._store.source(row): name for name, row in self._rows.items()}


def _fits(path: PurePosixPath, source: PurePosixPath) -> bool:
    """Whether the two may be one file, seen from different folders; what was no video file before may be any."""
    if media_kind(source.name) is None:
        return True
    shorter, longer = sorted((path.with_suffix("").parts, source.with_suffix("").parts), key=len)
    return longer[len(longer) - len(shorter) :] == shorter


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
