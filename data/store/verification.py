"""Whether a store is whole: its structure, counts, values and digests, and in a folder every sample of every shard.

Beyond that it opens, counts, ids, ranges and finite values are checked. Each check names what is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StoreError
from ..media import FAILURE_STATUSES
from . import schema
from .digests import chunks, digest_problems, file_digest
from .feature_store import NAMES_OF, FeatureStore, open_store
from .hdf5.columns import Column, RaggedColumn
from .row_blocks import RaggedBlock, cut_rows
from .shard_verification import shard_problems
from .shards.index import ShardIndex, read_index

_DAMAGE = (StoreError, OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError)
"""What reading a damaged HDF5 file may raise."""


SHOWN_PROBLEMS = 10
"""Problems that a check names; of the others it gives the number."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: one word.
        looked_at: what it covered, a phrase.
        problems: what is wrong, one sentence each; empty if nothing is.
    """

    name: str
    looked_at: str
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """All checks of one store, in the order in which they were made."""

    path: Path
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong with the store, of all checks."""
        return [problem for check in self.checks for problem in check.problems]


def verify_store(path: Path, progress: Callable[[Check], None] | None = None) -> VerificationReport:
    """Reads a whole store of either form, a block at a time, and says what is wrong with it.

    Args:
        path: the store.
        progress: called after every check.
    """
    checks = []
    for check in _checks(path):
        checks.append(check)
        if progress is not None:
            progress(check)
    return VerificationReport(path=path, checks=tuple(checks))


def _checks(path: Path) -> Iterator[Check]:
    try:
        store = open_store(path)
    except StoreError as error:
        yield Check(name="structure", looked_at="files, columns and offsets", problems=_opening_problems(path, error))
        return
    with store:
        form = "one HDF5 file" if store.index is None else f"tables and shards: {len(store.index.shards):,}"
        yield Check(name="structure", looked_at=f"version {store.version}, {form}", problems=())
        counts = _first_problems(count_problems(store))
        yield Check(name="counts", looked_at=_described_counts(store), problems=counts)
        if counts:
            return  # the checks below take columns of equal length for granted
        yield Check(
            name="ids", looked_at="each once, no failure with features", problems=_first_problems(id_problems(store))
        )
        yield Check(
            name="ranges",
            looked_at="tags, splits, kinds, statuses, texts",
            problems=_first_problems(range_problems(store)),
        )
        yield Check(
            name="finite", looked_at="features, times, embeddings", problems=_first_problems(finite_problems(store))
        )
        yield _digest_check(store)
        if store.index is not None:
            looked_at = "digests, members and .json of every sample"
            problems = _first_problems(_shards(store, store.index))
            yield Check(name="shards", looked_at=looked_at, problems=problems)


def _first_problems(problems: Iterator[str]) -> tuple[str, ...]:
    shown: list[str] = []
    hidden = 0
    try:
        for problem in problems:
            if len(shown) < SHOWN_PROBLEMS:
                shown.append(problem)
            else:
                hidden += 1
    except _DAMAGE as error:
        shown.append(f"it cannot be read on: {error}")
    return (*shown, f"… and {hidden:,} more of this kind") if hidden else tuple(shown)


def _opening_problems(path: Path, error: StoreError) -> tuple[str, ...]:
    """All files that are missing or cut short, not only the one over which opening stumbled."""
    problems: list[str] = []
    if path.is_dir():
        try:
            problems = read_index(path).file_problems(path)
        except StoreError:
            problems = []
    return tuple(problems) or (str(error),)


def _described_counts(store: FeatureStore) -> str:
    frames = int(store.column("videos/frames").lengths().sum())
    return f"{len(store):,} videos, {frames:,} frames, {len(store.tag_keys):,} tags, {len(store.failures):,} failures"


def _digest_check(store: FeatureStore) -> Check:
    if store.version < 2:
        return Check(name="digests", looked_at="none recorded: a store of version 1 has none", problems=())
    try:
        recorded = store.digests()
    except _DAMAGE as error:
        return Check(name="digests", looked_at="none", problems=(f"its digests cannot be read ({error})",))
    problems = _first_problems(digest_problems(store, recorded))
    return Check(name="digests", looked_at=f"{len(recorded):,} arrays", problems=problems)


def _shards(store: FeatureStore, index: ShardIndex) -> Iterator[str]:
    for number, shard in enumerate(index.shards):
        path = store.path / shard.name
        if file_digest(path) != shard.sha256:
            yield f"{path} is not what was written: its digest differs from the one in index.json"
        yield from shard_problems(store, number, path)
    tables = store.path / index.tables.name
    if file_digest(tables) != index.tables.sha256:
        yield f"{tables} is not what was written: its digest differs from the one in index.json"


STAGES = ("read", "decode", "encode")


def count_problems(store: FeatureStore) -> Iterator[str]:
    """Columns of another type, width or length than the schema and the header say."""
    for name, spec in schema.RAGGED_COLUMNS.items():
        column = store.column(name)
        if isinstance(column, RaggedColumn):
            tail = () if spec.width_field is None else (int(getattr(store.header, spec.width_field)),)
            found = (column.values.shape[1:], column.values.dtype.name)
            if found != (tail, spec.dtype):
                yield f"{name} has values of {_form(*found)}, expected {_form(tail, spec.dtype)}"
    yield from _array_problems(store)
    frames, times = store.column("videos/frames").lengths(), store.column("videos/times").lengths()
    for row in np.flatnonzero(frames != times).tolist():
        yield f"{store.id(row)!r} has {frames[row]:,} frames and {times[row]:,} times"


def _array_problems(store: FeatureStore) -> Iterator[str]:
    rows = {name: len(store.column(name)) for name in schema.RAGGED_COLUMNS}
    for group in (schema.FAILURE_COLUMNS, {**schema.TAG_COLUMNS, schema.TAG_TOKENS: schema.TEXT}):
        if len({rows[name] for name in group}) != 1:
            yield f"its columns {', '.join(group)} have different lengths: {', '.join(str(rows[name]) for name in group)}"
    for name, expected in (
        (schema.TAG_EMBEDDING, (rows["tags/key"], store.header.tag_dim)),
        (schema.NIL_EMBEDDING, (store.header.tag_dim,)),
    ):
        if (shape := store.array(name).shape) != expected:
            yield f"{name} has the shape {shape}, expected {expected}"
    for name in (schema.TOKENIZER, schema.TEXT_CONFIG):
        if not store.array(name).size:
            yield f"{name} is empty"
    for name, dtype in schema.FIXED_COLUMNS.items():
        if (values := store.fixed(name)).dtype.name != dtype:
            yield f"{name} has values of {values.dtype.name}, expected {dtype}"


def _form(tail: tuple[int, ...], dtype: str) -> str:
    return " × ".join([dtype, *map(str, tail)])


def id_problems(store: FeatureStore) -> Iterator[str]:
    """Ids that occur more than once, or among videos and failures."""
    seen: set[str] = set()
    for video_id in store.ids():
        if video_id in seen:
            yield f"the id {video_id!r} occurs more than once"
        seen.add(video_id)
    failed: set[str] = set()
    for failure in store.failures:
        if failure.id in seen:
            yield f"{failure.id!r} is among the failures though it has features"
        if failure.id in failed:
            yield f"{failure.id!r} is among the failures more than once"
        failed.add(failure.id)


def range_problems(store: FeatureStore) -> Iterator[str]:
    """Numbers that stand for nothing, digests of another length, bytes that are no text."""
    for name, names in NAMES_OF.items():
        values = store.fixed(name)
        for row in np.flatnonzero(values >= len(names)).tolist():
            yield f"{store.id(row)!r} has the number {values[row]} in {name}, expected less than {len(names)}"
    for start, block in _value_blocks(store.column("videos/tags"), np.dtype("int32")):
        wrong = (block.values < 0) | (block.values >= len(store.tag_keys))
        for row in _rows_of(wrong, block.lengths, start):
            yield f"{store.id(row)!r} has a tag that is not in the tag table of {len(store.tag_keys):,}"
    digests = store.column("videos/digest").lengths()
    for row in np.flatnonzero((digests != 0) & (digests != hashlib.sha256().digest_size)).tolist():
        yield f"{store.id(row)!r} has a source digest of {digests[row]} bytes"
    for failure in store.failures:
        if failure.stage not in STAGES or failure.status not in FAILURE_STATUSES:
            yield f"the failure of {failure.id!r} has an unknown stage or status: {failure.stage}, {failure.status}"
    for name, spec in schema.RAGGED_COLUMNS.items():
        if spec is schema.TEXT:
            yield from _undecodable(store, name)


def _undecodable(store: FeatureStore, name: str) -> Iterator[str]:
    for start, block in _value_blocks(store.column(name), np.dtype("uint8")):
        ends = np.cumsum(block.lengths)[:-1]
        firsts = block.values[ends[ends < len(block.values)]]
        # All rows at once: the whole is UTF-8, and no row begins in the middle of a character.
        if not _is_utf8(block.values.tobytes()) or np.any((firsts & 0xC0) == 0x80):
            for row, raw in enumerate(block.bytes(), start=start):
                if not _is_utf8(raw):
                    yield f"row {row:,} of {name} is not UTF-8"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def finite_problems(store: FeatureStore) -> Iterator[str]:
    """Features, times, embeddings and weights with NaN or infinity."""
    for name in ("videos/frames", "videos/patches", "videos/times"):
        spec = schema.VIDEO_COLUMNS[name]
        width = 1 if spec.width_field is None else int(getattr(store.header, spec.width_field))
        for start, block in _value_blocks(store.column(name), np.dtype(spec.dtype), width):
            wrong = ~np.isfinite(block.values)
            rows: NDArray[np.bool_] = np.any(wrong, axis=tuple(range(1, wrong.ndim)))
            for row in _rows_of(rows, block.lengths, start):
                yield f"{name} of {store.id(row)!r} has values that are not finite"
    for name in (schema.TAG_EMBEDDING, schema.NIL_EMBEDDING):
        if not all(np.isfinite(chunk).all() for chunk in chunks(store.array(name))):
            yield f"{name} has values that are not finite"
    for name, weight in store.title_encoder_weights(finite=False).items():
        if not np.isfinite(weight).all():
            yield f"{schema.TEXT_WEIGHTS}/{name} has values that are not finite"


def _value_blocks(column: Column, dtype: np.dtype[Any], width: int = 1) -> Iterator[tuple[int, RaggedBlock]]:
    """First row and rows of consecutive blocks of a column."""
    sizes = column.lengths() * (dtype.itemsize * width) + 1
    for start, stop in cut_rows(sizes):
        yield start, column.block(start, stop)
        column.release()


def _rows_of(wrong: NDArray[np.bool_], lengths: NDArray[np.int64], start: int) -> list[int]:
    """Rows that have a wrong value."""
    places = np.flatnonzero(wrong)
    rows: NDArray[np.int64] = np.unique(np.searchsorted(np.cumsum(lengths), places, side="right"))
    return [start + row for row in rows.tolist()]
