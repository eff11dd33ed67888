"""The one scalar of a system that is tuned on validation, and ``decision.json``.

A classifier's threshold and a generator's bias on NIL do the same: they trade precision for recall. All systems are
tuned by the same rule, or the comparison would be unfair: for full F1, and where few videos validate for example-based F1 too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, number_of, read_json
from ..confidence.few_videos import F1Pair, weight_of_tags

TOLERANCE = 0.0025
"""A quarter of a point of F1."""


@dataclass(frozen=True, kw_only=True)
class TunedScalar:
    """What is tuned.

    Attributes:
        name: its name in ``decision.json``, ``metrics.json`` and the log.
        label: its name for people.
        untuned: its value where there is no validation split.
        candidates: the values that are tried at the end, from the one that writes the fewest tags to the one that
            writes the most.
        during_training: the values that are tried at every validation, in the same order.
    """

    name: str
    label: str
    untuned: float
    candidates: tuple[float, ...]
    during_training: tuple[float, ...]

    def tuned(self, f1_by_value: Mapping[float, F1Pair], videos: int) -> dict[str, Any]:
        """The document of ``decision.json`` after tuning on so many validation videos."""
        weight = weight_of_tags(videos)
        value = choose_value({tried: f1.mean(weight) for tried, f1 in f1_by_value.items()})
        # full_f1_by_bias, full_f1_by_threshold, …
        kind = self.name.removeprefix("nil_")
        return {
            self.name: value,
            "tuned_on": "val",
            "weight_of_full_f1": weight,
            "full_f1": f1_by_value[value].tags,
            "example_f1": f1_by_value[value].videos,
            f"full_f1_by_{kind}": {str(tried): f1.tags for tried, f1 in f1_by_value.items()},
            f"example_f1_by_{kind}": {str(tried): f1.videos for tried, f1 in f1_by_value.items()},
        }

    def not_tuned(self) -> dict[str, Any]:
        """The document of ``decision.json`` without a validation split."""
        return {self.name: self.untuned, "tuned_on": None}

    def read(self, path: Path) -> Decision:
        """What a ``decision.json`` says.

        Raises:
            RunError: the file does not hold it.
        """
        try:
            value = number_of(read_json(path)[self.name])
        except JSON_DAMAGE as error:
            raise RunError(
                f"{path.parent} cannot be read: {path.name} does not hold the system's {self.name} ({reason_of(error)}); "
                "train the run again"
            ) from error
        return Decision(scalar=self, value=value)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The value of a system's scalar that predictions are made with."""

    scalar: TunedScalar
    value: float

    def __str__(self) -> str:
        return f"{self.scalar.label} {self.value:g}"


def choose_value(f1_by_value: Mapping[float, float]) -> float:
    """The first value whose F1 is at most :data:`TOLERANCE` below the best.

    F1 is flat around its top, and which value is the very best there is chance; one that writes more tags only
    costs precision. The values stand in the order of :attr:`TunedScalar.candidates`, fewest tags first.
    """
    best = max(f1_by_value.values())
    return next(value for value, score in f1_by_value.items() if score >= best - TOLERANCE)


FUSED_THRESHOLD = TunedScalar(
    name="threshold",
    label="threshold",
    untuned=0.1,
    candidates=(
        0.5,
        0.4,
        0.3,
        0.25,
        0.2,
        0.175,
        0.15,
        0.125,
        0.1,
        0.09,
        0.08,
        0.07,
        0.06,
        0.05,
        0.04,
        0.03,
        0.02,
        0.01,
    ),
    during_training=(0.2, 0.15, 0.1, 0.07, 0.05, 0.03),
)
"""The least fused score of a tag."""
