"""OP-TSG writes: order prompts to tokens, slot after slot or all at once, steered where a control says so (paper §3.3).

Legend: B videos, S title tokens, N prompts, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...data.batching import Batch
from ..model.op_tsg import OPTSG
from ..model.token_output import TokenOutput
from .greedy import WrittenTokens, greedy_decode
from .pins import place_pins, prompts_in_front
from .slot_parallel import slot_parallel_decode
from .steering import Steering
from .tag_control import BatchControl


@torch.no_grad()
def write(
    model: OPTSG,
    batch: Batch,
    *,
    nil_bias: float = 0.0,
    use_cache: bool = True,
    order: Tensor | None = None,
    control: BatchControl | None = None,
) -> WrittenTokens:
    """Tokens for a batch, prompts in their natural order (paper §3.3) or in another one, a permutation (N,).

    With a control only allowed tags are written. Pinned tags are written by prompts that write them anyway or nothing,
    in sequential decoding before all others: what the other prompts write follows from them.
    """
    features, mask = model.encode(batch)
    return write_from(
        model, features, mask, batch, nil_bias=nil_bias, use_cache=use_cache, order=order, control=control
    )


@torch.no_grad()
def write_from(
    model: OPTSG,
    features: Tensor,
    mask: Tensor,
    batch: Batch,
    *,
    nil_bias: float,
    use_cache: bool = True,
    order: Tensor | None = None,
    control: BatchControl | None = None,
    prompts: Tensor | None = None,
) -> WrittenTokens:
    """:func:`write` from features F (B, S, D) with mask (B, S) of the batch, and order prompts where they are at hand."""
    prompts = model.order_prompts(features, mask) if prompts is None else prompts
    if order is not None:
        prompts = prompts[:, order]
    output = None if model.title_copier is None else model.title_copier.output(model.decoder, batch, features)
    if model.config.decoding == "parallel":
        steering = None
        if control is not None:
            steering = _steered_slots(model, prompts, features, mask, output, control, nil_bias)
        return slot_parallel_decode(
            model.decoder, prompts, features, mask, nil_bias=nil_bias, output=output, steering=steering
        )
    numbers, steering = None, None
    if control is not None:
        pins, chosen = place_pins(model, prompts, features, mask, output, control, nil_bias=nil_bias)
        steering = control.steer_sequences(pins, repeats=True)
        if any(pins):
            numbers = prompts_in_front(chosen, prompts.shape[1], prompts.device)
            prompts = prompts.gather(1, numbers[..., None].expand_as(prompts))
    written = greedy_decode(
        model.decoder,
        prompts,
        features,
        mask,
        nil_bias=nil_bias,
        output=output,
        steering=steering,
        use_cache=use_cache,
    )
    return replace(written, prompts=numbers)


def _steered_slots(
    model: OPTSG,
    prompts: Tensor,
    features: Tensor,
    mask: Tensor,
    output: TokenOutput | None,
    control: BatchControl,
    nil_bias: float,
) -> Steering:
    """Slots written at once have no order: a pinned tag stays with its prompt."""
    pins, chosen = place_pins(model, prompts, features, mask, output, control, nil_bias=nil_bias)
    places = [dict(zip(*video, strict=True)) for video in zip(chosen, pins, strict=True)]
    return control.steer_slots(prompts.shape[1], places)
