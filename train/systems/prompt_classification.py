"""``prompt-classification``: order prompts and matching, then a softmax over tags and NIL in place of a decoder (Table 7, G).

Legend: B videos, N prompts, K training tags, U tags of the store's tag table, D width, E tag-embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ...data.word_pieces import TitleTokenizer
from ..config import InputConfig, ModelConfig, RunConfig
from ..device import send
from ..model.layers import Dropout, init_weights
from ..model.matching import NO_TAG, assign_tags
from ..model.op_tsg import INITIAL_TEMPERATURE, bounded_inverse
from ..model.prompt_encoder import PromptEncoder
from ..model.video_title_model import VideoTitleModel
from ..objective.losses import SequenceLoss, prompt_tag_contrastive_loss
from ..objective.op_tsg_loss import joint_assignment, prompts_used
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..objective.tag_targets import TagTargets
from ..writing.tag_control import BatchControl
from .op_tsg import NIL_BIAS, more_tags_than_prompts
from .system import System, pad_scores

NO_TARGET = -1


class PromptClassification(System):
    """Each prompt is a tag of the training split or none; nothing is written, so nothing is novel."""

    scalar = NIL_BIAS
    model: PromptClassifier

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = PromptClassifier(config.model, config.inputs, len(tag_table))
        self._targets: TagTargets | None = None
        self._columns: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def extent(self) -> str:
        """Number of prompts, and of tags to choose from."""
        return f"{self.config.model.prompts} prompts, {len(self.tag_table):,} tags to choose from"

    def start(self, store: FeatureStore) -> None:
        """The title encoder comes from the store's text model, the head's biases start at the shares of the tags."""
        self.model.load_text_encoder(store.title_encoder_weights())
        videos = len(store.indices("train"))
        self.model.set_priors(self.tag_table.counts, videos, self.config.training.nil_weight)

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Embeddings of the tags, and which column of the head belongs to a tag of the store."""
        column_of = {key: 1 + number for number, key in enumerate(self.tag_table.keys)}
        self._columns = np.array([column_of.get(key, NO_TARGET) for key in store.tag_keys], np.int64)
        embeddings, nil = store.finite_embeddings()
        self._targets = TagTargets(
            embeddings=torch.from_numpy(embeddings).to(device),
            nil=torch.from_numpy(nil).to(device),
            pieces=dict.fromkeys(np.flatnonzero(self._columns != NO_TARGET).tolist(), ()),  # nothing is written
        )

    def warnings(self, store: FeatureStore, rows: NDArray[np.int64]) -> list[str]:
        """A line about training videos with more tags than prompts, if there are any."""
        return more_tags_than_prompts(store, rows, self.config.model.prompts)

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """The contrastive loss (Eq. 5) and, after matching, the cross-entropy with weight λ on NIL as in Eq. 8."""
        training = self.config.training
        prompts = self.model.prompts(batch)
        assignment = exchange.decide(lambda: self._assign(prompts, batch, rng))
        joint = joint_assignment(assignment, prompts.device, exchange)
        contrastive = {"contrastive": self._contrastive_loss(prompts, joint, exchange)} if training.contrastive else {}
        columns = np.where(assignment == NO_TAG, NIL_COLUMN, self._columns[assignment])
        targets = send(torch.from_numpy(columns), prompts.device).flatten()
        loss = SequenceLoss(training, pad=NO_TARGET, nil=NIL_COLUMN)
        per_prompt = functional.cross_entropy(
            self.model.classify(prompts).flatten(0, 1),
            targets,
            reduction="none",
            label_smoothing=loss.smoothing(self.model),
        )
        classification = loss(per_prompt, targets, exchange)
        used = prompts_used(joint)
        return StepLosses(parts={**contrastive, "classification": classification}, measures={"prompts_used": used})

    def _assign(self, prompts: Tensor, batch: Batch, rng: np.random.Generator) -> NDArray[np.int64]:
        assert self._targets is not None
        chosen = self._targets.choose_all(batch, prompts.shape[1], rng)
        nil = self._targets.nil if self.config.training.match_nil else None
        return assign_tags(prompts, chosen, self._targets.embeddings, nil)

    def _contrastive_loss(self, prompts: Tensor, assignment: Tensor, exchange: Exchange) -> Tensor:
        assert self._targets is not None
        return prompt_tag_contrastive_loss(
            exchange.gather_rows(prompts),
            assignment,
            self._targets.embeddings,
            bounded_inverse(self.model.log_inverse_temperature),
            false_negatives=self.config.training.false_negatives,
        )

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """Log-probabilities of the tags for the prompts that stand for them; 0 where none does, and others proposed the tag."""
        log_probs = self.model.classify(self.model.prompts(batch)).log_softmax(-1)
        columns, nothing = self.tag_table.column_of, log_probs.new_zeros(())
        return pad_scores(
            [
                [
                    nothing if tag.prompt is None else row[tag.prompt, NIL_COLUMN + 1 + columns[tag_key(tag.text)]]
                    for tag in video
                ]
                for row, video in zip(log_probs, tags, strict=True)
            ],
            log_probs.device,
        )

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """The likeliest tag of every prompt that is not likelier none, its logit less this NIL bias."""
        return self.predict_each(batch, [value], control)[0]

    @torch.no_grad()
    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """One pass of the model serves all biases; a prompt chooses among the tags that it may stand for."""
        log_probs = self.model.classify(self.model.prompts(batch)).log_softmax(-1)
        nil, columns = log_probs[..., NIL_COLUMN].cpu().numpy(), log_probs[..., 1:]
        if control is not None:
            columns = control.mask_columns(columns, float("-inf"))
        best, tags = (part.cpu().numpy() for part in columns.max(-1))
        # Without any tag to stand for, a prompt stands for none, whatever the bias.
        spoken = [(best > nil - value) & (best > -np.inf) for value in values]
        return [[self._read(*video) for video in zip(tags, best, each, strict=True)] for each in spoken]

    def _read(
        self, tags: NDArray[np.int64], log_probs: NDArray[np.float32], spoken: NDArray[np.bool_]
    ) -> list[PredictedTag]:
        """The tags (N,) of one video, best first; a tag that several prompts stand for counts once, with its best score."""
        order = np.argsort(-log_probs, kind="stable")
        first: dict[int, int] = {}
        for prompt in order[spoken[order]].tolist():
            first.setdefault(int(tags[prompt]), prompt)
        spellings = self.tag_table.spellings
        return [
            PredictedTag(text=spellings[tag], score=float(np.exp(log_probs[prompt])), novel=False, prompt=prompt)
            for tag, prompt in first.items()
        ]


NIL_COLUMN = 0
"""Logits are (NIL, tag 1, …, tag K)."""


class PromptClassifier(VideoTitleModel):
    """Shared encoder, OP-TSG's prompt encoder, and one linear head for all prompts."""

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int):
        super().__init__(model, inputs)
        # As in OP-TSG it is drawn right after the encoders: with one seed both start with the same.
        self.prompt_encoder = PromptEncoder(
            prompts=model.prompts,
            tag_dim=inputs.tag_dim,
            width=model.width,
            heads=model.heads,
            layers=model.prompt_layers,
            dropout=model.dropout,
        ).apply(init_weights)
        self.dropout = Dropout(model.dropout)
        self.head = nn.Linear(inputs.tag_dim, 1 + tags)
        self.log_inverse_temperature = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))
        self.head.apply(init_weights)

    @torch.no_grad()
    def set_priors(self, counts: NDArray[np.int64], videos: int, nil_weight: float) -> None:
        """Starts every bias at the logarithm of its share of the prompts, as the classifiers' start at their tags' shares.

        Args:
            counts: (K,) training occurrences.
            videos: number of training videos.
            nil_weight: λ, by which the loss counts prompts without a tag less.
        """
        prompts = videos * self.config.prompts
        # Videos may have more tags than there are prompts; half a prompt at least is left to NIL.
        nil = nil_weight * max(0.5, prompts - int(counts.sum())) / prompts
        shares = np.concatenate([[max(nil, 1e-6)], counts / prompts])
        self.head.bias.copy_(torch.from_numpy(np.log(shares)))

    def prompts(self, batch: Batch) -> Tensor:
        """Order prompts P (B, N, E), in their natural order (Eq. 1)."""
        prompts: Tensor = self.prompt_encoder(*self.encode(batch))
        return prompts

    def classify(self, prompts: Tensor) -> Tensor:
        """(B, N, E) -> logits (B, N, 1 + K), float32 whatever the weights are."""
        dropped = self.dropout(prompts.float())
        return functional.linear(dropped, self.head.weight.float(), self.head.bias.float())
