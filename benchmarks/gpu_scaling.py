"""Samples/s of training ``base`` in the processes that ``torchrun`` has started; ``gpu.py`` starts it.

torchrun --standalone --nproc-per-node 2 benchmarks/gpu_scaling.py --store STORE --batch-size 512
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.batching import bucketed_batches, video_lengths
from optsg.data.store import FeatureStore, open_store
from optsg.train.loop.prepared_steps import prepared_ahead, steps_ahead
from optsg.train.loop.processes import Processes, open_processes
from optsg.train.loop.trainer import Trainer
from optsg.train.run.plan import plan_run

WARM_UP = 2


def samples_per_second(store: FeatureStore, processes: Processes, settings: Sequence[str], steps: int) -> float:
    """Of all processes together, after two steps unmeasured; batches are prepared ahead as in training."""
    plan = plan_run(store, store.path, system="op-tsg", size="base", settings=settings, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(store, Path(folder), plan.config, plan.tag_table, plan.tokenizer, processes)
    rows = store.indices("train")
    batch_size = plan.config.training.batch_size
    drawn = bucketed_batches(rows, video_lengths(store, rows), batch_size, np.random.default_rng(0))
    batches = [drawn[number % len(drawn)] for number in range(WARM_UP + steps)]
    take_steps(trainer, batches[:WARM_UP])
    _wait(processes)
    started = time.perf_counter()
    take_steps(trainer, batches[WARM_UP:], first=WARM_UP)
    _wait(processes)
    return sum(map(len, batches[WARM_UP:])) / (time.perf_counter() - started)


def take_steps(trainer: Trainer, batches: Sequence[NDArray[np.int64]], first: int = 0) -> None:
    """Steps as training takes them: prepared ahead beside a GPU, their losses not read; ``first`` is the number of the first."""
    ahead = steps_ahead(trainer.device)
    with closing(prepared_ahead(batches, trainer._joint_step.prepare, ahead=ahead)) as prepared:
        for number, step in enumerate(prepared, first):
            trainer._step(number, step)


def _wait(processes: Processes) -> None:
    if processes.device.type == "cuda":
        torch.cuda.synchronize()
    processes.wait()


def main(words: Sequence[str] | None = None) -> None:
    """Prints one number."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--device", default="cuda", help="[cuda]")
    options.add_argument("--batch-size", type=int, required=True, help="joint, over all processes")
    options.add_argument("--steps", type=int, default=20, help="[%(default)s]")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model")
    arguments = options.parse_args(words)
    settings = [f"batch_size={arguments.batch_size}", "state_seconds=1e9", *arguments.set]
    with open_processes(arguments.device) as processes, open_store(arguments.store) as store:
        rate = samples_per_second(store, processes, settings, arguments.steps)
        if processes.is_main:
            sys.stdout.write(f"{rate}\n")


if __name__ == "__main__":
    main()
