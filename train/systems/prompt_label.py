"""``prompt-label``: OP-TSG with a label for each prompt in place of [NIL] tags (Table 7, F: "predicting prompt label").

A binary head says which prompts stand for a tag, and the decoder is given those alone.

Legend: B videos, N prompts, K most prompts that a video keeps, T written tokens, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.word_pieces import NIL, PAD
from ..config import InputConfig, ModelConfig, TrainingConfig
from ..model.layers import init_weights
from ..model.matching import NO_TAG
from ..model.op_tsg import OPTSG
from ..model.tag_sequence import MAX_TARGET_TOKENS, sequence_batch, slots_of, tag_sequence, written_places
from ..objective.losses import tag_sequence_loss
from ..objective.op_tsg_loss import Losses, prompts_used
from ..objective.shares import decide, gather_rows, mean_over_shares, share_count
from ..objective.tag_targets import TagTargets
from ..writing.greedy import WrittenTokens, greedy_decode
from ..writing.tag_control import BatchControl
from .op_tsg import PAPER_SETTINGS, OpTsg
from .system import StepLosses
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

    def labels(self, prompts: Tensor) -> Tensor:
        """Logits of the labels, (B, N, E) -> (B, N), float32 whatever the weights are."""
        logits = functional.linear(prompts.float(), self.label_head.weight.float(), self.label_head.bias.float())
        return logits.squeeze(-1)

    def forward(
        self, batch: Batch, targets: TagTargets, training: TrainingConfig, rng: np.random.Generator
    ) -> LabelledLosses:
        """The losses of a batch; the decoder sees the prompts matched to a tag. Arguments as in OP-TSG."""
        features, mask = self.encode(batch)
        prompts = self.order_prompts(features, mask)
        assignment, order = decide(lambda: self._assign_and_order(prompts, batch, targets, training, rng))
        joint = gather_rows(torch.from_numpy(assignment).to(prompts.device))
        kept = [[int(n) for n in row if tags[n] != NO_TAG] for row, tags in zip(order, assignment, strict=True)]
        written = [[int(tags[n]) for n in row] for row, tags in zip(kept, assignment, strict=True)]
        inputs, wanted = sequence_batch([tag_sequence(row, targets.pieces, MAX_TARGET_TOKENS) for row in written])
        wanted = wanted.to(prompts.device)
        hidden = self.decoder(keep_prompts(prompts, kept), inputs.to(prompts.device), features, mask)
        places = written_places(wanted)
        generation = tag_sequence_loss(
            self.decoder.logits(hidden.flatten(0, 1)[places]),
            wanted.flatten()[places],
            pad=PAD,
            nil=NIL,
            nil_weight=training.nil_weight,  # of no effect: NIL is in no target
            normalisation=training.normalisation,
            weight_mean=mean_over_shares,
            shares=share_count(),
            label_smoothing=training.label_smoothing if self.training else 0.0,
        )
        return LabelledLosses(
            contrastive=self._contrastive_loss(prompts, joint, targets, training),
            generation=generation,
            label=prompt_label_loss(self.labels(prompts), assignment),
            prompts_used=prompts_used(assignment, joint),
        )

    @torch.no_grad()
    def write(
        self,
        batch: Batch,
        *,
        nil_bias: float = 0.0,
        use_cache: bool = True,
        order: Tensor | None = None,
        control: BatchControl | None = None,
        label_threshold: float = 0.5,
    ) -> WrittenTokens:
        """Tokens for a batch from the prompts whose label is more than the threshold, in their natural or another order.

        The slots stand for these prompts, before which come those of pinned tags. p(NIL) is what the label leaves, and
        ``nil_bias`` has nothing to act on: no slot is NIL.
        """
        del nil_bias
        features, mask = self.encode(batch)
        prompts = self.order_prompts(features, mask)
        if order is not None:
            prompts = prompts[:, order]
        chances = self.labels(prompts).sigmoid()
        kept, steering = _above(chances, label_threshold), None
        if control is not None:
            pins, chosen = self._place_pins(prompts, features, mask, None, control, silent=chances <= label_threshold)
            kept = [
                [*own, *(number for number in row if number not in own)] for own, row in zip(chosen, kept, strict=True)
            ]
            steering = control.steer_sequences(pins, repeats=True)
        written = greedy_decode(
            self.decoder,
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
    model: LabelledOPTSG

    def losses(self, batch: Batch, rng: np.random.Generator) -> StepLosses:
        """Eq. 10 and the loss of the labels; evaluation keeps the prompts in their natural order."""
        training = self.config.training
        if not self.model.training:
            training = replace(training, shuffle=False)
        losses = self.model(batch, self.targets, training, rng)
        contrastive = {"contrastive": losses.contrastive} if training.contrastive else {}
        return StepLosses(
            parts={**contrastive, "generation": losses.generation, "label": losses.label},
            measures={"prompts_used": losses.prompts_used},
        )

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags that the decoder writes for the prompts whose label is more than the threshold."""
        written = self.model.write(batch, label_threshold=value, control=control)
        return self._reader.read(written, control.names if control else None)


@dataclass(frozen=True, kw_only=True)
class LabelledLosses(Losses):
    """Losses of a batch.

    Attributes:
        label: binary cross-entropy of the prompts' labels, scalar.
    """

    label: Tensor

    @property
    def total(self) -> Tensor:
        """Eq. 10 and the labels."""
        return self.contrastive + self.generation + self.label


def prompt_label_loss(logits: Tensor, assignment: NDArray[np.int64]) -> Tensor:
    """Binary cross-entropy of labels (B, N), 1 where the assignment (B, N) has a tag: mean over the prompts."""
    labels = torch.from_numpy(assignment != NO_TAG).to(logits.device, logits.dtype)
    total = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return total / mean_over_shares(total.new_tensor(logits.numel()))


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
