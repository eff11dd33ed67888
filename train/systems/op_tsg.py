"""``op-tsg``, the paper's model A as a system, and the two ablations that are settings of it.

``no-shuffle`` keeps the prompts in their natural order in training (Table 7, C); ``no-contrast`` has no contrastive loss
L_cl (Table 7, E). The model itself is in :mod:`optsg.train.model.op_tsg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer, Vocabulary
from ..config import RunConfig
from ..model.matching import NO_TAG
from ..model.op_tsg import OPTSG
from ..model.tag_head import columns_of
from ..objective.op_tsg_loss import OpTsgLoss, slot_log_probs
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..objective.tag_targets import TagTargets, tag_targets
from ..writing.fusion import WRITING_BIAS, fuse_each, fused_log_scores
from ..writing.greedy import WrittenTokens
from ..writing.reading import TagReader
from ..writing.tag_control import BatchControl
from ..writing.write_op_tsg import write, write_from
from .system import Recalled, System, pad_scores
from .tuned_scalar import FUSED_THRESHOLD, TunedScalar

NIL_BIAS = TunedScalar(
    name="nil_bias",
    label="NIL bias",
    untuned=0.0,
    candidates=(0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0),
    # Each candidate is a decoding of the whole split: during training two show which way the model leans.
    during_training=(0.0, 2.0),
)
"""Taken off the logit of [NIL]; more of it, more tags. λ alone (Eq. 8) leaves the decoder too silent on rare tags."""


PAPER_SETTINGS = ("decoding=sequential", "copy_title=false", "tag_head=false")
"""The paper's model, where a size's own settings go beyond it; the ablations are ablations of that one."""


def more_tags_than_prompts(store: FeatureStore, rows: NDArray[np.int64], prompts: int) -> list[str]:
    """A line for people about the videos ``rows`` that have more tags than prompts, if there are any."""
    over = int((store.tag_lengths()[rows] > prompts).sum())
    line = (
        f"{over:,} of {len(rows):,} training videos have more tags than there are prompts ({prompts}); "
        "each step draws as many of them at random (--set prompts=N for more)"
    )
    return [line] if over else []


class OpTsg(System):
    """Order prompts, matching, ordered tag sequence; with a tag head, the fusion of what is written and recognised.

    Attributes:
        writing_bias: the NIL bias with which a run with a tag head writes; its tuned scalar is the threshold.
        model_class, loss_class: what an ablation has of its own.
    """

    scalar: TunedScalar = NIL_BIAS
    writes = True
    model_class: ClassVar[type[OPTSG]] = OPTSG
    loss_class: ClassVar[type[OpTsgLoss]] = OpTsgLoss
    model: OPTSG

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = self.model_class(config.model, config.inputs, len(tag_table))
        if self.model.tag_head is not None:
            self.scalar = FUSED_THRESHOLD
        self.writing_bias = WRITING_BIAS
        self._vocabulary = Vocabulary(config.inputs.pieces)
        self._reader = TagReader(self._vocabulary, tag_table, tokenizer)
        self._targets: TagTargets | None = None

    @property
    def recognises(self) -> bool:
        """Where the model has a tag head."""
        return self.model.tag_head is not None

    def with_nil_bias(self, value: float) -> OpTsg:
        """Where a tag head recognises, the NIL bias is beside the tuned threshold; else it is the tuned scalar itself."""
        if self.model.tag_head is None:
            super().with_nil_bias(value)
        other = copy(self)
        other.writing_bias = value
        return other

    @property
    def extent(self) -> str:
        """Number of order prompts, for people."""
        return f"{self.config.model.prompts} prompts"

    def start(self, store: FeatureStore) -> None:
        """The title encoder, and the decoder's word embeddings where widths agree, come from the store's text model."""
        self.model.load_text_encoder(store.title_encoder_weights())
        if self.model.tag_head is not None:
            self.model.tag_head.set_priors(self.tag_table.counts, len(store.indices("train")))

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Takes embeddings and word pieces of the store's tags onto the device."""
        targets = tag_targets(store, self._vocabulary, self.config.training.max_tag_pieces, device)
        self._targets = replace(targets, columns=columns_of(self.tag_table, store))

    @property
    def targets(self) -> TagTargets:
        """The store's tags, after :meth:`prepare`."""
        assert self._targets is not None
        return self._targets

    def step_targets(self, batch: Batch) -> tuple[Batch, TagTargets]:
        """What a step's losses are computed from; the batch's tags are numbered as in the targets."""
        return batch, self.targets

    def warnings(self, store: FeatureStore, rows: NDArray[np.int64]) -> list[str]:
        """Tags that cannot be written, and videos with more tags than there are prompts."""
        most = self.config.training.max_tag_pieces
        lines = self.targets.left_out(store, rows, most, recognised=self.recognises)
        return lines + more_tags_than_prompts(store, rows, self.config.model.prompts)

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """Eq. 10; evaluation keeps the prompts in their natural order."""
        batch, targets = self.step_targets(batch)
        return self.loss_class(self.model, targets, self.config.training)(batch, rng, exchange)

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags that the decoder writes with this NIL bias; with a tag head, those with at least this fused score."""
        if self.model.tag_head is not None:
            return self.predict_each(batch, [value], control)[0]
        return self._read(write(self.model, batch, nil_bias=value, control=control), control)

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """Mean log-probabilities of the pieces as their prompts write them; with a tag head, fused as scores are."""
        features, mask = self.model.encode(batch)
        prompts = self.model.order_prompts(features, mask)
        slots = np.full(prompts.shape[:2], NO_TAG)
        pieces: dict[int, list[int]] = {}
        for row, video in enumerate(tags):
            for tag in video:
                if tag.prompt is not None and (ids := self._reader.pieces(tag)):
                    slots[row, tag.prompt] = len(pieces)
                    pieces[len(pieces)] = ids
        by_slot = self.slot_log_probs(prompts, slots, pieces, features, mask, batch)
        written = [
            [
                by_slot[row, tag.prompt] if tag.prompt is not None and slots[row, tag.prompt] != NO_TAG else None
                for tag in video
            ]
            for row, video in enumerate(tags)
        ]
        head = self.model.tag_head
        recognised = None if head is None else functional.logsigmoid(head.score(features, mask))
        nothing = torch.zeros((), device=features.device)
        return pad_scores(fused_log_scores(tags, written, recognised, self.tag_table, nothing), features.device)

    def slot_log_probs(
        self,
        prompts: Tensor,
        tags: NDArray[np.int64],
        pieces: Mapping[int, Sequence[int]],
        features: Tensor,
        mask: Tensor,
        batch: Batch,
    ) -> Tensor:
        """(B, N) as :func:`optsg.train.objective.op_tsg_loss.slot_log_probs` gives them."""
        return slot_log_probs(self.model, prompts, tags, pieces, features, mask, batch)

    @torch.no_grad()
    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """With a tag head, one pass of the model serves all thresholds."""
        head = self.model.tag_head
        if head is None:
            return super().predict_each(batch, values, control)
        features, mask = self.model.encode(batch)
        tokens = write_from(self.model, features, mask, batch, nil_bias=self.writing_bias, control=control)
        return fuse_each(self._read(tokens, control), head.score(features, mask), self.tag_table, values, control)

    @torch.no_grad()
    def recall(self, batch: Batch, directions: Tensor, control: BatchControl | None = None) -> Recalled:
        """What the decoder writes, what the tag head recognises, and how near the order prompts are to each tag."""
        features, mask = self.model.encode(batch)
        bias = self.permissive if self.model.tag_head is None else self.writing_bias
        prompts = self.model.order_prompts(features, mask)
        how: dict[str, Any] = {"nil_bias": bias, "control": control, "prompts": prompts}
        tags = self._read(write_from(self.model, features, mask, batch, **how), control)
        scores = {"written": self.scores_of(tags)}
        nearness = prompt_nearness(prompts, directions.to(prompts.device), self.model.inverse_temperature)
        scores["prompts"] = nearness.cpu().numpy()
        if self.model.tag_head is not None:
            scores["recognised"] = self.model.tag_head.score(features, mask).sigmoid().cpu().numpy()
        return Recalled(scores=scores, tags=tags, of_any_tag=frozenset({"prompts"}))

    def _read(self, written: WrittenTokens, control: BatchControl | None) -> list[list[PredictedTag]]:
        return self._reader.read(written, control.names if control else None)


ROWS_AT_ONCE = 64
"""Prompts of all videos that are compared with the tags together: with a few, reading the tags' embeddings would be all the time."""


def prompt_nearness(prompts: Tensor, directions: Tensor, inverse_temperature: Tensor) -> Tensor:
    """How likely some prompt means each tag, if each of them means one of the tags (the softmax of Eq. 4, prompt to tag).

    Args:
        prompts: (B, N, E).
        directions: (K, E) the tags' embeddings, of length 1.
        inverse_temperature: scalar 1/τ, the model's.

    Returns:
        (B, K) 1 − Π_n (1 − softmax_k(cos(p_n, e_k) / τ)).
    """
    none = torch.zeros(len(prompts), len(directions), device=prompts.device)
    scaled = inverse_temperature * functional.normalize(prompts.float(), dim=-1)
    for some in scaled.split(max(1, ROWS_AT_ONCE // len(prompts)), dim=1):  # (B, N, K) at once would be large
        chosen = (some.flatten(0, 1) @ directions.T).softmax(-1).clamp(max=1 - 1e-6)
        for absent in torch.log1p(-chosen).unflatten(0, some.shape[:2]).unbind(1):
            none += absent
    return -torch.expm1(none)


class NoContrast(OpTsg):
    """Prompts are still matched to tags by their cosines, but only the generation loss teaches them."""

    settings: ClassVar[tuple[str, ...]] = ("contrastive=false", *PAPER_SETTINGS)


class NoShuffle(OpTsg):
    """The decoder always sees the prompts in the order in which it will be asked to write."""

    settings: ClassVar[tuple[str, ...]] = ("shuffle=false", *PAPER_SETTINGS)
