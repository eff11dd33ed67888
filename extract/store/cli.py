"""``optsg-store``: what is in a feature store, whether it is whole, its two forms, and features made elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...data.command_line import SHORT_HELP, new_store_option, one_sentence_errors, quiet_and_verbose
from ...data.errors import counted
from ..api import kept_parts
from ..encoders.presets import DEFAULT_PRESET, PRESETS
from ..options import click_options

if TYPE_CHECKING:
    from ...data.store.verification import Check
    from ...data.store.writing import Progress


EXAMPLES = """\b
Examples:
  optsg-store info feats.h5
  optsg-store verify feats.h5
  optsg-store verify feats.h5 --sources videos/
  optsg-store convert feats.h5 feats-shards
  optsg-store convert feats-shards feats.h5 --overwrite
  optsg-store merge parts/*.h5 --out feats.h5
  optsg-store relabel feats.h5 --metadata corrected.csv
  optsg-store relabel feats.h5 --aliases accepted.csv
  optsg-store import-features clip/ --metadata create_210k/ --out feats.h5 --preset clip-zh
"""


CHECK_WIDTH = 11


@click.group(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.version_option(package_name="optsg")
def main() -> None:
    """Look into feature stores, check them, and turn one form into the other."""


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-v", "--verbose", is_flag=True, help="List every failure, and show the traceback of an error.")
def info(path: Path, verbose: bool) -> None:
    """Print what PATH holds and how it was made."""
    with one_sentence_errors(verbose, on_interrupt="nothing was changed"):
        from ...data.store import open_store
        from .info import info_lines

        with open_store(path) as store:
            click.echo("\n".join(info_lines(store, failures=None if verbose else 5)))


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--sources",
    type=click.Path(path_type=Path),
    help="Input of the extraction: read and encode a sample of it again and compare.",
)
@click.option("--metadata", type=click.Path(path_type=Path), help="The table that the extraction was given, if any.")
@click_options("columns", "tag_separator", "group_rows")
@click.option("--sample", default=16, show_default=True, help="How many inputs of --sources to read again.")
@click.option("--device", default="auto", show_default=True, help="Device for --sources: auto, cpu, cuda, …")
@quiet_and_verbose
def verify(path: Path, sources: Path | None, quiet: bool, verbose: bool, **reading: Any) -> None:
    """Read all of PATH and say whether it is whole: structure, counts, ids, ranges, finite values, digests.

    Exit code 0 if it is, 1 if anything is wrong.
    """
    with one_sentence_errors(verbose, on_interrupt="nothing was changed"):
        from ...data.store.verification import verify_store
        from .source_check import check_usage

        check_usage(sources, **reading)
        problems = verify_store(path, None if quiet else print_check).problems
        if sources is not None and not problems:
            check = _source_check(path, sources, **reading)
            problems += check.problems
            if not quiet:
                print_check(check)
        if problems:
            click.echo(f"error: {path} is not whole: {counted(len(problems), 'problem')}", err=True)
            sys.exit(1)
        if not quiet:
            click.echo(f"{path} is whole")


def _source_check(
    path: Path, sources: Path, *, metadata: Path | None, sample: int, device: str, **reading: Any
) -> Check:
    from ...data.inputs import MetadataOptions, open_inputs
    from ...data.store import open_store
    from ..encoders.image_encoder import open_image_encoder
    from .source_check import check_sources

    inputs = open_inputs(sources, metadata=metadata, options=MetadataOptions.of(**reading))
    with open_store(path) as store:
        encoder = open_image_encoder(store.header.image_encoder, device=device)
        return check_sources(store, inputs, encoder, sample=sample)


def print_check(check: Check) -> None:
    """A line for a check, and one for each of its problems."""
    verdict = counted(len(check.problems), "problem") if check.problems else "ok"
    click.echo(f"{check.name:<{CHECK_WIDTH}}{verdict} ({check.looked_at})")
    for problem in check.problems:
        click.echo(f"  {problem}")


@main.command()
@click.argument("source", metavar="A", type=click.Path(path_type=Path))
@click.argument("out", metavar="B", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the store at B.")
@quiet_and_verbose
def convert(source: Path, out: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Write the store A anew as B: one HDF5 file if B ends in .h5, else a folder of WebDataset shards.

    Nothing is lost or computed again, either way.
    """
    with one_sentence_errors(verbose, on_interrupt=f"{out} is as it was before"):
        from ...data.store import open_store
        from ...data.store.conversion import convert_store
        from .info import size_bytes

        with _progress("converting", [source], quiet) as progress:
            convert_store(source, out, overwrite=overwrite, progress=progress)
        if not quiet:
            with open_store(out) as store:
                click.echo(f"{out}: {len(store):,} videos, {size_bytes(store) / 2**20:.1f} MiB")


@main.command()
@click.argument("parts", metavar="PART...", nargs=-1, required=True, type=click.Path(path_type=Path))
@new_store_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="Input of the extractions: the videos come in its order.  [default: by part]",
)
@click.option("--metadata", type=click.Path(path_type=Path), help="The table that the extractions were given, if any.")
@click_options("columns", "tag_separator", "group_rows")
@click.option("--overwrite", is_flag=True, help="Replace the store at OUT.")
@quiet_and_verbose
def merge(parts: tuple[Path, ...], out: Path, quiet: bool, verbose: bool, **options: Any) -> None:
    """Write one store out of stores of parts (optsg-extract --part), or of any stores with the same encoders.

    Refused where encoders, sampling or text models differ and where an input is in two stores.
    """
    with one_sentence_errors(verbose, on_interrupt=f"{out} is as it was before"):
        from ...data.store import open_store
        from .info import size_bytes
        from .merge import join_stores

        with _progress("merging", parts, quiet) as progress:
            warnings = join_stores(parts, out, progress=progress, **options)
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        if not quiet:
            with open_store(out) as store:
                sizes = f"{len(store):,} videos, {len(store.failures):,} failed, {size_bytes(store) / 2**20:.1f} MiB"
                click.echo(f"{out}: {sizes}, out of {counted(len(parts), 'store')}")


@main.command("relabel")
@click.argument("path", metavar="STORE", type=click.Path(path_type=Path))
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    help="Table with file_name or id and some of title, tags, split; or annotations of CREATE.",
)
@click.option(
    "--aliases",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="In place of --metadata: proposals of optsg-vocabulary, of which those with yes in the column accept are made.",
)
@click_options("columns", "tag_separator", "group_rows")
@click.option(
    "--clear-missing", is_flag=True, help="Take titles and tags away from videos that the table has no row for."
)
@click.option("--device", default="auto", show_default=True, help="Device of the text encoder: auto, cpu, cuda, …")
@quiet_and_verbose
def relabel_command(
    path: Path, metadata: Path | None, aliases: Path | None, quiet: bool, verbose: bool, device: str, **reading: Any
) -> None:
    """Give videos of STORE other titles, tags and splits: nothing is decoded.

    What the table has no column for stays as it is, and so does a video without a row unless told otherwise. With --aliases tags
    are merged, taken away and put under others in all videos. New tags are embedded with the store's text encoder.
    """
    if (metadata is None) == (aliases is None):
        raise click.UsageError("give --metadata, or --aliases, and not both")
    if aliases is not None and any(reading.values()):
        raise click.UsageError("options of tables and --clear-missing are for --metadata")
    with one_sentence_errors(verbose, on_interrupt=f"{path} is as it was before"):
        from .accepted_changes import apply_accepted
        from .relabel import relabel

        with _progress("relabelling", [path], quiet) as progress:
            if aliases is not None:
                done = apply_accepted(path, aliases, device=device, progress=progress)
            else:
                assert metadata is not None
                done = relabel(path, metadata, device=device, progress=progress, **reading)
        for note in () if quiet else done.notes:
            click.echo(f"note: {note}", err=True)
        for warning in done.warnings():
            click.echo(f"warning: {warning}", err=True)
        if not quiet:
            click.echo(f"{path}: {done.sentence()}")


@main.command("import-features")
@click.argument("features", metavar="FEATURES", type=click.Path(path_type=Path))
@click.option(
    "--metadata",
    required=True,
    type=click.Path(path_type=Path),
    help="Annotations of CREATE (a JSON file, or a folder with those of one set), or a table with file_name or id, "
    "title, tags, split.",
)
@click_options("columns", "tag_separator", "group_rows")
@new_store_option
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=DEFAULT_PRESET,
    show_default=True,
    help="Whose text encoder to take.",
)
@click.option("--text-encoder", metavar="NAME|FOLDER", help="A text model, or characters, in place of the preset's.")
@click.option("--image-encoder", metavar="NAME", help="What made the features, if known; needed to tag new videos.")
@click.option("--patches", is_flag=True, help="The features are patches of images, not frames of videos.")
@click.option("--fps", default=1.0, show_default=True, help="Frames per second that the features have.")
@click.option("--max-frames", default=60, show_default=True, help="Most frames kept of a video, spread over it.")
@click.option("--device", default="auto", show_default=True, help="Device of the text encoder: auto, cpu, cuda, …")
@click.option("--limit", type=int, help="Import only the first N videos.")
@click.option("--strict", is_flag=True, help="Stop at the first video that fails.")
@click.option("--overwrite", is_flag=True, help="Replace OUT, and begin anew where an unfinished one lies beside it.")
@click.option("--json-log", type=click.Path(path_type=Path), help="Append a JSON line for every video to this file.")
@quiet_and_verbose
def import_features_command(features: Path, out: Path, quiet: bool, verbose: bool, **options: Any) -> None:
    """Make a store from features that exist already: nothing is decoded.

    FEATURES is a folder with one VID.npy per video anywhere in it, one .npz, or one .h5 with an array called VID for each;
    an array is (frames, width), or (patches, width) with --patches. The same command again goes on, or adds what is new.
    """
    with one_sentence_errors(verbose, on_interrupt=partial(kept_parts, out)):
        from ..progress import summary_lines
        from .feature_import import import_features

        summary = import_features(features, out, quiet=quiet, **options)
        if not quiet:
            click.echo("\n".join(summary_lines(summary)))


@contextmanager
def _progress(label: str, sources: Sequence[Path], quiet: bool) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ...data.store import open_store

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    videos = 0
    for source in sources:
        with open_store(source) as store:
            videos += len(store)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=videos)
        yield lambda count: bar.advance(task, count)
