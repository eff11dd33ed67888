"""Validation: the losses and the scores of predicted tags on the validation split, for every system."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.batching import Batch, collate, sequential_batches
from ..data.metrics import Scores, score_predictions
from ..data.store import FeatureStore
from ..data.tags import tag_key
from .confidence.rated_tags import RatedTags, rate_tags
from .systems.system import System


class Validator:
    """Scores a system on one split of a store.

    Args:
        rows: the split's videos.
        system: its model may change between calls.
    """

    def __init__(
        self, store: FeatureStore, rows: NDArray[np.int64], system: System, device: torch.device, batch_size: int
    ):
        self._store = store
        # Sorted by visual length, so that little of a batch is padding; scores do not depend on the order.
        self._rows = rows[np.argsort(store.visual_lengths()[rows], kind="stable")]
        self._system = system
        self._device = device
        self._batch_size = batch_size
        self._true = [[store.tag_keys[tag] for tag in store.tags(int(row))] for row in self._rows]

    def _batches(self) -> list[Batch]:
        return [
            collate(self._store, rows).to(self._device) for rows in sequential_batches(self._rows, self._batch_size)
        ]

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Mean loss over the split and its parts by name, with as little drawn at random as the system allows."""
        self._system.model.eval()
        rng = np.random.default_rng(0)
        sums: dict[str, float] = {}
        for batch in self._batches():
            for name, value in self._system.losses(batch, rng).values().items():
                sums[name] = sums.get(name, 0.0) + len(batch) * value
        return {name: value / len(self._rows) for name, value in sums.items()}

    def scores_by_value(self, values: Sequence[float]) -> dict[float, Scores]:
        """Metrics of the predicted tags by value of the tuned scalar, in the given order."""
        self._system.model.eval()
        predicted: dict[float, list[list[str]]] = {value: [] for value in values}
        key = cache(tag_key)  # at a low threshold a classifier predicts each tag very often
        for batch in self._batches():
            for value, videos in zip(values, self._system.predict_each(batch, values), strict=True):
                predicted[value] += [[key(tag.text) for tag in tags] for tags in videos]
        known = self._system.tag_table.count_of
        return {value: score_predictions(self._true, keys, known) for value, keys in predicted.items()}

    def candidates(self) -> RatedTags:
        """Predicted tags at the most permissive value of the tuned scalar, for calibration."""
        self._system.model.eval()
        value = self._system.permissive
        predicted = [tags for batch in self._batches() for tags in self._system.predict(batch, value)]
        return rate_tags(self._true, predicted)


def full_f1(scores: Scores) -> float:
    """The number that checkpoints and the tuned scalar are chosen by."""
    return scores["label_based"]["full"]["f1"]
