"""Validation: the losses and the scores of predicted tags on the validation split, for every system.

The processes take turns at the batches, which are whole ones, and each is told what all have found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from ..confidence.few_videos import F1Pair, weight_of_tags
from ..confidence.rated_tags import MOST_CANDIDATES, RatedTags, rate_tags
from ..systems.system import System
from .processes import Processes

T = TypeVar("T")


LOSS_GAIN = 1e-3
"""The share by which a loss must be lower to count as lower."""


@dataclass(frozen=True, kw_only=True)
class Rank:
    """What checkpoints are chosen by: F1, among equal ones example-based F1, among equal ones the loss.

    Where a few videos validate, many epochs have the same scores, at first 0; the loss still tells them apart.

    Attributes:
        f1: full F1, and where few videos validate example-based F1 with it
            (:func:`~optsg.train.confidence.few_videos.weight_of_tags`).
    """

    f1: float
    example_f1: float
    loss: float

    def is_above(self, other: Rank) -> bool:
        """Whether a checkpoint of this rank is the better one."""
        scores, others = (self.f1, self.example_f1), (other.f1, other.example_f1)
        return scores > others or (scores == others and self.loss < (1 - LOSS_GAIN) * other.loss)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a validation found.

    Attributes:
        losses: the mean loss as ``loss``, and its parts by name.
        value: the best of the scalar's values.
        scores: with that value.
        rank: what checkpoints are chosen by.
    """

    losses: Mapping[str, float]
    value: float
    scores: Scores
    rank: Rank

    @property
    def full_f1(self) -> float:
        """Label-based full F1, 0 to 1: the mean over tags."""
        return self.scores["label_based"]["full"]["f1"]

    def logged(self) -> dict[str, float]:
        """Losses and scores by their names in the log."""
        return {
            **{f"val_{name}": loss for name, loss in self.losses.items()},
            "val_full_f1": self.full_f1,
            "val_rare_f1": self.scores["label_based"]["rare"]["f1"],
            "val_common_f1": self.scores["label_based"]["common"]["f1"],
            "val_example_f1": self.scores["example_based"]["f1"],
        }

    def __str__(self) -> str:
        return (
            f"validation loss {self.losses['loss']:.3f}, full F1 {100 * self.full_f1:.1f}, "
            f"example-based F1 {100 * self.scores['example_based']['f1']:.1f}"
        )


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
        for start in range(0, len(self._batches), processes.count):
            self._between()
            number = start + processes.index
            if number < len(self._batches):
                batch = collate(self._store, next(own)).to(processes.device)
                found.append((number, compute(batch)))
        return [result for _, result in sorted(processes.gather(found), key=itemgetter(0))]

    def validate(self) -> Validation:
        """Losses, and the scores with the best of the values that are tried during training; alike in all processes."""
        losses = self.losses()
        by_value = self.scores_by_value(self._system.scalar.during_training)
        # Where processors differ, so may last digits; what follows from them must not.
        losses, by_value = self._processes.by_main(lambda: (losses, by_value))
        weight = weight_of_tags(self.videos)
        f1 = {value: F1Pair.of(scores) for value, scores in by_value.items()}
        value = max(f1, key=lambda tried: f1[tried].mean(weight))
        rank = Rank(f1=f1[value].mean(weight), example_f1=f1[value].videos, loss=losses["loss"])
        return Validation(losses=losses, value=value, scores=by_value[value], rank=rank)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Mean loss over the split and its parts by name, with as little drawn at random as the system allows."""
        self._system.model.eval()
        sums: dict[str, float] = {}
        found = self._by_batch(lambda batch: self._system.losses(batch, np.random.default_rng(0)).numbers())
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

    @property
    def videos(self) -> int:
        """Number of videos that validate."""
        return len(self._rows)

    def labelled_batches(self) -> Iterator[tuple[Batch, list[frozenset[str]]]]:
        """All batches, whatever the number of processes, with the keys of every video's annotated tags."""
        self._system.model.eval()
        first = 0
        for rows in reading_ahead(self._store, self._batches):
            truth = [frozenset(keys) for keys in self._true[first : first + len(rows)]]
            first += len(rows)
            yield collate(self._store, rows).to(self._processes.device), truth

    def candidates(self) -> RatedTags:
        """Predicted tags at the most permissive value of the tuned scalar, for calibration."""
        self._system.model.eval()
        value = self._system.permissive

        def predict(batch: Batch) -> list[list[PredictedTag]]:
            return [tags[:MOST_CANDIDATES] for tags in self._system.predict(batch, value)]

        return rate_tags(self._true, [tags for batch in self._by_batch(predict) for tags in batch])
