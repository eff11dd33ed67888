"""What makes a run another one than is wanted: its settings, its store's header, and what people say of the store's videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...data.store import FeatureStore
from ...data.store.digests import label_digest
from ..config import RunConfig
from .validation_share import TRAIN, VAL

LABELS = "labels"
"""Of ``store`` in ``config.json``: :func:`learned_labels`; runs of earlier versions have none."""


def learned_labels(store: FeatureStore) -> str:
    """Digest of what people say of the videos that train and validate: a store that is corrected keeps its header."""
    return label_digest(store, np.flatnonzero(np.isin(store.splits, (TRAIN, VAL))))


def has_other_labels(found: RunConfig, labels: str) -> bool:
    """Whether a run was begun with others than these; of a run of an earlier version nobody knows."""
    began = found.store.get(LABELS)
    return began is not None and began != labels


def of_old_labels(store: FeatureStore, run: Path) -> str:
    """Why a run is not gone on with, nor taken for the one that is wanted."""
    return (
        f"{store.path} is not what it was when {run} began: videos for training or validation were added, or their "
        "titles, tags or sets corrected, and the run is of the old ones; start a new run"
    )


OF_STATES = frozenset({"state_seconds", "keep_states"})
"""Settings that change nothing about a run: how states are kept."""

BESIDE = OF_STATES | {"ranking"}
"""Settings that change nothing about the model: of states, and whether a ranker decides beside it."""

OF_THE_BOOK = frozenset({"neighbours", "book_entry"})
"""Settings that ``open-book`` alone reads."""


def differences(
    found: RunConfig, wanted: RunConfig, passed_over: frozenset[str] = BESIDE
) -> list[tuple[str, str, str]]:
    """(setting, its value in ``found``, in ``wanted``) wherever the two would train different models.

    Args:
        passed_over: settings that may differ.
    """
    rows = [(name, getattr(found, name), getattr(wanted, name)) for name in ("system", "size")]
    for part in ("model", "training"):
        have, want = vars(getattr(found, part)), vars(getattr(wanted, part))
        idle = frozenset() if wanted.system == "open-book" else OF_THE_BOOK
        rows += [(name, have[name], want[name]) for name in want if name not in passed_over | idle]
    had, wants = ((run.init_from or {}).get("weights") for run in (found, wanted))
    rows.append(("the pre-trained weights", had, wants))
    have, want = found.store["header"], wanted.store["header"]
    rows += [(f"the store's {name}", have.get(name), want.get(name)) for name in {**have, **want}]
    return [(name, _written(one), _written(other)) for name, one, other in rows if one != other]


def contrast(different: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """The first of some :func:`differences` as a sentence has it, what was found and what is wanted, which also counts the others."""
    (name, have, want), *others = different
    more = f" (and {len(others)} more)" if others else ""
    return f"{name}={have}", f"{name}={want}{more}"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
