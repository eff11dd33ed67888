"""BERT without a pooler, as transformers has it: the same names of weights, the same numbers to the bit, the same draws.

Importing transformers takes longer than tagging a video, and its layers spend half of their time on asking what they are. So
the most usual kind of title encoder is written out here; all others are transformers' own. Devlin et al., NAACL 2019.

Legend: B videos, S title tokens, W the text model's width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import Dropout

SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)

PLAIN: Mapping[str, Any] = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "chunk_size_feed_forward": 0,
    "output_hidden_states": False,
    "output_attentions": False,
    "return_dict": True,
    "tie_word_embeddings": True,
    "pruned_heads": {},
}
"""Settings that change what is computed: what they must be, where they are there."""


@dataclass(frozen=True, kw_only=True)
class BertSettings:
    """Sizes of a BERT, as transformers names them; its defaults are transformers'."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    pad_token_id: int | None = 0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self | None:
        """``None`` for a text model that is none of these, or that says something odd: transformers knows what to make of it."""
        if settings.get("model_type") != "bert" or any(
            settings.get(name, plain) != plain for name, plain in PLAIN.items()
        ):
            return None
        found = cls(**{name: settings[name] for name in cls.__dataclass_fields__ if name in settings})
        whole = all(type(getattr(found, name)) is int and getattr(found, name) > 0 for name in SIZES)
        broken = (found.initializer_range, found.layer_norm_eps)
        pad = found.pad_token_id
        fits = (
            whole
            and found.hidden_size % found.num_attention_heads == 0
            and all(type(value) is float and 0 < value < 1 for value in broken)
            and (pad is None or (type(pad) is int and 0 <= pad < found.vocab_size))
        )
        return found if fits else None


class Bert(nn.Module):
    """Weights are drawn as transformers draws them: one seed gives one model.

    Args:
        settings: its sizes.
        dropout: rate of the embeddings and of what each half of a layer adds; attention weights are not dropped.

    Attributes:
        config: the settings, under transformers' name for them.
    """

    def __init__(self, settings: BertSettings, dropout: float):
        super().__init__()
        self.config = settings
        self.embeddings = _Embeddings(settings, dropout)
        self.encoder = _Layers(settings, dropout)
        self.apply(self._draw)  # a second time, as transformers does: what is drawn behind it is then the same too

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding table of the word pieces, as transformers names it."""
        return self.embeddings.word_embeddings

    def forward(self, tokens: Tensor, mask: Tensor, *, plain: bool = True) -> Tensor:
        """(B, S) tokens -> (B, S, W).

        Args:
            mask: (B, S), true where there is something, or (B, 1, 1, S) that is added to scores.
            plain: whether attention is the plain formula, the quicker one on a CPU; else a fused kernel.
        """
        x: Tensor = self.embeddings(tokens)
        added = mask
        if mask.dtype == torch.bool:
            least = torch.finfo(x.dtype).min
            added = torch.zeros_like(mask, dtype=x.dtype).masked_fill_(~mask, least)[:, None, None, :]
        for layer in self.encoder.layer:
            x = layer(x, added, plain=plain)
        return x

    @torch.no_grad()
    def _draw(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()


class _Embeddings(nn.Module):
    def __init__(self, settings: BertSettings, dropout: float):
        super().__init__()
        width = settings.hidden_size
        self.word_embeddings = nn.Embedding(settings.vocab_size, width, padding_idx=settings.pad_token_id)
        self.position_embeddings = nn.Embedding(settings.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(settings.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=settings.layer_norm_eps)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        x = self.word_embeddings(tokens) + self.token_type_embeddings(torch.zeros_like(tokens))
        embedded: Tensor = self.dropout(self.LayerNorm(x + self.position_embeddings(positions)))
        return embedded


class _Layers(nn.Module):
    def __init__(self, settings: BertSettings, dropout: float):
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(settings, dropout) for _ in range(settings.num_hidden_layers))


class BertLayer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised."""

    def __init__(self, settings: BertSettings, dropout: float):
        super().__init__()
        width = settings.hidden_size
        self.attention = _Attention(settings, dropout)
        self.intermediate = _Dense(width, settings.intermediate_size)
        self.output = _Sum(settings.intermediate_size, width, dropout, settings.layer_norm_eps)

    def forward(self, x: Tensor, added: Tensor, *, plain: bool) -> Tensor:
        """(B, S, W) -> (B, S, W); ``added`` (B, 1, 1, S) is added to the scores."""
        attended: Tensor = self.attention.output(self.attention.self(x, added, plain=plain), x)
        found: Tensor = self.output(functional.gelu(self.intermediate.dense(attended)), attended)
        return found


class _Attention(nn.Module):
    """Named as in transformers; a layer calls its parts."""

    def __init__(self, settings: BertSettings, dropout: float):
        super().__init__()
        width = settings.hidden_size
        self.self = _SelfAttention(width, settings.num_attention_heads)
        self.output = _Sum(width, width, dropout, settings.layer_norm_eps)


class _Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)


class _Sum(nn.Module):
    """A projection, added to what it came from and normalised."""

    def __init__(self, inputs: int, width: int, dropout: float, eps: float):
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        found: Tensor = self.LayerNorm(self.dropout(self.dense(x)) + before)
        return found


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self._heads, self._scale = heads, (width // heads) ** -0.5

    def forward(self, x: Tensor, added: Tensor, *, plain: bool) -> Tensor:
        query, key, value = (
            part(x).unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        if plain:
            weights = (query @ key.transpose(2, 3) * self._scale + added).softmax(dim=-1)
            attended = weights @ value
        else:
            attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=self._scale)
        joined: Tensor = attended.transpose(1, 2).flatten(2)
        return joined
