"""How long a run trains follows from the number of its videos, where a person leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optsg.data.store import open_store
from optsg.train.config import SIZES, Size, TrainingConfig
from optsg.train.run.plan import plan_run
from optsg.train.run.schedule import fit_schedule
from optsg.train.systems.op_tsg import PAPER_SETTINGS

from tests.tiny_world import tiny_videos, write_tiny_store


def fitted(size: Size, videos: int, *, validated: int = 185, learns_soon: bool = True, **said: Any) -> TrainingConfig:
    training = TrainingConfig(**{**vars(SIZES[size][1]), **said})
    return fit_schedule(size, training, set(said), videos=videos, validated=validated, learns_soon=learns_soon)


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
    said: dict[str, Any] = {"batch_size": 5, "epochs": 7, "ema": 0.9, "validate_every": 3, "patience": 2}
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


def test_half_the_steps_go_with_twice_the_learning_rates() -> None:
    rates = (7e-4, 5e-5)
    cases: list[tuple[dict[str, Any], float]] = [
        ({}, 2),
        ({"epochs": 5}, 2),
        ({"epochs": 30}, 1),
        ({"epochs": 60}, 1),
        ({"epochs": 23}, 1.5),
    ]
    for said, factor in cases:
        found = fitted("small", 1485, **said)
        expected = [rate * factor for rate in rates]
        assert [found.learning_rate, found.pretrained_learning_rate] == pytest.approx(expected)
    assert fitted("small", 1485, learning_rate=3e-4).pretrained_learning_rate == 5e-5
    assert fitted("base", 1000, epochs=1).learning_rate == 2e-4


def test_only_what_learns_soon_has_few_steps(tmp_path: Path) -> None:
    slow = fitted("small", 1485, learns_soon=False)
    assert (slow.epochs, slow.learning_rate) == (30, 7e-4)
    feats = write_tiny_store(tmp_path / "tiny.h5", tiny_videos(1000))
    epochs = {}
    with open_store(feats) as store:
        for system, settings in (("op-tsg", ()), ("op-tsg", PAPER_SETTINGS), ("no-shuffle", ()), ("order-free", ())):
            plan = plan_run(store, feats, system=system, size="small", settings=settings, seed=0)
            epochs[system, settings] = plan.config.training.epochs
    few, many = 35, 65
    assert list(epochs.values()) == [few, many, many, many]


def test_who_has_to_learn_the_language_of_titles_too_has_all_steps(tmp_path: Path) -> None:
    found = {}
    for kind in ("pretrained", "untrained"):
        encoder = {"kind": "tiny", "name": "tiny", "title_encoder": kind}
        feats = write_tiny_store(tmp_path / f"{kind}.h5", tiny_videos(1000), text_encoder=encoder)
        with open_store(feats) as store:
            training = plan_run(store, feats, system="op-tsg", size="small", settings=(), seed=0).config.training
        found[kind] = training.epochs, round(training.learning_rate, 4)
    assert found == {"pretrained": (35, 1.4e-3), "untrained": (65, 7e-4)}


def test_the_average_is_no_longer_than_a_quarter_of_the_run() -> None:
    assert fitted("small", 1485).ema == pytest.approx(1 - 1 / 96, abs=1e-4)
    assert fitted("small", 50_000).ema == SIZES["small"][1].ema
    assert fitted("base", 205_000).ema == SIZES["base"][1].ema
    assert fitted("small", 3, epochs=1).ema == 0
