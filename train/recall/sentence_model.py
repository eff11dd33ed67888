"""The store's whole text model, frozen: a title as one vector, in the space of the tags' embeddings.

A run's own title encoder has the text model's first layers alone and is trained. What similar titles and tags are, the
untouched model knows best. Legend: B titles, S tokens, E width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from ...data.errors import RunError, StoreError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json
from ...data.store import FeatureStore
from ..model.title_encoder import TitleEncoder
from ..run_files import load_tensors, save_tensors

Pooling = Literal["mean", "cls"]


WORDS = "embeddings.word_embeddings.weight"
"""The largest table of a BERT, of which a title needs some rows: these become float32 when they are read."""


class SentenceModel:
    """Titles to vectors, as the text encoder makes embeddings of tags.

    Args:
        config_json: the text model's settings, as Hugging Face names them.
        model: of it.
        pooling: mean over the word pieces, or the first token.
    """

    def __init__(self, config_json: str, model: TitleEncoder, pooling: Pooling):
        self._config_json, self._pooling = config_json, pooling
        self._model = model.eval().requires_grad_(False)

    @classmethod
    def of_weights(cls, config_json: str, weights: Mapping[str, Tensor], pooling: Pooling) -> SentenceModel:
        """From weights of the text model, rounded to half precision, in which they are kept.

        Raises:
            StoreError: they do not fit the settings.
        """
        width = int(parse_json(config_json)["hidden_size"])
        rounded = {name: value.half() if name == WORDS else value.half().float() for name, value in weights.items()}
        return cls(config_json, TitleEncoder.of_weights(config_json, width, rounded), pooling)

    @classmethod
    def from_store(cls, store: FeatureStore) -> SentenceModel | None:
        """``None`` where the store's text model has not been trained; errors as :meth:`of_weights`."""
        if store.header.title_encoder_is_untrained:
            return None
        weights = {name: torch.from_numpy(value) for name, value in store.title_encoder_weights().items()}
        pooling: Pooling = "cls" if store.header.text_encoder.get("pooling") == "cls" else "mean"
        return cls.of_weights(store.title_encoder_config, weights, pooling)

    @property
    def encoder(self) -> TitleEncoder:
        """The text model with all of its layers, frozen."""
        return self._model

    @property
    def pooling(self) -> Pooling:
        """What becomes of a title's outputs."""
        return self._pooling

    @property
    def width(self) -> int:
        """E, the width of a sentence's vector."""
        return self._model.text_width

    @torch.no_grad()
    def embed(self, tokens: Tensor, mask: Tensor, specials: frozenset[int]) -> Tensor:
        """(B, S) tokens and mask -> (B, E) float32, of length 1, or 0 where a title has no word.

        Args:
            specials: tokens that are no words.
        """
        words = mask & ~torch.isin(tokens, torch.tensor(sorted(specials), device=tokens.device))
        hidden = self._model(tokens, mask).float()
        weight = words[..., None].float()
        pooled = hidden[:, 0] if self._pooling == "cls" else (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(pooled, dim=1) * words.any(1, keepdim=True)

    def save(self, path: Path) -> None:
        """Writes weights in half precision and the settings.

        Raises:
            RunError: it cannot be written.
        """
        state = {name: value.half() for name, value in self._model.model.state_dict().items()}
        save_tensors(path, state, metadata={"config": self._config_json, "pooling": self._pooling})

    @classmethod
    def load(cls, path: Path) -> SentenceModel:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: the file is damaged.
        """
        try:
            weights, notes = load_tensors(path)
            if notes["pooling"] not in ("mean", "cls"):
                raise ValueError(f"its pooling is {json.dumps(notes['pooling'])}")
            return cls.of_weights(notes["config"], weights, "cls" if notes["pooling"] == "cls" else "mean")
        except (SafetensorError, OSError, StoreError, *JSON_DAMAGE, RuntimeError) as error:
            raise RunError(f"{path} is not a readable text model ({reason_of(error)}); train the run again") from error
