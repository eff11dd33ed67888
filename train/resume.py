"""The resumable state of a training: written atomically, read back exactly.

Nothing random is stored: every step draws from generators seeded by the run's seed and the step's number, so a state is
the weights, the optimiser's moments, the averaged weights, and how far training has come.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..data.errors import RunError
from .optimiser import AveragedWeights
from .precision import MasterWeights
from .run_folder import write_json
from .tensor_files import save_tensors

STATE_FOLDER = "state"
PROGRESS = "progress.json"
START = "start.safetensors"
"""The weights that a run with ``--init-from`` starts with; it needs the other run no more."""

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(kw_only=True)
class TrainingProgress:
    """How far training has come.

    Attributes:
        step: optimiser steps done.
        epochs_done: epochs finished, their validation included; an epoch's last step may be done while this is not.
        epoch_sums, epoch_steps: what the current epoch's log line averages, by its name there, summed over steps.
        validations_without_gain: since the best score.
        best_score, best_epoch: of the kept checkpoint; ``best_epoch`` counts from 1, 0 if there is none yet.
        seconds: training time so far, over all interruptions.
        finished: training has ended; there is nothing to resume.
    """

    step: int = 0
    epochs_done: int = 0
    epoch_sums: dict[str, float] = field(default_factory=dict)
    epoch_steps: int = 0
    validations_without_gain: int = 0
    best_score: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0
    finished: bool = False


def save_state(
    run: Path,
    progress: TrainingProgress,
    weights: MasterWeights,
    optimiser: torch.optim.Optimizer,
    average: AveragedWeights | None,
) -> None:
    """Writes the tensors under a name of their own and then, atomically, the file that points to them."""
    folder = run / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for number, (name, master) in enumerate(zip(weights.names, weights.masters, strict=True)):
        tensors[f"weight/{name}"] = master.detach()
        for moment, value in optimiser.state.get(master, {}).items():
            tensors[f"{moment}/{name}"] = value
        if average is not None:
            tensors[f"average/{name}"] = average.values[number]
    file = f"step-{progress.step:09d}.safetensors"
    save_tensors(folder / file, tensors)
    write_json(folder / PROGRESS, {"tensors": file, **asdict(progress)})
    for old in folder.glob("step-*.safetensors*"):
        if old.name != file:
            old.unlink()


def finish_state(run: Path, progress: TrainingProgress) -> None:
    """Marks the run as finished and removes the tensors, which are of no more use."""
    folder = run / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    progress.finished = True
    write_json(folder / PROGRESS, {"tensors": "", **asdict(progress)})
    for old in (*folder.glob("step-*.safetensors*"), folder / START):
        old.unlink(missing_ok=True)


def read_progress(run: Path) -> TrainingProgress | None:
    """How far the run has come; ``None`` where no state was ever written.

    Raises:
        RunError: the state is damaged.
    """
    path = run / STATE_FOLDER / PROGRESS
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values.pop("tensors")
        if isinstance(sums := values["epoch_sums"], list):
            # Written before there were other systems than OP-TSG.
            names = ("train_contrastive", "train_generation", "prompts_used")
            values["epoch_sums"] = dict(zip(names, sums, strict=True))
        return TrainingProgress(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); start a new run") from error


@torch.no_grad()
def load_state(
    run: Path, weights: MasterWeights, optimiser: torch.optim.Optimizer, average: AveragedWeights | None
) -> None:
    """Puts the saved tensors back in place.

    Raises:
        RunError: they are missing or do not fit the model.
    """
    folder = run / STATE_FOLDER
    try:
        tensors = load_file(folder / json.loads((folder / PROGRESS).read_text(encoding="utf-8"))["tensors"])
        for number, (name, master) in enumerate(zip(weights.names, weights.masters, strict=True)):
            master.copy_(tensors[f"weight/{name}"])
            moments = {moment: tensors[f"{moment}/{name}"] for moment in MOMENTS if f"{moment}/{name}" in tensors}
            if moments:
                optimiser.state[master] = {key: value.to(master.device) for key, value in moments.items()}
            if average is not None:
                average.values[number].copy_(tensors[f"average/{name}"])
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise RunError(f"{folder} does not hold a usable training state ({error}); start a new run") from error
    weights.publish()
