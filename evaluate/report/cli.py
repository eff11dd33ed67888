"""``optsg-report``: the report of an evaluation again, or a comparison of several."""

from __future__ import annotations

from pathlib import Path

import click

from ...data.command_line import SHORT_HELP, one_sentence_errors, quiet_and_verbose
from ..options import evaluation_option, feats_option, find_runs, inputs_option

EXAMPLES = """\b
Examples:
  optsg-report
  optsg-report runs/small-1 --split val --out val.html
  optsg-report runs/small-1 --inputs data/sample
  optsg-report runs/bin runs/op-tsg --out comparison.html
  optsg-report runs/bin runs/op-tsg --split test-known
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN...]")
@evaluation_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the page goes.  [default: RUN/eval/NAME/report.html; comparison.html for several runs]",
)
@feats_option("the first RUN")
@inputs_option("the one that was named last for this evaluation")
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
    Without RUN it is runs/latest.
    """
    if inputs is not None and len(runs) > 1:
        raise click.UsageError("--inputs is for the pictures of one run's evidence; a comparison shows none")
    with one_sentence_errors(verbose):
        folders = find_runs(runs, named="as RUN")
        # PyTorch takes seconds to import; --help should not wait for it.
        from .report import report_again, report_comparison

        def warn(line: str) -> None:
            click.echo(f"warning: {line}", err=True)

        if len(folders) == 1:
            path = report_again(folders[0], split=split, out=out, feats=feats, inputs=inputs, warn=warn)
        else:
            path = report_comparison(folders, split=split, out=out or Path("comparison.html"), feats=feats, warn=warn)
        if not quiet:
            click.echo(f"report: {path}")
