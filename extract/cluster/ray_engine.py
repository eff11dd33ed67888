"""Inputs to features on a Ray cluster, through Ray Data.

One task, on the machine of the command, reads the inputs and cuts them into blocks; workers (Ray's actors) that hold an
image encoder each make features of a block at a time; blocks come back in the order of the inputs. Only the command
itself writes. A block whose worker is lost goes to a worker again and gives the same.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ray
from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata

from ... import __version__
from ...data.errors import ClusterError, OptsgError
from ...data.inputs import Inputs
from ...data.media import Failure
from ...data.stop_signals import StopRequest
from ...data.store.schema import VideoFeatures
from ..decoding.sampling import Sampling
from ..encoders.presets import Precision
from ..engine import ImageFeatures
from ..options import ExtractionOptions
from ..parts import DoneInputs
from ..summary import ExtractSummary
from . import encoding_worker
from .encoding_worker import EncodingWorker, WorkerSettings, describe_encoder
from .worker_plan import WorkerPlan

LOSSES_PER_BLOCK = 3
"""How many workers may be lost over one block before it is given up; it may be what ends them."""

POLL_SECONDS = 0.2
"""How soon a request to stop is noticed."""


class RayEngine:
    """Inputs to features on the workers of a Ray cluster. Needs a connection to Ray.

    Raises:
        OptsgError: the first worker cannot open the encoder.
        ClusterError: there is no worker to be had.
    """

    def __init__(
        self,
        image_encoder: Any,
        plan: WorkerPlan,
        *,
        precision: Precision,
        sampling: Sampling,
        options: ExtractionOptions,
    ):
        self.sampling = sampling
        self.options = options
        self._plan = plan
        settings = WorkerSettings(
            version=__version__,
            image_encoder=image_encoder,
            device="cuda" if plan.gpus else "cpu",
            precision=precision,
            sampling=sampling,
            thumbnails=options["thumbnails"],
            timeout=options["timeout"],
            batch_size=options["batch_size"],
            processes=plan.processors,
        )
        self.image = _ask_first_worker(settings, plan)
        # all workers compute in the number format that the first one found best
        self._settings = replace(settings, precision=cast("Precision", self.image.encoder["dtype"]))

    def features(
        self, inputs: Inputs, done: DoneInputs, stop: StopRequest, summary: ExtractSummary
    ) -> Generator[VideoFeatures | Failure]:
        """What every input that is not done gives, in the order of the inputs, from whichever worker had it.

        Raises:
            ClusterError: a worker has another encoder than the first one, or workers are lost again and again.
        """
        tables = self._dataset(inputs, done).iter_batches(batch_size=None, batch_format="pyarrow")
        for table in _polled(tables, stop):
            for block in encoding_worker.from_table(table):
                if block.error is not None:
                    raise block.error
                summary.encode_seconds += block.encode_seconds
                summary.wait_seconds += block.wait_seconds
                yield from block.results

    def _dataset(self, inputs: Inputs, done: DoneInputs) -> Any:
        _quieten()
        with DataContext.current(_data_settings()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`ray_remote_args`")  # no other way to bound the losses
            read = ray.data.read_datasource(
                _InputBlocks(ray.put((inputs, done))),
                num_cpus=0,
                concurrency=1,
                override_num_blocks=1,
                label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
            )
            return read.map_batches(
                EncodingWorker,
                fn_constructor_args=(self._settings, self.image),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(min_size=1, max_size=self._plan.count, initial_size=self._plan.count),
                num_cpus=self._plan.processors,
                num_gpus=self._plan.gpus,
                max_task_retries=LOSSES_PER_BLOCK,
            )


def _ask_first_worker(settings: WorkerSettings, plan: WorkerPlan) -> ImageFeatures:
    """What the features are, as a worker has it: its device is not that of this process."""
    first_worker = ray.remote(num_cpus=plan.processors, num_gpus=plan.gpus)(describe_encoder)
    with _ray_errors():
        answer: ImageFeatures | OptsgError = ray.get(first_worker.remote(settings))
    if isinstance(answer, OptsgError):
        raise answer
    return answer


def _data_settings() -> Any:
    """Blocks stay as they are and in order; no progress bars, the command has its own."""
    settings = DataContext.get_current().copy()
    settings.execution_options.preserve_order = True
    settings.target_max_block_size = 1  # byte; otherwise Ray Data makes one of many, and gives all to one worker
    settings.enable_progress_bars = False
    return settings


def _quieten() -> None:
    """Only errors of Ray Data are for the screen; its log files have the rest."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.ERROR)


class _InputBlocks(Datasource):  # type: ignore[misc]
    """The inputs as Ray Data reads them: one task, which gives a block at a time."""

    def __init__(self, inputs_and_done: Any):
        self._inputs_and_done = inputs_and_done
        self._folder = Path.cwd()
        self._size = encoding_worker.INPUTS_PER_BLOCK

    def estimate_inmemory_data_size(self) -> None:
        """Unknown before the inputs are read."""

    def get_read_tasks(self, _parallelism: int, **_: Any) -> list[Any]:
        """One task that reads all inputs in order, whatever parallelism is asked for."""
        reference, folder, size = self._inputs_and_done, self._folder, self._size

        def read() -> Iterator[Any]:
            inputs, done = ray.get(reference)
            return map(encoding_worker.to_table, encoding_worker.cut_blocks(inputs, done, folder, size))

        return [ReadTask(read, BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None))]


def _polled(tables: Iterable[Any], stop: threading.Event) -> Generator[Any]:
    """What ``tables`` gives, until ``stop`` is set: it can be waited for only in a thread of its own."""
    ready: queue.Queue[tuple[Any, BaseException | None] | None] = queue.Queue(maxsize=1)
    is_left = threading.Event()

    def put(entry: tuple[Any, BaseException | None] | None) -> None:
        while not is_left.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(entry, timeout=POLL_SECONDS)
                return

    def pull() -> None:
        try:
            for table in tables:
                put((table, None))
                if is_left.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 (raised again where the results are read)
            put((None, error))

    threading.Thread(target=pull, name="ray-results", daemon=True).start()
    try:
        while not stop.is_set():
            try:
                entry = ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if entry is None:
                return
            table, error = entry
            if error is not None:
                with _ray_errors():
                    raise error
            yield table
    finally:
        is_left.set()


@contextmanager
def _ray_errors() -> Iterator[None]:
    """What Ray raises, as a sentence."""
    try:
        yield
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ClusterError(f"extraction on Ray was given up: {lines[-1] if lines else type(error).__name__}") from error
