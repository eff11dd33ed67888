"""Stage one: inputs to a finished feature store.

decode → pixels (processes of their own) → encode in batches across inputs → back into input order → parts on disk → one
finished store. Wherever it stops, what complete parts hold is done, and the same call goes on from there.

The store does not depend on where it stopped, on workers or on batches: to the bit in everything but seconds and dates and
what the encoders compute. Image features lie within ``FEATURE_ROUNDING`` (``encoders/tower.py``), embeddings of tags and NIL
within ``EMBEDDING_TOLERANCE`` (``data/store/merging/checks.py``), because on every processor the last digits of a sum depend on
what else is in the batch. What a part or a finished store holds is copied, never computed again.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from .. import __version__
from ..data.corpus_part import CorpusPart
from ..data.inputs import Inputs, left_out_thumbnails, skipped_files
from ..data.media import Failure
from ..data.stop_signals import StopRequest, stop_on_signals
from ..data.store.schema import DECODING, StoreHeader, VideoFeatures
from .corrections import WatchedInputs
from .encoders.text_encoder import TextEncoder
from .engine import Engine
from .event_log import EventLog
from .growing_store import GrowingStore, open_growing_store
from .summary import ExtractSummary

INPUTS_PER_PART = 512


SECONDS_PER_PART = 300.0
"""What a killed run has to do again, at most: so many inputs or so much time, and what was being decoded."""


INPUTS_PER_RELEASE = 64
"""How often free memory goes back to the system; once takes milliseconds."""


Report = Callable[[ExtractSummary], None]


class ExtractionInterrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """Extraction was asked to stop by signal ``number``; what was done is in complete parts."""

    def __init__(self, number: int):
        super().__init__(f"stopped by signal {number}")
        self.number = number


def run_engine(
    inputs: Inputs,
    out: Path,
    *,
    engine: Engine,
    text_encoder: TextEncoder,
    preset: str | None = None,
    part: CorpusPart | None = None,
    log: EventLog | None = None,
    report: Report | None = None,
    report_merge: Callable[[int], None] | None = None,
) -> ExtractSummary:
    """Makes the feature store ``out`` from ``inputs``, goes on where an earlier call stopped, or adds what is new.

    Args:
        inputs: from :func:`optsg.data.inputs.open_inputs`.
        out: a path that ends in ``.h5`` for one HDF5 file, any other for a folder of WebDataset shards.
        engine: makes inputs into features; all that is written is written here.
        text_encoder: frozen.
        preset: recorded in the store.
        part: recorded in the store: which part of the corpus ``inputs`` are, if not all of it.
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
    log, stop = log or EventLog(), StopRequest()
    header = _header(engine, text_encoder, preset, part)
    with open_growing_store(out, header, engine.options, log) as store:
        watched = WatchedInputs(inputs, store.corrections, store.done.videos)
        with (
            stop_on_signals(stop),
            closing(engine.features(watched, store.done, stop, store.summary)) as results,
        ):
            _write_parts(results, store, report)
        if stop.is_set():
            log.finished(_with_left_out(store.summary, inputs), "interrupted")
            raise ExtractionInterrupted(stop.number)
        watched.conclude(store.done.recorded)
        store.finish(inputs.description, text_encoder, report_merge)
        store.summary.seconds = time.perf_counter() - started
        log.finished(_with_left_out(store.summary, inputs))
    return store.summary


def _with_left_out(summary: ExtractSummary, inputs: Inputs) -> ExtractSummary:
    """The summary with what inputs left out; what shards hold besides is known once they have been read."""
    summary.skipped.update(skipped_files(inputs))
    summary.thumbnails = left_out_thumbnails(inputs)
    return summary


def _write_parts(results: Iterator[VideoFeatures | Failure], store: GrowingStore, report: Report | None) -> None:
    """Writes parts until there are no more results; where extraction is asked to stop, what is done is the last part."""
    for first in results:
        until = time.monotonic() + SECONDS_PER_PART
        with store.parts.new_part(store.header) as writer:
            store.write(first, writer)
            _tell(report, store)
            for number, result in enumerate(results, start=2):
                store.write(result, writer)
                _tell(report, store)
                if number % INPUTS_PER_RELEASE == 0:
                    release_free_memory()
                if number >= INPUTS_PER_PART or time.monotonic() > until:
                    break


def _tell(report: Report | None, store: GrowingStore) -> None:
    if report is not None:
        report(store.summary)


def _header(engine: Engine, text: TextEncoder, preset: str | None, part: CorpusPart | None) -> StoreHeader:
    return StoreHeader(
        frame_dim=engine.image.frame_dim,
        patch_dim=engine.image.patch_dim,
        tag_dim=text.tag_dim,
        image_encoder=engine.image.encoder,
        text_encoder=text.spec(),
        sampling=engine.sampling.spec(),
        optsg_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=preset,
        part=None if part is None else str(part),
        decoding=DECODING,
    )


def release_free_memory() -> None:
    """Asks the C library to return free memory; does nothing where it has no such call.

    Pixels wait for seconds among the short-lived blocks of decoders and encoder and leave the heap in pieces. Without
    this, a process that uses the same 170 MB all the time keeps growing for ten thousand videos.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
