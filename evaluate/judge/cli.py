"""``optsg-judge``: people judge tags in a local page; tag gain from their answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ...data.command_line import SHORT_HELP, device_option, one_sentence_errors, quiet_and_verbose
from ...data.stop_signals import StopRequest, stop_on_signals
from ..options import EXTRACTED, evaluation_option, feats_option, find_runs

EXAMPLES = """\b
Examples:
  optsg-judge --split test --videos data/sample
  optsg-judge --run runs/op-tsg --run runs/open-book --split test-min-precision-0.9 --videos videos/
  optsg-judge --run runs/op-tsg --run runs/open-book --report --csv verdicts.csv
  optsg-judge --split train-threshold-0.05 --teach 300 && optsg-judge --split train-threshold-0.05 --apply feats.h5
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.option(
    "--run",
    "runs",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Run folder scored with optsg-eval; of several, the tags are mixed.  [default: runs/latest]",
)
@evaluation_option
@click.option("--all-tags", is_flag=True, help="Ask for every predicted tag, not for the novel ones alone.")
@click.option(
    "--videos",
    type=EXTRACTED,
    metavar="DIR",
    help="The folder or shards that were extracted.  [default: the current folder, then the store's]",
)
@feats_option("the first run")
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="SQLite file of the answers.  [default: judgements.sqlite in the first run's folder]",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port of the page.  [default: a free one]"
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask about N videos drawn at random, the same for all annotators.  [default: all]",
)
@click.option(
    "--teach",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask for the N tags whose answers would teach a run most, of all tags, novel or not; those first that teach most.",
)
@click.option(
    "--apply",
    "store",
    type=click.Path(path_type=Path),
    metavar="STORE",
    help="Write the answers into this feature store as tags, and end.",
)
@device_option
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Of the sample and of each annotator's order."
)
@click.option("--report", "only_report", is_flag=True, help="Print the results and end.")
@click.option(
    "--csv", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="With --report: verdicts by tag."
)
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(
    runs: tuple[Path, ...],
    sample: int | None,
    store: Path | None,
    device: str,
    seed: int,
    only_report: bool,
    csv: Path | None,
    quiet: bool,
    verbose: bool,
    **chosen: Any,
) -> None:
    """Lets people judge whether predicted tags fit their videos, and computes the paper's tag gain.

    Serves a page to this machine alone and prints its address. Each annotator gives a name; each answer is saved at
    once, so anybody can stop and go on. The page does not tell which run wrote a tag.
    """
    if csv is not None and not only_report:
        raise click.UsageError("--csv writes the results; give it together with --report")
    if store is not None and only_report:
        raise click.UsageError("--apply and --report each end the command; give one of them")
    with one_sentence_errors(verbose):
        folders = find_runs(runs)
        # PyTorch takes seconds to import; --help should not wait for it.
        from .judge import Options, apply, report, serve
        from .questions import Sample

        drawn = None if sample is None else Sample(videos=sample, seed=seed)
        options = Options(runs=folders, sample=drawn, seed=seed, **chosen)
        announce: Callable[[str], None] = (lambda _: None) if quiet else click.echo
        if only_report:
            report(options, csv, announce)
        elif store is not None:
            apply(options, store, device, announce)
        else:
            stop = StopRequest()
            with stop_on_signals(stop):
                serve(options, announce=click.echo, stop=stop)
