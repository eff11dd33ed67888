"""What was found out about a tower, as it is kept between two runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from .chunks import ChunkPlan
from .tower import FEATURE_ROUNDING, TowerFindings

MOST = 1 << 20
"""No count of pictures, threads, patches or columns is greater."""


@dataclass(frozen=True, kw_only=True)
class CheckedTower:
    """A tower whose preprocessing was compared with its library's.

    Attributes:
        findings: how it runs.
        frame_dim: width of a picture's feature.
        patches: features of patches of a picture.
        patch_dim: width of one.
    """

    findings: TowerFindings
    frame_dim: int
    patches: int
    patch_dim: int

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON types, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any] | None) -> Self | None:
        """What :meth:`to_json` gave; ``None`` for anything else."""
        try:
            assert found is not None
            findings = dict(found["findings"])
            plan = findings.pop("plan")
            counts = [found[name] for name in ("frame_dim", "patches", "patch_dim")]
            counts += [plan["pictures"], plan["threads"]] if plan else []
            if findings["format"] not in FEATURE_ROUNDING or not all(_is_count(count) for count in counts):
                return None
            if not all(isinstance(findings[name], bool) for name in ("folds", "fuses")):
                return None
            return cls(**{**found, "findings": TowerFindings(**findings, plan=ChunkPlan(**plan) if plan else None)})
        except (AssertionError, KeyError, TypeError, ValueError):
            return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST
