"""What goes through Ray: blocks of inputs, and blocks of what they gave. Needs no Ray."""

from __future__ import annotations

import contextlib
import itertools
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...data.errors import OptsgError
from ...data.inputs import Inputs
from ...data.media import Failure, MediaItem
from ...data.store.schema import VideoFeatures
from ..parts import DoneInputs

INPUTS_PER_BLOCK = 256
"""What is done again where a worker is lost, at most."""


@dataclass(frozen=True, kw_only=True)
class InputBlock:
    """Inputs that follow each other; ``error`` is set where reading them went wrong, and is then the last."""

    inputs: list[MediaItem | Failure]
    error: OptsgError | None = None


@dataclass(frozen=True, kw_only=True)
class ResultBlock:
    """What the inputs of a block gave, in their order, and wall time in and before the image encoder."""

    results: list[VideoFeatures | Failure] = field(default_factory=list)
    error: OptsgError | None = None
    encode_seconds: float = 0.0
    wait_seconds: float = 0.0


def cut_blocks(inputs: Inputs, done: DoneInputs, folder: Path, size: int) -> Iterator[InputBlock]:
    """Inputs that are not done, ``size`` a block; ``folder`` is where relative paths begin."""
    try:
        with contextlib.chdir(folder):
            remaining = (_with_absolute_path(item) for item in inputs if item not in done)
            while block := list(itertools.islice(remaining, size)):
                yield InputBlock(inputs=block)
    except OptsgError as error:
        yield InputBlock(inputs=[], error=error)


def _with_absolute_path(item: MediaItem | Failure) -> MediaItem | Failure:
    """Workers run in other folders."""
    if isinstance(item, Failure) or isinstance(item.payload, bytes):
        return item
    if isinstance(item.payload, Path):
        return replace(item, payload=item.payload.absolute())
    return replace(item, payload=replace(item.payload, path=item.payload.path.absolute()))


def to_table(block: InputBlock | ResultBlock) -> Any:
    """A table of one row."""
    return pa.table({"block": pa.array([pickle.dumps(block, protocol=5)], pa.large_binary())})


def from_table(table: Any) -> Iterator[Any]:
    """The blocks of a table, one a row."""
    for row in table.column("block"):
        yield pickle.loads(row.as_buffer())  # noqa: S301 (our own, from the same cluster)
