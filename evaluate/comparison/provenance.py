"""The head of the documents: on what data, with what, where and when."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime

import torch

from ... import __version__
from ...data.media import SPLITS
from ...data.store import FeatureStore
from ..run_store import encoder_name
from .measures import RunMeasures
from .plan import Plan


def provenance(
    store: FeatureStore, plan: Plan, settings: Sequence[str], runs: Sequence[RunMeasures]
) -> list[tuple[str, str]]:
    """Name and value of what a reader needs to judge the numbers or make them again.

    Args:
        settings: those of every run.
        runs: the finished ones.
    """
    header = store.header
    splits = ((int((store.splits == number).sum()), name) for number, name in enumerate(SPLITS))
    devices = sorted({str(run.cost("device")) for run in runs if run.cost("device")})
    threads = sorted({int(run.cost("threads")) for run in runs if run.cost("threads")})
    every_device = ", ".join(devices) or "unknown"
    with_threads = f"; PyTorch threads of a run: {', '.join(map(str, threads))}" if threads else ""
    return [
        ("Data", f"{store.path}, made {header.created}"),
        ("Videos", ", ".join(f"{count:,} {name}" for count, name in splits if count)),
        ("Tags", f"{len(store.tag_keys):,} different ones in all splits"),
        ("Encoders", f"{encoder_name(header.image_encoder)}; {encoder_name(header.text_encoder)}"),
        ("Size", f"{plan.size}; settings of every run: {' '.join(settings) or 'the defaults'}"),
        ("Seeds", ", ".join(map(str, plan.seeds))),
        ("Runs", f"{len(runs)} of {len(plan.distinct)} finished"),
        ("Device", f"{every_device}{with_threads}. Runs were timed as they ran, side by side"),
        ("Training in all", f"{sum(run.minutes or 0.0 for run in runs) / 60:.1f} hours, each run's own time summed"),
        ("Versions", f"optsg {__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}"),
        ("Written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]
