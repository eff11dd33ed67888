"""What PyTorch's profiler says of one call: its operators, how often each was called and what each took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.results_file import table

LINES = 15
MATRIX_PRODUCTS = frozenset({"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear"})
ATTENTION = "scaled_dot_product"
KINDS = ("matrix products", "attention", "other")


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator of a call.

    Attributes:
        seconds: processor time in it, without what it calls.
    """

    name: str
    calls: int
    seconds: float

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        if ATTENTION in self.name:
            return "attention"
        return "matrix products" if self.name in MATRIX_PRODUCTS else "other"


def profiled(call: Callable[[], Any]) -> list[Operator]:
    """The operators of one call on the CPU, the costliest first."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as recorder:
        call()
    found = [
        Operator(name=event.key, calls=event.count, seconds=event.self_cpu_time_total / 1e6)
        for event in recorder.key_averages()
    ]
    return sorted(found, key=lambda operator: -operator.seconds)


def seconds_by_kind(operators: list[Operator]) -> dict[str, float]:
    """Seconds by ``KINDS``."""
    kinds = dict.fromkeys(KINDS, 0.0)
    for operator in operators:
        kinds[operator.kind] += operator.seconds
    return kinds


def operator_table(operators: list[Operator], calls: str, lines: int = LINES) -> str:
    """The costliest operators as Markdown; ``calls`` heads the column of their calls."""
    whole = sum(operator.seconds for operator in operators)
    rows = [
        [operator.name, f"{operator.calls:,}", f"{100 * operator.seconds / whole:.1f} %"]
        for operator in operators[:lines]
    ]
    return table(["operator", calls, "share of processor time"], rows)
