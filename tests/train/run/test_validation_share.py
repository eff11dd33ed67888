"""Small folders: which videos validate, what is trained, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from optsg.data.inputs.splits import split_by_hash
from optsg.data.media import SPLITS
from optsg.data.store import FeatureStore, open_store
from optsg.evaluate.cli import main as optsg_eval
from optsg.train.loop.trainer import Trainer, TrainingInterrupted
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import load_run
from optsg.train.run.validation_share import (
    AS_STORED,
    choose_validation,
    learned_from,
    too_few_to_trust,
    validation_share,
    with_validation,
)
from optsg.train.run_files import read_config

from tests.tiny_world import as_options, read_log, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train

TINY = as_options(
    ("width=32", "heads=4", "title_layers=2", "decoder_layers=1", "prompts=8", "learning_rate=0.003", "precision=fp32")
)


def by_hash(path: Path, count: int) -> Path:
    """A folder of so many videos whose owner said nothing of sets."""
    videos = [replace(video, split=split_by_hash(video.id)) for video in tiny_videos(count)]
    return write_tiny_store(path, videos, text_tables=tiny_text_tables(contextual=True))


def names(store: FeatureStore, split: str) -> set[str]:
    return {name for name, number in zip(store.ids(), store.splits.tolist(), strict=True) if SPLITS[number] == split}


@pytest.mark.parametrize(
    ("videos", "share"), [(3, 0), (8, 0), (9, 3), (18, 6), (42, 8), (100, 20), (250, 50), (5000, 50)]
)
def test_the_share_follows_from_the_number_of_videos(videos: int, share: int) -> None:
    assert validation_share(videos) == share


def test_a_small_folder_validates_on_a_fifth_and_never_on_what_is_for_testing(tmp_path: Path) -> None:
    with open_store(by_hash(tmp_path / "s.h5", 60)) as store:
        chosen = choose_validation(store)
        assert chosen == learned_from(store) // 5 > len(names(store, "val"))
        learned = with_validation(store, chosen)
        assert len(names(learned, "val")) == chosen
        assert names(store, "val") < names(learned, "val") < names(store, "val") | names(store, "train")
        assert names(learned, "test") == names(store, "test")
        again = with_validation(store, chosen)
        assert np.array_equal(again.splits, learned.splits)
        assert np.array_equal(learned.__reduce__()[0](*learned.__reduce__()[1]).splits, learned.splits)
        assert len(learned.indices("val")) == chosen
    with open_store(tmp_path / "s.h5") as untouched:
        assert names(untouched, "val") < names(again, "val")


def test_the_others_stay_where_they_are_when_videos_come(tmp_path: Path) -> None:
    """Ids draw, so that what validated before does so again as far as there is room."""
    with open_store(by_hash(tmp_path / "a.h5", 40)) as few, open_store(by_hash(tmp_path / "b.h5", 44)) as more:
        before, after = (names(with_validation(store, choose_validation(store)), "val") for store in (few, more))
        assert len(before & after) >= len(before) - 2


def test_sets_that_a_person_chose_and_large_stores_stay(tmp_path: Path) -> None:
    with open_store(write_tiny_store(tmp_path / "given.h5", tiny_videos(60))) as given:
        assert choose_validation(given) == AS_STORED
        assert with_validation(given, AS_STORED) is given
    with open_store(by_hash(tmp_path / "large.h5", 1400)) as large:
        assert len(names(large, "val")) >= 50
        assert choose_validation(large) == AS_STORED


def test_what_is_too_few_is_said_in_a_sentence() -> None:
    def said(trained: int, validated: int, is_network: bool = True) -> str | None:
        splits = np.array([0] * trained + [1] * validated + [2] * 4, np.uint8)
        return too_few_to_trust(splits, is_network=is_network)

    assert said(1, 0) == (
        "1 training video is too few to trust: nothing validates, so what its tags are worth is not known"
    )
    few = (
        "34 training videos are few to learn from, and F1 on 8 for validation can be off by 25 points: "
        "trust what you see, not the numbers"
    )
    assert said(34, 8) == f"{few}; --system sources learns as much from so few, in seconds"
    assert said(34, 8, is_network=False) == few
    assert str(said(300, 20)).endswith("not the numbers")
    assert said(300, 60) is None
    assert said(300, 0) is None  # another line says so


def test_three_videos_are_remembered_instead(tmp_path: Path) -> None:
    feats = by_hash(tmp_path / "s.h5", 3)
    result = train("--feats", feats)
    assert result.exit_code == 0, result.output
    with open_store(feats) as store:
        learned = learned_from(store)
        tags = int(store.tag_counts(np.flatnonzero(store.splits != SPLITS.index("test"))).sum())
    lines = result.output.splitlines()
    assert (
        f"{learned} videos are too few to train a network, which takes 9: tags come from similar videos (memory)"
        in lines
    )
    assert sum(line.startswith("warning: ") for line in lines) == 1
    run = load_run(Path("runs/latest"), device="cpu")
    assert (run.config.system, run.config.training.validation_videos) in (("memory", 0), ("memory", AS_STORED))
    assert run.tag_table.counts.sum() == tags  # nothing validates, all is remembered
    evaluated = CliRunner().invoke(optsg_eval, ["--split", "train", "--device", "cpu", "-q"])
    assert evaluated.exit_code == 0, evaluated.output
    metrics = json.loads(Path("runs/latest/eval/train/metrics.json").read_text())
    assert metrics["example_based"]["f1"] > 0.5  # each finds itself among the others


def test_a_system_that_a_person_names_is_trained_from_any_number(tmp_path: Path) -> None:
    feats = by_hash(tmp_path / "s.h5", 6)
    run = new_run(RunRequest(feats=feats, system="op-tsg", device="cpu"))
    assert read_config(run).system == "op-tsg"


def test_ten_videos_train(tmp_path: Path) -> None:
    feats = by_hash(tmp_path / "s.h5", 10)
    result = train("--feats", feats, *TINY, "--set", "epochs=6")
    assert result.exit_code == 0, result.output
    assert "warning: 6 training videos are few to learn from" in result.output
    config = read_config(Path("runs/latest"))
    assert (config.system, config.training.validation_videos) == ("op-tsg", 3)
    [best] = [event for event in read_log(Path("runs/latest")) if event["event"] == "validation" and event["best"]][-1:]
    assert best["epoch"] > 1


def test_forty_two_videos_train_and_are_evaluated_on_what_validated(tmp_path: Path) -> None:
    feats = by_hash(tmp_path / "s.h5", 42)
    result = train("--feats", feats, *TINY, "--set", "epochs=8")
    assert result.exit_code == 0, result.output
    assert "can be off by 25 points" in result.output or "can be off by 26 points" in result.output
    run = Path("runs/latest")
    config = read_config(run)
    with open_store(feats) as store:
        learned = learned_from(store)
    assert config.training.validation_videos == learned // 5
    assert (config.training.batch_size, config.training.patience) == (8, 0)
    validations = [event for event in read_log(run) if event["event"] == "validation"]
    best = [event for event in validations if event["best"]]
    # Among equal scores the loss decides: what is kept is no model that has hardly begun.
    assert best[-1]["val_loss"] < validations[0]["val_loss"]
    evaluated = CliRunner().invoke(optsg_eval, ["--run", str(run), "--split", "val", "--device", "cpu", "-q"])
    assert evaluated.exit_code == 0, evaluated.output
    assert json.loads((run / "eval/val/metrics.json").read_text())["items"] == learned // 5
    said = train("--feats", feats, "--run", "runs/said", *TINY, "--set", "epochs=1", "--set", "validation_videos=4")
    assert said.exit_code == 0, said.output
    assert read_config(Path("runs/said")).training.validation_videos == 4


def test_a_small_folder_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sets are drawn, and are not those that the store has: it is the same store all the same."""
    feats = by_hash(tmp_path / "s.h5", 20)

    def stop(*_: object, **__: object) -> None:
        raise TrainingInterrupted

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", stop)
        train("--feats", feats, "--run", "runs/a", *TINY, "--set", "epochs=1", "--set", "ranking=false")
    assert read_config(Path("runs/a")).training.validation_videos != AS_STORED
    resumed = train("--run", "runs/a", "--resume")
    assert "trained runs/a in" in resumed.output, resumed.output


@pytest.mark.parametrize("system", ["op-tsg", "sources"])
def test_a_store_without_training_videos_is_refused_before_anything_is_made(tmp_path: Path, system: str) -> None:
    videos = [replace(video, split="test") for video in tiny_videos(12)]
    feats = write_tiny_store(tmp_path / "s.h5", videos)
    result = train("--feats", feats, "--system", system)
    assert result.exit_code == 1
    assert result.output == (
        f"error: {feats} has no tagged videos for training (test 12); give some the split “train” in a table, and apply it: "
        f"optsg-store relabel {feats} --metadata TABLE\n"
    )
    assert not Path("runs").exists()
