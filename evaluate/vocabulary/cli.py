"""``optsg-vocabulary``: what is wrong with a store's tags, as proposals that a person accepts or refuses, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ...data.command_line import SHORT_HELP, one_sentence_errors, quiet_and_verbose

EXAMPLES = """\b
Examples:
  optsg-vocabulary check feats.h5
  optsg-vocabulary check feats.h5 --csv proposals.csv --html proposals.html
  optsg-vocabulary apply feats.h5 --csv accepted.csv --out tags.txt
  optsg-store relabel feats.h5 --aliases accepted.csv
"""

CHECK = "check"
"""What is done where the first word is no command."""

FILE = click.Path(path_type=Path, dir_okay=False)


class _CheckByDefault(click.Group):
    """``optsg-vocabulary feats.h5`` is ``optsg-vocabulary check feats.h5``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, "--help", "-h", "--version"}
        return super().parse_args(ctx, [CHECK, *args] if args and args[0] not in known else args)


@click.group(cls=_CheckByDefault, epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.version_option(package_name="optsg")
def main() -> None:
    """Find misspelt tags, aliases, one-off tags and parents in a feature store, and make a vocabulary of what you accept.

    Without a command it is check.
    """


source_argument = click.argument("source", metavar="STORE|RUN", type=click.Path(path_type=Path))

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there.")


@main.command()
@source_argument
@click.option("--csv", "csv_file", type=FILE, metavar="FILE", help="Write the proposals, to fill in the column accept.")
@click.option("--html", "html_file", type=FILE, metavar="FILE", help="Write a page to accept and refuse them in.")
@click.option(
    "--least-score", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="S", help="Of a proposal."
)
@click.option(
    "--shown", type=click.IntRange(0), default=8, show_default=True, metavar="N", help="Proposals of a kind to print."
)
@overwrite_option
@quiet_and_verbose
def check(
    source: Path,
    csv_file: Path | None,
    html_file: Path | None,
    least_score: float,
    shown: int,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Propose changes to the tags of STORE, or of the store that RUN was trained on. Nothing is changed.

    A proposal makes a tag another name of a more frequent one (spelling, alias), puts it under one (parent), or takes it away (one-off).
    """
    with one_sentence_errors(verbose):
        from .files import check_new, open_source, write_proposals
        from .proposals import propose
        from .summary import print_summary
        from .usage import read_usage

        check_new([csv_file, html_file], overwrite=overwrite)
        with open_source(source) as store:
            usage = read_usage(store)
        proposals = propose(usage, least=least_score)
        write_proposals(proposals, source, len(usage), csv_file=csv_file, html_file=html_file)
        if not quiet:
            print_summary(proposals, tags=len(usage), shown=shown)
            _say_where([csv_file, html_file])


def _say_where(files: Sequence[Path | None]) -> None:
    for path in filter(None, files):
        click.echo(f"proposals: {path}")


@main.command()
@source_argument
@click.option(
    "--csv", "accepted", required=True, type=FILE, metavar="FILE", help="Proposals; those with yes in accept count."
)
@click.option("--out", required=True, type=FILE, metavar="FILE", help="The list of tags, for --vocabulary.")
@overwrite_option
@quiet_and_verbose
def apply(source: Path, accepted: Path, out: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Write the tags of STORE, as they are with what you accepted, as a list for --vocabulary of optsg-tag and optsg-eval.

    Other names become aliases, tags that were taken away are blocked, and tags with parents become paths such as animal/cat.
    """
    with one_sentence_errors(verbose):
        from ...data.vocabulary.as_tag_list import vocabulary_lines
        from ...data.vocabulary.decisions import read_decisions
        from ...data.whole_files import write_text
        from .files import check_new, open_source

        check_new([out], overwrite=overwrite)
        decisions = read_decisions(accepted)
        with open_source(source) as store:
            lines = list(vocabulary_lines(store.tag_spellings, decisions))
        write_text(out, (f"{line}\n" for line in lines))
        if not quiet:
            click.echo(f"{out}: {decisions.in_words()}")
