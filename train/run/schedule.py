"""How long a run trains, in what batches and with how many validations: from the number of its videos.

A person's settings stay; what they leave open becomes numbers when the run is planned, so that ``config.json`` says them.
The default system learns soon: in ``small`` its prompts write all tags at once beside a tag head. Systems that write one
sequence have hardly begun when it has learned, and keep all of the size's steps; so does every system of a store whose text
model is untrained, for it learns the titles' language as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet

from ..config import TARGET_STEPS, Size, TrainingConfig, default_epochs

LEAST_BATCH, LEAST_STEPS = 8, 8
"""A batch is smaller than the size's where an epoch would have fewer steps, but no smaller than this."""

SMALL_STEPS, SMALL_EPOCHS = 384, 12
"""Steps of ``small``, and epochs that it has even where they are more, up to the steps of :func:`default_epochs`."""

FASTER = 2
"""How much higher the learning rates of ``small`` are where it has so few steps: it then learns as much in them."""

RATES = ("learning_rate", "pretrained_learning_rate")

VALIDATIONS = 8
"""About how many validations an epoch apart or more there would be if they began with the first epoch."""

UNTRAINED_SHARE = 0.25
"""Of a run: too early for a model to be the best, and what it writes is long and takes long."""

PATIENCE = 3
"""Validations without gain after which training stops: more than a third of it."""

LEAST_VALIDATED = 50
"""Videos of the validation split below which its scores are too coarse to stop for."""

AVERAGED_SHARE = 0.25
"""Of all steps: the longest horizon of the moving average, or it remembers a model that knew little."""


def fit_schedule(
    size: Size, training: TrainingConfig, chosen: AbstractSet[str], *, videos: int, validated: int, learns_soon: bool
) -> TrainingConfig:
    """The settings with all that was left open.

    Args:
        training: the size's settings with the person's.
        chosen: names of the person's.
        videos: of the training split.
        validated: videos of the validation split.
        learns_soon: whether ``small`` has few steps, at higher rates.
    """
    values = dataclasses.asdict(training)
    if "batch_size" not in chosen:
        values["batch_size"] = batch_for(training.batch_size, videos)
    epochs = values["epochs"] = training.epochs or epochs_for(
        size, videos, values["batch_size"], learns_soon=learns_soon
    )
    steps = epochs * -(-videos // values["batch_size"])
    if size == "small" and learns_soon and chosen.isdisjoint(RATES):
        values |= {name: values[name] * rate_factor(steps) for name in RATES}
    if "ema" not in chosen:
        values["ema"] = min(training.ema, max(0.0, round(1 - 1 / max(1.0, AVERAGED_SHARE * steps), 4)))
    if not training.validate_every:
        values["validate_every"] = max(1, epochs // VALIDATIONS)
        if "validate_from" not in chosen:
            values["validate_from"] = round(UNTRAINED_SHARE * epochs)
    if "patience" not in chosen:
        values["patience"] = PATIENCE if validated >= LEAST_VALIDATED else 0
    return TrainingConfig(**values)


def rate_factor(steps: int) -> float:
    """What the learning rates of ``small`` are multiplied by: 1 at its size's steps, :data:`FASTER` at :data:`SMALL_STEPS`."""
    full = TARGET_STEPS["small"]
    share = min(1.0, max(0.0, (full - steps) / (full - SMALL_STEPS)))
    return 1 + share * (FASTER - 1)


def batch_for(most: int, videos: int) -> int:
    """Videos of a step where nobody said how many: the size's, ``most``, or fewer for a small store."""
    return min(most, max(LEAST_BATCH, videos // LEAST_STEPS))


def epochs_for(size: Size, videos: int, batch_size: int, *, learns_soon: bool) -> int:
    """Epochs of a run whose settings leave them open."""
    most = default_epochs(size, videos, batch_size)
    if size == "base" or not learns_soon:
        return most
    steps = -(-videos // batch_size)
    return min(most, max(SMALL_EPOCHS, round(SMALL_STEPS / steps)))
