"""Building blocks shared by the hybrid encoder, the prompt encoder and the tag decoder.

All three are stacks of the same layer (paper §3.1, §3.2.1, §3.2.3): self-attention, cross-attention, feed-forward.
Layers are pre-normalised. Legend: B videos, X queries, Y keys, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

KeyValue = tuple[Tensor, Tensor]
"""Keys and values, each (B, H, Y, D / H)."""


def has_fused_kernels(device: torch.device) -> bool:
    """Whether a device's own kernels for attention and dropout are the quick ones; on the CPU plain formulas are."""
    return device.type != "cpu"


class Dropout(nn.Module):
    """Dropout that costs little on a CPU: one random byte decides about an element, eight bytes come from one draw.

    The rate is rounded to a multiple of 1/256. On other devices it is ``torch.nn.functional.dropout``.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; zeroes elements at the rate and scales the rest, in training only."""
        threshold = round(self.rate * 256)
        if not self.training or not threshold:
            return x
        if has_fused_kernels(x.device):
            return functional.dropout(x, self.rate)
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        draws = draws.view(torch.uint8)[: x.numel()].view(x.shape)
        # All bits where the byte reaches the threshold, none elsewhere: subtract, then spread the sign.
        kept = draws.to(BITS[x.element_size()]).sub_(threshold)
        kept = kept.bitwise_right_shift_(8 * x.element_size() - 1).bitwise_not_()
        scaled: Tensor = _Keep.apply(x, kept, 256 / (256 - threshold))  # type: ignore[no-untyped-call]
        return scaled


BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers as wide as a number of so many bytes."""


class _Keep(torch.autograd.Function):
    """Elements under all-ones masks times a scale, 0 under the others; ``masked_fill`` takes five times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return _keep(x, kept, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return _keep(gradient, kept, ctx.scale), None, None


def _keep(x: Tensor, kept: Tensor, scale: float) -> Tensor:
    return (x.view(kept.dtype) & kept).view(x.dtype).mul_(scale)


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be projected once and used again.

    Attention weights are not dropped: that would rule out the fused kernels, and the residual paths are dropped anyway.

    Attributes:
        listener: told the attention weights (B, H, X, Y) of every call, which then runs without a fused kernel.
    """

    listener: Callable[[Tensor], None] | None = None

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return heads

    def project(self, memory: Tensor) -> KeyValue:
        """(B, Y, D) -> keys and values."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(self, x: Tensor, key_value: KeyValue, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """(B, X, D) attending to projected keys.

        Args:
            mask: broadcastable to (B, H, X, Y); boolean, true = may look, or as :func:`mask_for_layers` gives it.
            causal: in place of a mask, none looks at what comes after it; a fused kernel leaves half of the work out.
        """
        key, value = key_value
        query = self._split(self.query(x))
        if self.listener is None:
            attended = _attend(query, key, value, mask, causal=causal)
        else:
            weights = _weights(query, key, causal_mask(0, x.shape[1], x.device) if causal else mask)
            self.listener(weights)
            attended = weights @ value
        projected: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return projected


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """Scaled dot-product attention, (B, H, X, D / H).

    The fused CPU kernel's backward pass costs two to six times the plain formula's at these short lengths; everywhere
    else the fused kernels win.
    """
    if causal:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    if (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.shape[2] == 2
        and not torch.is_grad_enabled()
    ):
        # In bfloat16 the kernel takes five times as long for two queries as for one.
        halves = [slice(0, 1), slice(1, 2)]
        masks = [mask if mask is None or mask.shape[-2] == 1 else mask[..., half, :] for half in halves]
        attended = [
            functional.scaled_dot_product_attention(query[:, :, half], key, value, attn_mask=own)
            for half, own in zip(halves, masks, strict=True)
        ]
        return torch.cat(attended, dim=2)
    if has_fused_kernels(query.device) or not torch.is_grad_enabled():
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return _weights(query, key, mask) @ value


def _weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    weights: Tensor = scores.softmax(dim=-1)
    return weights


class CrossLayer(nn.Module):
    """Self-attention, cross-attention to a memory (left out where ``cross`` is false), feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float, *, cross: bool = True):
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width) if cross else None
        self.cross_attention = Attention(width, heads) if cross else None
        self.feed_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        *,
        self_mask: Tensor | None = None,
        causal: bool = False,
        memory: KeyValue | None = None,
        memory_mask: Tensor | None = None,
        past: LayerCache | None = None,
    ) -> Tensor:
        """(B, X, D) -> (B, X, D).

        ``memory`` are keys and values of the cross-attention (:meth:`memory_key_value`). With ``past``, x are new
        positions only: their keys and values are added to the cache and all cached ones are attended to. ``causal`` is
        the self-attention's (:class:`Attention`).
        """
        normed = self.self_norm(x)
        own = self.self_attention.project(normed)
        seen = own if past is None else past.extend(own)
        x = x + self.dropout(self.self_attention(normed, seen, self_mask, causal=causal))
        if self.cross_attention is not None and self.cross_norm is not None and memory is not None:
            x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, memory_mask))
        fed: Tensor = x + self.dropout(self.feed_forward(self.feed_norm(x)))
        return fed

    def memory_key_value(self, memory: Tensor) -> KeyValue | None:
        """Keys and values of this layer's cross-attention for a memory (B, Y, D)."""
        return None if self.cross_attention is None else self.cross_attention.project(memory)


class LayerCache:
    """Keys and values of the positions that a layer has already read, in memory taken once, or again when it is full."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.length = 0
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    def extend(self, new: KeyValue) -> KeyValue:
        """Adds the keys and values of new positions and returns all so far, (B, H, length, D / H)."""
        key, value = new
        if self._key is None or self._value is None:
            shape = (*key.shape[:2], self.capacity, key.shape[3])
            self._key, self._value = key.new_empty(shape), value.new_empty(shape)
        end = self.length + key.shape[2]
        if end > self.capacity:
            self._grow(end)
        self._key[:, :, self.length : end] = key
        self._value[:, :, self.length : end] = value
        self.length = end
        return self._key[:, :, :end], self._value[:, :, :end]

    def _grow(self, least: int) -> None:
        self.capacity = max(least, 2 * self.capacity)
        if self._key is not None and self._value is not None:
            more = (0, 0, 0, self.capacity - self._key.shape[2])
            self._key, self._value = functional.pad(self._key, more), functional.pad(self._value, more)

    def keep(self, rows: Tensor) -> None:
        """Keeps only these rows of the batch, for decoding that drops finished videos."""
        if self._key is not None and self._value is not None:
            self._key, self._value = self._key[rows], self._value[rows]


def init_weights(module: nn.Module) -> None:
    """Small normal weights and zero biases, as in BERT."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def attention_mask(mask: Tensor) -> Tensor:
    """(B, Y) "there is something" -> (B, 1, 1, Y), for keys. A row with nothing at all looks at everything."""
    usable = mask | ~mask.any(dim=1, keepdim=True)
    return usable[:, None, None, :]


ALIGNMENT = 8
"""Numbers that rows must be a multiple of: else each fused kernel copies its mask first, and matrix products take slow kernels."""


def mask_for_layers(mask: Tensor, features: Tensor) -> Tensor:
    """A boolean mask as all layers of a stack are to use it, which compute in the precision of ``features``.

    On the CPU it is the mask itself. A fused kernel adds a mask to its scores: 0 where it may look, -inf elsewhere. Given a
    boolean one, each would make that anew.
    """
    return added_mask(mask, features.dtype) if has_fused_kernels(features.device) else mask


def added_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a boolean mask is true, -inf elsewhere; rows lie a multiple of :data:`ALIGNMENT` apart."""
    width = mask.shape[-1]
    may_look = functional.pad(mask, (0, -width % ALIGNMENT))
    return torch.zeros_like(may_look, dtype=dtype).masked_fill_(~may_look, float("-inf"))[..., :width]


def wide_linear(x: Tensor, weight: Tensor, bias: Tensor, *, fill: bool = False) -> Tensor:
    """``functional.linear`` to any number of outputs: (…, D) -> (…, V).

    A GPU's matrix products whose rows are not aligned, as those of 30,527 scores, take six times as long, forward and
    backward; there, rows of zeros fill up and what they give is left out.

    Args:
        fill: whether what they give is to stay, as -inf: to leave it out, whoever reads all scores makes copies of them.
    """
    missing = -weight.shape[0] % ALIGNMENT
    if not missing or not has_fused_kernels(x.device):
        return functional.linear(x, weight, bias)
    most = functional.pad(bias, (0, missing), value=float("-inf") if fill else 0.0)
    filled = functional.linear(x, functional.pad(weight, (0, 0, 0, missing)), most)
    return filled if fill else filled[..., : weight.shape[0]]


def causal_mask(prefix: int, text: int, device: torch.device) -> Tensor:
    """(prefix + text, prefix + text), true = may look: the prefix sees itself, text sees the prefix and earlier text."""
    total = prefix + text
    mask = torch.ones(total, total, dtype=torch.bool, device=device).tril()
    mask[:prefix, :prefix] = True
    return mask
