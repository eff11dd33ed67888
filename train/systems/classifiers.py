"""Classifiers over the training tags: the shared encoder and a head with one logit per tag (Tables 1–2).

``bin`` learns with binary cross-entropy, ``asy`` with the asymmetric loss (Ridnik et al., ICCV 2021). They share model,
targets, prediction and the global threshold; only the loss differs.

Legend: B videos, K training tags.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ...data.word_pieces import TitleTokenizer
from ..config import InputConfig, ModelConfig, RunConfig
from ..model.layers import init_weights
from ..model.tag_head import TagHead, columns_of, multi_hot
from ..model.video_title_model import VideoTitleModel
from ..objective.losses import asymmetric_loss, binary_cross_entropy
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..writing.tag_control import BatchControl
from .system import System, pad_scores
from .tuned_scalar import TunedScalar

THRESHOLD = TunedScalar(
    name="threshold",
    label="threshold",
    untuned=0.5,
    candidates=(*(round(0.95 - 0.025 * step, 3) for step in range(35)), 0.075, 0.05, 0.03, 0.02, 0.01),
    # More of them than of NIL biases: trying one costs no pass of the model, and the best moves as training goes on.
    during_training=tuple(round(0.95 - 0.05 * step, 2) for step in range(19)),
)
"""One threshold for the probabilities of all tags."""


class Classifier(System):
    """Mean of F over the title's positions, one logit per training tag; scores are sigmoid probabilities."""

    scalar = THRESHOLD
    model: TagClassifier

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = TagClassifier(config.model, config.inputs, len(tag_table))
        self._columns: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def extent(self) -> str:
        """Number of training tags, for people."""
        return f"{len(self.tag_table):,} tags to choose from"

    def start(self, store: FeatureStore) -> None:
        """The title encoder comes from the store's text model; every tag's bias starts at its share of the training videos."""
        self.model.load_text_encoder(store.title_encoder_weights())
        self.model.head.set_priors(self.tag_table.counts, len(store.indices("train")))

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Finds the column of every tag of the store in the head."""
        del device
        self._columns = columns_of(self.tag_table, store)

    def targets(self, batch: Batch) -> Tensor:
        """(B, K) on the batch's device: 1 where a video has the tag, else 0."""
        return multi_hot(batch, self._columns, len(self.tag_table))

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, exchange: Exchange) -> Tensor:
        """Scalar loss of logits (B, K) and targets (B, K) of one share of the joint batch."""

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """One part, ``classification``; nothing is random beside dropout."""
        del rng
        return StepLosses(parts={"classification": self.loss(self.model(batch), self.targets(batch), exchange)})

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Training tags whose probability is at least the threshold."""
        return self.predict_each(batch, [value], control)[0]

    @torch.no_grad()
    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """One pass of the model serves all thresholds; tags that may not be predicted have no probability."""
        probabilities = self.model(batch).sigmoid()
        if control is not None:
            probabilities = control.mask_columns(probabilities, -1.0)
        ranked = [self.tags_above(row, min(values)) for row in probabilities.cpu().numpy()]
        return [[[tag for tag in tags if tag.score >= value] for tags in ranked] for value in values]

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """Logarithms of the tags' sigmoid probabilities, (B, L)."""
        log_probs = functional.logsigmoid(self.model(batch))
        columns = self.tag_table.column_of
        return pad_scores(
            [[row[columns[tag_key(tag.text)]] for tag in video] for row, video in zip(log_probs, tags, strict=True)],
            log_probs.device,
        )


class Bin(Classifier):
    """Every tag is a yes-or-no question of its own."""

    def loss(self, logits: Tensor, targets: Tensor, exchange: Exchange) -> Tensor:
        """Binary cross-entropy, summed over tags, divided by the batch."""
        return binary_cross_entropy(logits, targets, count_mean=exchange.mean)


GAMMA_POSITIVE, GAMMA_NEGATIVE, MARGIN = 0.0, 4.0, 0.05


class Asy(Classifier):
    """The many tags that a video does not have, and that the model does not think it has, cost next to nothing."""

    def loss(self, logits: Tensor, targets: Tensor, exchange: Exchange) -> Tensor:
        """Asymmetric loss with γ+ 0, γ− 4, m 0.05, summed over tags, divided by the batch."""
        return asymmetric_loss(
            logits,
            targets,
            gamma_positive=GAMMA_POSITIVE,
            gamma_negative=GAMMA_NEGATIVE,
            margin=MARGIN,
            count_mean=exchange.mean,
        )


class TagClassifier(VideoTitleModel):
    """Shared encoder and a linear head."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        self.head = TagHead(model.width, tags, model.dropout)
        self.head.apply(init_weights)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, K) of the training tags for every video."""
        return self.head.score(*self.encode(batch))
