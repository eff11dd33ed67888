"""One training from a run folder to a trained run, and what a person sees of it while it runs."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ...data.errors import RunError
from ...data.store import FeatureStore, open_store
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..objective.step_losses import StepLosses
from ..run.differences import LABELS, has_other_labels, learned_labels, of_old_labels
from ..run.plan import begun_config
from ..run.validation_share import FEWEST_TRAINED, held_out, learned_from, too_few_to_trust, with_validation
from ..run_files import DECISION, LATEST, RUNS, TAG_TABLE, find_store, is_own_store, point_latest
from ..system_names import WITHOUT_TRAINING, allowing
from ..systems.registry import find_system, takes_steps
from ..systems.tuned_scalar import TunedScalar
from .fit_run import fit_run
from .processes import Processes
from .saved_states import read_progress
from .trainer import Trainer, TrainingInterrupted

READING_SECONDS = 0.5
"""How often the losses that are shown are read from the device, which waits for it."""


class TrainingDisplay:
    """A progress bar with the losses on a terminal, plain lines elsewhere, nothing with ``quiet``. A context manager."""

    def __init__(self, quiet: bool):
        self._quiet, self._console = quiet, Console(stderr=True)
        self._trainer: Trainer | None = None
        self._progress: Progress | None = None
        self._losses, self._next_reading = "", 0.0
        if self._console.is_terminal and not quiet:
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[losses]}"),
                TaskProgressColumn(show_speed=True),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._task = self._progress.add_task("training", total=None, epoch="0", losses="")

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def follow(self, trainer: Trainer) -> None:
        """Shows the steps of this trainer from now on."""
        self._trainer = trainer

    def step(self, done: int, losses: StepLosses) -> None:
        """After a step: how many are done, and its losses."""
        if self._progress is None or self._trainer is None:
            return
        now = time.monotonic()
        if now >= self._next_reading:
            self._next_reading = now + READING_SECONDS
            self._losses = " ".join(f"{name} {value:.2f}" for name, value in losses.numbers().items())
        epoch = (done - 1) // self._trainer.steps_per_epoch + 1
        self._progress.update(
            self._task,
            completed=done,
            total=self._trainer.total_steps,
            epoch=f"{epoch}/{self._trainer.epochs}",
            losses=self._losses,
        )

    def announce(self, line: str) -> None:
        """Prints a line for people, above the progress bar where there is one."""
        if self._progress is not None:
            self._console.print(line)
        elif not self._quiet:
            click.echo(line, err=True)


def train_run(
    run: Path, *, processes: Processes, resume: bool, quiet: bool, allow_systems: Collection[str] = ()
) -> None:
    """Trains a run folder to its end, with progress on the terminal of the main process.

    Args:
        allow_systems: classes, ``MODULE:CLASS``, that the run's system may be.

    Raises:
        ConfigError: its system is another class, or cannot be imported.
        RunError: there is nothing to resume, the run's store is not what it was, or the training diverges.
        StoreError: the store is not there, or damaged.
        TrainingInterrupted: it was asked to stop; that has been said.
        MainProcessFailed: as in :class:`optsg.train.loop.processes.Processes`.
    """
    config = begun_config(run)
    quiet = quiet or not processes.is_main
    progress = processes.by_main(lambda: read_progress(run)) if resume else None
    if progress is not None and progress.finished:
        if processes.is_main:
            click.echo(f"{run} is finished: there is nothing to resume")
        return
    work = _train if takes_steps(find_system(config.system, allow_systems)) else _fit
    with open_store(find_store(run, config.store)) as stored, TrainingDisplay(quiet) as display:
        _check_same_store(stored, config, run)
        store = with_validation(stored, config.training.validation_videos)
        if resume:
            _check_same_labels(store, config, run)
        done = work(store, run, config, processes, resume=resume, display=display, allow_systems=allow_systems)
        if processes.is_main:
            _point_latest(run, display)
        if not quiet:
            click.echo(
                f"{done.what}, {done.scalar.read(run / DECISION)}\nnext: {_next_command(run, store, config.system)}"
            )


class Done(NamedTuple):
    """What has been done, for people, and what was tuned."""

    what: str
    scalar: TunedScalar


def _train(
    store: FeatureStore,
    run: Path,
    config: RunConfig,
    processes: Processes,
    *,
    resume: bool,
    display: TrainingDisplay,
    allow_systems: Collection[str],
) -> Done:
    """Trains a network."""
    tag_table = TagTable.load(run / TAG_TABLE)
    tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
    trainer = Trainer(
        store,
        run,
        config,
        tag_table,
        tokenizer,
        processes,
        report=display.step,
        announce=display.announce,
        allow_systems=allow_systems,
    )
    display.follow(trainer)
    display.announce(_introduction(trainer, run))
    for warning in trainer.warnings() if processes.is_main else ():
        display.announce(f"warning: {warning}")
    _warn_of_few(store, display, is_network=True)
    try:
        done = trainer.train(resume=resume)
    except TrainingInterrupted:
        if processes.is_main:
            click.echo(f"interrupted; go on with: optsg-train --run {run} --resume{allowing(config.system)}", err=True)
        raise
    what = f"trained {run} in {done.seconds / 60:.1f} minutes; best epoch {done.best_epoch}"
    return Done(what=what, scalar=trainer.system.scalar)


def _fit(
    store: FeatureStore,
    run: Path,
    config: RunConfig,
    processes: Processes,
    *,
    resume: bool,
    display: TrainingDisplay,
    allow_systems: Collection[str],
) -> Done:
    """Fits a system without a network, from the beginning whether resumed or not."""
    del resume
    tag_table = TagTable.load(run / TAG_TABLE)
    tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
    display.announce(
        f"fitting {config.system}, which takes no epochs, to {len(store.indices('train')):,} videos in {run}"
    )
    videos = learned_from(store)
    if config.system == WITHOUT_TRAINING and videos < FEWEST_TRAINED:
        display.announce(
            f"{videos} videos are too few to train a network, which takes {FEWEST_TRAINED}: tags come from similar videos (memory)"
        )
    _warn_of_few(store, display, is_network=False)
    announce = display.announce
    seconds = fit_run(
        store, run, config, tag_table, tokenizer, processes, announce=announce, allow_systems=allow_systems
    )
    return Done(what=f"fitted {run} in {seconds:.1f} s", scalar=find_system(config.system, allow_systems).scalar)


def _point_latest(run: Path, display: TrainingDisplay) -> None:
    """From now on other commands take this run; where they cannot be told so, it is trained all the same."""
    if not RUNS.is_dir() or (RUNS / LATEST).resolve() == run.resolve():
        return  # resumed elsewhere than it was begun, or known already
    try:
        point_latest(run)
    except RunError as error:
        display.announce(f"warning: {error}")


def _warn_of_few(store: FeatureStore, display: TrainingDisplay, *, is_network: bool) -> None:
    warning = too_few_to_trust(store.splits, is_network=is_network)
    if warning is not None:
        display.announce(f"warning: {warning}")


def _next_command(run: Path, store: FeatureStore, system: str) -> str:
    """What to do with a trained run, on videos that it was not trained on where there are any."""
    splits = held_out(store)
    command = f"optsg-eval --run {run} --split {splits[0]}" if splits else f"optsg-tag FILE --run {run}"
    return command + allowing(system)


def _check_same_store(store: FeatureStore, config: RunConfig, run: Path) -> None:
    if not is_own_store(store, config.store):
        raise RunError(f"{store.path} is not the store that {run} began with; it was made anew since: start a new run")


def _check_same_labels(store: FeatureStore, config: RunConfig, run: Path) -> None:
    """A store that grew, or was corrected, keeps its header; what a run was begun with would be mixed with what is new.

    Even where no step is done: the run's tag table is of the old tags. Of a run of an earlier version only their counts are
    known.
    """
    if config.store.get(LABELS) is None:
        is_same = TagTable.load(run / TAG_TABLE).count_of == TagTable.from_store(store).count_of
    else:
        is_same = not has_other_labels(config, learned_labels(store))
    if not is_same:
        raise RunError(of_old_labels(store, run))


def _introduction(trainer: Trainer, run: Path) -> str:
    return (
        f"training {trainer.config.system} ({trainer.config.size}, {trainer.model.parameter_count() / 1e6:.0f} M trained "
        f"parameters) in {run} on {_place(trainer)}: {trainer.epochs} epochs of {trainer.steps_per_epoch} steps"
    )


def _place(trainer: Trainer) -> str:
    count, device = trainer.processes.count, trainer.device
    return str(device) if count == 1 else f"{device.type} in {count} processes"
