"""A generator without prompts: the shared encoder and a decoder that writes a video's tags as one sequence.

The base of the systems that OP-TSG is compared with (Tables 1, 2 and 7, B): they differ in the order of the tags.
Legend: B videos, S title tokens, T target tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ....data.batching import Batch
from ....data.word_pieces import MARKS
from ...config import NO_PROMPTS, InputConfig, ModelConfig, TrainingConfig
from ...device import send
from ...model.copy_gate import CopyGate, CopySource
from ...model.layers import init_weights
from ...model.tag_decoder import TagDecoder
from ...model.tag_sequence import MAX_TARGET_TOKENS, mean_by_slot, sequence_batch, written_places
from ...model.token_output import TokenOutput
from ...model.video_title_model import VideoTitleModel
from ...objective.losses import SequenceLoss
from ...objective.shares import Exchange
from ...writing.greedy import WrittenTokens, greedy_decode
from ...writing.steering import Allowance, Steering
from ...writing.tag_control import BatchControl

TokenLoss = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
"""Hidden states (B, T, D), logits (P, V), targets (P,), their flat places in (B, T), label smoothing -> losses (P,)."""


class TagWriter(VideoTitleModel):
    """Weights are random until :meth:`load_text_encoder` or a checkpoint is loaded."""

    def __init__(self, model: ModelConfig, inputs: InputConfig):
        super().__init__(model, inputs)
        self.decoder = TagDecoder(
            vocabulary=MARKS + len(inputs.pieces),
            prompts=0,
            tag_dim=inputs.tag_dim,
            width=model.width,
            heads=model.heads,
            layers=model.decoder_layers,
            dropout=model.dropout,
            prompt_entry=NO_PROMPTS,
        ).apply(init_weights)

    @torch.no_grad()
    def load_text_encoder(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """Starts the title encoder, and the decoder's word embeddings where widths agree, from the store's text model."""
        words = super().load_text_encoder(weights)
        self.decoder.load_words(words, self.inputs.pieces)
        return words

    def sequence_loss(
        self,
        features: Tensor,
        mask: Tensor,
        sequences: Sequence[Sequence[int]],
        training: TrainingConfig,
        exchange: Exchange,
        token_loss: TokenLoss | None = None,
    ) -> Tensor:
        """Mean cross-entropy of the tokens of one target sequence per video (paper Eq. 9 without NIL).

        Args:
            features: F (B, S, D) with mask (B, S).
            exchange: with the other shares of the joint batch.
            token_loss: of single tokens; by default the decoder's own cross-entropy.
        """
        loss = SequenceLoss(training)
        losses, wanted, places = self._token_losses(features, mask, sequences, loss.smoothing(self), token_loss)
        return loss(losses, wanted.flatten()[places], exchange)

    def tag_log_probs(
        self,
        features: Tensor,
        mask: Tensor,
        sequences: Sequence[Sequence[int]],
        tags: int,
        token_loss: TokenLoss | None = None,
    ) -> Tensor:
        """Mean log-probability of the word pieces of every tag of the sequences, (B, ``tags``); 0 beyond the last."""
        losses, wanted, places = self._token_losses(features, mask, sequences, 0.0, token_loss)
        return mean_by_slot(-losses, wanted, places, tags)

    def _token_losses(
        self,
        features: Tensor,
        mask: Tensor,
        sequences: Sequence[Sequence[int]],
        smoothing: float,
        token_loss: TokenLoss | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses (P,) of the sequences' tokens, the targets (B, T), and the losses' flat places (P,) in them."""
        inputs, wanted = sequence_batch(sequences)
        places = send(written_places(wanted), features.device)
        inputs, wanted = send(inputs, features.device), send(wanted, features.device)
        hidden = self.decoder(None, inputs, features, mask)
        # Smoothed labels would read the scores behind the vocabulary's.
        logits = self.decoder.logits(hidden.flatten(0, 1)[places], fill=not smoothing)
        losses = (token_loss or _cross_entropy)(hidden, logits, wanted.flatten()[places], places, smoothing)
        return losses, wanted, places

    @torch.no_grad()
    def write(
        self,
        batch: Batch,
        *,
        eos_bias: float = 0.0,
        repeats: bool = True,
        use_cache: bool = True,
        control: BatchControl | None = None,
        follow_pins: bool = False,
    ) -> WrittenTokens:
        """Tokens for a batch; without ``repeats`` no tag can be completed twice.

        With a control only allowed tags are written; with ``follow_pins`` after the pinned ones, so that they follow
        from them.
        """
        return self.write_from(
            *self.encode(batch),
            eos_bias=eos_bias,
            repeats=repeats,
            use_cache=use_cache,
            control=control,
            follow_pins=follow_pins,
        )

    def write_from(
        self,
        features: Tensor,
        mask: Tensor,
        *,
        eos_bias: float,
        repeats: bool,
        use_cache: bool,
        output: TokenOutput | None = None,
        control: BatchControl | None = None,
        follow_pins: bool = False,
    ) -> WrittenTokens:
        """:meth:`write` from features F (B, S, D) with mask (B, S)."""
        return greedy_decode(
            self.decoder,
            None,
            features,
            mask,
            eos_bias=eos_bias,
            output=output,
            steering=_steering(len(features), repeats, control, follow_pins),
            use_cache=use_cache,
        )


def _steering(videos: int, repeats: bool, control: BatchControl | None, follow_pins: bool) -> Steering | None:
    if control is not None:
        # Half of the longest sequence is left for what the model adds.
        room = MAX_TARGET_TOKENS // 2 if follow_pins else 0
        pins = [control.spelled_pins(row, MAX_TARGET_TOKENS, room) for row in range(videos)]
        return control.steer_sequences(pins, repeats=repeats)
    return None if repeats else Steering([Allowance() for _ in range(videos)], repeats=False)


def _cross_entropy(hidden: Tensor, logits: Tensor, targets: Tensor, places: Tensor, smoothing: float) -> Tensor:
    del hidden, places
    return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def copying_loss(gate: CopyGate, source: CopySource, copy_weight: float = 0.0) -> TokenLoss:
    """Cross-entropy under the mixture of writing and copying, with so much of the gate's own loss added."""

    def token_loss(hidden: Tensor, logits: Tensor, targets: Tensor, places: Tensor, smoothing: float) -> Tensor:
        return gate.cross_entropy(
            hidden, logits, targets, source, places, label_smoothing=smoothing, copy_weight=copy_weight
        )

    return token_loss
