"""The one exception tree of optsg.

::

    OptsgError
    ├── InputError          the folder, shards or metadata to read cannot be used
    ├── DecodeError         one video or image cannot be decoded (recorded as a failure)
    ├── EncoderError        an encoder or its weights cannot be had
    ├── StoreError          a feature store is missing, damaged or does not fit
    │   ├── StoreVersionError   it was written by a newer optsg
    │   └── StoreWriteError     it cannot be written (a full disk, no permission)
    ├── ClusterError        a Ray cluster cannot be had, or its workers cannot do the work
    ├── RunError            a run folder is missing a file or does not fit
    │   └── DivergedError       a training's loss is no finite number any more
    └── ConfigError         a setting is out of range or unknown

A message is one sentence or two: the path, what was found, what was expected, what to do.
The commands print it without a traceback (``-v`` adds one) and exit with code 1. It is one line whatever the names and
texts in it hold: :class:`OptsgError` puts spaces in the place of line ends and other control characters.
"""

from __future__ import annotations

import re

LONGEST_REASON = 300
"""Characters of what a library says of a damaged file."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class OptsgError(Exception):
    """Base of every error that optsg raises on purpose."""

    def __str__(self) -> str:
        return _CONTROL.sub(" ", super().__str__())


def reason_of(error: BaseException) -> str:
    """What an error of a library says, for a sentence of our own: its first line, and of that not more than a reader can use."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = str(said).strip().splitlines()
    return lines[0][:LONGEST_REASON] if lines else type(error).__name__


class InputError(OptsgError):
    """The folder, shards or metadata to read cannot be used."""


class DecodeError(OptsgError):
    """One video or image cannot be decoded; extraction records it and goes on."""


class EncoderError(OptsgError):
    """A frozen encoder or its weights cannot be had."""


class StoreError(OptsgError):
    """A feature store is missing, damaged, or does not fit what is asked of it."""


class StoreVersionError(StoreError):
    """A feature store was written by a newer version of optsg."""


class StoreWriteError(StoreError):
    """A feature store cannot be written, for instance because the disk is full."""


class ClusterError(OptsgError):
    """A Ray cluster cannot be had, or its workers cannot do the work."""


class RunError(OptsgError):
    """A run folder is missing a file or does not fit the data."""


class DivergedError(RunError):
    """A training's loss, or what it is computed from, is no finite number any more."""

    def __init__(self) -> None:
        super().__init__(
            "the training has diverged: its loss is no finite number any more; begin again with lower rates "
            "(--set learning_rate=R, --set pretrained_learning_rate=R)"
        )


class ConfigError(OptsgError):
    """A setting is unknown or out of range."""


def counted(count: int, noun: str) -> str:
    """``1 tag``, ``1,200 tags``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
