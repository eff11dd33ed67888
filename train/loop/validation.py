"""Validation: the losses and the scores of predicted tags on the validation split, for every system.

The processes take turns at the batches, which are whole ones, and each is told what all have found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import Batch, collate, reading_ahead, sequential_batches
from ...data.metrics import Scores, score_predictions
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ..confidence.rated_tags import MOST_CANDIDATES, RatedTags, rate_tags
from ..objective.shares import alone
from ..systems.system import System
from .processes import Processes

T = TypeVar("T")


class Validator:
    """Scores a system on one split of a store.

    Args:
        rows: the split's videos.
        system: its model may change between calls.
        between: called before every batch, by all processes as often; what it raises ends the validation.
    """

    def __init__(
        self,
        store: FeatureStore,
        rows: NDArray[np.int64],
        system: System,
        batch_size: int,
        processes: Processes,
        *,
        between: Callable[[], None] = lambda: None,
    ):
        self._store = store
        # Sorted by visual length, so that little of a batch is padding; scores do not depend on the order.
        self._rows = rows[np.argsort(store.visual_lengths()[rows], kind="stable")]
        self._system = system
        self._batches = list(sequential_batches(self._rows, batch_size))
        self._processes = processes
        self._between = between
        self._true = [[store.tag_keys[tag] for tag in store.tags(int(row))] for row in self._rows]

    def _by_batch(self, compute: Callable[[Batch], T]) -> list[T]:
        """What ``compute`` gives for every batch, in order."""
        processes = self._processes
        found: list[tuple[int, T]] = []
        own = reading_ahead(self._store, self._batches[processes.index :: processes.count])
        with alone():
            for start in range(0, len(self._batches), processes.count):
                self._between()
                number = start + processes.index
                if number < len(self._batches):
                    batch = collate(self._store, next(own)).to(processes.device)
                    found.append((number, compute(batch)))
        return [result for _, result in sorted(processes.gather(found), key=itemgetter(0))]

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Mean loss over the split and its parts by name, with as little drawn at random as the system allows."""
        self._system.model.eval()
        sums: dict[str, float] = {}
        found = self._by_batch(lambda batch: self._system.losses(batch, np.random.default_rng(0)).values())
        for rows, values in zip(self._batches, found, strict=True):
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + len(rows) * value
        return {name: value / len(self._rows) for name, value in sums.items()}

    def scores_by_value(self, values: Sequence[float]) -> dict[float, Scores]:
        """Metrics of the predicted tags by value of the tuned scalar, in the given order."""
        self._system.model.eval()
        key = cache(tag_key)  # at a low threshold a classifier predicts each tag very often

        def predict(batch: Batch) -> list[list[list[str]]]:
            by_value = self._system.predict_each(batch, values)
            return [[[key(tag.text) for tag in tags] for tags in videos] for videos in by_value]

        found = self._by_batch(predict)
        known = self._system.tag_table.count_of
        return {
            value: score_predictions(self._true, [tags for batch in found for tags in batch[number]], known)
            for number, value in enumerate(values)
        }

    def candidates(self) -> RatedTags:
        """Predicted tags at the most permissive value of the tuned scalar, for calibration."""
        self._system.model.eval()
        value = self._system.permissive

        def predict(batch: Batch) -> list[list[PredictedTag]]:
            return [tags[:MOST_CANDIDATES] for tags in self._system.predict(batch, value)]

        return rate_tags(self._true, [tags for batch in self._by_batch(predict) for tags in batch])


def full_f1(scores: Scores) -> float:
    """The number that checkpoints and the tuned scalar are chosen by."""
    return scores["label_based"]["full"]["f1"]
