"""``optsg-memory``: gives a trained run examples and new tags in seconds, takes them back, and shows them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...data.command_line import SHORT_HELP, one_sentence_errors, quiet_and_verbose
from ...data.errors import counted
from ...data.inputs.relative_paths import printable
from ..options import find_run
from ..progress import progress_bar

if TYPE_CHECKING:
    from ...data.media import Split
    from ...train.run.remembering import AddedExamples

EXAMPLES = """\b
Examples:
  optsg-memory add runs/latest --feats more.h5
  optsg-memory add runs/latest --feats more.h5 --split train
  optsg-memory show runs/latest
  optsg-memory undo runs/latest
"""

SHOWN = 12
"""New tags that are named in a line; of more, how many there are."""

UNCHANGED = "the run is as it was before"


@click.group(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.version_option(package_name="optsg")
def main() -> None:
    """Give a trained run examples and new tags, without training.

    The run's memory, its linear probe and its title match know them from then on; optsg-tag, optsg-eval and Tagger use them.
    """


run_argument = click.argument("run", type=click.Path(path_type=Path))


@main.command()
@run_argument
@click.option(
    "--feats", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Feature store of the examples."
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="Which videos of the store.  [default: all that have tags]",
)
@quiet_and_verbose
def add(run: Path, feats: Path, split: Split | None, quiet: bool, verbose: bool) -> None:
    """Add the videos of a feature store, and their tags, to RUN.

    A video that RUN remembers with the same tags is left out; with other tags it takes the place of the remembered one.
    """
    with one_sentence_errors(verbose, on_interrupt=UNCHANGED):
        started = time.monotonic()
        folder = find_run(run, named="before --feats")
        import numpy as np

        from ...train.run.remembering import add_examples, check_remembers
        from ..scores.run_store import open_run_store

        config = check_remembers(folder)
        with open_run_store(folder, config.store, feats) as store:
            rows = np.arange(len(store)) if split is None else store.indices(split)
            done = add_examples(folder, store, rows, progress=lambda total: progress_bar("reading", total, quiet=quiet))
        if not quiet:
            click.echo("\n".join(_said(done, folder, feats, time.monotonic() - started)))


def _said(done: AddedExamples, run: Path, feats: Path, seconds: float) -> list[str]:
    left_out = [
        (done.known, "remembered with the same tags already"),
        (done.untagged, "without tags"),
    ]
    lines = [f"left out: {counted(count, 'video')} {why}" for count, why in left_out if count]
    if not done.videos:
        return [*lines, f"nothing was added to {run}"]
    replaced = (
        f", {done.replaced:,} of them in place of what was remembered of the same videos" if done.replaced else ""
    )
    new = f"; new tags: {_named(done.tags)}" if done.tags else ""
    return [
        *lines,
        f"added {counted(done.videos, 'video')} of {printable(str(feats))} to {run} in {seconds:.1f} s{replaced}{new}",
        f"back: optsg-memory undo {run}",
    ]


def _named(tags: tuple[str, ...]) -> str:
    more = f" and {len(tags) - SHOWN:,} more" if len(tags) > SHOWN else ""
    return ", ".join(tags[:SHOWN]) + more


@main.command()
@run_argument
@quiet_and_verbose
def undo(run: Path, quiet: bool, verbose: bool) -> None:
    """Take back what was last added to RUN; once more, what was added before that."""
    with one_sentence_errors(verbose, on_interrupt=UNCHANGED):
        folder = find_run(run, named="after undo")
        from ...train.run.remembering import undo_addition

        last = undo_addition(folder)
        if not quiet:
            tags = f" and {counted(last.tags, 'new tag')}" if last.tags else ""
            click.echo(f"took {counted(last.videos, 'video')}{tags} of {printable(last.source)} back from {folder}")


@main.command()
@run_argument
@click.option("-v", "--verbose", is_flag=True, help="Name every new tag, and show the traceback of an error.")
def show(run: Path, verbose: bool) -> None:
    """Print what was added to RUN, and the new tags with the number of their examples."""
    with one_sentence_errors(verbose):
        folder = find_run(run, named="after show")
        from ...data.tag_table import TagTable
        from ...train.recall.additions import Additions, read_tags
        from ...train.run_files import TAG_TABLE, check_finished

        check_finished(folder)
        trained, additions = len(TagTable.load(folder / TAG_TABLE)), Additions.load(folder)
        click.echo(f"{folder}: {counted(trained, 'tag')} from training")
        if additions is None:
            click.echo("nothing was added")
            return
        table = read_tags(folder)
        first = trained
        for number, each in enumerate(additions.rounds, start=1):
            tags = range(first, first + each.tags)
            shown = tuple(f"{table.spellings[tag]} ({table.counts[tag]})" for tag in tags)
            new = f", new tags: {', '.join(shown) if verbose else _named(shown)}" if each.tags else ""
            click.echo(f"{number}. {counted(each.videos, 'video')} of {printable(each.source)}{new}")
            first += each.tags
