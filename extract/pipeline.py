"""Stage one: inputs to a finished feature store.

decode → pixels (processes of their own) → encode in batches across inputs → back into input order → parts on disk → one
finished store. Wherever it stops, what complete parts hold is done, and the same call goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data.corpus_part import CorpusPart
from ..data.inputs import Inputs
from ..data.media import Failure, MediaItem
from ..data.stop_signals import StopRequest, stop_on_signals
from ..data.store.part_writer import Hdf5StoreWriter
from ..data.store.schema import StoreHeader, VideoFeatures
from .decoding.sampling import Sampling
from .encoders.image_encoder import ImageEncoder
from .encoders.text_encoder import TextEncoder
from .event_log import EventLog
from .feature_batcher import FeatureBatcher
from .growing_store import GrowingStore, open_growing_store
from .in_order import InOrder
from .options import ExtractionOptions
from .process_memory import release_free_memory
from .summary import ExtractSummary
from .workers.preparation import Preparation, Prepared
from .workers.worker_pool import Decoded, WorkerPool
from .workers.worker_process import ProcessSettings

INPUTS_PER_PART = 512
SECONDS_PER_PART = 300.0
"""What a killed run has to do again, at most: so many inputs or so much time, and what was being decoded."""

INPUTS_PER_RELEASE = 64
"""How often free memory goes back to the system; once takes milliseconds."""

HELD_BUDGET = 256 * 2**20
"""Bytes of features that may wait for one slow input; beyond that no more inputs are begun until it is done."""

Report = Callable[[ExtractSummary], None]


class ExtractionInterrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """Extraction was asked to stop by signal ``number``; what was done is in complete parts."""

    def __init__(self, number: int):
        super().__init__(f"stopped by signal {number}")
        self.number = number


def run_extraction(
    inputs: Inputs,
    out: Path,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    sampling: Sampling | None = None,
    preset: str | None = None,
    part: CorpusPart | None = None,
    options: ExtractionOptions | None = None,
    log: EventLog | None = None,
    report: Report | None = None,
    report_merge: Callable[[int], None] | None = None,
) -> ExtractSummary:
    """Makes the feature store ``out`` from ``inputs``, goes on where an earlier call stopped, or adds what is new.

    Args:
        inputs: from :func:`optsg.data.inputs.open_inputs`.
        out: a path that ends in ``.h5`` for one HDF5 file, any other for a folder of WebDataset shards.
        image_encoder, text_encoder: frozen encoders.
        sampling: which frames; 1 per second and at most 60 by default.
        preset: recorded in the store.
        part: recorded in the store: which part of the corpus ``inputs`` are, if not all of it.
        options: how to run.
        log: told about every input.
        report: called with the growing summary after every input.
        report_merge: called with numbers of videos while the finished store is written.

    Raises:
        StoreError: ``out`` or what lies beside it was made with other settings, or another process is writing it.
        StoreWriteError: the disk is full, for instance; complete parts are kept.
        InputError: nothing could be read, or ``strict`` and something could not.
        ExtractionInterrupted: Ctrl-C or SIGTERM; what was done is kept.
    """
    started = time.perf_counter()
    options = options or ExtractionOptions()
    sampling = sampling or Sampling()
    log = log or EventLog()
    header = _header(image_encoder, text_encoder, sampling, preset, part)
    with open_growing_store(out, header, options, log) as store:
        run = _Run(
            store=store,
            batcher=FeatureBatcher(image_encoder, options.batch_size),
            report=report or (lambda _: None),
        )
        how = Preparation(plan=image_encoder.plan, sampling=sampling, thumbnails=options.thumbnails)
        settings = ProcessSettings(how=how, seconds=options.timeout)
        remaining = (item for item in inputs if item not in store.done)
        with (
            stop_on_signals(run.stop),
            WorkerPool(remaining, settings, workers=options.worker_count, may_go_on=run.may_go_on) as pool,
        ):
            run.write_parts(pool)
        if run.stop.is_set():
            log.finished(store.summary, "interrupted")
            raise ExtractionInterrupted(run.stop.number)
        store.finish(inputs.description, text_encoder, report_merge)
        store.summary.seconds = time.perf_counter() - started
        log.finished(store.summary)
    return store.summary


@dataclass(kw_only=True)
class _Run:
    """Decoded inputs to parts."""

    store: GrowingStore
    batcher: FeatureBatcher[Decoded]
    report: Report
    stop: StopRequest = field(default_factory=StopRequest)
    order: InOrder[VideoFeatures | Failure] = field(default_factory=InOrder)

    def may_go_on(self) -> bool:
        """Whether there is room for what will have to wait behind a slow input."""
        return self.order.held_bytes < HELD_BUDGET

    def write_parts(self, pool: WorkerPool) -> None:
        """Writes parts until there are no more inputs; when asked to stop, what is done becomes the last part."""
        results = self._encoded(pool)
        for first in results:
            until = time.monotonic() + SECONDS_PER_PART
            with self.store.parts.new_part(self.store.header) as writer:
                self._write(first, writer)
                for number, result in enumerate(results, start=2):
                    self._write(result, writer)
                    if number % INPUTS_PER_RELEASE == 0:
                        release_free_memory()
                    if number >= INPUTS_PER_PART or time.monotonic() > until:
                        break

    def _encoded(self, pool: WorkerPool) -> Iterator[VideoFeatures | Failure]:
        """What every input gave, in input order."""
        for decoded in self._timed(pool.results(self.stop)):
            self._begin(decoded)
            yield from self.order.ready()
        if not self.stop.is_set():
            self._take(self.batcher.flush())
        yield from self.order.ready()

    def _timed(self, results: Iterator[Decoded]) -> Iterator[Decoded]:
        while True:
            started = time.perf_counter()
            result = next(results, None)
            self.store.summary.wait_seconds += time.perf_counter() - started
            if result is None:
                return
            yield result

    def _begin(self, decoded: Decoded) -> None:
        item, result = decoded.item, decoded.result
        if isinstance(item, Failure):
            self.order.put(decoded.number, item, 0)
        elif isinstance(result, Prepared):
            self._take(self.batcher.add(decoded.without_pixels(), item.kind, result.pixels))
        elif result is not None:
            self.order.put(decoded.number, Failure(id=item.id, source=item.source, stage="decode", **vars(result)), 0)
        if not self.may_go_on():  # what all others wait for may itself be waiting for its batch to fill up
            self._take(self.batcher.flush())

    def _take(self, encoded: Iterator[tuple[Decoded, NDArray[np.float16]]]) -> None:
        for decoded, features in encoded:
            assert isinstance(decoded.item, MediaItem)
            assert isinstance(decoded.result, Prepared)
            outcome = _features(decoded.item, decoded.result, features)
            self.order.put(decoded.number, outcome, features.nbytes + len(decoded.result.thumbnail))
        self.store.summary.encode_seconds = self.batcher.seconds

    def _write(self, result: VideoFeatures | Failure, writer: Hdf5StoreWriter) -> None:
        self.store.write(result, writer)
        self.report(self.store.summary)


def _header(
    image: ImageEncoder, text: TextEncoder, sampling: Sampling, preset: str | None, part: CorpusPart | None
) -> StoreHeader:
    return StoreHeader(
        frame_dim=image.frame_dim,
        patch_dim=image.patch_dim,
        tag_dim=text.tag_dim,
        image_encoder=image.spec(),
        text_encoder=text.spec(),
        sampling=sampling.spec(),
        optsg_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=preset,
        part=None if part is None else str(part),
    )


def _features(item: MediaItem, prepared: Prepared, features: NDArray[np.float16]) -> VideoFeatures | Failure:
    if not np.isfinite(features).all():
        error = "the image encoder gave values that are not finite"
        return Failure(
            id=item.id,
            source=item.source,
            stage="encode",
            error=error,
            digest=prepared.digest,
            seconds=prepared.seconds,
        )
    is_video = item.kind == "video"
    nothing = features[:0]
    return VideoFeatures(
        id=item.id,
        title=item.title,
        tags=item.tags,
        split=item.split,
        source=item.source,
        kind=item.kind,
        duration=prepared.duration,
        frames=features if is_video else nothing,
        times=prepared.times,
        patches=nothing if is_video else features,
        thumbnail=prepared.thumbnail,
        status=prepared.status,
        note=prepared.note,
        backend=prepared.backend,
        digest=prepared.digest,
        decode_seconds=prepared.seconds,
    )
