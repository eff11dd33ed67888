"""The saved states of a training: the last few, each whole by itself, each with the digest of its bytes, read back exactly.

Nothing random is stored: every step draws from generators seeded by the run's seed and the step's number, so a state is the
weights, the optimiser's moments, the averaged weights, and how far training has come. ``state/step-N.safetensors`` holds the
tensors and, in its header, how far training had come; ``step-N.safetensors.sha256`` is what ``sha256sum -c`` reads. Nothing
points at them: the state of most steps is the newest, and where it is damaged, the one before it is as good. Earlier versions
wrote no digest, and ``progress.json`` beside their one state.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, check_is_file, parse_json, read_bounded
from ...data.store.digests import file_digest
from ..run_files import START, STATE_FOLDER, save_tensors, write_errors, write_json
from .optimiser import AveragedWeights, MasterWeights

PROGRESS = "progress.json"
"""What a finished training leaves of its states."""


_PATTERN = "step-*.safetensors"


_KEY = "progress"


class StateDamaged(Exception):  # noqa: N818 - a finding, told to people as a warning
    """A state file is not what was written; the message says why."""


def state_files(run: Path) -> list[Path]:
    """The states of a run, newest first."""
    return sorted((run / STATE_FOLDER).glob(_PATTERN), reverse=True)


def write_state(run: Path, step: int, progress: str, tensors: Mapping[str, Tensor], *, keep: int) -> None:
    """Writes a state and removes all but the newest ``keep``; those of later steps are of a future that was given up.

    Raises:
        RunError: it cannot be written; earlier ones are kept.
    """
    path = run / STATE_FOLDER / f"step-{step:09d}.safetensors"
    save_tensors(path, tensors, metadata={_KEY: progress}, digest=_digest_file(path))
    with write_errors(run / STATE_FOLDER):
        for later in [state for state in state_files(run) if state.name > path.name]:
            _remove(later)
        remove_states(run, keep=keep)
        (run / STATE_FOLDER / PROGRESS).unlink(missing_ok=True)


def remove_states(run: Path, *, keep: int = 0) -> None:
    """Removes all states but the newest ``keep``, and what interrupted writing left."""
    states = state_files(run)
    for old in states[keep:]:
        _remove(old)
    kept = {name for state in states[:keep] for name in (state.name, _digest_file(state).name)}
    for other in (run / STATE_FOLDER).glob(f"{_PATTERN}*"):
        if other.name not in kept:
            other.unlink(missing_ok=True)


def state_progress(state: Path) -> str:
    """The text that :func:`write_state` was given; only the file's header is read.

    Raises:
        StateDamaged: there is none, or the file cannot be read.
    """
    try:
        check_is_file(state)
        with safe_open(state, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise StateDamaged(reason_of(error)) from error
    if _KEY in metadata:
        return str(metadata[_KEY])
    return _earlier_progress(state)


def check_digest(state: Path) -> None:
    """Compares a state's bytes with its digest.

    Raises:
        StateDamaged: they differ, or the file cannot be read.
    """
    try:
        check_is_file(state)
        recorded = read_bounded(_digest_file(state)).decode().split()[:1]
        if recorded != [file_digest(state)]:
            raise StateDamaged("its SHA-256 is not the recorded one")
    except FileNotFoundError as error:
        if not _is_earlier(state):
            raise StateDamaged("its digest is missing") from error
    except (OSError, ValueError) as error:
        raise StateDamaged(reason_of(error)) from error


def _digest_file(state: Path) -> Path:
    return state.with_name(state.name + ".sha256")


def _remove(state: Path) -> None:
    state.unlink(missing_ok=True)
    _digest_file(state).unlink(missing_ok=True)


def _is_earlier(state: Path) -> bool:
    try:
        _earlier_progress(state)
    except StateDamaged:
        return False
    return True


def _earlier_progress(state: Path) -> str:
    """What earlier versions wrote into a file of its own, for the one state that there was."""
    try:
        text = read_bounded(state.parent / PROGRESS).decode()
        if parse_json(text)["tensors"] == state.name:
            return text
    except JSON_DAMAGE:
        pass
    raise StateDamaged("it does not say how far training had come")


MOMENTS = ("exp_avg", "exp_avg_sq", "step")
STATE_SHARE = 0.05
"""Most of the time that may go into writing states while nobody asks to stop."""


@dataclass(kw_only=True)
class TrainingProgress:
    """How far training has come.

    Attributes:
        step: optimiser steps done.
        epochs_done: epochs finished, their validation included; an epoch's last step may be done while this is not.
        epoch_sums, epoch_steps: what the current epoch's log line averages, by its name there, summed over steps.
        validations_without_gain: since the best score.
        best_score, best_example_score, best_loss: of the kept checkpoint, as :class:`~optsg.train.loop.validation.Rank` has them.
        best_epoch: its epoch, counted from 1; 0 if there is none yet.
        seconds: training time so far, over all interruptions.
        trained: all steps are done, or training stopped early; what is left is tuning with the kept weights.
        finished: training has ended; there is nothing to resume.
    """

    step: int = 0
    epochs_done: int = 0
    epoch_sums: dict[str, float] = field(default_factory=dict)
    epoch_steps: int = 0
    validations_without_gain: int = 0
    best_score: float = -1.0
    best_example_score: float = -1.0
    best_loss: float = sys.float_info.max
    best_epoch: int = 0
    seconds: float = 0.0
    trained: bool = False
    finished: bool = False


class StateSaver:
    """Writes the states of a training, when they are due and when it stops, and goes back to one.

    Args:
        run: the run folder.
        weights, optimiser, average: what a state is made of.
        seconds: least time between two states while nobody asks to stop.
        keep: how many of the newest states are kept.
    """

    def __init__(
        self,
        run: Path,
        weights: MasterWeights,
        optimiser: torch.optim.Optimizer,
        average: AveragedWeights | None,
        *,
        seconds: float,
        keep: int,
    ):
        self._run, self._weights, self._optimiser, self._average = run, weights, optimiser, average
        self._seconds, self._keep = seconds, keep
        self._next = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        """Whether it is time for a state."""
        return time.monotonic() > self._next

    def save(self, progress: TrainingProgress) -> None:
        """Writes a state beside those before it; the next one is due when writing takes a small share of the time.

        Raises:
            RunError: it cannot be written; earlier ones are kept.
        """
        begun = time.monotonic()
        with write_errors(self._run / STATE_FOLDER):
            (self._run / STATE_FOLDER).mkdir(exist_ok=True)
        tensors: dict[str, Tensor] = {}
        for number, (name, master) in enumerate(zip(self._weights.names, self._weights.masters, strict=True)):
            tensors[f"weight/{name}"] = master.detach()
            for moment, value in self._optimiser.state.get(master, {}).items():
                tensors[f"{moment}/{name}"] = value
            if self._average is not None:
                tensors[f"average/{name}"] = self._average.values[number]
        write_state(self._run, progress.step, json.dumps(asdict(progress)), tensors, keep=self._keep)
        now = time.monotonic()
        self._next = now + max(self._seconds, (now - begun) / STATE_SHARE)

    @torch.no_grad()
    def load(self, state: Path) -> TrainingProgress:
        """Puts the tensors of a state back in place; returns how far training had come.

        Raises:
            RunError: they do not fit the model.
        """
        weights = self._weights
        try:
            progress = _parse(state_progress(state))
            tensors = load_file(state)
            for number, (name, master) in enumerate(zip(weights.names, weights.masters, strict=True)):
                master.copy_(_fitting(tensors, f"weight/{name}", master))
                if any(f"{moment}/{name}" in tensors for moment in MOMENTS):
                    like = {moment: master if moment != "step" else torch.zeros(()) for moment in MOMENTS}
                    moments = {moment: _fitting(tensors, f"{moment}/{name}", like[moment]) for moment in MOMENTS}
                    self._optimiser.state[master] = {key: value.to(master.device) for key, value in moments.items()}
                if self._average is not None:
                    self._average.values[number].copy_(_fitting(tensors, f"average/{name}", master))
        except (StateDamaged, SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise RunError(_unusable(state.parents[1], error)) from error
        weights.publish()
        return progress


def _fitting(tensors: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """A tensor of a state: what is copied, or updated, in place would be taken in another shape too, and give other weights."""
    if name not in tensors:
        raise StateDamaged(f"{name} is missing")
    found = tensors[name]
    if (found.shape, found.dtype) != (like.shape, like.dtype):
        there, due = (f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in (found, like))
        raise StateDamaged(f"{name} is {there}, expected {due}")
    return found


def finish_state(run: Path, progress: TrainingProgress) -> None:
    """Marks the run as finished and removes the states, which are of no more use."""
    folder = run / STATE_FOLDER
    progress.finished = True
    with write_errors(folder):
        folder.mkdir(exist_ok=True)
        write_json(folder / PROGRESS, asdict(progress))
        remove_states(run)
        (folder / START).unlink(missing_ok=True)


def is_finished(run: Path) -> bool:
    """Whether a training says of itself that it has ended; unlike :func:`read_progress`, nothing is an error."""
    try:
        return _parse(read_bounded(run / STATE_FOLDER / PROGRESS).decode()).finished is True
    except (StateDamaged, OSError, ValueError):
        return False


def read_progress(run: Path) -> TrainingProgress | None:
    """How far the run has come by its newest readable state; ``None`` where no state was ever written.

    Raises:
        RunError: what there is is damaged.
    """
    path = run / STATE_FOLDER / PROGRESS
    if path.is_file():
        try:
            progress = _parse(read_bounded(path).decode())
        except (StateDamaged, OSError, ValueError) as error:
            raise RunError(f"{path} is damaged ({reason_of(error)}); start a new run") from error
        if progress.finished or not state_files(run):
            return progress
    reason: StateDamaged | None = None
    for state in state_files(run):
        try:
            return _parse(state_progress(state))
        except StateDamaged as error:
            reason = error
    if reason is not None:
        raise RunError(_unusable(run, reason))
    return None


def _parse(text: str) -> TrainingProgress:
    try:
        values = parse_json(text)
        values.pop("tensors", None)
        if isinstance(sums := values["epoch_sums"], list):
            # Written before there were other systems than OP-TSG.
            names = ("train_contrastive", "train_generation", "prompts_used")
            values["epoch_sums"] = dict(zip(names, sums, strict=True))
        progress = TrainingProgress(**values)
        for name, kind in get_type_hints(TrainingProgress).items():
            _check_value(name, getattr(progress, name), kind)
        sums = values["epoch_sums"]
        if not isinstance(sums, dict) or _OF_THE_LOG.intersection(sums):
            raise ValueError("epoch_sums are no sums")
        for name, value in sums.items():
            _check_value(name, value, float)
        return progress
    except JSON_DAMAGE as error:
        raise StateDamaged(str(error)) from error


_OF_THE_LOG = frozenset({"event", "step", "epoch", "train_loss", "seconds"})
"""What the log has beside the means of an epoch."""


def _check_value(name: str, value: object, kind: object) -> None:
    """Raises ValueError where a value is not of its kind, or counts below 0."""
    if kind is bool and not isinstance(value, bool):
        raise ValueError(f"{name} is neither true nor false")
    if kind in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name} is no number")
    if kind is int and (not isinstance(value, int) or value < 0):
        raise ValueError(f"{name} is no number of steps or epochs")


def _unusable(run: Path, reason: object) -> str:
    return f"{run / STATE_FOLDER} does not hold a usable training state ({reason}); start a new run"


def find_sound_state(run: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest state whose bytes are those that were written; ``None`` where there is no state.

    Args:
        warn: told a line for every damaged state that is passed over.

    Raises:
        RunError: all are damaged.
    """
    reason: StateDamaged | None = None
    passed: list[str] = []
    for state in state_files(run):
        try:
            check_digest(state)
            step = _parse(state_progress(state)).step
        except StateDamaged as error:
            reason = error
            passed.append(f"{state} is damaged ({error})")
            continue
        for line in passed:
            warn(f"{line}; going on from the state of step {step}")
        return state
    if reason is not None:
        raise RunError(_unusable(run, reason))
    return None
