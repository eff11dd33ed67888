"""Which videos validate where a store has few of them.

Sets that a person gave are kept. Where the hash of their ids chose them, a small folder has hardly any validation videos: one
of forty files. The shares then follow from the number of videos, by another hash, and stand in ``config.json``; the store
keeps its own. Videos for testing are never touched. Legend: V videos of the store.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ...data.inputs.splits import split_by_hash
from ...data.media import SPLITS, Split
from ...data.store import FeatureStore

AS_STORED = -1
"""No other validation videos than those of the store."""

SHARE = 5
"""One in so many videos of a small store validates."""

FEWEST, ENOUGH = 6, 50
"""Validation videos: no fewer, or a model is chosen by chance, and no more than chance is small with."""

MOST_SHARE = 3
"""One in so many, even where that is fewer than :data:`FEWEST`."""

FEWEST_TRAINED = 9
"""Videos for learning and validation from which there is a network to train: three of them validate, fewer say nothing."""

FEW_TRAINED = 100
"""Training videos below which there is a warning."""

WITHOUT_NETWORK = "; --system sources learns as much from so few, in seconds"
"""What the warning goes on with where a network is trained on fewer than :data:`FEW_TRAINED`."""

SPREAD = 0.35
"""Standard deviation of a single video's F1, about."""

TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


def learned_from(store: FeatureStore) -> int:
    """Videos of the training and validation splits together."""
    return int(np.isin(store.splits, (TRAIN, VAL)).sum())


def validation_share(videos: int) -> int:
    """How many of so many videos validate where nobody chose them; none where there is nothing to train."""
    least = min(FEWEST, videos // MOST_SHARE)
    return min(ENOUGH, max(least, videos // SHARE)) if videos >= FEWEST_TRAINED else 0


def choose_validation(store: FeatureStore) -> int:
    """Videos that are to validate, :data:`AS_STORED` where the store has enough of them or a person chose its sets."""
    videos, stored = learned_from(store), int((store.splits == VAL).sum())
    wanted = validation_share(videos)
    has_enough = stored >= wanted if wanted else stored == 0
    return AS_STORED if has_enough or not _sets_are_by_hash(store) else wanted


def _sets_are_by_hash(store: FeatureStore) -> bool:
    named = zip(store.ids(), store.splits.tolist(), strict=True)
    return all(SPLITS[split] in ("none", split_by_hash(name)) for name, split in named)


def with_validation(store: FeatureStore, videos: int) -> FeatureStore:
    """The store with so many of its training and validation videos validating, those that do before others.

    Args:
        videos: :data:`AS_STORED` for the store itself.
    """
    if videos == AS_STORED:
        return store
    splits = np.array(store.splits)
    rows = np.flatnonzero(np.isin(splits, (TRAIN, VAL)))
    order = sorted(rows.tolist(), key=lambda row: (splits[row] != VAL, _draw(store.id(row))))
    splits[rows] = TRAIN
    splits[order[:videos]] = VAL
    return store.with_splits(splits)


def held_out(store: FeatureStore) -> list[Split]:
    """The splits with videos that training does not learn from, that of the test first."""
    some: tuple[Split, ...] = ("test", "val")
    return [split for split in some if (store.splits == SPLITS.index(split)).any()]


def _draw(name: str) -> bytes:
    return hashlib.sha256(f"validation:{name}".encode("utf-8", "backslashreplace")).digest()


def too_few_to_trust(splits: NDArray[np.uint8], *, is_network: bool) -> str | None:
    """One sentence for people about a small store; ``None`` where there are enough videos.

    Args:
        splits: (V,) of the store that a run learns from.
        is_network: what learns is one, which takes minutes (``benchmarks/small_folders.py`` has what comes of it).
    """
    trained, validated = (int((splits == split).sum()) for split in (TRAIN, VAL))
    if trained >= FEW_TRAINED and not 0 < validated < ENOUGH:
        return None
    if not validated:
        return f"{_counted(trained)} too few to trust: nothing validates, so what its tags are worth is not known"
    points = round(200 * SPREAD / validated**0.5)
    return (
        f"{_counted(trained)} few to learn from, and F1 on {validated:,} for validation can be off by {points} points: "
        f"trust what you see, not the numbers{WITHOUT_NETWORK if is_network and trained < FEW_TRAINED else ''}"
    )


def _counted(videos: int) -> str:
    return f"{videos:,} training video{' is' if videos == 1 else 's are'}"
