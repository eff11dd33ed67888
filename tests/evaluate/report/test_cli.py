"""``optsg-report`` on runs that are made of files alone."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.tag_table import TagTable
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.report.cli import main
from optsg.evaluate.scores.comparison import Comparison, video_f1
from optsg.evaluate.scores.predictions import read_predictions, write_predictions
from optsg.evaluate.scores.saved import read_saved


@pytest.fixture(scope="session")
def evaluated_run(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "one"
    shutil.copytree(run_path, folder)
    result = CliRunner().invoke(optsg_eval, ["--run", str(folder), "--split", "test", "-q", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def runs(evaluated_run, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """``one``, and ``two``, which lacks the weights and predicts nothing for the first three videos."""
    monkeypatch.chdir(tmp_path)
    one, two = Path("one"), Path("two")
    shutil.copytree(evaluated_run, one)
    shutil.copytree(evaluated_run, two, ignore=shutil.ignore_patterns("model.safetensors"))
    change(two, lambda items: [replace(item, tags=()) if number < 3 else item for number, item in enumerate(items)])
    return one, two


def change(run: Path, how) -> None:
    path = run / "eval/test/predictions.jsonl"
    items = how(read_predictions(path))
    write_predictions(path, items)
    metrics = run / "eval/test/metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "items": len(items)}), encoding="utf-8")


def optsg_report(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_one_run_is_rendered_again_as_it_was(runs):
    one, _ = runs
    (one / "model.safetensors").unlink()
    page = one / "eval/test/report.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()
    result = optsg_report(one)
    assert result.output == "report: one/eval/test/report.html\n"
    after = page.read_text(encoding="utf-8")

    def main_part(text: str) -> str:
        return text.partition("<main>")[2].partition('<section id="about">')[0]

    assert len(main_part(after)) > 10_000
    assert main_part(after) == main_part(before)


def test_without_a_run_it_is_the_latest(runs):
    assert optsg_report().output == (
        "error: there is no runs/latest in this folder; train a run with optsg-train or name one as RUN\n"
    )
    Path("runs").mkdir()
    Path("runs/latest").symlink_to("../one")
    assert optsg_report("--out", "page.html").output == "report: page.html\n"


def test_the_saved_evaluation_has_the_same_metrics(runs):
    saved = read_saved(runs[0], "test")
    document = json.loads((runs[0] / "eval/test/metrics.json").read_text(encoding="utf-8"))
    assert {**saved.evaluation.metrics(), "run": ""} == {**document, "run": ""}


def test_two_runs_are_compared_with_the_first(runs):
    one, two = runs
    result = optsg_report(one, two)
    assert (result.exit_code, result.output) == (0, "report: comparison.html\n")
    page = Path("comparison.html").read_text(encoding="utf-8")
    assert re.search(r"two (is|and one differ by) [0-9.]+ points", page)
    assert page.count('<article class="card">') == 3, "the other videos are tagged alike"
    assert not re.search(r"https?://|@import|url\(", page)
    assert page.count("data:image/jpeg;base64,") == 3


def test_differences_are_of_the_second_run_less_the_first(runs):
    comparison = Comparison.of([read_saved(run, "test") for run in runs])
    assert comparison.names == ["one", "two"]
    gain = comparison.drawn[1].minus(comparison.drawn[0], "full")
    full = [each.scores["label_based"]["full"]["f1"] for each in comparison.evaluations]
    assert gain.value == pytest.approx(full[1] - full[0])
    assert gain.low <= gain.value <= gain.high
    assert gain.value < 0
    same = comparison.drawn[0].minus(comparison.drawn[0], "full")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    spreads = [row.spread for row in comparison.videos]
    assert spreads == sorted(spreads, reverse=True)
    assert comparison.videos[0].differences == [-video_f1(comparison.videos[0].items[0])]
    assert all(row.differences[0] <= 0 for row in comparison.tags if row.scores[0].hits)


def test_the_order_of_the_videos_does_not_matter(runs):
    expected = Comparison.of([read_saved(run, "test") for run in runs]).drawn[1].estimate("full")
    change(runs[1], lambda items: items[::-1])
    assert Comparison.of([read_saved(run, "test") for run in runs]).drawn[1].estimate("full") == expected


def test_runs_of_other_videos_tags_or_training_are_not_compared(runs):
    one, two = runs
    original = read_predictions(two / "eval/test/predictions.jsonl")
    change(two, lambda items: items[1:])
    result = optsg_report(one, two)
    assert result.exit_code == 1
    assert result.output == (
        "error: one/eval/test and two/eval/test cannot be compared: they are of different videos, 9 and 8; 'test-00' is in "
        "one of them only. Evaluate both on the same split of the same store\n"
    )
    change(two, lambda _: [replace(original[0], true=("Other",)), *original[1:]])
    assert optsg_report(one, two).output == (
        "error: one/eval/test and two/eval/test cannot be compared: the annotated tags of 'test-00' differ. Evaluate both on "
        "stores that were made from the same videos\n"
    )
    change(two, lambda _: original)
    table = TagTable.load(two / "tag_table.json")
    replace(table, counts=table.counts + 1).save(two / "tag_table.json")
    assert optsg_report(one, two).output == (
        "error: one and two cannot be compared: they were trained on different training videos, so that other tags are rare, "
        "common and novel. Train both on the same split\n"
    )
    assert not Path("comparison.html").exists()


def test_what_cannot_be_compared_or_read_is_one_sentence(runs):
    one, two = runs
    assert optsg_report(one, one).output == "error: one is given twice; name every run once\n"
    assert optsg_report(one, two, "--split", "test-known").output == (
        "error: one has no evaluation 'test-known'; it has test; make it with: optsg-eval --run one --split test and the "
        "options that test-known is named after\n"
    )
    copies = [shutil.copytree(one, f"copy-{number}") for number in range(5)]
    assert optsg_report(*copies).output == "error: 5 runs are given, and at most 4 can be compared at once\n"
    (two / "eval/test/metrics.json").write_text("{}", encoding="utf-8")
    assert optsg_report(two).output.startswith("error: two/eval/test/metrics.json cannot be read (")
    predictions = one / "eval/test/predictions.jsonl"
    predictions.write_text(
        "".join(predictions.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8"
    )
    assert optsg_report(one).output == (
        "error: one/eval/test/metrics.json cannot be read (it counts 9 videos, predictions.jsonl has 8); run optsg-eval again\n"
    )
    assert optsg_report("three").output == (
        "error: there is no run folder at three; runs are made by optsg-train and lie in runs/\n"
    )


def test_without_the_store_there_are_no_pictures_and_a_warning(runs):
    one, _ = runs
    config = json.loads((one / "config.json").read_text(encoding="utf-8"))
    config["store"]["path"] = "gone.h5"
    (one / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = optsg_report(one, "--out", "page.html")
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: the report has no pictures: the feature store that the run was trained on is not at gone.h5 any more; "
        "say where it is with --feats PATH\n"
    )
    assert "data:image" not in Path("page.html").read_text(encoding="utf-8")
