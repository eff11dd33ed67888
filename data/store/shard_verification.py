"""Whether a shard holds exactly the samples that the store's tables say, at the places that they say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import reason_of
from ..foreign.json_reader import SMALL_FILE, parse_json
from ..foreign.tar_reader import TAR_DAMAGE, TarReader, open_tar
from . import schema
from .feature_store import FeatureStore
from .row_blocks import BLOCK_ROWS, RaggedBlock, RowBlock
from .shards.writing import Samples, sample_key

_NPY_MAGIC = b"\x93NUMPY\x01\x00"


def shard_problems(store: FeatureStore, number: int, path: Path) -> Iterator[str]:
    """What is wrong with one shard; a shard is left at the first sample that does not fit."""
    numbers = store.array(schema.SHARD_NUMBER)
    rows = np.flatnonzero(np.asarray(numbers) == number)
    assert store.index is not None
    if len(rows) != store.index.shards[number].samples:
        yield f"{path} holds {len(rows):,} videos by the tables, {store.index.shards[number].samples:,} by index.json"
        return
    try:
        with open_tar(path) as tar:
            yield from _sample_problems(store, rows.tolist(), path, tar)
    except TAR_DAMAGE as error:
        yield f"{path} is damaged or not a tar file ({reason_of(error)})"


def _sample_problems(store: FeatureStore, rows: list[int], path: Path, tar: TarReader) -> Iterator[str]:
    samples = Samples(store.tag_spellings)
    places = {name: store.array(schema.shard_offset(name)) for name in schema.MEMBERS}
    for first in range(0, len(rows), BLOCK_ROWS):
        block_rows = rows[first : first + BLOCK_ROWS]
        if block_rows[-1] - block_rows[0] != len(block_rows) - 1:
            yield f"{path}: its videos do not follow each other in the tables"
            return
        block = _light_block(store, block_rows[0], block_rows[-1] + 1)
        for row, record in zip(block_rows, samples.records(block), strict=True):
            for name, suffix in _expected_members(store, row):
                place = None if name is None else int(places[name][row])
                problem = _member_problem(store, row, name, suffix, place, record, tar)
                if problem:
                    yield f"{path}: {problem}"
                    return
    if tar.next() is not None:
        yield f"{path} has members after its last video"


def _light_block(store: FeatureStore, start: int, stop: int) -> RowBlock:
    """What a sample's ``.json`` is made of, without the values that lie in the shard."""
    ragged = {}
    for name in schema.VIDEO_COLUMNS:
        column = store.column(name)
        if name in schema.MEMBERS:
            ragged[name] = RaggedBlock(values=np.empty(0), lengths=column.lengths(start, stop))
        else:
            ragged[name] = column.block(start, stop)
    return RowBlock(ragged=ragged, fixed={name: store.fixed(name)[start:stop] for name in schema.FIXED_COLUMNS})


def _expected_members(store: FeatureStore, row: int) -> list[tuple[str | None, str]]:
    """Column and suffix of the members that a sample has, in the order of the tar; the ``.json`` has no column."""
    found: list[tuple[str | None, str]] = [
        (name, suffix) for name, suffix in schema.MEMBERS.items() if len(store.column(name)[row])
    ]
    return sorted([*found, (None, "json")], key=lambda member: member[1])


def _member_problem(
    store: FeatureStore,
    row: int,
    name: str | None,
    suffix: str,
    place: int | None,
    record: dict[str, Any],
    tar: TarReader,
) -> str:
    """What is wrong with the next member of the tar; empty if it is the right one."""
    video_id = record["id"]
    expected = f"{sample_key(video_id)}.{suffix}"
    member = tar.next()
    if member is None or member.name != expected:
        found = "the end of the archive" if member is None else repr(member.name)
        return f"{found} where {expected!r} of {video_id!r} is due"
    stream = tar.open(member)
    if stream is None:
        return f"{expected!r} of {video_id!r} is no file"
    if name is None:
        return "" if _json_of(stream) == record else f"the .json of {video_id!r} says something else than the tables"
    values = store.column(name)[row]
    header = _npy_header_bytes(stream, values) if suffix.endswith(".npy") else 0
    if header is None or place != member.offset_data + header or member.size != header + values.nbytes:
        return f"{expected!r} of {video_id!r} is not the array of the tables, or lies at another place"
    return ""


def _json_of(stream: IO[bytes]) -> Any:
    """What a sample's ``.json`` says; a ``ValueError`` where it is longer than one that optsg wrote can be."""
    text = stream.read(SMALL_FILE + 1)
    if len(text) > SMALL_FILE:
        raise ValueError(f"a .json of more than {SMALL_FILE:,} bytes")
    return parse_json(text, finite=False)


def _npy_header_bytes(stream: IO[bytes], values: np.ndarray[Any, Any]) -> int | None:
    """Length of an ``.npy`` header; ``None`` if it announces an array of another shape or type."""
    start = stream.read(len(_NPY_MAGIC) + 2)
    length = int.from_bytes(start[len(_NPY_MAGIC) :], "little")
    expected = {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
    try:
        announced = ast.literal_eval(stream.read(length).decode("latin-1"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return len(start) + length if start.startswith(_NPY_MAGIC) and announced == expected else None
