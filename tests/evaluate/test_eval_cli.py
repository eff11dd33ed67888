from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.metrics import score_predictions
from optsg.data.tag_table import TagTable
from optsg.data.tags import tag_key
from optsg.evaluate.cli import main
from optsg.evaluate.scores.predictions import read_predictions


@pytest.fixture
def run(run_path, tmp_path, monkeypatch):
    """``runs/tiny`` in the current folder, ``runs/latest`` pointing at it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_path, "runs/tiny")
    Path("runs/latest").symlink_to("tiny")
    return Path("runs/tiny")


def optsg_eval(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_users_words_write_four_files_and_print_a_table(run, store):
    result = optsg_eval("--split", "test")
    assert result.exit_code == 0, result.output
    results = run / "eval" / "test"
    assert sorted(path.name for path in results.iterdir()) == [
        "metrics.json",
        "predictions.jsonl",
        "ranked_below.jsonl",
        "report.html",
    ]
    lines = result.stdout.splitlines()
    assert lines[0] == "op-tsg: runs/tiny, split test, 9 videos (percent)"
    assert lines[-1] == "report: runs/tiny/eval/test/report.html"
    for name in ("per tag, all", "per tag, rare", "per tag, common", "per video, tags of training", "novel tags"):
        assert name in result.stdout
    assert result.stderr.startswith("predicting: 9 of 9, ")

    items = read_predictions(results / "predictions.jsonl")
    assert [item.id for item in items] == [store.id(int(row)) for row in store.indices("test")]
    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    cost = metrics["cost"]
    assert cost["tags_per_second"] * cost["seconds"] == pytest.approx(
        metrics["tags_per_item"] * metrics["items"], rel=0.01
    )
    assert cost["trained_parameters"] > 0
    assert (metrics["run"], metrics["split"], metrics["items"]) == ("runs/tiny", "test", 9)
    assert metrics["threshold"] == json.loads((run / "decision.json").read_text())["threshold"]
    scores = score_predictions(
        [[tag_key(tag) for tag in item.true] for item in items],
        [[tag_key(tag.text) for tag in item.tags] for item in items],
        TagTable.load(run / "tag_table.json").count_of,
    )
    assert {name: metrics[name] for name in scores} == scores
    assert metrics["label_based"]["full"]["f1"] > 0.5, "the words of a title are its tags, and the run has learnt that"
    assert metrics["novel"]["unseen_true_tags"] == 3, "Moon is on three test videos and on no training video"


def test_the_report_shows_the_store_the_curves_and_the_pictures(run, store_path):
    assert optsg_eval().exit_code == 0
    report = (run / "eval" / "test" / "report.html").read_text(encoding="utf-8")
    assert "op-tsg, size small, 8 prompts" in report
    assert "System op-tsg: 9 videos of the split" in report
    assert str(store_path) in report
    assert "24 train, 6 val, 9 test" in report
    assert "timm tiny" in report
    assert report.count("data:image/jpeg;base64,") == 9
    assert "Loss: training from " in report
    assert "Validation F1: per tag, all tags from " in report
    assert "best: " in report


def test_the_batch_size_changes_nothing(run):
    assert optsg_eval("--batch-size", 64, "-q").exit_code == 0
    once = read_predictions(run / "eval/test/predictions.jsonl")
    assert optsg_eval("--batch-size", 2, "-q").exit_code == 0
    again = read_predictions(run / "eval/test/predictions.jsonl")
    assert [[(tag.text, tag.prompt) for tag in item.tags] for item in again] == [
        [(tag.text, tag.prompt) for tag in item.tags] for item in once
    ]


def test_quiet_prints_nothing_and_other_splits_have_folders_of_their_own(run):
    result = optsg_eval("--split", "val", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert (run / "eval" / "val" / "metrics.json").is_file()
    assert not (run / "eval" / "test").exists()


def assert_error(result: Result, message: str) -> None:
    assert result.stderr == f"error: {message}\n"
    assert result.stdout == ""
    assert result.exit_code == 1


def test_no_run_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_error(
        optsg_eval("--split", "test"),
        "there is no runs/latest in this folder; train a run with optsg-train or name one with --run DIR",
    )


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tag_table.json", "decision.json"]
)
def test_a_run_folder_that_misses_a_file(run, name):
    (run / name).unlink()
    assert_error(
        optsg_eval("--split", "test"),
        f"runs/tiny has no {name}; the run is not finished (optsg-train --resume) or was damaged",
    )


def test_a_split_that_the_store_does_not_have(run, make_store):
    store = make_store("some.h5", splits=("train", "val"))
    assert_error(
        optsg_eval("--split", "test", "--feats", store),
        f"{store} has no videos in split 'test'; it has train (24), val (6)",
    )


def test_a_split_that_does_not_exist_at_all(run):
    result = optsg_eval("--split", "holdout")
    assert result.exit_code == 2
    assert "'holdout' is not one of 'train', 'val', 'test'" in result.stderr


def test_a_store_that_moved(run, store_path, tmp_path):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["store"]["path"] = "gone/feats.h5"
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert_error(
        optsg_eval("--split", "test"),
        "the feature store that the run was trained on is not at gone/feats.h5 any more; say where it is with --feats PATH",
    )
    assert optsg_eval("--split", "test", "--feats", store_path, "-q").exit_code == 0


def test_a_store_that_another_took_the_place_of_is_a_warning(run, make_store):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    other = make_store("other.h5", created="2030-01-01T00:00:00+00:00")
    config["store"]["path"] = str(other)
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = optsg_eval("--split", "test", "-q")
    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: {other} is not the store that the run was trained on, which lay there; where its splits are others, "
        "videos that the run has learned from are scored too\n"
    )
    assert optsg_eval("--split", "test", "--feats", other, "-q").stderr == ""


def test_a_store_with_other_features(run, make_store):
    store = make_store("wide.h5", frame_dim=20)
    assert_error(
        optsg_eval("--split", "test", "--feats", store),
        f"{store} does not fit the run: its frame features are 20 wide, the run's are 12; "
        "extract it with the run's encoders, or choose another run with --run DIR",
    )


def test_a_run_that_does_not_say_how_its_features_were_made(run):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["store"] = {}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert_error(
        optsg_eval("--split", "test"),
        "the run's config.json does not say how its features were made ('header'); train it again",
    )


def test_results_that_cannot_be_written(run):
    (run / "eval").write_text("a file where a folder should be")
    result = optsg_eval("--split", "test", "-q")
    assert_error(
        result, "runs/tiny/eval/test/predictions.jsonl cannot be written: Not a directory; an earlier one is kept"
    )


def test_verbose_shows_where_an_error_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = optsg_eval("-v")
    assert result.exit_code == 1
    assert type(result.exception).__name__ == "RunError"


@pytest.mark.parametrize("module", ["cli", "tag.cli", "report.cli", "tables.cli", "judge.cli"])
def test_help_shows_examples_and_does_not_wait_for_pytorch(module):
    code = f"import sys; from optsg.evaluate.{module} import main; main(['--help'], standalone_mode=False); assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Examples:\n    optsg-" in result.stdout
