"""``prompt-label``: OP-TSG whose decoder sees only the prompts that a binary head labels 1 (Table 7, F)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ...data.batching import Batch
from ..constraints.tag_control import BatchControl
from ..generation import PredictedTag
from ..labelled_op_tsg import LabelledOPTSG
from ..op_tsg import OPTSG
from ..tuning import TunedScalar
from .op_tsg import PAPER_SETTINGS, OpTsg
from .system import StepLosses

LABEL_THRESHOLD = TunedScalar(
    name="label_threshold",
    label="label threshold",
    untuned=0.5,
    candidates=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05),
    during_training=(0.5, 0.2),
)
"""The paper keeps prompts with σ > 0.5. The label is what decides here whether a prompt writes a tag, as [NIL] is in OP-TSG;
without tuning it as the NIL bias is tuned, and over as many candidates, the ablation would lose by its silence alone."""


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
