"""``optsg-eval``: scores a trained run on a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..data.command_line import (
    SHORT_HELP,
    allow_system_option,
    device_option,
    one_sentence_errors,
    quiet_and_verbose,
)
from ..data.media import SPLITS
from .options import TaggingOptions, feats_option, find_run, inputs_option, run_option, tagging_options
from .progress import progress_bar

if TYPE_CHECKING:
    from ..data.media import Split

EXAMPLES = """\b
Examples:
  optsg-eval --split test
  optsg-eval --run runs/small-1 --split val
  optsg-eval --feats moved/feats.h5 --split test --batch-size 16
  optsg-eval --split test --min-precision 0.9
  optsg-eval --split test --vocabulary tags.txt
  optsg-eval --split test --evidence --inputs data/sample
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@run_option
@feats_option("the run")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Which videos of the store; none: those without a split or tags, to be judged (optsg-judge).",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, metavar="N", help="Videos at a time."
)
@device_option
@click.option(
    "--evidence", is_flag=True, help="Show in the report which seconds and words the sample videos' tags rest on."
)
@inputs_option()
@tagging_options
@allow_system_option
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(
    run: Path | None,
    feats: Path | None,
    split: Split,
    batch_size: int,
    device: str,
    evidence: bool,
    inputs: Path | None,
    allow_systems: tuple[str, ...],
    quiet: bool,
    verbose: bool,
    **tagging: Any,
) -> None:
    """Scores a trained run on the videos of a split.

    Writes metrics.json, predictions.jsonl and report.html to DIR/eval/SPLIT and prints the metrics. Where tags are
    predicted otherwise than the run was tuned, the folder is named after that too: DIR/eval/SPLIT-known.
    """
    if inputs is not None and not evidence:
        raise click.UsageError("--inputs is for the pictures of --evidence; give both")
    with one_sentence_errors(verbose):
        folder = find_run(run)
        # PyTorch takes seconds to import; --help should not wait for it.
        from .evaluate_run import evaluate_run
        from .terminal_tables import metrics_table

        evaluation, results = evaluate_run(
            folder,
            feats=feats,
            split=split,
            batch_size=batch_size,
            device=device,
            progress=lambda name, total: progress_bar(name, total, quiet=quiet),
            options=TaggingOptions(**tagging),
            evidence=evidence,
            inputs=inputs,
            allow_systems=allow_systems,
            warn=lambda line: click.echo(f"warning: {line}", err=True),
        )
        if not quiet:
            Console().print(metrics_table(evaluation))
            click.echo(f"report: {results / 'report.html'}")
