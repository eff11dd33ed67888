"""``op-tsg``: the paper's model A as a system. The model itself is in :mod:`optsg.train.op_tsg`."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import Batch
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.title_tokenizer import TitleTokenizer
from ...data.vocabulary import Vocabulary
from ..build import tag_targets, text_encoder_weights
from ..config import RunConfig
from ..generation import PredictedTag, TagReader
from ..op_tsg import OPTSG, TagTargets
from ..tuning import TunedScalar
from .system import StepLosses, System

NIL_BIAS = TunedScalar(
    name="nil_bias",
    label="NIL bias",
    untuned=0.0,
    candidates=(0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0),
    # Each candidate is a decoding of the whole split: during training two show which way the model leans.
    during_training=(0.0, 2.0),
)
"""The bias on the NIL logit (``method.md`` §5)."""


class OpTsg(System):
    """Order prompts, matching, ordered tag sequence."""

    scalar = NIL_BIAS
    model_class: ClassVar[type[OPTSG]] = OPTSG
    model: OPTSG

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = self.model_class(config.model, config.inputs)
        self._vocabulary = Vocabulary(config.inputs.pieces)
        self._reader = TagReader(self._vocabulary, tag_table, tokenizer)
        self._targets: TagTargets | None = None

    @property
    def extent(self) -> str:
        """Number of prompts."""
        return f"{self.config.model.prompts} prompts"

    def start(self, store: FeatureStore) -> None:
        """The title encoder, and the decoder's word embeddings where widths agree, come from the store's text model."""
        self.model.load_text_encoder(text_encoder_weights(store, self.model))

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Embeddings and word pieces of the tags."""
        self._targets = tag_targets(store, self._vocabulary, self.config.training.max_tag_pieces, device)

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
        lines = self.targets.left_out(store, rows, self.config.training.max_tag_pieces)
        prompts = self.config.model.prompts
        if over := sum(len(store.tags(int(row))) > prompts for row in rows):
            lines.append(
                f"{over:,} of {len(rows):,} training videos have more tags than there are prompts ({prompts}); "
                "each step draws as many of them at random (--set prompts=N for more)"
            )
        return lines

    def losses(self, batch: Batch, rng: np.random.Generator) -> StepLosses:
        """Eq. 10; evaluation keeps the prompts in their natural order."""
        training = self.config.training
        if not self.model.training:
            training = replace(training, shuffle=False)
        batch, targets = self.step_targets(batch)
        losses = self.model(batch, targets, training, rng)
        contrastive = {"contrastive": losses.contrastive} if training.contrastive else {}
        return StepLosses(
            parts={**contrastive, "generation": losses.generation}, measures={"prompts_used": losses.prompts_used}
        )

    def predict(self, batch: Batch, value: float) -> list[list[PredictedTag]]:
        """Tags that the decoder writes with this NIL bias."""
        return self._reader.read(self.model.write(batch, nil_bias=value))
