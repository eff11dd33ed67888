"""What a store must be like beyond that it opens: counts, ids, ranges and finite values. Each check names what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import FAILURE_STATUSES, FEATURE_STATUSES, SPLITS
from . import schema
from .digests import chunks
from .feature_store import FeatureStore
from .hdf5_columns import Column, RaggedColumn
from .row_blocks import RaggedBlock, cut_rows

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
    columns: tuple[tuple[str, Sequence[str]], ...] = (
        ("videos/split", SPLITS),
        ("videos/kind", schema.KINDS),
        ("videos/status", FEATURE_STATUSES),
    )
    for name, names in columns:
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
    for name, weight in store.title_encoder_weights().items():
        if not np.isfinite(weight).all():
            yield f"{schema.TEXT_WEIGHTS}/{name} has values that are not finite"


def _value_blocks(column: Column, dtype: np.dtype[Any], width: int = 1) -> Iterator[tuple[int, RaggedBlock]]:
    """First row and rows of consecutive blocks of a column."""
    sizes = column.lengths() * (dtype.itemsize * width) + 1
    for start, stop in cut_rows(np.ones(len(column), np.bool_), sizes):
        yield start, column.block(start, stop)
        column.release()


def _rows_of(wrong: NDArray[np.bool_], lengths: NDArray[np.int64], start: int) -> list[int]:
    """Rows that have a wrong value."""
    places = np.flatnonzero(wrong)
    rows: NDArray[np.int64] = np.unique(np.searchsorted(np.cumsum(lengths), places, side="right"))
    return [start + row for row in rows.tolist()]
