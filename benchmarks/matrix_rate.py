"""The machine's own rate of matrix products: what shares of the hardware's speed are shares of."""

from __future__ import annotations

import time
from statistics import median

import torch

SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}


def measured_matrix_rate(dtype: torch.dtype, device: torch.device, repetitions: int = 7) -> float:
    """FLOP/s of the best square matrix product tried, a product of n × n matrices being 2 n³: median over repetitions."""
    best = 0.0
    for size in SIZES.get(device.type, SIZES["cpu"]):
        left = torch.randn(size, size, device=device).to(dtype)
        right = torch.randn(size, size, device=device).to(dtype)
        taken = [_seconds(left, right) for _ in range(repetitions + 1)][1:]
        best = max(best, 2 * size**3 / median(taken))
    return best


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    wait(left.device)
    started = time.perf_counter()
    _ = left @ right
    wait(left.device)
    return time.perf_counter() - started


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
