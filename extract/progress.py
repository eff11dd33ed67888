"""Progress of an extraction on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..data.inputs import Inputs, tables_of
from ..data.inputs.media_folder import left_out
from .summary import ExtractSummary

LINE_SECONDS = 10.0
MOST_NOTES = 10


class Display(Protocol):
    """What an extraction tells of its progress."""

    def extracted(self, summary: ExtractSummary) -> None:
        """Called after every input with the counts so far."""
        ...

    def written(self, videos: int) -> None:
        """Called with numbers of videos while the finished store is written."""
        ...


@contextmanager
def show_progress(description: str, total: int | None, *, quiet: bool, notes: Sequence[str] = ()) -> Iterator[Display]:
    """A bar on a terminal, lines elsewhere, nothing with ``quiet``.

    Args:
        description: of the inputs, said first.
        total: number of inputs if known.
        quiet: show nothing.
        notes: said next.
    """
    console = Console(stderr=True)
    if quiet:
        yield _Nothing()
        return
    click.echo(description, err=True)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if console.is_terminal:
        with _progress(console) as progress:
            yield _Bar(progress, total)
    else:
        yield _Lines(total)


def metadata_notes(inputs: Inputs) -> list[str]:
    """What people should know of the inputs' metadata before it is used."""
    tables = tables_of(inputs)
    notes = [] if tables is None else tables.notes()
    more = [f"… and {len(notes) - MOST_NOTES:,} more (--dry-run)"] if len(notes) > MOST_NOTES else []
    return [*notes[:MOST_NOTES], *more]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console,
        transient=True,
    )


class _Nothing:
    def extracted(self, _summary: ExtractSummary) -> None: ...

    def written(self, _videos: int) -> None: ...


class _Bar:
    def __init__(self, progress: Progress, total: int | None):
        self._progress = progress
        self._total = total
        self._inputs: TaskID | None = None
        self._store: TaskID | None = None
        self._rate = _Rate()
        self._summary: ExtractSummary | None = None

    def extracted(self, summary: ExtractSummary) -> None:
        if self._inputs is None:  # only now it is known how much an earlier run did, which is no part of the speed
            self._inputs = self._add("extracting", total=self._total, completed=summary.resumed)
        self._summary = summary
        self._progress.update(
            self._inputs,
            completed=summary.done,
            total=self._total if self._total is None else max(self._total, summary.done),
            speed=self._rate.described(summary),
            failed=f"[red]{summary.failed:,} failed[/red]" if summary.failed else "",
        )

    def written(self, videos: int) -> None:
        if self._store is None:
            self._store = self._add(
                "writing store", total=None if self._summary is None else self._summary.done, completed=0
            )
        self._progress.update(self._store, advance=videos)

    def _add(self, name: str, *, total: int | None, completed: int) -> TaskID:
        return self._progress.add_task(name, total=total, completed=completed, speed="", failed="")


class _Rate:
    """Speed of this run, from its first report on; inputs of earlier runs do not count."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def per_second(self, summary: ExtractSummary) -> float:
        return (summary.done - summary.resumed) / self._seconds()

    def frames_per_second(self, summary: ExtractSummary) -> float:
        return summary.frames / self._seconds()

    def remaining_seconds(self, summary: ExtractSummary, total: int) -> float:
        return max(0, total - summary.done) / max(self.per_second(summary), 1e-9)

    def described(self, summary: ExtractSummary) -> str:
        return f"{self.per_second(summary):.1f} videos/s, {self.frames_per_second(summary):.0f} frames/s"

    def _seconds(self) -> float:
        return max(time.perf_counter() - self._started, 1e-9)


class _Lines:
    def __init__(self, total: int | None):
        self._total = total
        self._rate = _Rate()
        self._last = time.perf_counter()
        self._writing = False

    def extracted(self, summary: ExtractSummary) -> None:
        if time.perf_counter() - self._last < LINE_SECONDS:
            return
        self._last = time.perf_counter()
        of, left = "", ""
        if self._total and summary.done <= self._total:  # the total is what a glance told
            of = f" of {self._total:,}"
            left = f", {self._rate.remaining_seconds(summary, self._total):.0f} s left"
        click.echo(
            f"extracting: {summary.done:,}{of}, {self._rate.described(summary)}{left}, {summary.failed:,} failed",
            err=True,
        )

    def written(self, _videos: int) -> None:
        if not self._writing:
            click.echo("writing the store and encoding its tags", err=True)
        self._writing = True


MOST_CAUSES = 10


def summary_lines(summary: ExtractSummary) -> list[str]:
    """The table as plain lines: status, number, cause; then the first failures one by one, then where the time went."""
    partial = summary.partial.total()
    whole = [("ok", summary.videos + summary.images - partial, _kinds(summary) if not partial else "")]
    rows: list[tuple[str, int, str]] = whole + [("partial", n, what) for what, n in summary.partial.most_common()]
    rows += [("noted", n, what) for what, n in summary.noted.most_common()]
    rows += [("earlier", summary.resumed, "done before")]
    rows += [("changed", summary.corrected["videos"] or summary.corrected.total(), _corrected(summary))]
    rows += [("kept", summary.kept, f"without metadata by now; titles and tags stay ({CLEARS} takes them away)")]
    causes = summary.failures.most_common()
    rows += [(status, count, f"{stage}: {cause}") for (status, stage, cause), count in causes[:MOST_CAUSES]]
    rows += [("failed", sum(count for _, count in causes[MOST_CAUSES:]), "for other reasons")]
    lines = [f"{status:<8} {count:>9,}  {what}".rstrip() for status, count, what in rows if count]
    lines += [
        f"  {failure.source}: {failure.error.removeprefix(failure.source + ': ')}" for failure in summary.examples
    ]
    if summary.failed > len(summary.examples):
        lines.append(f"  … and {summary.failed - len(summary.examples):,} more, all in the store (optsg-store info)")
    lines += left_out(summary.skipped, summary.thumbnails, "the inputs")
    return [*lines, *(f"warning: {warning}" for warning in summary.warnings), _last_line(summary)]


CLEARS = "optsg-store relabel --clear-missing"

CORRECTED = {
    "titles": "titles",
    "tags": "tags",
    "splits": "splits",
    "spellings": "spellings of tags",
    "rows": "mended rows",
}


def _corrected(summary: ExtractSummary) -> str:
    found = ", ".join(
        f"{what} {summary.corrected[name]:,}" for name, what in CORRECTED.items() if summary.corrected[name]
    )
    return f"corrected in the metadata: {found}"


def _kinds(summary: ExtractSummary) -> str:
    kinds = ((summary.videos, "videos"), (summary.images, "images"))
    return ", ".join(f"{count:,} {name}" for count, name in kinds if count)


def _last_line(summary: ExtractSummary) -> str:
    if summary.unchanged:
        return f"{summary.out}: nothing new, left as it was"
    return (
        f"{summary.out}: {summary.frames:,} frames in {summary.seconds:.1f} s (decoding {summary.decode_seconds:.1f} s "
        f"of processor time, encoding {summary.encode_seconds:.1f} s, waiting for decoding {summary.wait_seconds:.1f} s, "
        f"text and store {summary.finish_seconds:.1f} s)"
    )
