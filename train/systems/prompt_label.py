"""``prompt-label``: OP-TSG with a label for each prompt in place of [NIL] tags (Table 7, F: "predicting prompt label").

A binary head says which prompts stand for a tag, and the decoder is given those alone.

Legend: B videos, N prompts, K most prompts that a video keeps, T written tokens, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.word_pieces import PAD
from ..config import InputConfig, ModelConfig
from ..device import send
from ..model.layers import init_weights
from ..model.matching import NO_TAG
from ..model.op_tsg import OPTSG
from ..model.tag_sequence import MAX_TARGET_TOKENS, sequence_batch, slots_of, tag_sequence
from ..objective.op_tsg_loss import MatchedBatch, OpTsgLoss
from ..objective.shares import Exchange
from ..writing.greedy import WrittenTokens, greedy_decode
from ..writing.pins import place_pins
from ..writing.tag_control import BatchControl
from .op_tsg import PAPER_SETTINGS, OpTsg
from .tuned_scalar import TunedScalar

LABEL_THRESHOLD = TunedScalar(
    name="label_threshold",
    label="label threshold",
    untuned=0.5,
    candidates=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05),
    during_training=(0.5, 0.2),
)
"""The paper keeps prompts with σ > 0.5. The label is what decides here whether a prompt writes a tag, as [NIL] is in OP-TSG;
without tuning it as the NIL bias is tuned, and over as many candidates, the ablation would lose by its silence alone."""


class LabelledOPTSG(OPTSG):
    """OP-TSG and the head. ``prompt_entry`` is ``slot``: the others show every prompt to the whole text."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int = 0):
        super().__init__(model, inputs, tags)
        self.label_head = nn.Linear(inputs.tag_dim, 1)
        init_weights(self.label_head)

    def labels(self, prompts: Tensor) -> Tensor:
        """Logits of the labels, (B, N, E) -> (B, N), float32 whatever the weights are."""
        logits = functional.linear(prompts.float(), self.label_head.weight.float(), self.label_head.bias.float())
        return logits.squeeze(-1)


class LabelledLoss(OpTsgLoss):
    """The decoder is given the prompts matched to a tag; which these are, the labels learn."""

    model: LabelledOPTSG

    def written(self, matched: MatchedBatch, exchange: Exchange) -> dict[str, Tensor]:
        """``generation`` without any [NIL], and ``label``."""
        assignment = matched.assignment
        kept = [[int(n) for n in row if tags[n] != NO_TAG] for row, tags in zip(matched.order, assignment, strict=True)]
        tags = [[int(own[n]) for n in row] for row, own in zip(kept, assignment, strict=True)]
        inputs, wanted = sequence_batch([tag_sequence(row, self.targets.pieces, MAX_TARGET_TOKENS) for row in tags])
        hidden = self.model.decoder(
            keep_prompts(matched.prompts, kept),
            send(inputs, matched.prompts.device),
            matched.features,
            matched.mask,
        )
        return {
            "generation": self.generation(hidden, wanted, matched, exchange),
            "label": prompt_label_loss(self.model.labels(matched.prompts), assignment, exchange),
        }


@torch.no_grad()
def write_labelled(
    model: LabelledOPTSG,
    batch: Batch,
    *,
    label_threshold: float = 0.5,
    use_cache: bool = True,
    order: Tensor | None = None,
    control: BatchControl | None = None,
) -> WrittenTokens:
    """Tokens for a batch from the prompts whose label is more than the threshold, in their natural or another order.

    The slots stand for these prompts, before which come those of pinned tags. No slot is NIL; p(NIL) is what the label
    leaves.
    """
    features, mask = model.encode(batch)
    prompts = model.order_prompts(features, mask)
    if order is not None:
        prompts = prompts[:, order]
    chances = model.labels(prompts).sigmoid()
    kept, steering = _above(chances, label_threshold), None
    if control is not None:
        pins, chosen = place_pins(model, prompts, features, mask, None, control, silent=chances <= label_threshold)
        kept = [[*own, *(number for number in row if number not in own)] for own, row in zip(chosen, kept, strict=True)]
        steering = control.steer_sequences(pins, repeats=True)
    written = greedy_decode(
        model.decoder,
        keep_prompts(prompts, kept),
        features,
        mask,
        nil_bias=float("inf"),
        steering=steering,
        use_cache=use_cache,
    )
    cut = _cut_to_slots(written, keep_prompts(chances[..., None], kept)[..., 0], [len(row) for row in kept])
    natural = torch.arange(prompts.shape[1], device=prompts.device) if order is None else order
    numbers = keep_prompts(natural.expand(len(prompts), -1)[..., None], kept)[..., 0]
    return replace(cut, prompts=numbers)


class PromptLabel(OpTsg):
    """No [NIL] in the targets: the prompts without a tag are left out before the decoder."""

    scalar = LABEL_THRESHOLD
    # With the other entries all text sees all prompts; with slots nobody sees one that is left out.
    settings: ClassVar[tuple[str, ...]] = ("prompt_entry=slot", *PAPER_SETTINGS)
    model_class: ClassVar[type[OPTSG]] = LabelledOPTSG
    loss_class: ClassVar[type[OpTsgLoss]] = LabelledLoss
    model: LabelledOPTSG

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags that the decoder writes for the prompts whose label is more than the threshold."""
        written = write_labelled(self.model, batch, label_threshold=value, control=control)
        return self._reader.read(written, control.names if control else None)

    def slot_log_probs(
        self,
        prompts: Tensor,
        tags: NDArray[np.int64],
        pieces: Mapping[int, Sequence[int]],
        features: Tensor,
        mask: Tensor,
        batch: Batch,
    ) -> Tensor:
        """Mean log-probability of the tag in every slot, (B, N), 0 for NIL; the decoder sees prompts with a tag alone."""
        kept = [np.flatnonzero(row != NO_TAG).tolist() for row in tags]
        chosen = keep_prompts(prompts, kept)
        written = np.full(chosen.shape[:2], NO_TAG)
        index = torch.zeros(chosen.shape[:2], dtype=torch.int64)
        for row, numbers in enumerate(kept):
            written[row, : len(numbers)] = tags[row, numbers]
            index[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        found = super().slot_log_probs(chosen, written, pieces, features, mask, batch)
        # Slots beyond a video's own have 0, which may be added anywhere.
        return found.new_zeros(prompts.shape[:2]).scatter_add(1, index.to(found.device), found)


def prompt_label_loss(logits: Tensor, assignment: NDArray[np.int64], exchange: Exchange) -> Tensor:
    """Binary cross-entropy of labels (B, N), 1 where the assignment (B, N) has a tag: mean over the prompts."""
    labels = send(torch.from_numpy(assignment != NO_TAG), logits.device).to(logits.dtype)
    total = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return total / exchange.mean(total.new_full((), logits.numel()))


def keep_prompts(prompts: Tensor, kept: Sequence[Sequence[int]]) -> Tensor:
    """The prompts of (B, N, E) with these numbers, in this order, (B, K, E); zeros fill up, and K is at least 1."""
    index = torch.full((len(kept), max(1, *(len(row) for row in kept))), -1)
    for row, numbers in enumerate(kept):
        index[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
    index = index.to(prompts.device)[..., None].expand(-1, -1, prompts.shape[2])
    return prompts.gather(1, index.clamp(min=0)).masked_fill(index < 0, 0.0)


def _above(chances: Tensor, threshold: float) -> list[list[int]]:
    return [torch.nonzero(row > threshold).flatten().tolist() for row in chances]


def _cut_to_slots(written: WrittenTokens, chances: Tensor, counts: Sequence[int]) -> WrittenTokens:
    """Ends every video after its own number of slots; ``chances`` (B, K) are the labels of its slots' prompts."""
    slots = slots_of(torch.cat([torch.full_like(written.tokens[:, :1], PAD), written.tokens[:, :-1]], dim=1))
    beyond = slots >= torch.tensor(counts, device=slots.device)[:, None]
    return WrittenTokens(
        tokens=written.tokens.masked_fill(beyond, PAD),
        log_probs=written.log_probs,
        nil_probs=1.0 - chances.gather(1, slots.clamp(max=chances.shape[1] - 1)),
    )
