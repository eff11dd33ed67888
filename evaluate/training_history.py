"""The course of a training, from the run folder's ``log.jsonl``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingHistory:
    """One record per finished epoch, in order.

    A record maps names such as ``train_loss`` and ``val_full_f1`` to numbers; what was not measured in an epoch is
    not in its record.
    """

    epochs: tuple[dict[str, float], ...]

    def curve(self, name: str) -> list[tuple[float, float]]:
        """(epoch, value) wherever ``name`` was measured."""
        return [(record["epoch"], record[name]) for record in self.epochs if name in record]

    def best_epoch(self, name: str) -> float | None:
        """The first epoch with the highest ``name``; ``None`` where it was never measured."""
        points = self.curve(name)
        return max(points, key=lambda point: (point[1], -point[0]))[0] if points else None


def read_training_history(path: Path) -> TrainingHistory:
    """Reads ``log.jsonl``; empty where there is none, since a published run may come without it.

    What training and what validation measured in an epoch become one record. A line that was cut off by a crash is
    passed over.
    """
    if not path.is_file():
        return TrainingHistory(())
    records: dict[float, dict[str, float]] = {}
    with path.open(encoding="utf-8", newline="\n") as file:
        for event in _events(file):
            numbers = _numbers(event)
            if "epoch" in numbers:
                records.setdefault(numbers["epoch"], {}).update(numbers)
    return TrainingHistory(tuple(records[epoch] for epoch in sorted(records)))


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") in ("epoch", "validation"):
            yield event


def _numbers(event: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in event.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
