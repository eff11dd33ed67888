"""Trains and evaluates the runs of a grid, each in a process of its own; goes on where it stopped.

How far a run has come, its folder tells. How many go side by side, on which devices and with how many threads each, follows
from the machine unless a person says it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, read_json
from ...train.device import choose_device
from ...train.loop.saved_states import read_progress
from ...train.run.differences import LABELS, contrast, differences, has_other_labels
from ...train.run_files import CONFIG, read_config
from .invocation import Invocation
from .one_run import BUSY, Job, RunBusy, is_evaluated, lock_run
from .plan import PlannedRun

POLL_SECONDS = 0.2


LOG_LINES = 5


STOP_SECONDS = 120.0
"""How long a stopped run may take to save its state."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that could not be trained or evaluated, and the end of its log."""

    run: PlannedRun
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all runs share.

    Attributes:
        asked: what was asked for, with the size that ``auto`` came to.
        splits: to evaluate on.
        test_labels: as in :class:`optsg.evaluate.tables.one_run.Job`.
    """

    asked: Invocation
    splits: tuple[str, ...]
    test_labels: str
    places: Places

    def job(self, run: PlannedRun, device: str) -> Job:
        """What the process of a run is told."""
        asked = self.asked
        options = ["--feats", str(asked.feats.resolve()), "--system", run.choice.system, "--size", asked.size]
        options += ["--seed", str(run.seed)]
        for setting in run.settings:
            options += ["--set", setting]
        if run.choice.pretrained is not None:
            options += ["--init-from", str(run.choice.pretrained.resolve())]
        folder = asked.runs.resolve() / run.name
        allow = [word for system in asked.systems for word in ("--allow-system", system)]
        return Job(
            folder=str(folder),
            train=tuple(options),
            splits=self.splits,
            test_labels=self.test_labels,
            device=device,
            allow=tuple(allow),
        )


@dataclass
class _Active:
    run: PlannedRun
    device: str
    process: subprocess.Popen[bytes]
    started: float


class Runner:
    """Works through runs.

    Args:
        announce: told a line when a run has finished or failed.
        stop: set from outside to stop; runs that are being trained save their state.
    """

    def __init__(self, work: Work, announce: Callable[[str], None], stop: threading.Event):
        self._work, self._announce, self._stop = work, announce, stop
        self._active: list[_Active] = []
        self._minutes: list[float] = []
        self.failures: list[Failure] = []

    def train(self, runs: Sequence[PlannedRun]) -> None:
        """Trains and evaluates what is not finished yet; failures do not keep the others from being trained.

        Raises:
            RunError: a folder holds another run; found before anything is started.
        """
        pending = deque(run for run in runs if self._state(run) != "finished")
        self._total, self._done = len(runs), len(runs) - len(pending)
        free = deque(self._work.places.devices)
        try:
            while (pending or self._active) and not self._stop.is_set():
                while pending and free and self._start_one(pending, free[0]):
                    free.popleft()
                self._stop.wait(POLL_SECONDS)
                for ended in [active for active in self._active if active.process.poll() is not None]:
                    self._active.remove(ended)
                    free.append(ended.device)
                    self._finish(ended, pending)
        finally:
            self._stop_all()

    def _state(self, run: PlannedRun) -> str:
        return run_state(run, self._work.asked.runs, self._work.splits, self._work.test_labels)

    def _start_one(self, pending: deque[PlannedRun], device: str) -> bool:
        """Starts the first run that nobody else is training; false where there is none."""
        for _ in range(len(pending)):
            run = pending.popleft()
            try:
                with lock_run(self._work.asked.runs / run.name):
                    pass
            except RunBusy:
                pending.append(run)
                continue
            if self._state(run) == "finished":  # meanwhile, by another runner
                self._count(run, None)
                continue
            self._active.append(self._start(run, device))
            return True
        return False

    def _start(self, run: PlannedRun, device: str) -> _Active:
        threads = str(self._work.places.threads)
        command = [sys.executable, "-m", "optsg.evaluate.tables.one_run", self._work.job(run, device).to_json()]
        with self._log(run).open("ab") as log:
            # A session of its own: Ctrl-C on a terminal reaches the runner alone, which then asks each run once.
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"},
            )
        return _Active(run=run, device=device, process=process, started=time.monotonic())

    def _log(self, run: PlannedRun) -> Path:
        return self._work.asked.runs / f"{run.name}.log"

    def _finish(self, ended: _Active, pending: deque[PlannedRun]) -> None:
        _close_input(ended.process)
        code = ended.process.returncode
        if code == BUSY:
            pending.append(ended.run)
        elif code == 0 and self._state(ended.run) == "finished":
            self._count(ended.run, (time.monotonic() - ended.started) / 60)
        else:
            lines = self._log(ended.run).read_text(encoding="utf-8", errors="replace").splitlines()
            self._done += 1
            self.failures.append(Failure(run=ended.run, lines=tuple(lines[-LOG_LINES:])))
            self._announce(
                f"{self._done} of {self._total}  {ended.run.name}: failed with exit code {code}; "
                f"the end of {self._log(ended.run)}:\n" + "\n".join(f"    {line}" for line in lines[-LOG_LINES:])
            )

    def _count(self, run: PlannedRun, minutes: float | None) -> None:
        self._done += 1
        if minutes is not None:
            self._minutes.append(minutes)
        took = "trained by another optsg-tables" if minutes is None else f"{minutes:.1f} min"
        self._announce(
            f"{self._done} of {self._total}  {run.name}: {_scores(self._work.asked.runs / run.name)}; {took}{self._left()}"
        )

    def _left(self) -> str:
        left = self._total - self._done
        if not left or not self._minutes:
            return ""
        side_by_side = min(left, len(self._work.places.devices))
        minutes = sum(self._minutes) / len(self._minutes) * left / side_by_side
        hours, rest = divmod(round(minutes), 60)
        return f"; about {hours} h {rest:02} min left" if hours else f"; about {max(1, rest)} min left"

    def _stop_all(self) -> None:
        for active in self._active:
            with contextlib.suppress(ProcessLookupError):
                active.process.terminate()
        for active in self._active:
            try:
                active.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                active.process.kill()
                active.process.wait()
            _close_input(active.process)


def _close_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def _scores(folder: Path) -> str:
    """The four F1 of a finished run, percent."""
    try:
        metrics = read_json(folder / "eval" / "test" / "metrics.json", finite=False)
        label, example = metrics["label_based"], metrics["example_based"]
        f1 = {**{name: label[name]["f1"] for name in ("full", "rare", "common")}, "example": example["f1"]}
    except JSON_DAMAGE as error:
        raise RunError(
            f"{folder}/eval/test/metrics.json cannot be read ({reason_of(error)}); remove it and run again"
        ) from error
    return "F1 " + ", ".join(f"{name} {100 * value:.1f}" for name, value in f1.items())


State = Literal["missing", "begun", "interrupted", "trained", "finished"]
"""Not there; there without a saved state; training can go on; only evaluation is missing; all is done."""


def run_state(run: PlannedRun, runs: Path, splits: Sequence[str], test_labels: str) -> State:
    """How far the run is.

    Args:
        runs: the folder of all runs.
        splits: those that it is evaluated on.
        test_labels: as in :class:`Work`.

    Raises:
        RunError: the folder holds a run of another configuration, or is damaged.
    """
    folder = runs / run.name
    if not (folder / CONFIG).is_file():
        return "missing"
    _check_configuration(run, folder)
    progress = read_progress(folder)
    if progress is None:
        return "begun"
    if not progress.finished:
        return "interrupted"
    done = all(is_evaluated(folder, split, test_labels) for split in splits)
    return "finished" if done else "trained"


def _check_configuration(run: PlannedRun, folder: Path) -> None:
    try:
        found = read_config(folder)
    except RunError as error:
        raise RunError(f"{error}; remove the folder, or choose another --out") from error
    different = differences(found, run.config)
    if different:
        have, want = contrast(different)
        raise RunError(
            f"{folder} was trained with {have}, the grid wants {want}; remove the folder, or choose another --out"
        )
    if has_other_labels(found, run.config.store[LABELS]):
        raise RunError(
            f"{folder} was trained on other videos, titles, tags or sets than {run.config.store['path']} has now; "
            "remove the folder, or choose another --out"
        )


MOST_CPU_JOBS = 8
"""Each holds a model, its optimiser and a copy of the text tables."""


FREE_SHARE = 0.9
"""A GPU with this share of its memory free is taken for free."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where runs are trained.

    Attributes:
        devices: one for each run that is trained at a time.
        threads: of each on the CPU.
    """

    devices: tuple[str, ...]
    threads: int

    @property
    def described(self) -> str:
        """For people: "2 runs at a time on cpu, 1 thread each"."""
        count = len(self.devices)
        runs, threads = ("run" if count == 1 else "runs"), ("thread" if self.threads == 1 else "threads")
        each = " each" if count > 1 else ""
        return f"{count} {runs} at a time on {', '.join(dict.fromkeys(self.devices))}, {self.threads} {threads}{each}"


def choose_places(device: str, jobs: int | None) -> Places:
    """One run for each free GPU; on the CPU one for each core, which gives more runs an hour than threads do.

    Args:
        device: ``--device``; ``auto`` and ``cuda`` take all GPUs that are free, all there are if none is.
        jobs: how many at a time instead.

    Raises:
        ConfigError: there is no such device.
    """
    place = choose_device(device)
    cores = usable_cores()
    if place.type == "cuda" and place.index is None:
        gpus = _free_gpus()
        count = jobs or len(gpus)
        devices = tuple(gpus[number % len(gpus)] for number in range(count))
    else:
        count = jobs or (min(cores, MOST_CPU_JOBS) if place.type == "cpu" else 1)
        devices = (str(place),) * count
    return Places(devices=devices, threads=max(1, cores // count))


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_gpus() -> list[str]:
    every = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    free = []
    for number, name in enumerate(every):
        available, total = torch.cuda.mem_get_info(number)
        if available >= FREE_SHARE * total:
            free.append(name)
    return free or every
