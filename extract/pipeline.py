"""Stage one as a library function: inputs to a finished feature store.

decode → preprocess (worker threads) → encode in batches across videos → parts on disk → one finished store. A batch
never reaches across two parts, so that an interrupted and resumed extraction gives the very same features as one that
ran through.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data.errors import ConfigError, InputError, StoreError
from ..data.hdf5_store import Hdf5StoreWriter, merge_parts
from ..data.inputs import Inputs
from ..data.media import Failure, MediaItem
from ..data.store_schema import StoreHeader, VideoFeatures
from .decode_ahead import decode_ahead
from .feature_batcher import FeatureBatcher
from .image_encoder import ImageEncoder
from .parts import DoneInputs, PartFolder
from .preparation import Prepared, prepare
from .process_memory import release_free_memory
from .sampling import Sampling
from .summary import ExtractSummary
from .text_encoder import TextEncoder

TITLE_LAYERS = 6
"""Layers of the text model that start the title encoder (``method.md`` §2)."""

INPUTS_PER_PART = 512
"""What a killed run has to do again, at most."""

INPUTS_PER_RELEASE = 64
"""How often free memory goes back to the system; once takes milliseconds."""

Report = Callable[[ExtractSummary], None]


def extract(
    inputs: Inputs,
    out: Path,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    sampling: Sampling | None = None,
    preset: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    thumbnails: bool = True,
    strict: bool = False,
    overwrite: bool = False,
    report: Report | None = None,
    report_merge: Callable[[int], None] | None = None,
) -> ExtractSummary:
    """Makes the feature store ``out`` from ``inputs``; the same call again goes on where an interrupted one stopped.

    Args:
        inputs: from :func:`optsg.data.inputs.open_inputs`.
        out: a path that ends in ``.h5``.
        image_encoder, text_encoder: frozen encoders.
        sampling: which frames; 1 per second and at most 60 by default.
        preset: recorded in the store.
        batch_size: pictures per call of the image encoder.
        workers: decoding threads; by default one per processor, at most 8.
        thumbnails: keep a small JPEG per input.
        strict: raise at the first failure.
        overwrite: replace ``out``, and begin anew where an unfinished extraction lies beside it.
        report: called with the growing summary after every input.
        report_merge: called with numbers of videos while the finished store is written.

    Raises:
        ConfigError: an argument is out of range.
        StoreError: ``out`` exists, or an unfinished extraction beside it has other settings or inputs.
        StoreWriteError: the disk is full, for instance; complete parts are kept.
        InputError: nothing could be read, or ``strict`` and something could not.
    """
    started = time.perf_counter()
    check_out(out, overwrite=overwrite)
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size} is out of range; expected 1 or more")
    sampling = sampling or Sampling()
    parts = PartFolder(out)
    if overwrite:
        parts.remove()
    header, done = parts.open(_header(image_encoder, text_encoder, sampling, preset))
    summary = ExtractSummary(out=out, resumed=len(done))
    remaining = _Remaining(inputs, done)
    work = partial(prepare, encoder=image_encoder, sampling=sampling, thumbnails=thumbnails)
    run = _Run(
        summary=summary,
        batcher=FeatureBatcher(image_encoder, batch_size),
        strict=strict,
        report=report or (lambda _: None),
    )
    with closing(decode_ahead(remaining, work, workers=workers or _default_workers())) as results:
        run.write_parts(results, parts, header)
    _check_outcome(inputs, summary, remaining, parts)
    summary.finish_seconds = -time.perf_counter()
    merge_parts(parts.complete(), out, header, text_encoder.tables(TITLE_LAYERS), progress=report_merge)
    parts.remove()
    summary.finish_seconds += time.perf_counter()
    summary.seconds = time.perf_counter() - started
    return summary


@dataclass(kw_only=True)
class _Run:
    """Prepared inputs to parts."""

    summary: ExtractSummary
    batcher: FeatureBatcher
    strict: bool
    report: Report

    def write_parts(self, results: Iterator[Prepared | Failure], parts: PartFolder, header: StoreHeader) -> None:
        """Writes parts of :data:`INPUTS_PER_PART` inputs each until there are no more."""
        results = self._timed(results)
        for first in results:
            with parts.new_part(header) as writer:
                for number, result in enumerate(chain((first,), islice(results, INPUTS_PER_PART - 1)), start=1):
                    self._take(result, writer)
                    if number % INPUTS_PER_RELEASE == 0:
                        release_free_memory()
                self._store(self.batcher.flush(), writer)

    def _timed(self, results: Iterator[Prepared | Failure]) -> Iterator[Prepared | Failure]:
        while True:
            started = time.perf_counter()
            result = next(results, None)
            self.summary.wait_seconds += time.perf_counter() - started
            if result is None:
                return
            yield result

    def _take(self, result: Prepared | Failure, writer: Hdf5StoreWriter) -> None:
        if isinstance(result, Failure):
            self._fail(result, writer)
            return
        self.summary.decode_seconds += result.seconds
        self._store(self.batcher.add(result), writer)

    def _store(self, encoded: Iterator[tuple[Prepared, NDArray[np.float16]]], writer: Hdf5StoreWriter) -> None:
        for prepared, features in encoded:
            if not np.isfinite(features).all():
                error = "the image encoder gave values that are not finite"
                item = prepared.item
                self._fail(Failure(id=item.id, source=item.source, stage="encode", error=error), writer)
                continue
            writer.append(_features(prepared, features))
            self.summary.videos += prepared.item.kind == "video"
            self.summary.images += prepared.item.kind == "image"
            self.summary.frames += len(prepared.times)
            self.summary.encode_seconds = self.batcher.seconds
            self.report(self.summary)

    def _fail(self, failure: Failure, writer: Hdf5StoreWriter) -> None:
        if self.strict:
            raise InputError(f"{_described(failure)}; --strict makes this fatal")
        writer.add_failure(failure)
        self.summary.add_failure(failure)
        self.report(self.summary)


class _Remaining:
    """The inputs that no complete part holds, and which of the held ones have come by."""

    def __init__(self, inputs: Inputs, done: DoneInputs):
        self._inputs = inputs
        self._done = done
        self.unseen = set(done.videos)
        self.features = len(done.videos)

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        for item in self._inputs:
            if item not in self._done:
                yield item
            self.unseen.discard(item.id)


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuses a name that cannot become a feature store, and a store that exists unless it may be replaced."""
    if out.suffix != ".h5":
        raise ConfigError(f"--out {out} is not the name of a feature store; expected a path that ends in .h5")
    if out.is_dir():
        raise StoreError(f"{out} is a folder; expected the path of one .h5 file")
    if out.exists() and not overwrite:
        raise StoreError(f"{out} exists already; choose another --out, or add --overwrite to replace it")


def _default_workers() -> int:
    return min(8, os.cpu_count() or 1)


def _header(image: ImageEncoder, text: TextEncoder, sampling: Sampling, preset: str | None) -> StoreHeader:
    return StoreHeader(
        frame_dim=image.frame_dim,
        patch_dim=image.patch_dim,
        tag_dim=text.tag_dim,
        image_encoder=image.spec(),
        text_encoder=text.spec(),
        sampling=sampling.spec(),
        optsg_version=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        preset=preset,
    )


def _features(prepared: Prepared, features: NDArray[np.float16]) -> VideoFeatures:
    item = prepared.item
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
        note=prepared.note,
    )


def _check_outcome(inputs: Inputs, summary: ExtractSummary, remaining: _Remaining, parts: PartFolder) -> None:
    """Refuses to finish a store of nothing, or of videos that are not among these inputs."""
    if remaining.unseen:
        raise StoreError(
            f"{parts.path} holds {len(remaining.unseen)} videos that are not in {inputs.description}, for instance "
            f"{min(remaining.unseen)!r}; repeat the command with the input it was begun with, or add --overwrite"
        )
    if not summary.videos + summary.images + remaining.features:
        parts.remove()
        first = f"; the first: {_described(summary.examples[0])}" if summary.examples else ""
        raise InputError(f"nothing could be read of {inputs.description}: {summary.failed} failed{first}")


def _described(failure: Failure) -> str:
    source = "" if failure.error.startswith(f"{failure.source}:") else f"{failure.source}: "
    return f"{source}{failure.error}"
