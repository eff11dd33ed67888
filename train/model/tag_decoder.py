"""Order-aware tag decoder T_D (paper §3.2.3, Eq. 7): writes the tag sequence word piece by word piece.

How the order prompts enter is not in the paper. Three ways exist and can be combined (``prefix+slot``):

``prefix``  the N prompts stand in front of the text; they see each other, text sees them and the text before it;
``memory``  the prompts join the hybrid features F as cross-attention memory;
``slot``    each text position also receives the prompt of the tag it is writing. The slot is the number of separators
            so far, so the alignment that training aims for is given to the decoder directly.

The generators that OP-TSG is compared with have no prompts (``none``) and none of the modules that prompts need.

Legend: B videos, N prompts, S title tokens, T text tokens, D width, E tag-embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...data.word_pieces import MARKS, SEPARATOR
from ..config import NO_PROMPTS
from .layers import (
    CrossLayer,
    Dropout,
    KeyValue,
    LayerCache,
    added_mask,
    attention_mask,
    causal_mask,
    has_fused_kernels,
    mask_for_layers,
    wide_linear,
)
from .tag_sequence import MAX_TARGET_TOKENS, TokenLayout, positions_in_tag, slots_of


@dataclass
class DecoderState:
    """What cached decoding remembers between two steps.

    Attributes:
        text: (B, t) which cached text tokens are part of their video's text; ``None`` where all are.
        length: (B,) tokens of the text so far.
        slot: (B,) separators among them.
        start: (B,) where the tag being written starts: the place of the last separator, 0 without one.
        step: how often something has been read.
    """

    prompts: Tensor
    caches: list[LayerCache]
    memories: list[KeyValue]
    memory_mask: Tensor
    text: Tensor | None
    length: Tensor
    slot: Tensor
    start: Tensor
    step: int = 0

    def keep(self, rows: Tensor) -> None:
        """Keeps only these rows of the batch."""
        for cache in self.caches:
            cache.keep(rows)
        self.memories = [(key[rows], value[rows]) for key, value in self.memories]
        self.prompts, self.memory_mask = self.prompts[rows], self.memory_mask[rows]
        self.text = None if self.text is None else self.text[rows]
        self.length, self.slot, self.start = self.length[rows], self.slot[rows], self.start[rows]

    def places(self, tokens: Tensor) -> TextPlaces:
        """Where tokens (B, X) stand that follow the text so far."""
        separator = tokens == SEPARATOR
        # Videos that have ended, and guesses behind the longest text, are read too, and not used.
        index = (self.length[:, None] + torch.arange(tokens.shape[1], device=tokens.device)).clamp(
            max=MAX_TARGET_TOKENS
        )
        return TextPlaces(
            index=index,
            slot=self.slot[:, None] + separator.long().cumsum(dim=1),
            start=torch.where(separator, index, self.start[:, None]).cummax(dim=1).values,
        )

    def sight(self, tokens: int) -> Tensor | None:
        """(B, X, prefix + t + X) what X new tokens look at: the text so far, those before them, and themselves."""
        if self.text is None and tokens == 1:
            return None
        cached, videos, device = self.caches[0].length, len(self.length), self.length.device
        earlier = torch.ones(videos, cached, dtype=torch.bool, device=device)
        if self.text is not None:
            earlier[:, cached - self.text.shape[1] :] = self.text
        own = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
        return torch.cat([earlier[:, None].expand(-1, tokens, -1), own.expand(videos, -1, -1)], dim=2)

    def take(self, places: TextPlaces, counts: Tensor) -> None:
        """Makes the first ``counts`` (B,) of the tokens just read, at least 1 of X, part of the text; the others never were."""
        last = (counts - 1)[:, None]
        self.length = self.length + counts
        self.slot, self.start = places.slot.gather(1, last)[:, 0], places.start.gather(1, last)[:, 0]
        taken = torch.arange(places.slot.shape[1], device=counts.device) < counts[:, None]
        self.text = taken if self.text is None else torch.cat([self.text, taken], dim=1)


@dataclass(frozen=True, kw_only=True)
class TextPlaces:
    """Where tokens (B, X) stand: ``index`` in the text, ``slot`` that follows them, ``start`` of its tag in the text."""

    index: Tensor
    slot: Tensor
    start: Tensor


class TagDecoder(nn.Module):
    """Autoregressive layers of self-attention, cross-attention to F, feed-forward; tied input and output embeddings."""

    def __init__(
        self,
        *,
        vocabulary: int,
        prompts: int,
        tag_dim: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        prompt_entry: str,
        slot_positions: bool = True,
    ):
        super().__init__()
        self.entries = frozenset(prompt_entry.split("+"))
        self.embedding = nn.Embedding(vocabulary, width)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary))
        has_prompts = prompt_entry != NO_PROMPTS
        self.prompt_projection = nn.Linear(tag_dim, width) if has_prompts else None
        self.prompt_norm = nn.LayerNorm(width) if has_prompts else None
        self.slot_position = nn.Embedding(prompts, width) if has_prompts and slot_positions else None
        self.text_position = nn.Embedding(MAX_TARGET_TOKENS + 1, width)
        self.embedding_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(CrossLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    @torch.no_grad()
    def load_words(self, words: Tensor, pieces: Sequence[int]) -> None:
        """Starts the word embeddings from a text model's (pieces of the tokenizer, its width), where widths agree."""
        if words.shape[1] == self.embedding.embedding_dim:
            self.embedding.weight[MARKS:] = words[torch.tensor(pieces)]
            self.embedding.weight[:MARKS].normal_(std=float(words.std()))

    def forward(
        self,
        prompts: Tensor | None,
        tokens: Tensor,
        features: Tensor,
        mask: Tensor,
        layout: TokenLayout | None = None,
    ) -> Tensor:
        """All positions at once, for training.

        Args:
            prompts: (B, N, E) in input order; ``None`` in a decoder without prompts.
            tokens: (B, T) decoder inputs, starting with the begin mark.
            features: F (B, S, D), mask (B, S).
            layout: one sequence from left to right without it; with it prompts must enter by their slots alone.

        Returns:
            (B, T, D) hidden states; :meth:`logits` turns them into scores over the vocabulary.
        """
        slots = self._slots(prompts, features)
        memory, memory_mask = self._memory(slots, features, mask)
        prefix = slots.shape[1] if "prefix" in self.entries else 0
        # Without prompts in front of the text a kernel knows what may be looked at, and needs no mask.
        causal = layout is None and not prefix and has_fused_kernels(features.device)
        if layout is None:
            x = self._embed(slots, tokens, slots_of(tokens), self._text_positions(tokens))
            visible = None if causal else causal_mask(prefix, tokens.shape[1], x.device)
        else:
            x, visible = self._embed(slots, tokens, layout.slots, layout.positions), layout.mask
        self_mask = None if visible is None else mask_for_layers(visible, x)
        memory_mask = mask_for_layers(memory_mask, x)
        if prefix:
            x = torch.cat([slots, x], dim=1)
        for layer in self.layers:
            assert isinstance(layer, CrossLayer)
            key_value = layer.memory_key_value(memory)
            x = layer(x, self_mask=self_mask, causal=causal, memory=key_value, memory_mask=memory_mask)
        hidden: Tensor = self.norm(x[:, prefix:])
        return hidden

    def logits(self, hidden: Tensor, *, fill: bool = False) -> Tensor:
        """(…, D) -> (…, V), or with ``fill`` some scores of -inf behind them where those are computed anyway."""
        return wide_linear(hidden, self.embedding.weight, self.output_bias, fill=fill)

    def begin(self, prompts: Tensor | None, features: Tensor, mask: Tensor) -> DecoderState:
        """Starts cached decoding: cross-attention keys and values once, and the prefix through all layers."""
        slots = self._slots(prompts, features)
        memory, memory_mask = self._memory(slots, features, mask)
        prefix = slots.shape[1] if "prefix" in self.entries else 0
        caches = [LayerCache(prefix + MAX_TARGET_TOKENS) for _ in self.layers]
        memories: list[KeyValue] = []
        x = slots
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, CrossLayer)
            key_value = layer.memory_key_value(memory)
            assert key_value is not None
            memories.append(key_value)
            if prefix:
                x = layer(x, memory=key_value, memory_mask=memory_mask, past=cache)
        zeros = torch.zeros(len(features), dtype=torch.int64, device=features.device)
        return DecoderState(
            slots, caches, memories, added_mask(memory_mask, x.dtype), text=None, length=zeros, slot=zeros, start=zeros
        )

    def step(self, state: DecoderState, tokens: Tensor) -> Tensor:
        """Reads one token per video (B,) and returns the hidden states from which the next is written, (B, 1, D)."""
        places = state.places(tokens[:, None])
        hidden = self._read(state, tokens[:, None], places, None)
        state.length, state.slot, state.start = state.length + 1, places.slot[:, 0], places.start[:, 0]
        return hidden

    def step_ahead(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, TextPlaces]:
        """Reads a token of every video and guesses of those behind it, (B, X), in one pass.

        Returns:
            (B, X, D) hidden states, of which each is right where the guesses before it are, and the tokens' places:
            :meth:`DecoderState.take` must be told how many of them stay.
        """
        places, sight = state.places(tokens), state.sight(tokens.shape[1])
        return self._read(state, tokens, places, None if sight is None else sight[:, None]), places

    def step_slots(self, state: DecoderState, tokens: Tensor, mask: Tensor) -> Tensor:
        """Reads one token per slot (B, N), all at the same place of their tags; the next are written from what it returns.

        Args:
            mask: (B, 1, N, (step + 1) · N), which of the tokens read so far, step by step, each slot may look at.

        Returns:
            (B, N, D) hidden states.
        """
        slot = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        index = torch.full_like(tokens, state.step)
        return self._read(state, tokens, TextPlaces(index=index, slot=slot, start=torch.zeros_like(index)), mask)

    def _read(self, state: DecoderState, tokens: Tensor, places: TextPlaces, mask: Tensor | None) -> Tensor:
        """Tokens (B, X) after what is cached, which mask (B, 1, X, ·) lets them look at -> hidden states (B, X, D)."""
        position = places.index - places.start if "slot" in self.entries else places.index
        x = self._embed(state.prompts, tokens, places.slot, position)
        # Attention would turn it into numbers in every layer anew.
        mask = None if mask is None else added_mask(mask, x.dtype)
        for layer, cache, memory in zip(self.layers, state.caches, state.memories, strict=True):
            x = layer(x, self_mask=mask, memory=memory, memory_mask=state.memory_mask, past=cache)
        state.step += 1
        hidden: Tensor = self.norm(x)
        return hidden

    def _slots(self, prompts: Tensor | None, features: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, D): prompts at the decoder's width with their slot's position; N is 0 without prompts."""
        if self.prompt_projection is None or self.prompt_norm is None:
            return features.new_zeros((len(features), 0, features.shape[2]))
        assert prompts is not None
        slots: Tensor = self.prompt_norm(self.prompt_projection(prompts))
        return slots if self.slot_position is None else slots + self.slot_position.weight[: prompts.shape[1]]

    def _memory(self, slots: Tensor, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if "memory" in self.entries:
            features = torch.cat([features, slots], dim=1)
            mask = torch.cat([mask, mask.new_ones(slots.shape[:2])], dim=1)
        return features, attention_mask(mask)

    def _text_positions(self, tokens: Tensor) -> Tensor:
        if "slot" in self.entries:
            return positions_in_tag(tokens)
        return torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)

    def _embed(self, slots: Tensor, tokens: Tensor, slot: Tensor, position: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.text_position(position)
        if "slot" in self.entries:
            index = slot.clamp(max=slots.shape[1] - 1)[..., None].expand(-1, -1, slots.shape[2])
            x = x + slots.gather(1, index)
        embedded: Tensor = self.dropout(self.embedding_norm(x))
        return embedded
