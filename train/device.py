"""Which device and which arithmetic a run uses."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

import torch
from torch import Tensor

from ..data.errors import ConfigError
from .config import Precision


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: the device is unknown or not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, present in there.items() if present]
    if name == "auto":
        name = usable[0]
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name}: not available here; use {' or '.join(['auto', *usable])}") from error
    return device


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device. To CUDA it goes from pinned memory, so that nobody waits for what the device has to do."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def device_name(device: torch.device) -> str:
    """A device for people: the GPU's name, or the processor's where the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        with contextlib.suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or device.type


def has_fast_bf16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 (tensor cores, AMX, AVX-512 BF16)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())
    return False


def working_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """bfloat16 where asked for, or where ``auto`` finds that the device multiplies it fast; else float32."""
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32
