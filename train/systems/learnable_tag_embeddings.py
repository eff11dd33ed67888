"""``learnable-tag-embeddings``: OP-TSG whose tag language model is trained too (Table 7, D)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ...data.batching import Batch
from ...data.store import FeatureStore
from ...data.title_tokenizer import WholeText
from ..config import InputConfig, ModelConfig
from ..op_tsg import OPTSG, TagTargets
from ..tag_language_model import TagLanguageModel, open_tag_language_model, tag_texts
from .op_tsg import PAPER_SETTINGS, OpTsg


class LearnableTagsOPTSG(OPTSG):
    """OP-TSG and, in training alone, the tag language model: tags are written without it, so no run folder keeps it."""

    training_only = ("tag_model.",)

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int = 0):
        super().__init__(model, inputs, tags)
        self.tag_model: TagLanguageModel | None = None


class LearnableTagEmbeddings(OpTsg):
    """Every step embeds its tags anew; the contrastive loss teaches the prompts and the tag language model alike."""

    settings: ClassVar[tuple[str, ...]] = PAPER_SETTINGS
    model_class: ClassVar[type[OPTSG]] = LearnableTagsOPTSG
    model: LearnableTagsOPTSG
    _texts: list[WholeText]

    def start(self, store: FeatureStore) -> None:
        """As OP-TSG; the tag language model starts as the store's, whose embeddings OP-TSG keeps."""
        super().start(store)
        self._texts = tag_texts(store, self.tokenizer)
        self.model.tag_model = open_tag_language_model(store, self.config.model, self._texts)

    def step_targets(self, batch: Batch) -> tuple[Batch, TagTargets]:
        """The batch and its tags' present embeddings, numbered by the tags that occur in this step.

        Matching takes no gradient through them, the contrastive loss does. Every share embeds the tags of the joint
        batch, so that all number them alike and each computes the joint loss.
        """
        assert self.model.tag_model is not None
        usable = self.targets.pieces
        tags = [np.array([tag for tag in video.tolist() if tag in usable], np.int64) for video in batch.every_tags]
        numbers = np.unique(np.concatenate(tags))
        # NIL is the last row: there is one row even where no video has a tag.
        embeddings = self.model.tag_model([*(self._texts[number] for number in numbers), self._texts[-1]])
        targets = TagTargets(
            embeddings=embeddings,
            nil=embeddings[-1].detach(),
            pieces={row: usable[number] for row, number in enumerate(numbers.tolist())},
        )
        local = tuple(np.searchsorted(numbers, video).astype(np.int32) for video in tags)
        joint = None if batch.joint is None else replace(batch.joint, tags=local)
        return replace(batch, tags=tuple(batch.own(local)), joint=joint), targets
