"""``optsg-tag``: tags for video and image files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click
from rich.console import Console

from ...data.command_line import SHORT_HELP, allow_system_option, device_option, one_sentence_errors
from ...data.json_log import open_json_log
from ...data.stop_signals import StopRequest, stop_on_signals
from ...data.tag_hierarchy import FOUND
from ..options import TaggingOptions, decoding_options, find_run, json_log_option, run_option, tagging_options
from ..progress import progress_bar
from .beside.options import beside_options, check_beside
from .cold_start.options import Untrained, chosen_untrained, next_step, untrained_options

if TYPE_CHECKING:
    from ...train.writing.tag_control import VideoTags
    from .cold_start.tagger import UntrainedTagger
    from .file_encoder import Work
    from .file_tagger import FileTagger
    from .outputs.output import Output
    from .requests import TagRequests
    from .tag_files import Counts, Tagging
    from .tagged_file import TaggedFile


EXAMPLES = """\b
Examples:
  optsg-tag cat.mp4
  optsg-tag cat.mp4 --title "our cat at the window" --evidence
  optsg-tag archive/ --out tags.jsonl
  optsg-tag movie.mp4 --segments --sidecar vtt
  optsg-tag "shards/{000..099}.tar" --run runs/small-1 --out tags.parquet
  optsg-tag holiday/ --write-sidecar --min-precision 0.9
  optsg-tag cat.mp4 --vocabulary tags.txt --pin cat --forbid dog
  optsg-tag holiday/ --untrained --vocabulary tags.txt --out tags.csv
  optsg-tag photos/ --sidecar xmp --sidecar txt
"""


EXIT_CODES = """\b
Exit codes:
  0    done, also where some files could not be read
  1    no file could be tagged, or an error
  2    the command line is wrong
  130  Ctrl-C, 143 SIGTERM: what is written is kept, the same command goes on
"""


@click.command(epilog=f"{EXAMPLES}\n{EXIT_CODES}", context_settings=SHORT_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@run_option
@untrained_options
@click.option(
    "--title", metavar="T", help="Title of the one file; else titles come from metadata and the files beside it."
)
@click.option(
    "--title-from-name/--no-title-from-name",
    "name_titles",
    default=None,
    help="Files without a title have that of their names, cameras' aside.  [default: with --untrained, where no metadata "
    "names any title]",
)
@click.option(
    "--metadata",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Table for a folder, in place of the metadata in it: titles, pinned_tags, forbidden_tags.",
)
@click.option(
    "--pin", "pinned", multiple=True, metavar="TAG", help="A tag that the videos have; others follow from it."
)
@click.option("--forbid", "forbidden", multiple=True, metavar="TAG", help="A tag that the videos do not have.")
@tagging_options
@click.option("--evidence", is_flag=True, help="For each tag, the seconds of video and the title words it rests on.")
@click.option("--segments", is_flag=True, help="For each tag of a video, from when to when it holds.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a .jsonl, .csv or .parquet file; the files that it holds already are skipped.",
)
@click.option("--overwrite", is_flag=True, help="Begin --out anew, also where another run or other options made it.")
@click.option("--retry-failed", is_flag=True, help="Try files again that failed before; --out has them as errors.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv", "parquet", "hf"]),
    help="Of --out; hf is metadata.jsonl of Hugging Face.  [default: its suffix]",
)
@click.option("--write-sidecar", is_flag=True, help="Put the tags into NAME.info.json beside each file.")
@beside_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line instead of tables.")
@click.option("--batch-size", default=16, show_default=True, metavar="N", help="Files at a time.")
@decoding_options
@json_log_option("file")
@allow_system_option
@device_option
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="optsg")
def main(
    paths: tuple[Path, ...],
    run: Path | None,
    out: Path | None,
    untrained: bool,
    preset: str | None,
    image_encoder: str | None,
    quiet: bool,
    verbose: bool,
    **chosen: Any,
) -> None:
    """Tags with their scores for videos and images: files, folders, patterns, WebDataset shards, or tables of file names.

    A file that cannot be read is one line, and the others go on. With --out an interrupted command goes on where it
    stopped, and one by another run or with other options is refused.
    """
    _check_usage(paths, title=chosen["title"], metadata=chosen["metadata"])
    _check_is_no_metadata(out, chosen["kind"], paths)
    _check_is_no_second_table(out)
    _check_usage_of_out(out, **{name: chosen[name] for name in ("kind", "overwrite", "retry_failed", "as_json")})
    check_beside(**{name: chosen[name] for name in ("sidecar", "replace", "underscores", "segments", "kind")})
    stop = StopRequest()
    kept = _kept(out, chosen["overwrite"])
    with one_sentence_errors(verbose, on_interrupt=kept):
        says = {name: chosen[name] for name in ("evidence", "segments")}
        encoders = chosen_untrained(untrained=untrained, preset=preset, image_encoder=image_encoder, run=run, **says)
        counts = _tag(encoders or find_run(run), paths, out, stop, quiet=quiet, **chosen)
    if out is not None and not quiet:
        click.echo(counts.sentence(out), err=True)
    if encoders is not None and counts.tagged and not quiet and not stop.is_set():
        click.echo(next_step(encoders, paths, out), err=True)
    if stop.is_set():
        click.echo(f"interrupted; {kept}" if kept else "interrupted", err=True)
        sys.exit(128 + stop.number)
    sys.exit(0 if counts.tagged or counts.skipped else 1)


def _tag(
    source: Path | Untrained,
    paths: tuple[Path, ...],
    out: Path | None,
    stop: StopRequest,
    *,
    title: str | None,
    metadata: Path | None,
    name_titles: bool | None,
    write_sidecar: bool,
    json_log: Path | None,
    sidecar: tuple[str, ...],
    underscores: bool,
    hierarchy: str,
    device: str,
    allow_systems: tuple[str, ...],
    quiet: bool,
    **chosen: Any,
) -> Counts:
    # PyTorch takes seconds to import; --help should not wait for it.
    from ...train.writing.tag_control import VideoTags
    from .beside.sidecars import SidecarOptions, writers
    from .file_encoder import Work
    from .requests import TagRequests

    wishes = VideoTags(pinned=chosen.pop("pinned"), forbidden=chosen.pop("forbidden"))
    work = Work(group=chosen.pop("batch_size"), workers=chosen.pop("workers"), timeout=chosen.pop("timeout"))
    how = {name: chosen.pop(name) for name in _OF_OUTPUT}
    says = {name: chosen.pop(name) for name in ("evidence", "segments")}
    options = TaggingOptions(**chosen)
    made = _made(wishes, write_sidecar=write_sidecar, sidecar=sidecar, hierarchy=hierarchy, **says)
    names = name_titles if isinstance(source, Untrained) else name_titles or False
    opened = _open_output(out, source, options, made, **how)
    with stop_on_signals(stop), open_json_log(json_log) as log, opened as output:
        how_read: dict[str, Any] = {"title": title, "metadata": metadata, "name_titles": names}
        requests = TagRequests(paths, is_done=output.is_done, warn=_warn, note=_note, **how_read)
        requests.check()
        log.write("started", run=_name(source), paths=[str(path) for path in paths])
        of_run: dict[str, Any] = {"allow_systems": allow_systems, **says}
        tagger, separator = _open_tagger(source, options, hierarchy, device=device, work=work, **of_run)
        beside = SidecarOptions(replace=how["replace"], underscores=underscores, separator=separator)
        also = {
            "sidecars": write_sidecar,
            "writers": writers(sidecar, beside),
            "wishes": wishes,
            "stop": stop,
            "log": log,
        }
        return _tag_all(tagger, requests, output, shows=out is not None and not quiet, **also)


def _name(source: Path | Untrained) -> str:
    return source.name if isinstance(source, Untrained) else str(source)


def _tag_all(tagger: Tagging, requests: TagRequests, output: Output | _Printer, *, shows: bool, **how: Any) -> Counts:
    """Tags with a progress bar, where one is shown; the rest as :func:`.tag_files.tag_files`."""
    from .tag_files import tag_files

    if isinstance(output, _Printer):
        output.system = tagger.system
    with progress_bar("tagging", requests.count() if shows else None, quiet=not shows) as advance:
        return tag_files(tagger, requests, output, advance=advance, warn=_warn, **how)


def _made(wishes: VideoTags, *, sidecar: tuple[str, ...], hierarchy: str, **more: bool) -> dict[str, Any]:
    """What beside a run and its options decides what is written."""
    hierarchies = {"hierarchy": None if hierarchy == FOUND else hierarchy}
    return {
        "pin": wishes.pinned,
        "forbid": wishes.forbidden,
        **more,
        "sidecar": tuple(sorted(set(sidecar))),
        **hierarchies,
    }


_OF_OUTPUT = ("kind", "as_json", "overwrite", "retry_failed", "csv_separator", "replace")


def _open_tagger(
    source: Path | Untrained, options: TaggingOptions, hierarchy: str, *, device: str, work: Work, **of_run: Any
) -> tuple[Tagging, str | None]:
    """The tagger, which says ``evidence`` and ``segments`` where it is to, and what separates the parts of its tags."""
    tagger: FileTagger | UntrainedTagger
    if isinstance(source, Untrained):
        from .cold_start.tagger import UntrainedTagger

        how: dict[str, Any] = {"device": device, "work": work, "hierarchy": hierarchy}
        tagger = UntrainedTagger.open(source.image_encoder, options, name=source.name, **how)
    else:
        from .file_tagger import FileTagger

        how = {"device": device, "work": work, "hierarchy": hierarchy, **of_run}
        tagger = FileTagger.open(source, options=options, **how)
        tagger.files.encoder  # noqa: B018 (raises where no file can be read)
    for warning in tagger.warnings:
        _warn(warning)
    separator = tagger.hierarchy.separator
    if hierarchy == FOUND and separator is not None:
        _note(f"tags are paths, their parts separated by {separator}: parents are given too (--hierarchy none)")
    return tagger, separator


def _note(sentence: str) -> None:
    click.echo(f"note: {sentence}", err=True)


def _warn(sentence: str) -> None:
    click.echo(f"warning: {sentence}", err=True)


def _check_usage(paths: tuple[Path, ...], *, title: str | None, metadata: Path | None) -> None:
    if title is not None and (len(paths) > 1 or paths[0].is_dir() or _is_of_many(paths[0])):
        raise click.UsageError("--title is of one file; for more give titles by --metadata or NAME.info.json")
    if metadata is not None and not (len(paths) == 1 and paths[0].is_dir()):
        raise click.UsageError("--metadata is for one folder; a table may itself be given as PATH")


def _is_of_many(path: Path) -> bool:
    """Whether a file is one of many inputs: a shard or a table of their names."""
    from ...data.inputs.media_folder import SHARD_SUFFIX
    from ...data.inputs.metadata.metadata_table import TABLE_SUFFIXES

    return path.suffix.lower() in (SHARD_SUFFIX, *TABLE_SUFFIXES)


def _check_usage_of_out(
    out: Path | None, *, kind: str | None, overwrite: bool, retry_failed: bool, as_json: bool
) -> None:
    if kind is not None and out is None:
        raise click.UsageError("--format is of --out FILE; --json prints JSON lines")
    for option, is_given in (("--overwrite", overwrite), ("--retry-failed", retry_failed)):
        if is_given and out is None:
            raise click.UsageError(f"{option} is of --out FILE")
    if overwrite and retry_failed:
        raise click.UsageError("--overwrite tags all files anew and --retry-failed those that failed; give one of them")
    if as_json and out is not None:
        raise click.UsageError("--json prints and --out writes a file; give one of them")


def _check_is_no_metadata(out: Path | None, kind: str | None, paths: Sequence[Path]) -> None:
    """Refuses lines under a name by which they would be read as the metadata of the folder that they are of."""
    if out is None or out.name.lower() != "metadata.jsonl" or kind not in (None, "jsonl"):
        return
    folder = out.parent.resolve()
    for path in paths:
        if path.is_dir() and folder.is_relative_to(path.resolve()):
            raise click.UsageError(
                f"--out {out} would be read as the metadata of {path}; choose another name, or --format hf, which makes metadata"
            )


def _check_is_no_second_table(out: Path | None) -> None:
    """Refuses a table of metadata beside another one: of two in one folder neither is read."""
    if out is None or not out.parent.is_dir():
        return
    from ...data.inputs.media_folder import is_metadata_table

    if not is_metadata_table(out):
        return
    for other in sorted(out.parent.iterdir()):
        if other.name.lower() != out.name.lower() and is_metadata_table(other):
            raise click.UsageError(
                f"--out {out} would be the second table of metadata beside {other.name}, and a folder with two is not read; "
                "choose another name, or move that table"
            )


def _kept(out: Path | None, overwrite: bool) -> str:
    return f"what is done is kept, the same command{' without --overwrite' * overwrite} goes on" if out else ""


def _open_output(
    out: Path | None,
    source: Path | Untrained,
    options: TaggingOptions,
    made: Mapping[str, Any],
    *,
    kind: str | None,
    as_json: bool,
    overwrite: bool,
    retry_failed: bool,
    csv_separator: str | None,
    replace: bool,
) -> AbstractContextManager[Output | _Printer]:
    if out is None:
        return _Printer(as_json)
    from .outputs.made_with import MadeWith
    from .outputs.output import open_output

    made_with = (
        MadeWith.without_run(source.name, source.image_encoder, options, **made)
        if isinstance(source, Untrained)
        else MadeWith.now(source, options, **made)
    )
    how: dict[str, Any] = {"overwrite": overwrite, "retry_failed": retry_failed}
    return open_output(out, kind, made_with, **how, csv_separator=csv_separator, replace=replace)


class _Printer:
    """Tables, or JSON lines, on standard output.

    Attributes:
        system: for the heads of the tables.
    """

    def __init__(self, as_json: bool):
        self.system = ""
        self._as_json = as_json

    def is_done(self, path: str) -> bool:  # noqa: ARG002
        """Never: what is printed is not gone on with."""
        return False

    def claim(self, path: str) -> bool:  # noqa: ARG002
        """Always: whatever is asked for is printed."""
        return True

    def write(self, group: Sequence[TaggedFile]) -> None:
        """Prints a group of tagged files, errors on standard error."""
        from ..scores.predictions import json_line
        from ..terminal_tables import tags_table

        for tagged in group:
            if self._as_json:
                click.echo(json_line(tagged.to_json()).encode())  # JSON is UTF-8 whatever the terminal's text is
            elif tagged.error is not None:
                click.echo(f"error: {tagged.error}", err=True)
            else:
                Console().print(tags_table(tagged.path, list(tagged.tags), system=self.system))
                _print_evidence(tagged)
                _print_segments(tagged)

    def finish(self) -> None:
        """Prints nothing more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _print_evidence(tagged: TaggedFile) -> None:
    for tag, found in zip(tagged.tags, tagged.evidence, strict=False):
        if found is not None:
            seconds = "" if found.second is None else f", at {found.second:.1f} s"
            word = "" if found.word is None else f", “{found.word}” in the title"
            click.echo(f"{tag.text}: {(seconds + word).removeprefix(', ') or 'nothing in particular'}")


def _print_segments(tagged: TaggedFile) -> None:
    for tag, segments in zip(tagged.tags, tagged.segments, strict=False):
        if segments:
            click.echo(f"{tag.text}: {', '.join(f'{one.start:.1f}–{one.end:.1f} s' for one in segments)}")
