"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_SECONDS = 10.0
"""How often a line is logged where there is no terminal to draw a bar on."""


@contextlib.contextmanager
def progress_bar(name: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr and yields a function that is told how many more videos are done.

    A bar with rate and remaining time on a terminal, a plain line every now and then elsewhere, nothing with ``quiet``.
    A total of ``None`` is not known. One that is passed was what a glance told, and is not shown any more.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(name, total=total, rate="")
            counter = _Counter()

            def advance(done: int) -> None:
                counter.add(done)
                at_least = None if total is None else max(total, counter.done)
                progress.update(task, advance=done, total=at_least, rate=f"{counter.rate:.1f}/s")

            yield advance
    else:
        yield _line_logger(name, total)


class _Counter:
    """Counts since its creation."""

    def __init__(self) -> None:
        self.done = 0
        self._start = time.monotonic()

    def add(self, done: int) -> None:
        self.done += done

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self._start, 1e-9)


def _line_logger(name: str, total: int | None) -> Callable[[int], None]:
    counter, last = _Counter(), time.monotonic()

    def log(done: int) -> None:
        nonlocal last
        counter.add(done)
        now = time.monotonic()
        if counter.done != total and now - last < LINE_SECONDS:
            return
        last = now
        if total is None or counter.done > total:
            click.echo(f"{name}: {counter.done:,}, {counter.rate:.1f}/s", err=True)
            return
        left = max(total - counter.done, 0) / max(counter.rate, 1e-9)
        click.echo(f"{name}: {counter.done:,} of {total:,}, {counter.rate:.1f}/s, {left:.0f} s left", err=True)

    return log
