"""Gives a trained run examples and tags without training it, and takes them back.

Its memory holds the examples from then on, its linear probe has learned them in closed form, and all sources score the new
tags. One process at a time changes a run; whoever opens it meanwhile sees it as it was before or as it is after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.batching import collate, reading_ahead, sequential_batches
from ...data.errors import RunError
from ...data.store import FeatureStore
from ...data.tag_table import TagRow, TagTable
from ...data.whole_files import lock_out
from ..config import RunConfig
from ..ranking.fit import FEWEST_VIDEOS
from ..recall.additions import Additions, Round
from ..recall.sources import RecallSources
from ..recall.summary import BATCH
from ..run_files import ADDITIONS, RANKER, RECALL, TAG_TABLE, check_finished, read_config, read_tokenizer
from ..system_names import FITTED_SYSTEMS

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""How many videos -> a context that yields a function to be told how many more are done."""


@dataclass(frozen=True, kw_only=True)
class AddedExamples:
    """How many examples and tags an addition brought, and what was left out of it.

    Attributes:
        videos: examples that were added.
        replaced: those of them whose video was remembered before, with other tags.
        known: videos that are remembered with the same tags already, and were left out.
        untagged: videos without tags, likewise.
        tags: spellings of the new tags.
    """

    videos: int
    replaced: int
    known: int
    untagged: int
    tags: tuple[str, ...]


def check_remembers(run: Path) -> RunConfig:
    """The settings of a run that can be given examples.

    Raises:
        RunError: it is not finished, or neither its ranker nor its system reads a memory.
    """
    check_finished(run)
    config = read_config(run)
    if not (run / RECALL).is_file() or (config.system not in FITTED_SYSTEMS and not (run / RANKER).is_file()):
        raise RunError(
            f"{run} has no ranker that would read a memory, so that it cannot be given examples; train it on a store "
            f"with at least {FEWEST_VIDEOS} validation videos, or train --system memory"
        )
    return config


def add_examples(run: Path, store: FeatureStore, rows: NDArray[np.int64], *, progress: Progress) -> AddedExamples:
    """Adds videos of a store, which fits the run.

    Args:
        rows: the videos.
        progress: shows how far reading them is.

    Raises:
        RunError: the run takes no examples, a file is damaged or cannot be written, or another process is changing it.
    """
    with _changing(run):
        sources, additions = _open(run)
        new = _new_examples(store, rows, sources)
        if len(new.rows):
            vectors = _summaries(store, new.rows, sources, progress)
            ids = [store.id(int(row)) for row in new.rows]
            found = (new.tags, new.had, new.tag_rows, new.embeddings(store))
            additions.with_round(str(store.path), ids, vectors, *found).save(run)
    return AddedExamples(
        videos=len(new.rows),
        replaced=sum(tags is not None for tags in new.had),
        known=new.known,
        untagged=new.untagged,
        tags=tuple(row.spelling for row in new.tag_rows),
    )


def undo_addition(run: Path) -> Round:
    """Takes the last addition back.

    Raises:
        RunError: nothing was added, the file is damaged, or another process is changing the run.
    """
    check_finished(run)
    with _changing(run):
        additions = Additions.load(run)
        if additions is None:
            raise RunError(f"{run} was given no examples after training: there is nothing to undo")
        additions.without_last_round().save(run)
    return additions.rounds[-1]


@contextmanager
def _changing(run: Path) -> Iterator[None]:
    check_finished(run)
    with lock_out(
        run / ADDITIONS, RunError, busy="is being changed by another process; try again when it has finished"
    ):
        yield


def _open(run: Path) -> tuple[RecallSources, Additions]:
    """The run's sources as they are, and what was added to them."""
    config = check_remembers(run)
    table, tokenizer = TagTable.load(run / TAG_TABLE), read_tokenizer(run)
    sources = RecallSources.load(run, table, tokenizer, config.model.modality)
    none = Additions.none(len(table), sources.memory.width, sources.embeddings.shape[1])
    return sources, Additions.load(run) or none


@dataclass(frozen=True, kw_only=True)
class _NewExamples:
    """Videos to add: their rows, columns of their tags and of those they had; new tags, and their numbers in the store."""

    rows: NDArray[np.int64]
    tags: Sequence[Sequence[int]]
    had: Sequence[Sequence[int] | None]
    tag_rows: Sequence[TagRow]
    tag_numbers: Sequence[int]
    known: int
    untagged: int

    def embeddings(self, store: FeatureStore) -> NDArray[np.float32]:
        """(N, E) of the new tags."""
        found: NDArray[np.float32] = np.array(store.tag_embeddings)[np.array(self.tag_numbers, np.int64)]
        return found


def _new_examples(store: FeatureStore, rows: NDArray[np.int64], sources: RecallSources) -> _NewExamples:
    table, keys = sources.tag_table, store.tag_keys
    column_of = dict(table.column_of)
    numbers: list[int] = []
    kept: list[tuple[int, list[int], list[int] | None]] = []
    known = untagged = 0
    for row in rows.tolist():
        own = store.tags(row).tolist()
        before = sources.memory.tags_of(store.id(row))
        if not own:
            untagged += 1
        elif before is not None and {keys[tag] for tag in own} == {table.keys[column] for column in before}:
            known += 1
        else:
            for tag in own:
                if keys[tag] not in column_of:
                    column_of[keys[tag]] = len(column_of)
                    numbers.append(tag)
            kept.append((row, sorted({column_of[keys[tag]] for tag in own}), before))
    return _NewExamples(
        rows=np.array([row for row, _, _ in kept], np.int64),
        tags=[tags for _, tags, _ in kept],
        had=[before for _, _, before in kept],
        tag_rows=[TagRow(keys[n], store.tag_spellings[n], tuple(store.tag_tokens(n).tolist())) for n in numbers],
        tag_numbers=numbers,
        known=known,
        untagged=untagged,
    )


def _summaries(
    store: FeatureStore, rows: NDArray[np.int64], sources: RecallSources, progress: Progress
) -> NDArray[np.float32]:
    """(videos, W)."""
    parts = []
    with progress(len(rows)) as advance:
        for numbers in reading_ahead(store, list(sequential_batches(rows, BATCH))):
            parts.append(sources.summarizer.summarize(collate(store, numbers)).vectors)
            advance(len(numbers))
    return np.concatenate(parts)
