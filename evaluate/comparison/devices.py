"""Where the runs of a grid go: how many side by side, on which devices, with how many threads each."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from ...train.device import choose_device

MOST_CPU_JOBS = 8
"""Each holds a model, its optimiser and a copy of the text tables."""

FREE_SHARE = 0.9
"""A GPU with this share of its memory free is taken for free."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where runs are trained.

    Attributes:
        devices: one for each run that is trained at a time.
        threads: of each on the CPU.
    """

    devices: tuple[str, ...]
    threads: int

    @property
    def described(self) -> str:
        """For people: "2 runs at a time on cpu, 1 thread each"."""
        count = len(self.devices)
        runs, threads = ("run" if count == 1 else "runs"), ("thread" if self.threads == 1 else "threads")
        each = " each" if count > 1 else ""
        return f"{count} {runs} at a time on {', '.join(dict.fromkeys(self.devices))}, {self.threads} {threads}{each}"


def choose_places(device: str, jobs: int | None) -> Places:
    """One run for each free GPU; on the CPU one for each core, which gives more runs an hour than threads do.

    Args:
        device: ``--device``; ``auto`` and ``cuda`` take all GPUs that are free, all there are if none is.
        jobs: how many at a time instead.

    Raises:
        ConfigError: there is no such device.
    """
    place = choose_device(device)
    cores = usable_cores()
    if place.type == "cuda" and place.index is None:
        gpus = _free_gpus()
        count = jobs or len(gpus)
        devices = tuple(gpus[number % len(gpus)] for number in range(count))
    else:
        count = jobs or (min(cores, MOST_CPU_JOBS) if place.type == "cpu" else 1)
        devices = (str(place),) * count
    return Places(devices=devices, threads=max(1, cores // count))


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_gpus() -> list[str]:
    every = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    free = []
    for number, name in enumerate(every):
        available, total = torch.cuda.mem_get_info(number)
        if available >= FREE_SHARE * total:
            free.append(name)
    return free or every
