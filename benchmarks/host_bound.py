"""What the host allows a GPU: samples/s of ``base`` if the device took no time at all, by part, without a GPU.

    python benchmarks/host_bound.py --write [--against FOLDER]

Batches of 256 videos of 60 frames × 512 from a store made once (in ``--work``); N = 30. ``collate`` reads and pads a batch.
``targets`` draws the videos' tags, puts the tokens together that the decoder is to write, and finds their places.
``matching`` is the rest of :func:`optsg.train.model.matching.assign_tags`, but for the cosines, which the device computes.
``launching`` is a step of a model with all layers of ``base``, 24 wide, on two videos, with the operations of a GPU
(``launches.py``): what Python, PyTorch's dispatcher and autograd cost, and kernels so small that they stand for launches.
Operations and the host's waits for the device are counted by a pretended GPU (``pretended_device.py``), the reading of the
losses left out, which training does every 64 steps. On a GPU ``gpu.py`` shows what the host needs for a step, with CUDA graphs too.

All times are processor seconds, medians. ``--against`` measures another version too, in turn: a folder with a package
``optsg`` in it (``git archive --prefix=optsg/ COMMIT | tar x -C FOLDER``). ``--json`` prints the numbers alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.batching import Batch, bucketed_batches, collate, video_lengths
from optsg.data.store import FeatureStore, open_store
from optsg.train.model import matching
from optsg.train.model.matching import prompt_tag_gain
from optsg.train.model.tag_sequence import target_batch, written_places
from optsg.train.objective.tag_targets import TagTargets
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.launches import TEXT, as_on_a_gpu, narrow_steps, step_and_read  # noqa: E402
from benchmarks.options import parser, publish  # noqa: E402
from benchmarks.pretended_device import CUDA, Kernels, PretendedDevice, mark  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import write_synthetic_store  # noqa: E402

PROMPTS = 30
HOST = torch.device("cpu")
PARTS = ("collate", "targets", "matching", "launching")
TARGET = 3.0
VIDEOS = 2_000


@dataclass(frozen=True, kw_only=True)
class HostCost:
    """What a step costs the host.

    Attributes:
        seconds: by part.
        launches: operations of a step.
        waits: of the host for the device, in a step.
    """

    seconds: dict[str, float]
    launches: int
    waits: int

    def samples(self, videos: int) -> float:
        """Samples/s, nothing done at the same time as anything else."""
        return videos / sum(self.seconds[part] for part in PARTS)


def processor_seconds(call: Callable[[], object], repetitions: int) -> float:
    """Median of the processor seconds of a call."""
    found = []
    for _ in range(repetitions):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return median(found)


class BatchParts:
    """What the host does for a whole batch."""

    def __init__(self, store: FeatureStore, targets: TagTargets, rows: NDArray[np.int64]):
        self._store, self._targets, self._rows = store, targets, rows
        self._batch: Batch = collate(store, rows)
        torch.manual_seed(0)
        self._prompts = torch.randn(len(rows), PROMPTS, targets.embeddings.shape[1])
        self._chosen = targets.choose_all(self._batch, PROMPTS, np.random.default_rng(0))
        self._gain = torch.empty(0)
        with mock.patch.object(matching, "prompt_tag_gain", self._remember):
            self._assignment = self._assign()
        # What an earlier version does on the device is no work of the host.
        self._finds_places = hasattr(targets, "table")

    def collate(self) -> object:
        """Reads and pads."""
        return collate(self._store, self._rows)

    def targets(self) -> object:
        """What is to be written."""
        self._targets.choose_all(self._batch, PROMPTS, np.random.default_rng(0))
        _, wanted = target_batch(self._assignment, getattr(self._targets, "table", self._targets.pieces))
        return wanted.flatten()[written_places(wanted)] if self._finds_places else wanted

    def matching(self) -> object:
        """The assignment, its cosines given: they are the device's work."""
        with mock.patch.object(matching, "prompt_tag_gain", return_value=self._gain):
            return self._assign()

    def _assign(self) -> NDArray[np.int64]:
        return matching.assign_tags(self._prompts, self._chosen, self._targets.embeddings, self._targets.nil)

    def _remember(self, prompts: Tensor, tags: Tensor, nil: Tensor | None) -> Tensor:
        self._gain = prompt_tag_gain(prompts, tags, nil)
        return self._gain


def measure(feats: Path, narrow: Path, *, batch_size: int, repetitions: int) -> HostCost:
    """Every part of the version that is installed."""
    with open_store(narrow) as store, as_on_a_gpu():
        steps = narrow_steps(store, HOST, ["precision=fp32"])
        step = step_and_read(steps, store)
        for _ in range(3):
            step()
        seconds = {"launching": processor_seconds(step, repetitions)}
        launches, waits = _counted(store)
    with open_store(feats) as store:
        rows = store.indices("train")
        batches = bucketed_batches(rows, video_lengths(store, rows), batch_size, np.random.default_rng(0))
        parts = BatchParts(store, _targets_of(store), batches[0])
        for name in PARTS[:3]:
            seconds[name] = processor_seconds(getattr(parts, name), 5 * repetitions)
    return HostCost(seconds=seconds, launches=launches, waits=waits)


def _counted(store: FeatureStore) -> tuple[int, int]:
    """Launches and waits of a step in bfloat16."""
    pretended = PretendedDevice()
    with pretended:
        steps = narrow_steps(store, CUDA, ["precision=bf16"])
        trainer = steps.trainer
        average = trainer._average
        assert average is not None
        mark([*trainer.model.parameters(), *trainer.model.buffers(), *trainer._weights.masters, *average.values])
        step = step_and_read(steps, store)
        step()
        pretended.waits.clear()
        with Kernels() as kernels:
            step()
    if not hasattr(trainer._joint_step, "prepare"):  # an earlier version, which reads its losses in every step
        return kernels.launched.total(), pretended.waits.total()
    reading = sum(count for place, count in pretended.waits.items() if "step_losses.py" in place)
    return kernels.launched.total(), pretended.waits.total() - reading


def _targets_of(store: FeatureStore) -> TagTargets:
    """Those of a model of ``base`` whose vocabulary is the store's."""
    steps = narrow_steps(store, HOST, ["precision=fp32"])
    found: TagTargets = steps.trainer.system.targets  # type: ignore[attr-defined]
    return found


def measured_elsewhere(folder: Path, words: Sequence[str]) -> HostCost:
    """The same of another version, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--json", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603
    return HostCost(**json.loads(done.stdout.splitlines()[-1]))


def report(costs: dict[str, HostCost], batch_size: int) -> str:
    """The tables; ``costs`` by version, the last one's beside which the others stand."""
    rows = [[f"{part}, ms", *(f"{1e3 * cost.seconds[part]:.1f}" for cost in costs.values())] for part in PARTS]
    rows.append(["operations launched", *(f"{cost.launches:,}" for cost in costs.values())])
    rows.append(["waits for the device", *(str(cost.waits) for cost in costs.values())])
    allowed = [cost.samples(batch_size) for cost in costs.values()]
    rows.append(["samples/s that the host allows", *(f"{rate:,.0f}" for rate in allowed)])
    blocks = [table([f"a step of `base`, batch {batch_size}, N = {PROMPTS}", *costs], rows)]
    if len(costs) > 1:
        blocks.append(
            f"Against the first column: {allowed[-1] / allowed[0]:.1f} times (target: {TARGET:.0f}). Collation, which a thread "
            "does while a GPU computes, is counted as if nothing went on beside it."
        )
    return "\n\n".join(blocks)


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = parser(__doc__, repetitions=7)
    options.add_argument("--batch-size", type=int, default=256, help="[%(default)s]")
    options.add_argument("--videos", type=int, default=VIDEOS, help="of the store [%(default)s]")
    options.add_argument("--against", type=Path, metavar="FOLDER", help="measure the package optsg in this folder too")
    options.add_argument("--json", action="store_true", help="print the numbers alone")
    arguments: argparse.Namespace = options.parse_args(words)
    torch.set_num_threads(1)
    work: Path = arguments.work
    feats = write_synthetic_store(work / f"train-{arguments.videos}.h5", videos=arguments.videos)
    narrow = write_synthetic_store(work / "narrow.h5", videos=64, frames=4, width=16, text=TEXT)
    sizes: dict[str, Any] = {"batch_size": arguments.batch_size, "repetitions": arguments.repetitions}
    costs: dict[str, HostCost] = {}
    if arguments.against is not None:
        own = ["--work", str(work), "--videos", str(arguments.videos), "--batch-size", str(arguments.batch_size)]
        costs[arguments.against.name] = measured_elsewhere(
            arguments.against, [*own, "--repetitions", str(arguments.repetitions)]
        )
    costs["this version"] = measure(feats, narrow, **sizes)
    if arguments.json:
        sys.stdout.write(json.dumps(vars(costs["this version"])) + "\n")
        return
    note = f"Batches of {arguments.batch_size}; processor seconds of one thread."
    publish(arguments, "Host bound", report(costs, arguments.batch_size), note=note, packages=("torch", "transformers"))


if __name__ == "__main__":
    main()
