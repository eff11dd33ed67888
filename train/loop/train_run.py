"""One training from a run folder to a trained run, and what a person sees of it while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ...data.errors import RunError
from ...data.store import FeatureStore, open_store
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..run.plan import begun_config
from ..run_files import DECISION
from .processes import Processes
from .saved_states import read_progress
from .trainer import StepReport, Trainer, TrainingInterrupted


@contextmanager
def training_display(quiet: bool) -> Iterator[tuple[Callable[[StepReport], None], Callable[[str], None]]]:
    """A progress bar with the losses on a terminal, plain lines elsewhere, nothing with ``quiet``."""
    console = Console(stderr=True)
    if quiet:
        yield (lambda _: None), (lambda _: None)
    elif not console.is_terminal:
        yield (lambda _: None), (lambda line: click.echo(line, err=True))
    else:
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TaskProgressColumn(show_speed=True),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("training", total=None, epoch="0", losses="")

            def report(step: StepReport) -> None:
                progress.update(
                    task,
                    completed=step.step,
                    total=step.total_steps,
                    epoch=f"{step.epoch}/{step.epochs}",
                    losses=" ".join(f"{name} {value:.2f}" for name, value in step.losses.items()),
                )

            yield report, console.print


def train_run(run: Path, *, processes: Processes, resume: bool, quiet: bool) -> None:
    """Trains a run folder to its end, with progress on the terminal of the main process.

    Raises:
        RunError: there is nothing to resume, or the run's store is not what it was.
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
    with open_store(Path(config.store["path"])) as store, training_display(quiet) as (report, announce):
        _check_same_store(store, config, run)
        tag_table = TagTable.load(run / "tag_table.json")
        tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
        trainer = Trainer(store, run, config, tag_table, tokenizer, processes, report=report, announce=announce)
        announce(_introduction(trainer, run))
        for warning in trainer.warnings() if processes.is_main else ():
            announce(f"warning: {warning}")
        try:
            done = trainer.train(resume=resume)
        except TrainingInterrupted:
            if processes.is_main:
                click.echo(f"interrupted; go on with: optsg-train --run {run} --resume", err=True)
            raise
    if not quiet:
        decision = trainer.system.scalar.read(run / DECISION)
        click.echo(
            f"trained {run} in {done.seconds / 60:.1f} minutes; best epoch {done.best_epoch}, "
            f"{decision}\n"
            f"next: optsg-eval --run {run} --split test"
        )


def _check_same_store(store: FeatureStore, config: RunConfig, run: Path) -> None:
    header = json.loads(store.header.to_json())
    if header != config.store["header"]:
        raise RunError(f"{store.path} is not the store that {run} began with; it was made anew since: start a new run")


def _introduction(trainer: Trainer, run: Path) -> str:
    return (
        f"training {trainer.config.system} ({trainer.config.size}, {trainer.model.parameter_count() / 1e6:.0f} M trained "
        f"parameters) in {run} on {_place(trainer)}: {trainer.epochs} epochs of {trainer.steps_per_epoch} steps"
    )


def _place(trainer: Trainer) -> str:
    count, device = trainer.processes.count, trainer.device
    return str(device) if count == 1 else f"{device.type} in {count} processes"
