"""What a person sees of a training while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .trainer import StepReport


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
