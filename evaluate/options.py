"""Options that the commands on trained runs share: what means the same is defined and explained once.

Which run, which of its evaluations, how tags are to be predicted. Nothing here needs PyTorch;
:mod:`optsg.evaluate.tag.run_tagger` makes the tagger.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import click

from ..data.command_line import Command, together
from ..data.errors import ConfigError, RunError
from ..extract.options import DEFAULT_TIMEOUT
from ..train.system_names import FAVOURS, Favour

decoding_options = together(
    click.option("--workers", type=int, metavar="N", help="Decoding processes.  [default: one for each processor]"),
    click.option(
        "--timeout",
        default=DEFAULT_TIMEOUT,
        show_default=True,
        metavar="S",
        help="Seconds that reading a file may take.",
    ),
)
"""How files that are to be tagged are read."""


EXTRACTED = click.Path(path_type=Path, exists=True, file_okay=False)
"""A folder that ``optsg-extract`` read."""


run_option = click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run folder made by optsg-train.  [default: runs/latest]",
)
"""One run, which :func:`optsg.evaluate.options.find_run` looks for."""


evaluation_option = click.option(
    "--split",
    default="test",
    show_default=True,
    metavar="NAME",
    help="Which evaluation of the run: a folder in its eval/, such as test, val or test-known.",
)
"""An evaluation that exists; the ``--split`` of ``optsg-eval`` names videos of the store to make one of."""


def feats_option(run: str) -> Callable[[Command], Command]:
    """``--feats``, by default the store of ``run``."""
    return click.option(
        "--feats",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"Feature store of the videos.  [default: the one that {run} was trained on]",
    )


def json_log_option(what: str) -> Callable[[Command], Command]:
    """``--json-log``; ``what`` gets a line each."""
    return click.option(
        "--json-log",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help=f"Append a JSON line for every {what}; - is standard error.",
    )


def inputs_option(default: str = "") -> Callable[[Command], Command]:
    """``--inputs``; ``default`` says which folder is taken without it, if any."""
    return click.option(
        "--inputs",
        type=EXTRACTED,
        metavar="DIR",
        help="The folder or shards that were extracted: with it the evidence shows frames as pictures."
        + (f"  [default: {default}]" if default else ""),
    )


NAMED_VOCABULARIES = ("open", "known", "snap")


SNAP_TO = "snap:"
"""What stands before the file of tags that novel ones are replaced by."""


@dataclass(frozen=True, kw_only=True)
class TaggingOptions:
    """Options of ``optsg-tag`` and ``optsg-eval``; the defaults are the run as it was tuned.

    Attributes:
        vocabulary: ``open``, ``known``, ``snap``, ``snap:FILE`` or a file (:mod:`optsg.data.tag_list`).
        decision: ``scalar``, to decide by the system's tuned scalar where a ranker does; or another value of that scalar.
        favour: which tags a ranker is generous with.
        nil_bias: how willingly a prompt writes a tag instead of none.
        threshold: the least score; the tags are then all that have it, not those of the tuned scalar.
        min_precision: as ``threshold``, the lowest that had this precision on validation.
    """

    vocabulary: str = "open"
    decision: float | Literal["scalar"] | None = None
    favour: Favour | None = None
    nil_bias: float | None = None
    threshold: float | None = None
    min_precision: float | None = None

    def __post_init__(self) -> None:
        if self.min_precision is not None and not 0 < self.min_precision <= 1:
            raise ConfigError(
                f"--min-precision {self.min_precision:g} is out of range; expected more than 0, at most 1"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"--threshold {self.threshold:g} is out of range; expected 0 to 1")
        if self.favour is not None and self.favour not in FAVOURS:
            raise ConfigError(f"--favour {self.favour} is none of {', '.join(FAVOURS)}")
        for name in ("decision", "nil_bias"):
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"--{name.replace('_', '-')} {value:g} is out of range; expected a finite number")
        points = [
            name for name in ("decision", "favour", "threshold", "min_precision") if getattr(self, name) is not None
        ]
        if len(points) > 1:
            names = " and ".join(f"--{name.replace('_', '-')}" for name in points)
            raise ConfigError(f"{names} each say which tags are predicted; give one of them")

    @property
    def list_file(self) -> Path | None:
        """The file of tags that ``vocabulary`` names, if it names one."""
        name = self.vocabulary.removeprefix(SNAP_TO)
        return None if self.vocabulary in NAMED_VOCABULARIES else Path(name)

    @property
    def slug(self) -> str:
        """The options in a file name, ``""`` where nothing is changed: "known", "min-precision-0.9"."""
        kind, colon, file = self.vocabulary.rpartition(":")
        words = [] if self.vocabulary == "open" else [kind] * bool(colon) + [Path(file).name]
        values = (
            (name, getattr(self, name)) for name in ("decision", "favour", "nil_bias", "threshold", "min_precision")
        )
        shown = (
            (name, value if isinstance(value, str) else f"{value:g}") for name, value in values if value is not None
        )
        words += [f"{name.replace('_', '-')}-{value}" for name, value in shown]
        return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")


class _Decision(click.ParamType[float | str]):
    """``scalar`` or a number."""

    name = "decision"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The number, or the word."""
        if value == "scalar" or isinstance(value, float):
            return cast(float | str, value)
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'scalar'.", param, ctx)


tagging_options = together(
    click.option(
        "--vocabulary",
        default="open",
        show_default=True,
        metavar="open|known|snap|FILE",
        help="Which tags may be produced: any; training tags alone; training tags, novel ones replaced by the "
        "nearest (snap:FILE for those of a list); or those of a list, one a line.",
    ),
    click.option(
        "--min-precision",
        type=float,
        metavar="P",
        help="Predict the tags whose score promises this precision, by the run's validation split.",
    ),
    click.option("--threshold", type=float, metavar="S", help="Predict the tags with at least this score."),
    click.option(
        "--decision",
        type=_Decision(),
        metavar="scalar|V",
        help="Decide without the ranker, by what training tuned of the system alone, a classifier's threshold, a generator's "
        "NIL or end bias (scalar); or by another value of that.",
    ),
    click.option(
        "--favour",
        type=click.Choice(FAVOURS),
        help="Which tags to be generous with: rare ones (mean F1 over tags), none (precise: F1 over videos), or what lies "
        "between.  [default: balanced]",
    ),
    click.option(
        "--nil-bias",
        type=float,
        metavar="B",
        help="How willingly a prompt writes a tag instead of none: more of it, more tags.",
    ),
)
"""Which tags are predicted; a command gets them as keyword arguments of :class:`TaggingOptions`."""


LATEST_RUN = Path("runs") / "latest"


BY_OPTION = "with --run DIR"
"""How most commands are told which run to use."""


def find_runs(runs: Sequence[Path], *, named: str = BY_OPTION) -> tuple[Path, ...]:
    """The run folders to use: the given ones, or what ``runs/latest`` points at; ``named`` as in :func:`find_run`.

    Raises:
        RunError: one of them is not there, or is given twice.
    """
    found = tuple(find_run(run, named=named) for run in runs or (None,))
    seen: set[Path] = set()
    for folder in found:
        if folder.resolve() in seen:
            raise RunError(f"{folder} is given twice; name every run once")
        seen.add(folder.resolve())
    return found


def find_run(run: Path | None, *, named: str = BY_OPTION) -> Path:
    """The run folder to use: the given one, or what ``runs/latest`` points at.

    Args:
        named: how a run is named on the command line, for messages.

    Raises:
        RunError: there is no such folder.
    """
    if run is not None:
        if not run.is_dir():
            raise RunError(f"there is no run folder at {run}; runs are made by optsg-train and lie in runs/")
        return run
    target = LATEST_RUN.parent / LATEST_RUN.readlink() if LATEST_RUN.is_symlink() else LATEST_RUN
    if target.is_dir():
        return target
    if target != LATEST_RUN:
        raise RunError(f"{LATEST_RUN} points at {target}, which is not there any more; say which run {named}")
    raise RunError(f"there is no {LATEST_RUN} in this folder; train a run with optsg-train or name one {named}")


def find_evaluation(run: Path, name: str) -> Path:
    """The folder ``run/eval/name``.

    Args:
        name: a split, or what ``optsg-eval`` named the folder after its options.

    Raises:
        RunError: the run was not evaluated so.
    """
    folder = run / "eval" / name
    if folder.is_dir():
        return folder
    others = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.is_dir() else []
    known = f"; it has {', '.join(others)}" if others else ""
    raise RunError(f"{run} has no evaluation {name!r}{known}; make it with: {evaluation_command(run, name)}")


def evaluation_command(run: Path | str, name: str, more: str = "") -> str:
    """The command that makes the folder ``run/eval/name``, with more options; those in the name are not spelled as they were given.

    Args:
        run: the run folder, or what stands for any.
    """
    split, dash, _ = name.partition("-")
    named = f" and the options that {name} is named after" if dash else ""
    return f"optsg-eval --run {run} --split {split}{more}{named}"
