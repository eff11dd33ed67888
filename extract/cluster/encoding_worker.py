"""A worker of the cluster: one image encoder with the decoding processes that feed it. Needs no Ray.

What goes through Ray is blocks of inputs, and blocks of what they gave.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import platform
import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from ... import __version__
from ...data.errors import ClusterError, OptsgError
from ...data.inputs import Inputs
from ...data.media import Failure, MediaItem
from ...data.store.schema import LIBRARY_VERSION, VideoFeatures
from ..decoding.sampling import Sampling
from ..encoders.image_encoder import ImageEncoder, open_image_encoder
from ..encoders.presets import Precision
from ..engine import ImageFeatures
from ..ordered_encoding import OrderedEncoding
from ..parts import DoneInputs
from ..workers.preparation import Preparation
from ..workers.worker_pool import WorkerPool
from ..workers.worker_process import ProcessSettings


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker needs to know.

    Attributes:
        version: of optsg where the command was given.
        image_encoder: description of the encoder to open.
        device, precision: as for :func:`optsg.extract.api.extract`.
        sampling: which frames.
        thumbnails, timeout, batch_size: as in :class:`optsg.extract.options.ExtractionOptions`.
        processes: that decode.
    """

    version: str
    image_encoder: Mapping[str, Any]
    device: str
    precision: Precision
    sampling: Sampling
    thumbnails: bool
    timeout: float
    batch_size: int
    processes: int


def describe_encoder(settings: WorkerSettings) -> ImageFeatures | OptsgError:
    """What the features of a worker are; the first worker says it for all."""
    try:
        return ImageFeatures.of(_open(settings))
    except OptsgError as error:
        return error


def _open(settings: WorkerSettings) -> ImageEncoder:
    if settings.version != __version__:
        raise ClusterError(
            f"the Ray worker on {platform.node()} has optsg {__version__}, and the command is of {settings.version}; "
            "install the same version on all machines"
        )
    return open_image_encoder(settings.image_encoder, device=settings.device, precision=settings.precision)


class EncodingWorker:
    """Blocks of inputs to blocks of features. Errors are given back, not raised: Ray would wrap them or try again.

    Args:
        settings: of all workers.
        expected: what the first worker's features are.
    """

    def __init__(self, settings: WorkerSettings, expected: ImageFeatures):
        self._inputs = _InputQueue()
        try:
            encoder = _open(settings)
            check_same(expected, ImageFeatures.of(encoder))
        except OptsgError as error:
            self._problem: OptsgError | None = error
            return
        self._problem = None
        self._encoding = OrderedEncoding(encoder, settings.batch_size)
        how = Preparation(plan=encoder.plan, sampling=settings.sampling, thumbnails=settings.thumbnails)
        self._pool = WorkerPool(
            self._inputs,
            ProcessSettings(how=how, seconds=settings.timeout),
            workers=settings.processes,
            may_go_on=self._encoding.may_go_on,
        )
        self._pool.__enter__()  # decoding processes end with this one
        self._decoded = self._pool.results()

    def __call__(self, table: Any) -> Iterator[Any]:
        """Blocks in the form that they have in Ray."""
        for block in from_table(table):
            try:
                yield to_table(self._results(block))
            except OptsgError as error:
                yield to_table(ResultBlock(error=error))

    def _results(self, block: InputBlock) -> ResultBlock:
        if problem := self._problem or block.error:
            raise problem
        encoded, waited = self._encoding.encode_seconds, self._encoding.wait_seconds
        self._inputs.put(block.inputs)
        results = list(self._encoding.results(islice(self._decoded, len(block.inputs))))
        return ResultBlock(
            results=results,
            encode_seconds=self._encoding.encode_seconds - encoded,
            wait_seconds=self._encoding.wait_seconds - waited,
        )


class _InputQueue:
    """Inputs of one block after the other; waits for the next."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[MediaItem | Failure] = queue.SimpleQueue()

    def put(self, inputs: list[MediaItem | Failure]) -> None:
        for item in inputs:
            self._waiting.put(item)

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        while True:
            yield self._waiting.get()


def check_same(expected: ImageFeatures, found: ImageFeatures) -> None:
    """Raises :class:`ClusterError` where a worker's features are not those of the first one."""
    ours = {"frame_dim": found.frame_dim, "patch_dim": found.patch_dim, **_flat(found.encoder)}
    theirs = {"frame_dim": expected.frame_dim, "patch_dim": expected.patch_dim, **_flat(expected.encoder)}
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if names:
        differences = "; ".join(f"{name}: {ours.get(name)!r} ≠ {theirs.get(name)!r}" for name in names)
        raise ClusterError(
            f"the Ray worker on {platform.node()} has another image encoder than the first worker (its own ≠ the "
            f"first one's): {differences}; all machines need the same weights"
        )


def _flat(encoder: Mapping[str, Any]) -> dict[str, Any]:
    return {f"image_encoder.{key}": value for key, value in encoder.items() if key != LIBRARY_VERSION}


INPUTS_PER_BLOCK = 256
"""What is done again where a worker is lost, at most."""


@dataclass(frozen=True, kw_only=True)
class InputBlock:
    """Inputs that follow each other; ``error`` is set where reading them went wrong, and is then the last."""

    inputs: list[MediaItem | Failure]
    error: OptsgError | None = None


@dataclass(frozen=True, kw_only=True)
class ResultBlock:
    """What the inputs of a block gave, in their order, and wall time in and before the image encoder."""

    results: list[VideoFeatures | Failure] = field(default_factory=list)
    error: OptsgError | None = None
    encode_seconds: float = 0.0
    wait_seconds: float = 0.0


def cut_blocks(inputs: Inputs, done: DoneInputs, folder: Path, size: int) -> Iterator[InputBlock]:
    """Inputs that are not done, ``size`` a block; ``folder`` is where relative paths begin."""
    try:
        with contextlib.chdir(folder):
            remaining = (_with_absolute_path(item) for item in inputs if item not in done)
            while block := list(itertools.islice(remaining, size)):
                yield InputBlock(inputs=block)
    except OptsgError as error:
        yield InputBlock(inputs=[], error=error)


def _with_absolute_path(item: MediaItem | Failure) -> MediaItem | Failure:
    """The input with an absolute path: workers run in other folders."""
    if isinstance(item, Failure) or isinstance(item.payload, bytes):
        return item
    if isinstance(item.payload, Path):
        return replace(item, payload=item.payload.absolute())
    return replace(item, payload=replace(item.payload, path=item.payload.path.absolute()))


def to_table(block: InputBlock | ResultBlock) -> Any:
    """A block as Ray Data moves it: an Arrow table of one row."""
    return pa.table({"block": pa.array([pickle.dumps(block, protocol=5)], pa.large_binary())})


def from_table(table: Any) -> Iterator[Any]:
    """The blocks that an Arrow table holds, one a row."""
    for row in table.column("block"):
        yield pickle.loads(row.as_buffer())  # noqa: S301 (our own, from the same cluster)
