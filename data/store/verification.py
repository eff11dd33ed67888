"""Whether a store is whole: its structure, counts, values and digests, and in a folder every sample of every shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from .checks import count_problems, finite_problems, id_problems, range_problems
from .digests import digest_problems, file_digest
from .feature_store import FeatureStore, open_store
from .shard_index import ShardIndex, read_index
from .shard_verification import shard_problems

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
        """Everything that is wrong."""
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
