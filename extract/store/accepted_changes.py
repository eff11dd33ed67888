"""``optsg-store relabel --aliases``: tags of a finished store merged, taken away and put under others, as a person accepted it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.media import SPLITS
from ...data.store import FeatureStore, open_store
from ...data.store.files import locked_store
from ...data.store.relabeling import Labels, relabel_store
from ...data.store.writing import Progress
from ...data.tags import tag_key
from ...data.vocabulary.decisions import Decisions, read_decisions
from ..encoders.text_encoder import text_maker
from .relabel import Relabelled

ROWS_AT_ONCE = 1 << 14
"""Videos whose tags are looked at together."""


def apply_accepted(path: Path, accepted: Path, *, device: str = "auto", progress: Progress | None = None) -> Relabelled:
    """Applies accepted proposals (:mod:`optsg.data.vocabulary`) to all videos of a store.

    Args:
        path: a finished store of either form; it stays as it is until the new one is whole.
        accepted: CSV of proposals; rows whose column ``accept`` says yes count.
        device: of the text encoder, which is opened where there are new tags.
        progress: called with numbers of videos while they are written.

    Raises:
        InputError: the CSV cannot be read or contradicts itself, or accepts nothing.
        StoreError: it is no store, or damaged, or another process is writing it.
        EncoderError: the store's text encoder cannot be had.
    """
    decisions = read_decisions(accepted)
    if not decisions:
        raise InputError(f"{accepted} accepts nothing; write yes into the column accept of the rows that are right")

    with locked_store(path):
        with open_store(path) as store:
            done = Relabelled(videos=len(store))
            changes = changed_labels(store, decisions)
        if changes:
            done.changed = done.counts["tags"] = len(changes)
            done.new_tags = relabel_store(path, changes, make_text=text_maker(device), progress=progress)
    return done


def changed_labels(store: FeatureStore, decisions: Decisions) -> dict[str, Labels]:
    """The labels, by id, of videos whose tags change; one that is left without tags is in no split."""
    touched = {*decisions.merged, *decisions.removed, *decisions.parents}
    is_touched = np.array([key in touched for key in store.tag_keys], np.bool_)
    changes: dict[str, Labels] = {}
    for row, numbers in _videos_with(store, is_touched):
        before = tuple(store.tag_spellings[tag] for tag in numbers)
        tags = decisions.tags(before)
        if [*map(tag_key, tags)] != [*map(tag_key, before)]:
            split = SPLITS[int(store.splits[row])] if tags else "none"
            changes[store.id(row)] = Labels(title=store.title(row), tags=tags, split=split)
    return changes


def _videos_with(store: FeatureStore, is_wanted: NDArray[np.bool_]) -> Iterable[tuple[int, list[int]]]:
    """Rows that have one of some tags, with the numbers of all their tags."""
    for start in range(0, len(store), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(store)))
        for row, numbers in zip(rows.tolist(), store.tags_of(rows), strict=True):
            if is_wanted[numbers].any():
                yield row, numbers.tolist()
