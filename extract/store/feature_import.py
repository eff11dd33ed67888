"""``optsg-store import-features``: a feature store from frame features that exist already, without decoding anything.

Legend: M frames or patches, D width.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Unpack

import numpy as np

from ... import __version__
from ...data.errors import ConfigError, InputError
from ...data.inputs import MetadataOptions
from ...data.inputs.annotations import Annotations, open_annotations
from ...data.inputs.create_annotations import Annotation
from ...data.inputs.metadata.columns import MetadataKeywords
from ...data.inputs.ready_features import ReadyFeatures, open_ready_features
from ...data.inputs.splits import choose_split
from ...data.media import Failure
from ...data.store.schema import IMPORTED_FROM, StoreHeader, VideoFeatures
from ..api import check_out, preset_specs
from ..corrections import Corrections, NewLabels
from ..decoding.sampling import Sampling, spread
from ..encoders.image_encoder import parse_image_encoder
from ..encoders.presets import DEFAULT_PRESET
from ..encoders.text_encoder import TextEncoder, open_text_encoder, parse_text_encoder
from ..event_log import open_event_log
from ..growing_store import GrowingStore, open_growing_store
from ..options import complete
from ..parts import DoneInputs
from ..progress import Display, show_progress
from ..summary import ExtractSummary

VIDEOS_PER_PART = 4096
"""What a killed import has to do again, at most."""


BACKEND = "ready features"


def import_features(
    features: Path,
    out: Path,
    *,
    metadata: Path,
    preset: str = DEFAULT_PRESET,
    text_encoder: str | None = None,
    image_encoder: str | None = None,
    patches: bool = False,
    fps: float = 1.0,
    max_frames: int = 60,
    device: str = "auto",
    limit: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
    json_log: Path | None = None,
    quiet: bool = True,
    **reading: Unpack[MetadataKeywords],
) -> ExtractSummary:
    """Turns features by video id and metadata into a feature store; the same call again goes on, or adds what is new.

    Frame k of a video is taken to be k / fps seconds from its start, and its duration is unknown.

    Args:
        features: as :func:`optsg.data.inputs.ready_features.open_ready_features` takes them.
        metadata: as :func:`optsg.data.inputs.annotations.open_annotations` takes it.
        preset: whose text encoder to take, where ``text_encoder`` (a name, a folder, ``characters``) names none.
        image_encoder: what made the features; recorded, and needed to tag new videos.
        patches: whether they are patches of images.
        fps, max_frames: frames per second that they have; most frames kept of a video, spread over it.
        device: of the text encoder.
        limit: import only the first so many videos.
        out, strict, overwrite, json_log, quiet, reading: as in :func:`optsg.extract.extract`.

    Raises:
        OptsgError: one sentence that says what is wrong and what to do.
    """
    started = time.perf_counter()
    check_out(out)
    sampling = Sampling(fps=fps, max_frames=max_frames)
    source = _open_source(features, metadata, MetadataOptions.of(**reading), sampling, patches, limit)
    text = _open_text_encoder(preset, text_encoder, device)
    header, options = _header(source, text, image_encoder), complete(strict=strict, overwrite=overwrite)
    with open_event_log(json_log) as log, open_growing_store(out, header, options, log) as store:
        with show_progress(source.description, None, quiet=quiet, notes=source.annotations.notes()) as display:
            _write(source, store, display)
            store.finish(source.description, text, display.written)
        store.summary.seconds = time.perf_counter() - started
        log.finished(store.summary)
    return store.summary


def _write(source: _Source, store: GrowingStore, display: Display) -> None:
    """Writes what is not done, in parts."""
    results = source.results(store.done, store.corrections, store.header.frame_dim)
    for first in results:
        with store.parts.new_part(store.header) as writer:
            for result in chain([first], islice(results, VIDEOS_PER_PART - 1)):
                store.write(result, writer)
                display.extracted(store.summary)


def _open_source(
    features: Path, metadata: Path, reading: MetadataOptions, sampling: Sampling, patches: bool, limit: int | None
) -> _Source:
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit is {limit}, expected 1 or more")
    ready, annotations = open_ready_features(features), open_annotations(metadata, reading)
    return _Source(ready=ready, annotations=annotations, sampling=sampling, patches=patches, limit=limit)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Features, what is known of their videos, and how they are read."""

    ready: ReadyFeatures
    annotations: Annotations
    sampling: Sampling
    patches: bool
    limit: int | None

    @property
    def description(self) -> str:
        return f"features {self.ready.path} with {self.annotations.description}"

    def width(self) -> int:
        """D, from the first video that has features.

        Raises:
            InputError: none has.
        """
        first = None
        for annotation in self.annotations:
            if isinstance(annotation, Failure):
                first = first or annotation.error
                continue
            try:
                return int(self.ready.read(annotation.vid).values.shape[1])
            except InputError as error:
                first = first or f"{annotation.where}: {error}"
        raise InputError(f"nothing could be read of {self.description}; the first: {first}")

    def results(self, done: DoneInputs, corrections: Corrections, width: int) -> Iterator[VideoFeatures | Failure]:
        """What every annotation that is not done gives, in order; each id once.

        What failed before is tried again, which costs next to nothing, and counts if it has features by now.
        """
        seen: set[str] = set()
        failed: set[str] = set()
        for annotation in self.annotations:
            if len(seen) == self.limit:
                return
            if isinstance(annotation, Annotation) and annotation.vid in done.videos:
                if annotation.vid not in seen:
                    corrections.compare(NewLabels.of(annotation, annotation.vid))
                seen.add(annotation.vid)
                continue
            result = self._result(annotation, seen, width)
            failed.update([result.id] if isinstance(result, Failure) else ())
            if not (isinstance(result, Failure) and result.id in done.unread):
                yield result
        starts = tuple(f"{name}, " for name in self.annotations.description.split(", "))
        corrections.mended = {name for name in done.recorded - failed if name.startswith(starts)}

    def _result(self, annotation: Annotation | Failure, seen: set[str], width: int) -> VideoFeatures | Failure:
        if isinstance(annotation, Failure):
            return annotation
        if annotation.vid in seen:
            return _failure(annotation, f"duplicate id {annotation.vid!r}, which an earlier item has", annotation.where)
        seen.add(annotation.vid)
        return self._features(annotation, width)

    def _features(self, annotation: Annotation, width: int) -> VideoFeatures | Failure:
        try:
            array = self.ready.read(annotation.vid)
        except InputError as error:
            return _failure(annotation, str(error), annotation.vid)
        values = array.values
        if values.shape[1] != width:
            return _failure(annotation, f"{array.source} is {values.shape[1]} wide, the others {width}", annotation.vid)
        kept = np.arange(len(values)) if self.patches else spread(len(values), self.sampling.max_frames)
        nothing = values[:0]
        record = annotation.record
        return VideoFeatures(
            id=annotation.vid,
            title=record.title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=annotation.vid, named=(annotation.named_split,)),
            source=array.source,
            kind="image" if self.patches else "video",
            duration=0.0 if self.patches else float("nan"),
            frames=nothing if self.patches else values[kept],
            times=np.zeros(0, np.float32) if self.patches else (kept / self.sampling.fps).astype(np.float32),
            patches=values if self.patches else nothing,
            backend=BACKEND,
            digest=array.digest,
        )


def _failure(annotation: Annotation, error: str, failure_id: str) -> Failure:
    return Failure(id=failure_id, source=annotation.where, stage="read", error=f"{annotation.where}: {error}")


def _open_text_encoder(preset: str, name: str | None, device: str) -> TextEncoder:
    _, spec = preset_specs(preset)
    return open_text_encoder(spec if name is None else parse_text_encoder(name), device=device)


def _header(source: _Source, text: TextEncoder, image_encoder: str | None) -> StoreHeader:
    width = source.width()
    made_by = {"library": "unknown", "name": "unknown"} if image_encoder is None else parse_image_encoder(image_encoder)
    return StoreHeader(
        frame_dim=width,
        patch_dim=width,
        tag_dim=text.tag_dim,
        image_encoder={**made_by, "dtype": "float16", IMPORTED_FROM: source.ready.path.name},
        text_encoder=text.spec(),
        sampling=source.sampling.spec(),
        optsg_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
