"""``optsg-tables``: the paper's tables on a feature store, from training to the finished page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...data.command_line import (
    INTERRUPTED,
    SHORT_HELP,
    device_option,
    one_sentence_errors,
    quiet_and_verbose,
    size_option,
)
from ...data.stop_signals import StopRequest, stop_on_signals

EXAMPLES = """\b
Examples:
  optsg-tables --feats feats.h5 --out results
  optsg-tables --feats feats.h5 --out quick --quick
  optsg-tables --feats feats.h5 --out results --tables 1,7,8 --seeds 0,1,2 --size small
  optsg-tables --feats feats.h5 --out results --dry-run
  optsg-tables --feats feats.h5 --out results --only-write
  optsg-tables --feats feats.h5 --out results --tables 1 --pretrained runs/pre
  PYTHONPATH=. optsg-tables --feats feats.h5 --out results --tables 1 --system mine.focal:Focal
"""


def _words(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    words = _words(context, parameter, value)
    if not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"{value!r} is no list of whole numbers such as 0,1,2")
    return tuple(dict.fromkeys(int(word) for word in words))


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.option(
    "--feats", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Feature store to train from."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for runs, tables and plots."
)
@click.option(
    "--tables",
    callback=_words,
    metavar="LIST",
    help="Which tables: 1 (with 2), 3, 4, 5, 6, 7, 8, beyond.  [default: all; with --quick 1,7,8]",
)
@click.option(
    "--seeds", callback=_numbers, metavar="LIST", help="Seeds of every run.  [default: 0,1,2; with --quick 0]"
)
@size_option("Size of all models, as in optsg-train.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of every run; may be repeated."
)
@click.option(
    "--pretrained",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="RUN",
    help="Fine-tune this run for its system's row in Table 1's lower half; may be repeated.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="Give this system a row in Tables 1 to 3, your own (MODULE:CLASS) or another of optsg-train; may be repeated.",
)
@click.option("--quick", is_flag=True, help="Fewer tables, epochs and points, one seed: a first impression.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Runs trained side by side.  [default: one for each free GPU, or for each core]",
)
@device_option
@click.option("--dry-run", is_flag=True, help="Say which runs there are and which are missing; train nothing.")
@click.option("--only-write", is_flag=True, help="Write the tables from the runs that are finished; train nothing.")
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(*, quiet: bool, verbose: bool, **options: Any) -> None:
    """Trains and scores every system and setting of the paper's tables and writes DIR/tables.md and DIR/tables.html.

    Finished runs are kept: run it again with the same arguments, whatever ended it, and it goes on.
    """
    if options["dry_run"] and options["only_write"]:
        raise click.UsageError("--dry-run writes nothing and --only-write writes the tables; leave one of them out")
    with one_sentence_errors(verbose):
        # PyTorch takes seconds to import; --help should not wait for it.
        from .invocation import Invocation
        from .run_grid import run_grid

        seeds = options.pop("seeds") or ((0,) if options["quick"] else (0, 1, 2))
        asked = Invocation(seeds=seeds, **options)
        stop = StopRequest()
        with stop_on_signals(stop):
            complete = run_grid(asked, announce=(lambda _: None) if quiet else click.echo, stop=stop)
        if stop.is_set():
            click.echo("interrupted; run the same command again to go on", err=True)
            sys.exit(INTERRUPTED)
    if not complete:
        sys.exit(1)
