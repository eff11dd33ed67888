"""``optsg-report``: the report of an evaluation again, or a comparison of several."""

from __future__ import annotations

from pathlib import Path

import click

from ..data.command_line import one_sentence_errors, quiet_and_verbose
from .latest_run import find_run

EXAMPLES = """\b
Examples:
  optsg-report runs/small-1
  optsg-report runs/small-1 --split val --out val.html
  optsg-report runs/small-1 --inputs data/sample
  optsg-report runs/bin runs/op-tsg --out comparison.html
  optsg-report runs/bin runs/op-tsg --split test-known
"""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--split",
    default="test",
    show_default=True,
    metavar="NAME",
    help="Which evaluation: a folder in RUN/eval, such as test, val or test-known.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the page goes.  [default: RUN/eval/NAME/report.html; comparison.html for several runs]",
)
@click.option(
    "--feats",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Feature store with the pictures.  [default: the one the run was trained on]",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The folder or shards that were extracted: with evidence, frames as pictures.  [default: as in the last report]",
)
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(
    runs: tuple[Path, ...],
    split: str,
    out: Path | None,
    feats: Path | None,
    inputs: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Renders the report of a run's evaluation again, or compares several runs that were evaluated on the same videos.

    It reads what optsg-eval wrote; no model is needed. In a comparison the first RUN is the one that others are compared with.
    """
    if inputs is not None and len(runs) > 1:
        raise click.UsageError("--inputs is for the pictures of one run's evidence; a comparison shows none")
    with one_sentence_errors(verbose):
        folders = [find_run(run) for run in runs]
        # PyTorch takes seconds to import; --help should not wait for it.
        from .reporting.rendering import report_again, report_comparison

        def warn(line: str) -> None:
            click.echo(f"warning: {line}", err=True)

        if len(folders) == 1:
            path = report_again(folders[0], split=split, out=out, feats=feats, inputs=inputs, warn=warn)
        else:
            path = report_comparison(folders, split=split, out=out or Path("comparison.html"), feats=feats, warn=warn)
    if not quiet:
        click.echo(f"report: {path}")
