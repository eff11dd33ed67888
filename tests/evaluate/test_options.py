from __future__ import annotations

import re
from pathlib import Path

import pytest
from optsg.data.errors import ConfigError, RunError
from optsg.evaluate.options import TaggingOptions, evaluation_command, find_evaluation, find_run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_latest_run_is_the_default_and_goes_by_its_own_name():
    Path("runs/small-7").mkdir(parents=True)
    Path("runs/latest").symlink_to("small-7")
    assert find_run(None) == Path("runs/small-7")


def test_a_folder_called_latest_will_do():
    Path("runs/latest").mkdir(parents=True)
    assert find_run(None) == Path("runs/latest")


def test_no_run_at_all():
    message = "there is no runs/latest in this folder; train a run with optsg-train or name one with --run DIR"
    with pytest.raises(RunError, match=re.escape(message)):
        find_run(None)


def test_a_latest_run_that_was_deleted():
    Path("runs").mkdir()
    Path("runs/latest").symlink_to("small-7")
    message = "runs/latest points at runs/small-7, which is not there any more; say which run with --run DIR"
    with pytest.raises(RunError, match=re.escape(message)):
        find_run(None)


def test_a_named_run_that_is_not_there():
    message = "there is no run folder at runs/x; runs are made by optsg-train and lie in runs/"
    with pytest.raises(RunError, match=re.escape(message)):
        find_run(Path("runs/x"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["decision", "nil_bias"])
def test_numbers_that_are_none_are_refused(name, value):
    message = f"--{name.replace('_', '-')} {value:g} is out of range; expected a finite number"
    with pytest.raises(ConfigError, match=re.escape(message)):
        TaggingOptions(**{name: value})


def test_an_evaluation_that_is_not_there_is_made_with_the_options_of_its_name():
    run = Path("runs/x")
    (run / "eval/test").mkdir(parents=True)
    message = (
        f"{run} has no evaluation 'test-known'; it has test; make it with: optsg-eval --run {run} --split test and the "
        "options that test-known is named after"
    )
    with pytest.raises(RunError, match=re.escape(message) + "$"):
        find_evaluation(run, "test-known")
    with pytest.raises(
        RunError, match=re.escape(f"it has test; make it with: optsg-eval --run {run} --split val") + "$"
    ):
        find_evaluation(run, "val")
    assert evaluation_command("DIR", "val-known", " --evidence") == (
        "optsg-eval --run DIR --split val --evidence and the options that val-known is named after"
    )
