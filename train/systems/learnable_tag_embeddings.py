"""``learnable-tag-embeddings``: OP-TSG whose tag language model is trained too (Table 7, D); OP-TSG keeps it frozen in the store.

Legend: n texts, S word pieces of the longest of them, U tags of the store, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...data.batching import Batch
from ...data.errors import ConfigError
from ...data.foreign.json_reader import parse_json
from ...data.store import FeatureStore
from ...data.tags import NIL_TEXT
from ...data.word_pieces import MAX_TAG_TOKENS, TitleTokenizer, WholeText
from ..config import InputConfig, ModelConfig
from ..model.op_tsg import OPTSG
from ..model.title_encoder import TitleEncoder, hidden_states
from ..model.video_title_model import freeze_layers
from ..objective.tag_targets import TagTargets
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
        """Starts OP-TSG, and the tag language model as the store's, whose embeddings the frozen model would keep."""
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


SYSTEM = "the system learnable-tag-embeddings"


CHECKED_TAGS = 64


TOLERANCE = 0.01
"""Of the largest number in an embedding: processors and library versions differ by less, other weights by far more."""


class TagLanguageModel(nn.Module):
    """The store's whole text model and its pooling: the mean of the last layer over a text's own word pieces, or CLS."""

    def __init__(self, model: TitleEncoder, pooling: Literal["mean", "cls"]):
        super().__init__()
        self.model = model.model
        self.pooling = pooling

    def forward(self, texts: Sequence[WholeText]) -> Tensor:
        """Embeddings (n, E) of n texts."""
        device = next(self.parameters()).device
        longest = max(len(text.ids) for text in texts)
        ids = torch.full((len(texts), longest), int(self.model.config.pad_token_id or 0))
        mask, words = torch.zeros(len(texts), longest, dtype=torch.bool), torch.zeros(len(texts), longest)
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
            mask[row, : len(text.ids)] = True
            words[row, : len(text.ids)] = torch.tensor(text.is_word, dtype=torch.float32)
        hidden = hidden_states(self.model, ids.to(device), mask.to(device)).float()
        if self.pooling == "cls":
            return hidden[:, 0]
        # A text of which the tokenizer leaves nothing still gets an embedding.
        weights = torch.where(words.any(dim=1, keepdim=True), words, mask.float())[..., None].to(device)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def open_tag_language_model(store: FeatureStore, model: ModelConfig, texts: Sequence[WholeText]) -> TagLanguageModel:
    """The text model that made the store's tag embeddings, frozen where the title encoder is.

    Args:
        texts: the store's tags, as :func:`tag_texts` reads them.

    Raises:
        ConfigError: the store does not hold that model, only its first layers, or no trained one.
    """
    made_by = store.header.text_encoder
    if store.header.title_encoder_is_untrained:
        raise ConfigError(f"{SYSTEM} needs a text model; the tag embeddings of {store.path} were made without one")
    encoder = TitleEncoder(store.title_encoder_config, store.header.tag_dim, model.dropout)
    held = int(encoder.model.config.num_hidden_layers)
    if held < (layers := int(made_by.get("layers", held))):
        raise ConfigError(
            f"{SYSTEM} needs the whole text model; {store.path} holds {held} of the {layers} layers that made its tag "
            "embeddings"
        )
    encoder.load_pretrained(store.title_encoder_weights())
    freeze_layers(encoder, model.frozen_title_layers)
    language_model = TagLanguageModel(encoder, "cls" if made_by.get("pooling") == "cls" else "mean")
    _check(language_model, store, texts)
    return language_model


@torch.no_grad()
def _check(language_model: TagLanguageModel, store: FeatureStore, texts: Sequence[WholeText]) -> None:
    rows = np.unique(np.linspace(0, len(texts) - 2, CHECKED_TAGS).round().astype(np.int64))
    expected = np.concatenate([store.tag_embeddings[rows], store.nil_embedding[None]])
    if expected.shape[1] == store.header.tag_dim == language_model.model.config.hidden_size:
        found = language_model.eval()([*(texts[row] for row in rows), texts[-1]]).numpy()
        if np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max():
            return
    raise ConfigError(f"{SYSTEM} cannot start: the text model in {store.path} does not give the tag embeddings in it")


def tag_texts(store: FeatureStore, tokenizer: TitleTokenizer) -> list[WholeText]:
    """What the text model reads for the store's U tags, and last for NIL."""
    positions = parse_json(store.title_encoder_config).get("max_position_embeddings") or MAX_TAG_TOKENS + 2
    return tokenizer.encode_whole([*store.tag_keys, NIL_TEXT], int(positions) - 2)  # as extraction cuts them
