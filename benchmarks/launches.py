"""A training step of ``base`` on tensors so small that launching its operations is all it costs, as it would run on a GPU.

The model has all layers and prompts of ``base``, 24 wide, and two videos a step. The operations are those that a GPU gets
(fused attention and dropout), not those that the CPU is better off with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from optsg.data.store import FeatureStore
from optsg.train.config import TrainingConfig
from optsg.train.model import layers
from torch import Tensor
from torch.nn import functional

from benchmarks.synthetic_store import TextSize
from benchmarks.training_step import StepsOfOurs

VIDEOS = 2
TEXT = TextSize(width=12, layers=6, heads=12, pieces=8_000)
SETTINGS = ("width=24", "vocabulary=corpus", f"batch_size={VIDEOS}", "state_seconds=1e9")


def gpu_dropout(module: Any, x: Tensor) -> Tensor:
    """One operation that also gives its mask, as on a GPU; on the CPU the same call is five."""
    if not module.training or not module.rate:
        return x
    dropped: Tensor = torch.native_dropout(x, module.rate, True)[0]
    return dropped


def gpu_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
    """The fused kernel, which on the CPU is slower than plain formulas."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)


def fused_kernels(device: torch.device) -> bool:
    """As on a GPU."""
    del device
    return True


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Inside, models compute with the operations that they use on a GPU."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(layers.Dropout, "forward", gpu_dropout))
        stack.enter_context(mock.patch.object(layers, "_attend", gpu_attention))
        if hasattr(layers, "has_fused_kernels"):
            from optsg.train.model import tag_decoder, title_encoder

            # An earlier version, which host_bound.py compares with, asks in fewer places.
            asking = [module for module in (layers, title_encoder, tag_decoder) if hasattr(module, "has_fused_kernels")]
            for module in asking:
                # A plain function, as the real one is: at a mock compilation would end and begin again behind it.
                stack.enter_context(mock.patch.object(module, "has_fused_kernels", fused_kernels))
        yield


def narrow_steps(store: FeatureStore, device: torch.device, settings: Sequence[str] = ()) -> StepsOfOurs:
    """A trainer of the narrow model, without a run folder that stays."""
    # What claims to be a GPU records nothing; an earlier version, which host_bound.py compares with, knows no such setting.
    launched = ["cuda_graphs=false"] if "cuda_graphs" in TrainingConfig.__dataclass_fields__ else []
    with tempfile.TemporaryDirectory() as folder:
        return StepsOfOurs(store, Path(folder), "base", [*SETTINGS, *launched, *settings], device)


def step_and_read(steps: StepsOfOurs, store: FeatureStore) -> Callable[[], object]:
    """One step, always of the same videos, and what training reads of it."""
    rows = store.indices("train")[:VIDEOS]
    return lambda: steps.step(rows)
