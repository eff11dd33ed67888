"""Settings: stored and read back, unknown and impossible ones refused with the setting's name."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch
from optsg.data.errors import ConfigError
from optsg.train.config import (
    MOST_SEED,
    SIZES,
    InputConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    apply_settings,
    default_epochs,
)

RUN = RunConfig(
    optsg_version="0.1.0",
    system="op-tsg",
    size="small",
    model=ModelConfig(prompts=7),
    training=TrainingConfig(epochs=3, shuffle=False),
    inputs=InputConfig(
        frame_dim=4, patch_dim=0, max_patches=1, tag_dim=8, title_encoder={"model_type": "bert"}, pieces=(5, 6, 9)
    ),
    store={"path": "é.h5", "header": {"preset": None}},
)


def test_round_trip() -> None:
    assert RunConfig.from_json(RUN.to_json()) == RUN


def test_unknown_settings_of_a_file_are_refused() -> None:
    values = json.loads(RUN.to_json())
    values["model"]["colour"] = "red"
    expected = "unknown setting 'colour'; this optsg is older than the run, or it was edited"
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        RunConfig.from_json(json.dumps(values))


def test_the_base_size_is_the_paper_s() -> None:
    model, training = SIZES["base"]
    assert (model.title_layers, model.hybrid_layers, model.prompt_layers, model.decoder_layers) == (6, 6, 6, 12)
    assert (model.width, model.prompts, model.vocabulary, model.frozen_title_layers) == (768, 30, "full", -1)
    assert (training.batch_size, training.learning_rate, training.weight_decay) == (256, 2e-4, 0.002)
    assert (training.nil_weight, training.warmup, training.gradient_norm) == (0.3, 0.1, 1.0)


def test_settings_are_parsed_by_type_and_applied_together() -> None:
    model, training = apply_settings(
        ModelConfig(), TrainingConfig(), ["width=96", "heads=6", "shuffle=false", "ema=0.9", "false_negatives=keep"]
    )
    assert (model.width, model.heads, training.shuffle, training.ema) == (96, 6, False, 0.9)
    assert training.false_negatives == "keep"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("prompts=0", "prompts=0 is out of range; expected at least 1"),
        ("width=100", "width=100 is out of range; expected a multiple of heads=12"),
        ("nil_weight=1.5", "nil_weight=1.5 is out of range; expected 0 ≤ nil_weight ≤ 1"),
        ("shuffle=yes", "shuffle=yes is out of range; expected true or false"),
        ("false_negatives=drop", "false_negatives=drop is out of range; expected mask or keep"),
        ("learning_rate=fast", "learning_rate=fast is not a number; expected float"),
        ("frozen_title_layers=7", "frozen_title_layers=7 is out of range; expected -1 to title_layers=6"),
        ("seed=-1", "seed=-1 is out of range; expected 0 to 10,000,000,000,000"),
        ("seed=20000000000000", "seed=20000000000000 is out of range; expected 0 to 10,000,000,000,000"),
        ("learning_rate=inf", "learning_rate=inf is out of range; expected more than 0"),
        ("pretrained_learning_rate=-1", "pretrained_learning_rate=-1.0 is out of range; expected at least 0"),
        ("weight_decay=nan", "weight_decay=nan is out of range; expected at least 0"),
        ("state_seconds=-1", "state_seconds=-1.0 is out of range; expected at least 0"),
        ("patience=-1", "patience=-1 is out of range; expected at least 0"),
        ("validate_every=-1", "validate_every=-1 is out of range; expected at least 0"),
    ],
)
def test_impossible_settings(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        apply_settings(ModelConfig(), TrainingConfig(), [setting])


def test_steps_of_the_largest_seed_can_be_seeded() -> None:
    torch.manual_seed(MOST_SEED * 1_000_003 + (7 << 40) + (99 << 52))


def test_epochs_fit_the_store() -> None:
    assert default_epochs("small", 1485, 64) == 30
    assert default_epochs("small", 20, 64) == 120
    assert default_epochs("base", 205_000, 256) == 37
    assert default_epochs("base", 3_000_000, 256) == 8


def test_configs_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.model.prompts = 3  # type: ignore[misc]
