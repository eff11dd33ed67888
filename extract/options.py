"""The options of an extraction, each typed once: the keywords of :func:`optsg.extract.extract` and the options of ``optsg-extract``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict, TypeVar, Unpack, cast, get_args, get_origin, get_type_hints

import click

from ..data.errors import ConfigError
from .encoders.presets import DEFAULT_PRESET, PRESETS, Precision

DEFAULT_TIMEOUT = 300.0

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass(frozen=True)
class Option:
    """What an option is without.

    Attributes:
        default: taken where it is not given.
        help: what it means, in a line of ``--help``; of an option that is on by default, what ``--no-NAME`` means.
        metavar: what stands for its value in ``--help``, if not its type.
        choices: the values that it may have, where its type does not say so.
        bare: its value on the command line where it is named without one.
        how_it_runs: whether it only says how an extraction is run, and changes no feature; a store does not record it, the log does.
    """

    default: Any
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    bare: str | None = None
    how_it_runs: bool = False


class ExtractionOptions(TypedDict, total=False):
    """Options of an extraction, in the order of ``--help``; :func:`complete` adds those that are not given."""

    preset: Annotated[str, Option(DEFAULT_PRESET, "Frozen encoders; small needs no download.", choices=tuple(PRESETS))]
    metadata: Annotated[
        str | Path | None,
        Option(
            None,
            "Table with file_name, title, tags, split, id; or annotations of CREATE, a JSON file or their folder.",
        ),
    ]
    columns: Annotated[
        str | None,
        Option(
            None,
            "Which columns of tables are what: tags=keywords,title=caption; of data sets also media=image.",
            metavar="NAME=COLUMN,…",
        ),
    ]
    tag_separator: Annotated[
        str | None, Option(None, "What separates tags in a text.  [default: commas]", metavar="TEXT")
    ]
    group_rows: Annotated[bool, Option(False, "Join the rows of one file, as where each tag has a row.")]
    title_from_name: Annotated[
        bool, Option(False, "Files that no metadata gives a title have that of their names; camera names give none.")
    ]
    image_encoder: Annotated[
        str | None,
        Option(None, "An open_clip (MODEL/TAG) or timm model, in place of the preset's.", metavar="NAME|FOLDER"),
    ]
    text_encoder: Annotated[
        str | None,
        Option(None, "A Hugging Face text model, or characters, in place of the preset's.", metavar="NAME|FOLDER"),
    ]
    device: Annotated[str, Option("auto", "auto, cpu, cuda, cuda:1, …")]
    precision: Annotated[Precision, Option("auto", "Arithmetic of the image tower; auto keeps its features.")]
    batch_size: Annotated[int, Option(64, "Pictures per call of the image encoder.", how_it_runs=True)]
    workers: Annotated[
        int | None,
        Option(
            None,
            "Decoding processes (with --ray, of each worker).  [default: one per available processor]",
            how_it_runs=True,
        ),
    ]
    timeout: Annotated[float, Option(DEFAULT_TIMEOUT, "Seconds that reading one input may take.", how_it_runs=True)]
    fps: Annotated[float, Option(1.0, "Frames kept per second of video.")]
    max_frames: Annotated[int, Option(60, "Most frames kept of a video, spread over it.")]
    fast_resize: Annotated[bool, Option(False, "Let decoders shrink frames: quicker, not pixel-exact.")]
    thumbnails: Annotated[bool, Option(True, "Keep no small pictures for reports.", how_it_runs=True)]
    limit: Annotated[int | None, Option(None, "Read only the first N inputs.")]
    part: Annotated[
        str | None,
        Option(None, "Read only part I of N, for job arrays; optsg-store merge joins the parts.", metavar="I/N"),
    ]
    ray: Annotated[
        str | None,
        Option(
            None,
            "Decode and encode on a Ray cluster: HOST:PORT, auto (one that is running), local (a new one on this "
            "machine); without ADDRESS auto if there is one, else local.",
            metavar="[ADDRESS]",
            bare="nearest",
        ),
    ]
    retry_failed: Annotated[bool, Option(False, "Try inputs again that failed before.", how_it_runs=True)]
    strict: Annotated[bool, Option(False, "Stop at the first input that fails.", how_it_runs=True)]
    overwrite: Annotated[
        bool,
        Option(False, "Replace OUT, and begin anew where an unfinished one lies beside it.", how_it_runs=True),
    ]
    json_log: Annotated[
        str | Path | None, Option(None, "Append a JSON line for every input to this file; - is standard error.")
    ]


def described_options() -> dict[str, tuple[Any, Option]]:
    """Type and description of every option by its name, in order."""
    hints = get_type_hints(ExtractionOptions, include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def complete(**given: Unpack[ExtractionOptions]) -> ExtractionOptions:
    """The given options, and the defaults of all others.

    Raises:
        TypeError: there is no such option, as for any keyword.
        ConfigError: a value is out of range.
    """
    described = described_options()
    if unknown := given.keys() - described.keys():
        raise TypeError(f"an extraction has no option {min(unknown)!r}; it has {', '.join(described)}")
    defaults = {name: option.default for name, (_, option) in described.items()}
    options = cast("ExtractionOptions", {**defaults, **given})
    _check(options)
    return options


def _check(options: ExtractionOptions) -> None:
    batch_size, workers, timeout = options["batch_size"], options["workers"], options["timeout"]
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size} is out of range; expected 1 or more")
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers} is out of range; expected 1 or more")
    if not 0 < timeout <= 1e6:
        raise ConfigError(f"--timeout {timeout:g} is out of range; expected seconds above 0, at most 1000000")


def how_it_runs(options: ExtractionOptions) -> Mapping[str, Any]:
    """Those options that change no feature."""
    values = cast("Mapping[str, Any]", options)
    return {name: values[name] for name, (_, option) in described_options().items() if option.how_it_runs}


def worker_count(options: ExtractionOptions) -> int:
    """Number of decoding processes."""
    return options["workers"] or available_processors()


def available_processors() -> int:
    """Processors that this process may use, which in a container are often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def click_options(*names: str) -> Callable[[Command], Command]:
    """Adds these options to a command."""
    described = described_options()

    def add(command: Command) -> Command:
        for name in reversed(names):
            command = _click_option(name, *described[name])(command)
        return command

    return add


def extraction_options(*, after: str | None = None, until: str | None = None) -> Callable[[Command], Command]:
    """Adds the options of :class:`ExtractionOptions`, or those after one of them, or those up to one."""
    names = list(described_options())
    first = 0 if after is None else names.index(after) + 1
    last = len(names) if until is None else names.index(until) + 1
    return click_options(*names[first:last])


def _click_option(name: str, kind: Any, option: Option) -> Callable[[Command], Command]:
    """The option ``--NAME``; ``--no-NAME`` of what is on by default."""
    spelled = name.replace("_", "-")
    if kind is bool:
        flag = f"--no-{spelled}" if option.default else f"--{spelled}"
        return click.option(flag, name, flag_value=not option.default, default=option.default, help=option.help)
    bare: dict[str, Any] = {} if option.bare is None else {"is_flag": False, "flag_value": option.bare}
    return click.option(
        f"--{spelled}",
        type=_click_type(kind, option),
        default=option.default,
        show_default=option.default is not None,
        metavar=option.metavar,
        help=option.help,
        **bare,
    )


def _click_type(kind: Any, option: Option) -> Any:
    choices = option.choices or (get_args(kind) if get_origin(kind) is Literal else ())
    if choices:
        return click.Choice(choices)
    kinds = set(get_args(kind) or (kind,)) - {NoneType}
    return click.Path(path_type=Path) if Path in kinds else kinds.pop()
