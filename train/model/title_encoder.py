"""Title encoder: the first layers of a BERT-like model, from the store, trained (paper §4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...data.errors import StoreError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json
from ...data.store.schema import WIDEST
from ...data.torchvision_compat import ensure_torchvision_importable
from .bert import Bert, BertSettings
from .layers import Dropout, added_mask, has_fused_kernels
from .undrawn import NothingDrawn

MOST = {
    "num_hidden_layers": 256,
    "hidden_size": WIDEST,
    "intermediate_size": WIDEST,
    "vocab_size": 1 << 24,
    "max_position_embeddings": WIDEST,
    "embedding_size": WIDEST,
}
"""Sizes of text models that there are; a configuration that announces more was made to take memory and time."""


def check_text_config(config_json: str) -> dict[str, Any]:
    """The settings of a text model, as Hugging Face names them.

    Raises:
        StoreError: they are damaged, say no kind of model, or announce one larger than there is.
    """
    try:
        settings = parse_json(config_json)
        if not isinstance(settings["model_type"], str):
            raise ValueError("model_type is no text")
        for name, most in MOST.items():
            if name in settings and not (type(settings[name]) is int and 0 <= settings[name] <= most):
                raise ValueError(f"{name} is no number from 0 to {most:,}")
    except JSON_DAMAGE as error:
        raise StoreError(f"the title encoder's configuration cannot be used: {reason_of(error)}") from error
    return {name: value for name, value in settings.items() if name not in ("auto_map", "custom_pipelines")}


class TitleEncoder(nn.Module):
    """A Hugging Face text model and a projection to the model's width where the two differ.

    Args:
        config_json: the text model's configuration, already cut to its first layers.
        width: D.
        dropout: replaces the text model's own rates.
    """

    def __init__(self, config_json: str, width: int, dropout: float):
        super().__init__()
        try:
            self.model, self.text_width = _drawn(check_text_config(config_json), dropout)
        except StoreError:
            raise
        except (
            Exception
        ) as error:  # transformers, its validation and PyTorch raise many kinds, AssertionError among them
            raise StoreError(f"the title encoder's configuration cannot be used: {reason_of(error)}") from error
        self.projection: nn.Module = nn.Identity()
        if self.text_width != width:
            self.projection = nn.Sequential(nn.Linear(self.text_width, width), nn.LayerNorm(width))

    @classmethod
    def of_weights(cls, config_json: str, width: int, weights: Mapping[str, Tensor]) -> Self:
        """Without dropout, of weights that are there, none of which is drawn or copied. They are float32, but word embeddings may be of half precision.

        Raises:
            StoreError: as the class and :meth:`load_pretrained`.
        """
        if (
            BertSettings.of(check_text_config(config_json)) is None
        ):  # others have numbers that are not among their weights
            encoder = cls(config_json, width, 0.0)
            encoder.load_pretrained({name: value.float().numpy() for name, value in weights.items()})
            return encoder
        with torch.device("meta"), NothingDrawn():
            encoder = cls(config_json, width, 0.0)
        encoder._load(weights, assign=True)
        return encoder

    def load_pretrained(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Loads the store's weights.

        Raises:
            StoreError: they do not fit the configuration.
        """
        self._load({name: torch.from_numpy(np.asarray(weight)) for name, weight in weights.items()})

    def _load(self, state: Mapping[str, Tensor], *, assign: bool = False) -> None:
        try:
            self.model.load_state_dict(state, strict=True, assign=assign)
        except RuntimeError as error:
            raise StoreError(f"the store's title encoder does not fit its configuration: {reason_of(error)}") from error

    def word_embeddings(self) -> Tensor:
        """(pieces, text_width) input embeddings."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, S) tokens and mask -> (B, S, D)."""
        hidden = hidden_states(self.model, tokens, mask)
        projected: Tensor = self.projection(hidden)
        return projected


def hidden_states(model: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """What a title encoder's text model makes of tokens (B, S) and a boolean mask (B, S): (B, S, its width)."""
    if isinstance(model, Bert):
        fused = has_fused_kernels(tokens.device)
        # Made of a mask (B, S), attention would ask the device whether anything is masked at all, and wait.
        given = added_mask(mask[:, None, None, :], next(model.parameters()).dtype) if fused else mask
        own: Tensor = model(tokens, given, plain=not fused)
        return own
    found: Tensor = model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    return found


def _drawn(settings: dict[str, Any], dropout: float) -> tuple[Any, int]:
    """A text model of these settings, its weights drawn at random, and its width; whatever transformers makes of wrong ones."""
    own = BertSettings.of(settings)
    return (Bert(own, dropout), own.hidden_size) if own else _of_transformers(settings, dropout)


def _of_transformers(settings: dict[str, Any], dropout: float) -> tuple[Any, int]:
    ensure_torchvision_importable()
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config.hidden_dropout_prob = dropout
    config.attention_probs_dropout_prob = 0.0  # as everywhere here, see layers.Attention
    # The fused CPU kernel's backward pass is slow at a title's length (see layers.Attention).
    options = {"attn_implementation": "eager"}
    try:
        model = AutoModel.from_config(config, add_pooling_layer=False, **options)
    except TypeError:  # a model that never has a pooler
        model = AutoModel.from_config(config, **options)
    use_quick_dropout(model)
    return model, int(config.hidden_size)


def read_word_embeddings(config_json: str, weights: Mapping[str, NDArray[Any]]) -> Tensor:
    """(pieces, text_width) input embeddings among a text model's weights. The model is outlined for their name alone.

    Raises:
        StoreError: they are not there.
    """
    with torch.device("meta"):
        outline = TitleEncoder(config_json, width=1, dropout=0.0)
    words = outline.word_embeddings()
    name = next(name for name, weight in outline.model.named_parameters() if weight is words)
    if name not in weights:
        raise StoreError(f"the store's title encoder does not fit its configuration: {name} is missing")
    return torch.from_numpy(np.asarray(weights[name])).float()


def use_quick_dropout(model: nn.Module) -> None:
    """Puts :class:`optsg.train.model.layers.Dropout` in place of PyTorch's, whose draws alone take five times as long on a CPU.

    Modules with rate 0 stay: attention layers read the rate of theirs.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout) and child.p > 0:
                setattr(module, name, Dropout(child.p))
