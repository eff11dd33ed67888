"""``frequency-first-full``: the generator without prompts with all that OP-TSG has beside its prompts.

The decoder of ``frequency-first`` can copy word pieces of the title, as OP-TSG's with ``copy_title``, and a head over the
training tags stands beside it, as with ``tag_head``; a tag's score is the mean of what the two make of it. What then still
tells the two systems apart are the order prompts and what comes with them.

Legend: B videos, S title tokens, D width, K training tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ....data.batching import Batch
from ....data.predicted_tag import PredictedTag
from ....data.store import FeatureStore
from ...config import InputConfig, ModelConfig
from ...model.layers import init_weights
from ...model.tag_head import TagHead, columns_of
from ...model.token_output import TitleCopier, TokenOutput
from ...objective.recognition import recognition_loss
from ...objective.shares import ALONE, Exchange
from ...objective.step_losses import StepLosses
from ...writing.fusion import fuse_each, fused_log_scores
from ...writing.greedy import WrittenTokens
from ...writing.tag_control import BatchControl
from ..system import Recalled, pad_scores
from ..tuned_scalar import FUSED_THRESHOLD
from .ordered_writer import FrequencyFirst, at_places
from .tag_writer import TagWriter, TokenLoss, copying_loss

WRITING_END_BIAS = 3.0
"""The end bias with which tags are written for the fusion: freely, for the threshold on the fused score decides."""


class FullWriter(TagWriter):
    """A writer with a copy gate over the title, where titles are read, and a tag head.

    Args:
        tags: number of training tags.
    """

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        self.title_copier = TitleCopier(inputs, model.width) if model.modality != "video" else None
        self.tag_head = TagHead(model.width, tags, model.dropout)
        for part in (self.title_copier, self.tag_head):
            if part is not None:
                part.apply(init_weights)

    def copying_loss(self, batch: Batch, features: Tensor, copy_weight: float = 0.0) -> TokenLoss | None:
        """Loss of single tokens that can be copied from the batch's titles, F (B, S, D); ``None`` without titles."""
        if self.title_copier is None:
            return None
        return copying_loss(self.title_copier.gate, self.title_copier.source(batch, features), copy_weight)

    def copying_output(self, batch: Batch, features: Tensor) -> TokenOutput | None:
        """What turns hidden states into scores of tokens, F (B, S, D); ``None`` without titles."""
        return None if self.title_copier is None else self.title_copier.output(self.decoder, batch, features)


class FrequencyFirstFull(FrequencyFirst):
    """Tags are written from frequent to rare or copied, and recognised; the threshold on the fused score is tuned."""

    settings: ClassVar[tuple[str, ...]] = ("copy_title=true", "tag_head=true")
    scalar = FUSED_THRESHOLD
    model: FullWriter

    def build_model(self) -> FullWriter:
        """The writer with its copy gate and tag head."""
        return FullWriter(self.config.model, self.config.inputs, len(self.tag_table))

    @property
    def recognises(self) -> bool:
        """Its tag head does."""
        return True

    @property
    def extent(self) -> str:
        """Order of the tags, and what stands beside the decoder."""
        return f"{super().extent}, with copy gate and tag head"

    def start(self, store: FeatureStore) -> None:
        """As every writer; the tag head's biases start at the tags' shares of the training videos."""
        super().start(store)
        self.model.tag_head.set_priors(self.tag_table.counts, len(store.indices("train")))

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """As every writer, and the column of every tag of the store in the head."""
        super().prepare(store, device)
        self._targets = replace(self.targets, columns=columns_of(self.tag_table, store))

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """``generation``, in training with the copy loss, and ``recognition``."""
        training = self.config.training
        features, mask = self.model.encode(batch)
        token_loss = self.model.copying_loss(batch, features, training.copy_weight if self.model.training else 0.0)
        written = self.model.sequence_loss(features, mask, self.sequences(batch, rng), training, exchange, token_loss)
        head, columns = self.model.tag_head, self.targets.columns
        recognised = recognition_loss(head, features, mask, batch, columns, training, exchange)
        return StepLosses(parts={"generation": written, "recognition": recognised})

    def sequence_log_probs(self, batch: Batch, sequences: Sequence[Sequence[int]], tags: int) -> Tensor:
        """Mean log-probability of the pieces of each tag, (B, ``tags``); the title's pieces can be copied."""
        features, mask = self.model.encode(batch)
        return self.model.tag_log_probs(features, mask, sequences, tags, self.model.copying_loss(batch, features))

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """Written from frequent to rare and recognised, fused as scores are; a tag counts as written if it can be."""
        features, mask = self.model.encode(batch)
        sequences, places = self.given_sequences(tags)
        most, token_loss = max(1, *map(len, tags)), self.model.copying_loss(batch, features)
        written = at_places(self.model.tag_log_probs(features, mask, sequences, most, token_loss), places)
        recognised = functional.logsigmoid(self.model.tag_head.score(features, mask))
        nothing = recognised.new_zeros(())
        return pad_scores(fused_log_scores(tags, written, recognised, self.tag_table, nothing), features.device)

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags with at least this fused score."""
        return self.predict_each(batch, [value], control)[0]

    @torch.no_grad()
    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """One pass of the model serves all thresholds."""
        features, mask = self.model.encode(batch)
        tags = self._written(features, mask, batch, control)
        return fuse_each(tags, self.model.tag_head.score(features, mask), self.tag_table, values, control)

    @torch.no_grad()
    def recall(self, batch: Batch, directions: Tensor, control: BatchControl | None = None) -> Recalled:
        """What the decoder writes and what the tag head recognises."""
        del directions
        features, mask = self.model.encode(batch)
        tags = self._written(features, mask, batch, control)
        recognised = self.model.tag_head.score(features, mask).sigmoid().cpu().numpy()
        return Recalled(scores={"written": self.scores_of(tags), "recognised": recognised}, tags=tags)

    @torch.no_grad()
    def write(
        self, batch: Batch, eos_bias: float, *, use_cache: bool = True, control: BatchControl | None = None
    ) -> WrittenTokens:
        """Tokens that the decoder writes or copies with this bias on the end."""
        features, mask = self.model.encode(batch)
        return self._write_from(features, mask, batch, eos_bias, use_cache=use_cache, control=control)

    def _written(
        self, features: Tensor, mask: Tensor, batch: Batch, control: BatchControl | None
    ) -> list[list[PredictedTag]]:
        tokens = self._write_from(features, mask, batch, WRITING_END_BIAS, control=control)
        return self._reader.read(tokens, control.names if control else None)

    def _write_from(
        self,
        features: Tensor,
        mask: Tensor,
        batch: Batch,
        eos_bias: float,
        *,
        use_cache: bool = True,
        control: BatchControl | None = None,
    ) -> WrittenTokens:
        return self.model.write_from(
            features,
            mask,
            eos_bias=eos_bias,
            repeats=self.repeats,
            use_cache=use_cache,
            output=self.model.copying_output(batch, features),
            control=control,
            follow_pins=self.follows_pins,
        )
