"""``optsg-extract``: videos, titles and tags to a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..data.command_line import one_sentence_errors
from ..data.errors import ConfigError
from .presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from .summary import ExtractSummary

EXAMPLES = """\b
Examples:
  optsg-extract videos/ --out feats.h5
  optsg-extract videos/ --out feats.h5 --preset small
  optsg-extract 'shards/{00000..00012}.tar' --out feats.h5 --preset clip-zh
  optsg-extract videos/ --out feats.h5 --metadata tags.csv --limit 100
  optsg-extract videos/ --out feats.h5 --image-encoder ViT-L-14/openai --text-encoder roberta-base

\b
INPUT is a folder of videos and images (with metadata.jsonl, .csv or .parquet,
yt-dlp's NAME.info.json, or nothing), or WebDataset shards (.tar).
The same command again goes on where an interrupted one stopped.
Exit code: 0 also when some inputs failed, 1 when nothing could be read.
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Feature store to make, ends in .h5.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=DEFAULT_PRESET,
    show_default=True,
    help="Frozen encoders; small needs no download.",
)
@click.option("--metadata", type=click.Path(path_type=Path), help="Table with file_name, title, tags, split, id.")
@click.option(
    "--image-encoder", metavar="NAME|FOLDER", help="An open_clip (MODEL/TAG) or timm model, in place of the preset's."
)
@click.option("--text-encoder", metavar="NAME|FOLDER", help="A Hugging Face text model, in place of the preset's.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--batch-size", default=64, show_default=True, help="Pictures per call of the image encoder.")
@click.option("--workers", type=int, help="Decoding threads.  [default: one per processor, at most 8]")
@click.option("--fps", default=1.0, show_default=True, help="Frames kept per second of video.")
@click.option("--max-frames", default=60, show_default=True, help="Most frames kept of a video, spread over it.")
@click.option("--no-thumbnails", is_flag=True, help="Keep no small pictures for reports.")
@click.option("--limit", type=int, help="Read only the first N inputs.")
@click.option("--strict", is_flag=True, help="Stop at the first input that fails.")
@click.option("--overwrite", is_flag=True, help="Replace OUT, and begin anew where an unfinished one lies beside it.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def main(source: Path, out: Path, quiet: bool, verbose: bool, **options: Any) -> None:
    """Turn the videos and images of INPUT into features for optsg-train."""
    with one_sentence_errors(verbose, on_interrupt=f"complete parts are in {out}.parts, the same command goes on"):
        summary = _extract(source, out, quiet=quiet, **options)
        if not quiet:
            from .progress import summary_lines

            click.echo("\n".join(summary_lines(summary)))


def _extract(source: Path, out: Path, *, quiet: bool, **options: Any) -> ExtractSummary:
    """Opens the input first, since its errors are the quickest to find."""
    from ..data.inputs import open_inputs

    if options["workers"] is not None and options["workers"] < 1:
        raise ConfigError(f"--workers {options['workers']} is out of range; expected 1 or more")
    inputs = open_inputs(source, metadata=options["metadata"], limit=options["limit"])

    from .image_encoder import open_image_encoder, parse_image_encoder
    from .pipeline import check_out, extract
    from .progress import show_progress
    from .sampling import Sampling
    from .text_encoder import open_text_encoder, parse_text_encoder

    check_out(out, overwrite=options["overwrite"])
    sampling = Sampling(fps=options["fps"], max_frames=options["max_frames"])
    image_spec, text_spec = PRESETS[options["preset"]]
    named = options["image_encoder"], options["text_encoder"]
    if not quiet:
        click.echo(inputs.description, err=True)
    image_encoder = open_image_encoder(
        parse_image_encoder(named[0]) if named[0] else image_spec, device=options["device"]
    )
    text_encoder = open_text_encoder(parse_text_encoder(named[1]) if named[1] else text_spec, device=options["device"])
    with show_progress(inputs.count, quiet=quiet) as display:
        return extract(
            inputs,
            out,
            image_encoder=image_encoder,
            text_encoder=text_encoder,
            sampling=sampling,
            preset=None if any(named) else options["preset"],
            batch_size=options["batch_size"],
            workers=options["workers"],
            thumbnails=not options["no_thumbnails"],
            strict=options["strict"],
            overwrite=options["overwrite"],
            report=display.extracted,
            report_merge=display.written,
        )


if __name__ == "__main__":
    main()
