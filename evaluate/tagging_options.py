"""How tags are to be predicted, as a person says it: the options that ``optsg-tag`` and ``optsg-eval`` share.

Nothing here needs PyTorch; :mod:`optsg.evaluate.open_tagger` makes the tagger.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from ..data.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., object])

NAMED_VOCABULARIES = ("open", "known", "snap")
SNAP_TO = "snap:"
"""What stands before the file of tags that novel ones are replaced by."""


@dataclass(frozen=True, kw_only=True)
class TaggingOptions:
    """Options of ``optsg-tag`` and ``optsg-eval``; the defaults are the run as it was tuned.

    Attributes:
        vocabulary: ``open``, ``known``, ``snap``, ``snap:FILE`` or a file (:mod:`optsg.data.vocabulary_list`).
        decision: another value of the system's tuned scalar.
        nil_bias: how willingly a prompt writes a tag instead of none.
        threshold: the least score; the tags are then all that have it, not those of the tuned scalar.
        min_precision: as ``threshold``, the lowest that had this precision on validation.
    """

    vocabulary: str = "open"
    decision: float | None = None
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
        points = [name for name in ("decision", "threshold", "min_precision") if getattr(self, name) is not None]
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
        values = ((name, getattr(self, name)) for name in ("decision", "nil_bias", "threshold", "min_precision"))
        words += [f"{name.replace('_', '-')}-{value:g}" for name, value in values if value is not None]
        return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")


def tagging_options(command: Command) -> Command:
    """Adds the options to a command, which gets them as keyword arguments of :class:`TaggingOptions`."""
    for option in reversed(
        (
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
                type=float,
                metavar="V",
                help="Another value of what training tuned: a classifier's threshold, a generator's NIL or end bias.",
            ),
            click.option(
                "--nil-bias",
                type=float,
                metavar="B",
                help="How willingly a prompt writes a tag instead of none: more of it, more tags.",
            ),
        )
    ):
        command = option(command)
    return command
