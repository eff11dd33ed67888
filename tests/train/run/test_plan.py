"""What a run's plan makes of several GPUs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optsg.data.store import open_store
from optsg.train.config import SIZES, TrainingConfig
from optsg.train.run import plan
from optsg.train.run.plan import RunPlan, RunRequest, begun_run, for_gpus, new_run, plan_run
from optsg.train.run_files import read_config

from tests.tiny_world import tiny_videos, write_tiny_store


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(120))


def planned(feats: Path, gpus: int, *settings: str) -> TrainingConfig:
    with open_store(feats) as store:
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=settings, seed=None, gpus=gpus)
    return plan.config.training


def test_the_default_batch_is_that_of_each_gpu() -> None:
    for _, schedule in SIZES.values():
        eight = for_gpus(schedule, 8)
        assert (eight.batch_size, eight.epochs) == (8 * schedule.batch_size, schedule.epochs)
        assert math.isclose(eight.learning_rate, schedule.learning_rate * math.sqrt(8))
        assert math.isclose(eight.pretrained_learning_rate, schedule.pretrained_learning_rate * math.sqrt(8))


def test_several_gpus_train_as_many_epochs_in_fewer_steps(feats: Path) -> None:
    one, four = planned(feats, 1), planned(feats, 4)
    assert (four.batch_size, four.epochs, four.patience) == (4 * one.batch_size, one.epochs, one.patience)
    assert math.isclose(four.learning_rate, 2 * one.learning_rate)
    assert four.ema < one.ema, "an average that remembers as many steps would remember more of the run"


def test_a_batch_that_was_asked_for_is_the_joint_one(feats: Path) -> None:
    assert planned(feats, 8, "batch_size=16") == planned(feats, 1, "batch_size=16")


def test_a_run_begun_with_several_gpus_goes_on_with_any_number(feats: Path, tmp_path: Path) -> None:
    request = RunRequest(feats=feats, run=tmp_path / "run", size="small", device="cpu", gpus=4)
    assert new_run(request) == tmp_path / "run"
    assert begun_run(replace(request, gpus=1)) == tmp_path / "run"


def test_runs_that_begin_at_once_get_a_folder_each(
    feats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []

    def plan_as_another_begins(*args: Any, **options: Any) -> RunPlan:
        made = plan_run(*args, **options)
        if not folders:
            folders.append(Path())
            folders[0] = new_run(RunRequest(feats=feats, size="small", device="cpu", seed=1))
        return made

    monkeypatch.setattr(plan, "plan_run", plan_as_another_begins)
    folders.append(new_run(RunRequest(feats=feats, size="small", device="cpu", seed=2)))
    assert folders == [Path("runs/op-tsg-small-1"), Path("runs/op-tsg-small-2")]
    assert [read_config(folder).training.seed for folder in folders] == [1, 2]
