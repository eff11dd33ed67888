"""Files of a run folder beside the model: a damaged one is refused in one line, or is no reason to stop, whoever reads it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from optsg.data.errors import RunError
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.report.cli import main as optsg_report
from optsg.evaluate.tables.run_grid import _system_of
from optsg.train.run.model_card import CARD, MARK, write_model_card

from tests.tiny_world import tiny_videos, write_tiny_store
from tests.train.command import train


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    feats = write_tiny_store(folder / "tiny.h5", tiny_videos(60))
    assert train("--feats", feats, "--run", folder / "run", "--system", "sources").exit_code == 0
    for split in ("val", "test"):
        assert evaluate(folder / "run", split)[0] == 0
    return folder / "run"


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    shutil.copy(evaluated.parent / "tiny.h5", tmp_path)
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def invoke(command: Any, *arguments: object) -> tuple[int, str]:
    """Exit code, and the one line that an error is."""
    result = CliRunner().invoke(command, [*map(str, arguments), "-q"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    errors = [line for line in result.output.splitlines() if line.startswith("error:")]
    assert len(errors) == (result.exit_code == 1), result.output
    return result.exit_code, "".join(errors)


def evaluate(run: Path, split: str = "test") -> tuple[int, str]:
    return invoke(optsg_eval, "--run", run, "--split", split, "--device", "cpu")


def test_a_report_refuses_settings_that_are_no_text(run: Path) -> None:
    config = run / "config.json"
    config.write_bytes(config.read_bytes().replace(b"sources", b"sourc\xffs"))
    code, error = invoke(optsg_report, run)
    assert code == 1
    assert "config.json: 'utf-8' codec can't decode byte 0xff" in error
    for read in (write_model_card, _system_of):
        with pytest.raises(RunError, match=r"config\.json: 'utf-8' codec"):
            read(run)
    config.unlink()
    os.mkfifo(config)
    code, error = invoke(optsg_report, run)
    assert (code, "no file but a pipe" in error) == (1, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["confidence"]["precision_recall"][0].update(precision="nan"),
        lambda document: document["confidence"]["precision_recall"][-1].update(recall=[None]),
        lambda document: document["confidence"].update(average_precision="nan"),
        lambda document: document["cost"].update(trained_parameters="many"),
        lambda document: document.update(options=["x"]),
    ],
)
def test_a_report_refuses_measures_that_are_no_numbers(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "eval" / "test" / "metrics.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    code, error = invoke(optsg_report, run)
    assert code == 1
    assert f"{path} cannot be read" in error


@pytest.mark.parametrize("kind", ["latin-1", "folder", "pipe", "loop"])
def test_a_card_that_is_not_ours_is_left_as_it_is(run: Path, kind: str) -> None:
    card = run / CARD
    card.unlink()
    if kind == "latin-1":
        card.write_bytes(f"{MARK}\nMa carte, modifi\u00e9e".encode("latin-1"))
    elif kind == "folder":
        card.mkdir()
    elif kind == "pipe":
        os.mkfifo(card)
    else:
        card.symlink_to(card.name)
    before = card.lstat()
    assert evaluate(run)[0] == 0
    assert (card.lstat().st_mode, card.lstat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_card_whose_heading_is_damaged_is_made_again(run: Path) -> None:
    (run / CARD).write_text(f"---\nlicense: [mit\ntags: {{\n---\n{MARK}\n")
    assert evaluate(run)[0] == 0
    assert "license: unknown" in (run / CARD).read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"label_based": 1}', '{"items": "x"}'])
def test_the_card_names_another_evaluation_that_cannot_be_read(run: Path, text: str) -> None:
    (run / "eval" / "val" / "metrics.json").write_text(text)
    code, error = evaluate(run)
    assert code == 1
    assert "val/metrics.json cannot be read" in error
    assert error.endswith(f"optsg-eval --run {run} --split val")
    assert evaluate(run, "val")[0] == 0


@pytest.mark.parametrize(
    "name", ["inputs.json", "evidence.jsonl", "predictions.jsonl", "ranked_below.jsonl", "metrics.json", "report.html"]
)
def test_a_folder_in_the_place_of_what_an_evaluation_writes_is_named(run: Path, name: str) -> None:
    path = run / "eval" / "test" / name
    path.unlink(missing_ok=True)
    path.mkdir()
    code, error = evaluate(run)
    assert (code, f"{path} cannot be written: Is a directory" in error) == (1, True), error


@pytest.mark.parametrize("path", ["x" * 5_000, "feats/" + "x" * 300])
def test_a_store_at_a_path_that_no_system_takes_is_not_there(run: Path, path: str) -> None:
    values = json.loads((run / "config.json").read_text())
    values["store"]["path"] = path
    (run / "config.json").write_text(json.dumps(values))
    code, error = evaluate(run)
    assert code == 1
    assert error.endswith("any more; say where it is with --feats PATH")
    assert invoke(optsg_report, run)[0] == 0
