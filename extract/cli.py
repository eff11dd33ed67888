"""``optsg-extract``: videos, titles and tags to a feature store."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..data.command_line import SHORT_HELP, new_store_option, one_sentence_errors
from .api import check_out, extract, kept_parts, open_source, parse_part
from .options import complete, extraction_options

EXAMPLES = """\b
Examples:
  optsg-extract videos/ --out feats.h5
  optsg-extract videos/ --out feats.h5 --preset small
  optsg-extract videos/ --out feats/              (WebDataset shards)
  optsg-extract 'shards/{00000..00012}.tar' --out feats.h5 --preset clip-zh
  optsg-extract videos/ --metadata tags.csv --out feats.h5 --dry-run
  optsg-extract pets/data --out feats.h5 --columns title=caption,tags=label      (Parquet of Hugging Face)
  optsg-extract videos/ --out feats.h5 --columns tags=keywords --tag-separator ';'
  optsg-extract videos/ --metadata create_210k/ --out feats.h5 --preset clip-zh
  optsg-extract videos/ --out parts/$I.h5 --part $I/8     (optsg-store merge)
  optsg-extract videos/ --out feats/ --ray head:6379      (pip install 'optsg[ray]')
  optsg-extract videos/ --out feats.h5 --retry-failed --json-log extract.jsonl
  optsg-extract videos/ --out feats.h5 --image-encoder ViT-L-14/openai --text-encoder roberta-base

\b
INPUT is a folder of videos and images (with metadata.jsonl, .csv, .tsv, .json
or .parquet, yt-dlp's NAME.info.json, or nothing), WebDataset shards (.tar), or
a data set of Hugging Face (Parquet, save_to_disk, or OWNER/NAME on its hub).
The same command again goes on where an interrupted one stopped; with a
finished OUT it adds what is new in INPUT.

\b
Exit codes:
  0    done, also when some inputs failed (the summary and OUT say which)
  1    nothing could be read, or an error that the last line names
  2    the command line itself is wrong
  130  stopped by Ctrl-C: what was done is kept
  143  stopped by SIGTERM: what was done is kept
"""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@new_store_option
@extraction_options(until="ray")
@click.option("--dry-run", is_flag=True, help="Show what would be read, with which metadata, and stop.")
@extraction_options(after="ray")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="optsg")
def main(source: Path, out: Path, quiet: bool, verbose: bool, dry_run: bool, **options: Any) -> None:
    """Turn the videos and images of INPUT into features for optsg-train."""
    with one_sentence_errors(verbose, on_interrupt=partial(kept_parts, out)):
        if dry_run:
            from .dry_run import dry_run_lines

            complete(**options)
            check_out(out)
            part = parse_part(options["part"])
            reading = ("metadata", "columns", "tag_separator", "group_rows", "title_from_name", "limit")
            inputs = open_source(source, part=part, **{name: options[name] for name in reading})
            click.echo("\n".join(dry_run_lines(inputs, out, overwrites=options["overwrite"])))
        else:
            _extract(source, out, quiet=quiet, **options)


def _extract(source: Path, out: Path, *, quiet: bool, **options: Any) -> None:
    try:
        summary = extract(source, out, quiet=quiet, **options)
    except Exception as error:
        from .pipeline import ExtractionInterrupted

        if not isinstance(error, ExtractionInterrupted):
            raise
        what = "interrupted" if error.number == signal.SIGINT else "stopped"
        click.echo(f"{what}; {kept_parts(out)}", err=True)
        sys.exit(128 + error.number)
    if not quiet:
        from .progress import summary_lines

        click.echo("\n".join(summary_lines(summary)))


if __name__ == "__main__":
    main()
