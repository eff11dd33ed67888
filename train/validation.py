"""Validation: the losses and the scores of generated tags on the validation split, and the tuning of the NIL bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.batching import Batch, collate, sequential_batches
from ..data.metrics import Scores, score_predictions
from ..data.store import FeatureStore
from ..data.tag_table import TagTable
from ..data.tags import tag_key
from .config import TrainingConfig
from .generation import TagReader
from .op_tsg import OPTSG, TagTargets

NIL_BIASES: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
"""Candidates for the bias on the NIL logit (``method.md`` §5)."""

BIAS_TOLERANCE = 0.0025
"""A quarter of a point of full F1."""


@dataclass(frozen=True, kw_only=True)
class ValidationLosses:
    """Mean losses over the split."""

    contrastive: float
    generation: float

    @property
    def total(self) -> float:
        """Eq. 10."""
        return self.contrastive + self.generation


class Validator:
    """Scores a model on one split of a store.

    Args:
        rows: the split's videos.
        reader: turns tokens into tags.
    """

    def __init__(
        self, store: FeatureStore, rows: NDArray[np.int64], tag_table: TagTable, reader: TagReader, batch_size: int
    ):
        self._store = store
        # Sorted by visual length, so that little of a batch is padding; scores do not depend on the order.
        self._rows = rows[np.argsort(store.visual_lengths()[rows], kind="stable")]
        self._tag_table = tag_table
        self._reader = reader
        self._batch_size = batch_size
        self._true = [[store.tag_keys[tag] for tag in store.tags(int(row))] for row in self._rows]

    def _batches(self, device: torch.device) -> list[Batch]:
        return [collate(self._store, rows).to(device) for rows in sequential_batches(self._rows, self._batch_size)]

    @torch.no_grad()
    def losses(self, model: OPTSG, targets: TagTargets, config: TrainingConfig) -> ValidationLosses:
        """Losses with the prompts in their natural order and nothing drawn at random but tags beyond N."""
        model.eval()
        rng = np.random.default_rng(0)
        sums = np.zeros(2)
        for batch in self._batches(targets.nil.device):
            losses = model(batch, targets, replace(config, shuffle=False), rng)
            sums += len(batch) * np.array([losses.contrastive.item(), losses.generation.item()])
        contrastive, generation = (sums / len(self._rows)).tolist()
        return ValidationLosses(contrastive=contrastive, generation=generation)

    def scores(self, model: OPTSG, device: torch.device, nil_bias: float) -> Scores:
        """Metrics of the tags that the model writes with this bias."""
        model.eval()
        predicted: list[list[str]] = []
        for batch in self._batches(device):
            written = self._reader.read(model.write(batch, nil_bias=nil_bias))
            predicted += [[tag_key(tag.text) for tag in tags] for tags in written]
        return score_predictions(self._true, predicted, self._tag_table.count_of)

    def scores_by_bias(
        self, model: OPTSG, device: torch.device, biases: Sequence[float] = NIL_BIASES
    ) -> dict[float, Scores]:
        """Metrics by NIL bias."""
        return {bias: self.scores(model, device, bias) for bias in biases}


def full_f1(scores: Scores) -> float:
    """The number that checkpoints and the NIL bias are chosen by."""
    return scores["label_based"]["full"]["f1"]


def choose_nil_bias(full_f1_by_bias: Mapping[float, float]) -> float:
    """The smallest bias whose full F1 is at most :data:`BIAS_TOLERANCE` below the best.

    Full F1 is flat around its top, and which bias is the very best there is chance; a larger one only costs precision.
    """
    best = max(full_f1_by_bias.values())
    return min(bias for bias, value in full_f1_by_bias.items() if value >= best - BIAS_TOLERANCE)
