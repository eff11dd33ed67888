"""``optsg-eval``, ``optsg-report``, ``optsg-tag`` and ``Tagger`` on systems that have no network, as on all others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.report.cli import main as optsg_report
from optsg.evaluate.tag.cli import main as optsg_tag
from optsg.evaluate.tag.tagger import Tagger
from optsg.train.system_names import FITTED_SYSTEMS
from PIL import Image

from tests.evaluate.colour_world import shade

NOTHING_TO_SHOW = "the system {} has no network, so what its tags rest on in a video cannot be shown"


def called(command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [*map(str, arguments)])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def runs(store_path: Path, train_run: Callable[..., Path]) -> Mapping[str, Path]:
    return {name: train_run(store_path, name) for name in FITTED_SYSTEMS}


@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_a_run_is_evaluated_and_reported(runs: Mapping[str, Path], tmp_path: Path, name: str) -> None:
    run = runs[name]
    result = called(optsg_eval, "--run", run, "--split", "test", "--evidence", "--device", "cpu")
    assert result.stdout.splitlines()[0].startswith(f"{name}: ")
    assert f"warning: {NOTHING_TO_SHOW.format(name)}\n" in result.stderr
    folder = run / "eval/test"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["system"], metrics["cost"]["trained_parameters"]) == (name, 0)
    # The titles are the tags: words are found, pictures are noise.
    assert metrics["label_based"]["full"]["f1"] > (0.95 if name in ("title-match", "sources") else 0.3)
    assert not (folder / "evidence.jsonl").exists()
    called(optsg_report, run, "--out", tmp_path / "again.html")
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert '<div class="evidence">' not in again
    assert name in again


def test_runs_are_compared(runs: Mapping[str, Path], tmp_path: Path) -> None:
    for name in ("linear", "sources"):
        called(optsg_eval, "--run", runs[name], "--split", "test", "--device", "cpu", "-q")
    called(optsg_report, runs["linear"], runs["sources"], "--split", "test", "--out", tmp_path / "both.html")
    assert "sources" in (tmp_path / "both.html").read_text(encoding="utf-8")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 20), shade("red", 78)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("name", ["linear", "memory", "sources"])
def test_unseen_files_are_tagged(colour_feats: Path, train_run: Callable[..., Path], picture: Path, name: str) -> None:
    run = train_run(colour_feats, name)
    options = ("--run", run, "--device", "cpu", "--evidence", "--json")
    result = called(optsg_tag, picture, *options)
    [row] = [json.loads(line) for line in result.stdout.splitlines()]
    assert [tag["tag"] for tag in row["tags"]] == ["Red"]
    assert [tag["evidence"] for tag in row["tags"]] == [{"frames": [], "words": []}]
    assert result.stderr.count(NOTHING_TO_SHOW.format(name)) == 1
    assert "Red: nothing in particular" in called(optsg_tag, picture, *options[:-1]).output
    assert [tag.text for tag in Tagger.from_pretrained(run, device="cpu").tag(picture)] == ["Red"]


@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_a_closed_vocabulary_is_kept_to(runs: Mapping[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / "two.txt").write_text("Red\nCat\n", encoding="utf-8")
    found = {}
    for words in ("open", tmp_path / "two.txt"):
        called(optsg_eval, "--run", runs[name], "--split", "test", "--device", "cpu", "--vocabulary", words, "-q")
        folder = runs[name] / "eval" / ("test" if words == "open" else "test-two.txt")
        lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        found[words] = [{tag["tag"] for tag in json.loads(line)["tags"]} for line in lines]
    everything, two = found.values()
    assert set.union(*two) == {"Red", "Cat"}
    if name != "sources":  # where the ranker also sees how a tag stands among the others
        assert two == [tags & {"Red", "Cat"} for tags in everything]
