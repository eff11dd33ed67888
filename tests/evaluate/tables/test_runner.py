"""The runner: it skips what is finished, goes on with what was stopped, and outlives a run that fails."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optsg.data.errors import RunError
from optsg.evaluate.tables.one_run import lock_run
from optsg.evaluate.tables.plan import Plan
from optsg.evaluate.tables.runner import Runner, Work, run_state

from tests.tiny_world import read_log


def train(plan: Plan, work: Work, stop: threading.Event | None = None) -> tuple[Runner, list[str]]:
    lines: list[str] = []
    runner = Runner(work, lines.append, stop or threading.Event())
    runner.train(plan.distinct)
    return runner, lines


def states(plan: Plan, work: Work) -> list[str]:
    return [run_state(run, work.asked.runs, work.splits, work.test_labels) for run in plan.distinct]


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_runs_are_trained_scored_and_then_skipped(
    plan: Callable[..., Plan], trained: tuple[Work, list[str]], finished: Work
) -> None:
    lines = trained[1]
    assert [line[:6] for line in lines] == ["1 of 2", "2 of 2"]
    assert all("-seed-0: F1 full " in line and " min" in line for line in lines)
    assert "left" in lines[0]
    assert "left" not in lines[1]
    for split in finished.splits:
        assert (finished.asked.runs / "bin-seed-0" / "eval" / split / "predictions.jsonl").is_file()
    assert states(plan("epochs=1"), finished) == ["finished", "finished"]
    assert train(plan("epochs=1"), finished)[1] == []


def test_a_lost_evaluation_is_made_again_without_training(plan: Callable[..., Plan], finished: Work) -> None:
    grid = plan("epochs=1")
    (finished.asked.runs / "asy-seed-0" / "eval" / "val" / "metrics.json").unlink()
    log = (finished.asked.runs / "asy-seed-0" / "log.jsonl").read_text()
    assert states(grid, finished) == ["finished", "trained"]
    assert [line.split()[3] for line in train(grid, finished)[1]] == ["asy-seed-0:"]
    assert states(grid, finished) == ["finished", "finished"]
    assert (finished.asked.runs / "asy-seed-0" / "log.jsonl").read_text() == log


def test_a_test_split_that_was_corrected_is_evaluated_again_without_training(
    plan: Callable[..., Plan], finished: Work
) -> None:
    grid, folder = plan("epochs=1"), finished.asked.runs / "bin-seed-0"
    corrected = dataclasses.replace(finished, test_labels="sha256:other")
    assert states(grid, corrected) == ["trained", "trained"]
    path = folder / "eval" / "test" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    assert metrics["labels"] == finished.test_labels
    log = (folder / "log.jsonl").read_text()
    # As if the evaluation were of before a correction: the store is what it is now.
    path.write_text(json.dumps({**metrics, "labels": "sha256:before", "items": 0}), encoding="utf-8")
    assert states(grid, finished) == ["trained", "finished"]
    assert [line.split()[3] for line in train(grid, finished)[1]] == ["bin-seed-0:"]
    assert json.loads(path.read_text(encoding="utf-8"))["items"] == metrics["items"]
    assert (folder / "log.jsonl").read_text() == log
    path.write_text(json.dumps({name: value for name, value in metrics.items() if name != "labels"}), encoding="utf-8")
    assert states(grid, finished) == ["finished", "finished"], "earlier versions did not say"
    path.write_text(json.dumps(metrics), encoding="utf-8")


def test_a_run_on_a_store_that_was_corrected_is_none_of_the_table(plan: Callable[..., Plan], finished: Work) -> None:
    folder = finished.asked.runs / "bin-seed-0"
    written = (folder / "config.json").read_text(encoding="utf-8")
    config = json.loads(written)
    feats = config["store"]["path"]
    for labels, said in (
        ("sha256:0", f"{folder} was trained on other videos, titles, tags or sets than {feats} has now"),
        (None, ""),
    ):
        config["store"]["labels"] = labels
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        if said:
            with pytest.raises(RunError, match=f"^{re.escape(said)}; remove the folder, or choose another --out$"):
                states(plan("epochs=1"), finished)
        else:
            assert states(plan("epochs=1"), finished)[0] == "finished", "earlier versions did not say"
    (folder / "config.json").write_text(written, encoding="utf-8")


def test_a_run_of_other_settings_is_an_error_that_names_one(plan: Callable[..., Plan], finished: Work) -> None:
    folder = finished.asked.runs / "bin-seed-0"
    with pytest.raises(RunError) as caught:
        train(plan("epochs=2", "dropout=0.2"), finished)
    assert str(caught.value) == (
        f"{folder} was trained with dropout=0.1, the grid wants dropout=0.2 (and 2 more); "
        "remove the folder, or choose another --out"
    )


@pytest.mark.slow
def test_a_stopped_grid_saves_its_runs_and_goes_on(plan: Callable[..., Plan], work: Work) -> None:
    grid = plan("epochs=60", "validate_every=60")
    stop = threading.Event()

    def stop_once_training() -> None:
        wait_for(lambda: all((work.asked.runs / run.name / "log.jsonl").is_file() for run in grid.distinct))
        stop.set()

    threading.Thread(target=stop_once_training).start()
    train(grid, work, stop)
    assert states(grid, work) == ["interrupted", "interrupted"]
    runner, _ = train(grid, work)
    assert not runner.failures
    assert states(grid, work) == ["finished", "finished"]
    epochs = [event["epoch"] for event in read_log(work.asked.runs / "bin-seed-0") if event["event"] == "epoch"]
    assert epochs == list(range(1, 61))


@pytest.mark.slow
def test_a_run_stopped_before_any_state_starts_anew(plan: Callable[..., Plan], finished: Work) -> None:
    grid = plan("epochs=1")
    folder = finished.asked.runs / "bin-seed-0"
    (folder / "state" / "progress.json").unlink()
    (folder / "tag_table.json").unlink()
    assert states(grid, finished) == ["begun", "finished"]
    train(grid, finished)
    assert states(grid, finished) == ["finished", "finished"]
    assert [event["event"] for event in read_log(folder)] == ["epoch", "validation", "finished"]


def test_a_failed_run_is_told_with_the_end_of_its_log_and_the_others_go_on(
    plan: Callable[..., Plan], work: Work
) -> None:
    grid = plan("epochs=1")
    [broken, *others] = grid.distinct
    wrong = dataclasses.replace(broken, settings=("nonsense=1",))
    lines: list[str] = []
    runner = Runner(work, lines.append, threading.Event())
    runner.train([wrong, *others])
    [failure] = runner.failures
    assert failure.run is wrong
    assert failure.lines[-1].startswith("error: --set nonsense: unknown setting; ")
    assert any("bin-seed-0: failed with exit code 1; the end of " in line for line in lines)
    assert run_state(others[0], work.asked.runs, work.splits, work.test_labels) == "finished"


@pytest.mark.slow
def test_a_run_that_somebody_else_trains_is_left_to_them(plan: Callable[..., Plan], work: Work) -> None:
    grid = plan("epochs=1")
    lines: list[str] = []
    runner = Runner(work, lines.append, threading.Event())
    with lock_run(work.asked.runs / "bin-seed-0"):
        thread = threading.Thread(target=runner.train, args=(grid.distinct,))
        thread.start()
        wait_for(lambda: len(lines) == 1)
        assert "asy-seed-0" in lines[0]
        assert states(grid, work) == ["missing", "finished"]
    thread.join()
    assert states(grid, work) == ["finished", "finished"]


def test_the_store_may_move(plan: Callable[..., Plan], finished: Work, tiny_feats: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(tiny_feats.read_bytes())
    assert (
        train(plan("epochs=1"), dataclasses.replace(finished, asked=dataclasses.replace(finished.asked, feats=copy)))[1]
        == []
    )
