"""``optsg-tag``: tags for video and image files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..data.command_line import one_sentence_errors
from ..data.errors import DecodeError
from .latest_run import find_run
from .tagging_options import TaggingOptions, tagging_options

if TYPE_CHECKING:
    from ..train.constraints.tag_control import VideoTags
    from ..train.generation import PredictedTag
    from .tagging import FileTagger

EXAMPLES = """\b
Examples:
  optsg-tag cat.mp4
  optsg-tag cat.mp4 --title "our cat at the window"
  optsg-tag holiday/ --run runs/small-1 --json > tags.jsonl
  optsg-tag cat.mp4 --min-precision 0.9 --vocabulary tags.txt
  optsg-tag cat.mp4 --pin cat --forbid dog
"""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "--run",
    "run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run folder made by optsg-train.  [default: runs/latest]",
)
@click.option("--title", default="", help="Title of the video; the model reads it beside the pictures.")
@click.option(
    "--pin", "pinned", multiple=True, metavar="TAG", help="A tag that the videos have; others follow from it."
)
@click.option("--forbid", "forbidden", multiple=True, metavar="TAG", help="A tag that the videos do not have.")
@tagging_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line instead of tables.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="optsg")
def main(
    paths: tuple[Path, ...],
    run: Path | None,
    title: str,
    pinned: tuple[str, ...],
    forbidden: tuple[str, ...],
    as_json: bool,
    device: str,
    verbose: bool,
    **tagging: Any,
) -> None:
    """Prints tags with their scores for videos and images, also those of whole folders.

    A file that cannot be read is one line, and the others go on. The exit code is 1 if no file could be tagged.
    """
    with one_sentence_errors(verbose):
        folder = find_run(run)
        # PyTorch takes seconds to import; --help should not wait for it.
        from ..train.constraints.tag_control import VideoTags
        from .tagging import FileTagger, media_files

        tagger = FileTagger.open(folder, device=device, options=TaggingOptions(**tagging))
        for warning in tagger.warnings:
            click.echo(f"warning: {warning}", err=True)
        wishes = VideoTags(pinned=pinned, forbidden=forbidden)
        tagged = sum(_tag_file(tagger, path, title, wishes, as_json=as_json) for path in media_files(paths))
    sys.exit(0 if tagged else 1)


def _tag_file(tagger: FileTagger, path: Path, title: str, wishes: VideoTags, *, as_json: bool) -> bool:
    """Tags one file and prints the outcome; whether there are tags to print."""
    try:
        if path.is_dir():
            raise DecodeError(f"{path}: there are no videos or images in this folder")
        tags = tagger.tag(path, title, wishes)
    except DecodeError as error:
        _print_failure(path, str(error), as_json=as_json)
        return False
    _print_tags(path, title, tags, system=tagger.system, as_json=as_json)
    return True


def _print_failure(path: Path, error: str, *, as_json: bool) -> None:
    from .prediction import json_line

    if as_json:
        click.echo(json_line({"path": str(path), "error": error}))
    else:
        click.echo(f"error: {error}", err=True)


def _print_tags(path: Path, title: str, tags: list[PredictedTag], *, system: str, as_json: bool) -> None:
    from .prediction import json_line, tag_rows
    from .tables import tags_table

    if as_json:
        click.echo(json_line({"path": str(path), "title": title, "tags": tag_rows(tags)}))
    else:
        Console().print(tags_table(str(path), tags, system=system))
