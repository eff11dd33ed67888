"""``optsg-extract``: videos, titles and tags to a feature store."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from ..data.command_line import SHORT_HELP, metadata_options, one_sentence_errors
from .api import extract, open_source, parse_part
from .encoders.presets import DEFAULT_PRESET, PRESETS
from .options import DEFAULT_TIMEOUT

EXAMPLES = """\b
Examples:
  optsg-extract videos/ --out feats.h5
  optsg-extract videos/ --out feats.h5 --preset small
  optsg-extract videos/ --out feats/              (WebDataset shards)
  optsg-extract 'shards/{00000..00012}.tar' --out feats.h5 --preset clip-zh
  optsg-extract videos/ --metadata tags.csv --out feats.h5 --dry-run
  optsg-extract videos/ --out feats.h5 --columns tags=keywords --tag-separator ';'
  optsg-extract videos/ --metadata create_210k/ --out feats.h5 --preset clip-zh
  optsg-extract videos/ --out parts/$I.h5 --part $I/8     (optsg-store merge)
  optsg-extract videos/ --out feats/ --ray head:6379      (pip install 'optsg[ray]')
  optsg-extract videos/ --out feats.h5 --retry-failed --json-log extract.jsonl
  optsg-extract videos/ --out feats.h5 --image-encoder ViT-L-14/openai --text-encoder roberta-base

\b
INPUT is a folder of videos and images (with metadata.jsonl, .csv, .tsv, .json
or .parquet, yt-dlp's NAME.info.json, or nothing), or WebDataset shards (.tar).
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
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="FILE.h5, or a folder for WebDataset shards."
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=DEFAULT_PRESET,
    show_default=True,
    help="Frozen encoders; small needs no download.",
)
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    help="Table with file_name, title, tags, split, id; or annotations of CREATE, a JSON file or their folder.",
)
@metadata_options
@click.option(
    "--image-encoder", metavar="NAME|FOLDER", help="An open_clip (MODEL/TAG) or timm model, in place of the preset's."
)
@click.option(
    "--text-encoder", metavar="NAME|FOLDER", help="A Hugging Face text model, or characters, in place of the preset's."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the image tower; auto keeps its features.",
)
@click.option("--batch-size", default=64, show_default=True, help="Pictures per call of the image encoder.")
@click.option(
    "--workers",
    type=int,
    help="Decoding processes (with --ray, of each worker).  [default: one per available processor]",
)
@click.option("--timeout", default=DEFAULT_TIMEOUT, show_default=True, help="Seconds that reading one input may take.")
@click.option("--fps", default=1.0, show_default=True, help="Frames kept per second of video.")
@click.option("--max-frames", default=60, show_default=True, help="Most frames kept of a video, spread over it.")
@click.option("--fast-resize", is_flag=True, help="Let decoders shrink frames: quicker, not pixel-exact.")
@click.option("--no-thumbnails", is_flag=True, help="Keep no small pictures for reports.")
@click.option("--limit", type=int, help="Read only the first N inputs.")
@click.option("--part", metavar="I/N", help="Read only part I of N, for job arrays; optsg-store merge joins the parts.")
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="nearest",
    help="Decode and encode on a Ray cluster: HOST:PORT, auto (one that is running), local (a new one on this machine); "
    "without ADDRESS auto if there is one, else local.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be read, with which metadata, and stop.")
@click.option("--retry-failed", is_flag=True, help="Try inputs again that failed before.")
@click.option("--strict", is_flag=True, help="Stop at the first input that fails.")
@click.option("--overwrite", is_flag=True, help="Replace OUT, and begin anew where an unfinished one lies beside it.")
@click.option("--json-log", type=click.Path(path_type=Path), help="Append a JSON line for every input to this file.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="optsg")
def main(source: Path, out: Path, quiet: bool, verbose: bool, dry_run: bool, **options: Any) -> None:
    """Turn the videos and images of INPUT into features for optsg-train."""
    with one_sentence_errors(verbose, on_interrupt=f"complete parts are in {out}.parts, the same command goes on"):
        if dry_run:
            from .dry_run import dry_run_lines

            part = parse_part(options["part"])
            reading = ("metadata", "columns", "tag_separator", "group_rows", "limit")
            inputs = open_source(source, part=part, **{name: options[name] for name in reading})
            click.echo("\n".join(dry_run_lines(inputs, out)))
        else:
            _extract(source, out, quiet=quiet, **options)


def _extract(source: Path, out: Path, *, quiet: bool, no_thumbnails: bool, **options: Any) -> None:
    try:
        summary = extract(source, out, quiet=quiet, thumbnails=not no_thumbnails, **options)
    except Exception as error:
        from .pipeline import ExtractionInterrupted

        if not isinstance(error, ExtractionInterrupted):
            raise
        what = "interrupted" if error.number == signal.SIGINT else "stopped"
        click.echo(f"{what}; what was done is in {out}.parts, the same command goes on", err=True)
        sys.exit(128 + error.number)
    if not quiet:
        from .progress import summary_lines

        click.echo("\n".join(summary_lines(summary)))


if __name__ == "__main__":
    main()
