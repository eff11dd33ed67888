"""One training step: samples/s, where its time goes, and how it compares with the same model written plainly.

    python benchmarks/training_step.py --write
    python benchmarks/training_step.py --sizes small --batch-size 16 --repetitions 3

Ours is :class:`optsg.train.loop.trainer.Trainer`, step by step, on a store of videos of 60 frames × 512 (made once, in
``--work``) or on ``--feats``. Of a size with settings beyond the paper (``small``) two models are measured: the paper's,
and the size as it is. The other side is ``newcomer_model.py``: the paper's model of the same sizes out of
``torch.nn.Transformer*`` layers. All get the same batches, in turn.

Where the time goes is measured in further steps in which the parts' functions are wrapped. FLOPs are counted by PyTorch
(``torch.utils.flop_counter``) and set against the rate of plain matrix products in the same precision, measured here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optsg.train.loop.joint_step as joint_step_module
import torch
from numpy.typing import NDArray
from optsg.data.batching import Batch, bucketed_batches, collate, video_lengths
from optsg.data.store import FeatureStore, open_store
from optsg.train.config import SIZES, RunConfig, Size
from optsg.train.device import working_dtype
from optsg.train.loop.processes import Processes
from optsg.train.loop.trainer import Trainer
from optsg.train.model.op_tsg import OPTSG
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.video_title_model import VideoTitleModel
from optsg.train.objective.op_tsg_loss import OpTsgLoss
from optsg.train.run.plan import plan_run
from optsg.train.systems.op_tsg import PAPER_SETTINGS
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.alternating import Timings, alternate  # noqa: E402
from benchmarks.matrix_rate import measured_matrix_rate, wait  # noqa: E402
from benchmarks.newcomer_model import NewcomerModel, NewcomerTargets, NewcomerTraining  # noqa: E402
from benchmarks.operator_profile import operator_table, profiled  # noqa: E402
from benchmarks.options import add_model_options, parser, publish  # noqa: E402
from benchmarks.part_clock import PartClock  # noqa: E402
from benchmarks.results_file import table  # noqa: E402
from benchmarks.synthetic_store import write_synthetic_store  # noqa: E402

BATCH_SIZES = {"small": 64, "base": 16}
"""On a CPU; the paper's 256 of ``base`` takes minutes a step there."""

PARTS = ("data wait", "encoder", "matching", "decoder", "losses", "backward", "optimiser")
TARGETS = {"data wait": 0.02, "matching": 0.03}
SPEED_TARGET = 1.5


class StepsOfOurs:
    """A trainer whose steps are taken one by one."""

    def __init__(self, store: FeatureStore, run: Path, size: Size, settings: Sequence[str], device: torch.device):
        plan = plan_run(store, store.path, system="op-tsg", size=size, settings=settings, seed=0)
        self.config: RunConfig = plan.config
        self.trainer = Trainer(store, run, plan.config, plan.tag_table, plan.tokenizer, Processes.alone(device))
        self._taken = 0

    def step(self, rows: NDArray[np.int64]) -> float:
        """One step; returns the loss, as training does for its log."""
        # An earlier version, which host_bound.py compares with, prepares nothing.
        prepare = getattr(self.trainer._joint_step, "prepare", lambda unprepared: unprepared)
        losses = self.trainer._step(self._taken, prepare(rows))
        self._taken += 1
        return losses.numbers()["loss"]


def places_of_parts() -> dict[tuple[Any, str], str]:
    """The functions whose time is that of a part; what a whole step does beside them is the optimiser."""
    return {
        (joint_step_module, "collate"): "data wait",
        (Batch, "to"): "data wait",
        (VideoTitleModel, "encode"): "encoder",
        (OPTSG, "order_prompts"): "encoder",
        (OpTsgLoss, "assign"): "matching",
        (TagDecoder, "forward"): "decoder",
        (OpTsgLoss, "__call__"): "losses",
        (torch.Tensor, "backward"): "backward",
        (Trainer, "_step"): "optimiser",
    }


def shares_of_parts(ours: StepsOfOurs, batches: Sequence[NDArray[np.int64]], device: torch.device) -> dict[str, float]:
    """Seconds a step by part."""
    clock = PartClock(lambda: wait(device))
    with clock.watching(places_of_parts()):
        for rows in batches:
            ours.step(rows)
    return {part: clock.seconds.get(part, 0.0) / len(batches) for part in PARTS}


def flops_of_step(ours: StepsOfOurs, rows: NDArray[np.int64]) -> int:
    """Of one step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        ours.step(rows)
    return int(counter.get_total_flops())


@dataclass(frozen=True, kw_only=True)
class Model:
    """What one model of ours gave.

    Attributes:
        shown: its name.
        seconds: of a step, by part.
        flops: of a step.
        matrix_rate: the machine's FLOP/s in its precision.
    """

    shown: str
    precision: str
    parameters: int
    seconds: dict[str, float]
    flops: int
    matrix_rate: float
    profile: str


@dataclass(frozen=True, kw_only=True)
class SizeResult:
    """All models of a size, timed in turn; ``newcomer`` is the name of the plain one among the timings."""

    size: str
    batch_size: int
    models: dict[str, Model]
    timings: Timings


def measure(
    store: FeatureStore, size: Size, *, batch_size: int, steps: int, repetitions: int, settings: Sequence[str] = ()
) -> SizeResult:
    """Measures a size on the CPU; a run is ``steps`` steps over as many batches."""
    device = torch.device("cpu")
    own = [f"batch_size={batch_size}", "state_seconds=1e9", *settings]
    variants = {"paper": [*own, *PAPER_SETTINGS]}
    if any(getattr(SIZES[size][0], name) != value for name, value in _paper_values().items()):
        variants["own"] = own
    rows = store.indices("train")
    batches = bucketed_batches(rows, video_lengths(store, rows), batch_size, np.random.default_rng(0))[:steps]
    with tempfile.TemporaryDirectory() as folder:
        ours = {name: StepsOfOurs(store, Path(folder), size, words, device) for name, words in variants.items()}
    paper = ours["paper"].config
    torch.manual_seed(0)
    newcomer_model = NewcomerModel(paper.model, paper.inputs).to(device)
    newcomer = NewcomerTraining(newcomer_model, NewcomerTargets.of(store, device))
    runs = {name: _run_of_ours(steps_of, batches) for name, steps_of in ours.items()}
    timings = alternate({**runs, "newcomer": lambda: _run_newcomer(newcomer, store, batches)}, repetitions)
    models = {}
    for name, one in ours.items():
        dtype = working_dtype(device, one.config.training.precision)
        models[name] = Model(
            shown=f"`{size}`" + (", the paper's model" if name == "paper" and len(ours) > 1 else ""),
            precision=str(dtype).removeprefix("torch."),
            parameters=one.trainer.model.parameter_count(),
            seconds=shares_of_parts(one, batches, device),
            flops=sum(flops_of_step(one, rows) for rows in batches) // len(batches),
            matrix_rate=measured_matrix_rate(dtype, device),
            profile=operator_table(profiled(partial(one.step, batches[0])), "calls a step"),
        )
    per_step = {
        name: [replace(one, wall=one.wall / len(batches), cpu=one.cpu / len(batches)) for one in found]
        for name, found in timings.runs.items()
    }
    return SizeResult(size=size, batch_size=batch_size, models=models, timings=Timings(per_step))


def _paper_values() -> dict[str, Any]:
    return {"decoding": "sequential", "copy_title": False, "tag_head": False}


def _run_of_ours(ours: StepsOfOurs, batches: Sequence[NDArray[np.int64]]) -> Any:
    return lambda: [ours.step(rows) for rows in batches]


def _run_newcomer(newcomer: NewcomerTraining, store: FeatureStore, batches: Sequence[NDArray[np.int64]]) -> None:
    for rows in batches:
        newcomer.step(collate(store, rows))


def report(results: Sequence[SizeResult]) -> str:
    """The tables."""
    speeds, splits, rates, misses = [], [], [], []
    for result in results:
        timings, batch = result.timings, result.batch_size
        for name, model in result.models.items():
            seconds = timings.wall(name)
            ratio = timings.ratio("newcomer", name)
            speeds.append(
                [
                    model.shown,
                    str(batch),
                    f"{seconds:.3f}",
                    f"{timings.cpu(name):.3f}",
                    f"{batch / seconds:.1f}",
                    str(ratio),
                ]
            )
            whole = sum(model.seconds.values())
            shares = {part: model.seconds[part] / whole for part in PARTS}
            splits.append(
                [model.shown, *(f"{1000 * model.seconds[part]:.1f} ({100 * shares[part]:.1f} %)" for part in PARTS)]
            )
            achieved = model.flops / seconds
            rates.append([
                model.shown, f"{model.parameters / 1e6:.1f} M", model.precision, f"{model.flops / 1e9:.0f}",
                f"{achieved / 1e9:.0f}", f"{model.matrix_rate / 1e9:.0f}", f"{100 * achieved / model.matrix_rate:.0f} %",
            ])  # fmt: skip
            missed = [
                f"{part} {100 * shares[part]:.1f} %" for part, target in TARGETS.items() if shares[part] >= target
            ]
            if ratio.median < SPEED_TARGET:
                missed.append(f"{ratio.median:.2f} times the plain model's speed")
            misses += [f"{model.shown}: {each}" for each in missed]
        seconds = timings.wall("newcomer")
        speeds.append(
            [
                f"`{result.size}`, written plainly",
                str(batch),
                f"{seconds:.3f}",
                f"{timings.cpu('newcomer'):.3f}",
                f"{batch / seconds:.1f}",
                "",
            ]
        )
    targets = (
        f"Targets: data wait below {100 * TARGETS['data wait']:.0f} %, matching below {100 * TARGETS['matching']:.0f} % of a "
        f"step, {SPEED_TARGET} times the plain model's speed. Missed: {'; '.join(misses) or 'none'}."
    )
    blocks = [
        table(["model", "batch", "s a step", "CPU s a step", "samples/s", "speed over the plain model"], speeds),
        table(["ms a step (share)", *PARTS], splits),
        table(
            ["model", "trained", "precision", "GFLOP a step", "GFLOP/s", "GFLOP/s of matrix products", "share"], rates
        ),
        targets,
    ]
    for result in results:
        for model in result.models.values():
            blocks += [f"Profile of a step of {model.shown}:", model.profile]
    return "\n\n".join(blocks)


def main(words: Sequence[str] | None = None) -> None:
    """Prints the tables as Markdown."""
    options = parser(__doc__, repetitions=7)
    add_model_options(options)
    options.add_argument("--batch-size", type=int, help="[64 for small, 16 for base]")
    options.add_argument("--steps", type=int, default=2, help="in one measurement [%(default)s]")
    arguments: argparse.Namespace = options.parse_args(words)
    path = arguments.feats or write_synthetic_store(
        arguments.work / f"train-{arguments.videos}.h5", videos=arguments.videos
    )
    results = []
    with open_store(path) as store:
        for size in arguments.sizes:
            result = measure(
                store,
                size,
                batch_size=arguments.batch_size or BATCH_SIZES[size],
                steps=arguments.steps,
                repetitions=arguments.repetitions,
                settings=arguments.set,
            )
            results.append(result)
            print(f"{size}: {result.timings.ratio('newcomer', 'paper')}", file=sys.stderr, flush=True)
        source = arguments.feats or f"a synthetic store of {len(store):,} videos × 60 frames × 512"
    note = f"Batches of {source}; {arguments.steps} steps in a measurement."
    publish(arguments, "Training step", report(results), note=note, packages=("torch", "transformers"))


if __name__ == "__main__":
    main()
