"""How long a run trains follows from the number of its videos, where a person leaves it open."""

from __future__ import annotations

import pytest
from optsg.train.config import SIZES, Size, TrainingConfig
from optsg.train.run.schedule import fit_schedule


def fitted(size: Size, videos: int, *, validated: int = 185, **said: float) -> TrainingConfig:
    training = TrainingConfig(**{**vars(SIZES[size][1]), **said})
    return fit_schedule(size, training, said, videos=videos, validated=validated)


@pytest.mark.parametrize(
    ("size", "videos", "batch", "epochs"),
    [
        ("small", 3, 8, 120),
        ("small", 40, 8, 77),
        ("small", 300, 37, 43),
        ("small", 1485, 64, 16),
        ("small", 3000, 64, 12),  # more videos, more steps
        ("small", 5000, 64, 9),
        ("small", 50_000, 64, 8),
        ("base", 205_000, 256, 37),
        ("base", 1000, 125, 120),
    ],
)
def test_batch_and_epochs_follow_from_the_number_of_videos(size: Size, videos: int, batch: int, epochs: int) -> None:
    found = fitted(size, videos)
    assert (found.batch_size, found.epochs) == (batch, epochs)


def test_what_a_person_says_stays() -> None:
    said = {"batch_size": 5, "epochs": 7, "ema": 0.9, "validate_every": 3, "patience": 2}
    found = fitted("small", 40, **said)
    assert {name: getattr(found, name) for name in said} == said
    assert found.validate_from == 0  # every third epoch is every third epoch
    assert fitted("small", 40, epochs=0) == fitted("small", 40)


def test_validation_begins_when_a_model_has_learned_something_and_patience_can_end_a_run() -> None:
    found = fitted("small", 1485)
    turns = [epoch for epoch in range(1, found.epochs) if epoch % found.validate_every == 0]
    turns = [epoch for epoch in turns if epoch >= found.validate_from]
    assert turns[0] == 4
    assert 0 < found.patience < len(turns) - 1
    assert fitted("small", 40, validated=4).patience == 0  # four videos say too little to stop for


def test_the_average_is_no_longer_than_a_quarter_of_the_run() -> None:
    assert fitted("small", 1485).ema == pytest.approx(1 - 1 / 96, abs=1e-4)
    assert fitted("small", 50_000).ema == SIZES["small"][1].ema
    assert fitted("base", 205_000).ema == SIZES["base"][1].ema
    assert fitted("small", 3, epochs=1).ema == 0
