from __future__ import annotations

import json

from optsg.evaluate.scores.saved import TrainingHistory, read_training_history


def write(path, *events):
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def test_curves_hold_what_was_measured(tmp_path):
    path = write(
        tmp_path / "log.jsonl",
        {"event": "start", "epochs": 3},
        {"event": "epoch", "epoch": 1, "train_loss": 4.0},
        {
            "event": "epoch",
            "epoch": 2,
            "train_loss": 3.0,
            "val_full_f1": 0.2,
            "val_loss": None,
            "note": "x",
            "best": True,
        },
        {"event": "epoch", "epoch": 3, "train_loss": float("nan"), "val_full_f1": 0.3},
    )
    log = read_training_history(path)
    assert log.curve("train_loss") == [(1.0, 4.0), (2.0, 3.0)]
    assert log.curve("val_full_f1") == [(2.0, 0.2), (3.0, 0.3)]
    assert log.curve("val_loss") == log.curve("note") == log.curve("best") == []
    assert log.best_epoch("val_full_f1") == 2  # the epoch that was kept, whatever it was kept for


def test_an_epoch_that_was_run_again_counts_once_and_a_torn_line_not_at_all(tmp_path):
    path = write(
        tmp_path / "log.jsonl",
        {"event": "epoch", "epoch": 1, "train_loss": 4.0},
        {"event": "epoch", "epoch": 2, "train_loss": 9.0},
        {"event": "epoch", "epoch": 2, "train_loss": 3.0},
    )
    with path.open("a", encoding="utf-8") as file:
        file.write('{"event": "epoch", "epoch": 3, "train_')
    assert read_training_history(path).curve("train_loss") == [(1.0, 4.0), (2.0, 3.0)]


def test_numbers_that_no_training_has_are_passed_over(tmp_path):
    path = write(
        tmp_path / "log.jsonl",
        {"event": "epoch", "epoch": 1, "train_loss": 1e300},
        {"event": "epoch", "epoch": 1e300, "train_loss": 1.0},
        {"event": "epoch", "epoch": 2, "train_loss": -1e308, "val_loss": 2},
    )
    log = read_training_history(path)
    assert log.curve("train_loss") == []
    assert log.curve("val_loss") == [(2.0, 2.0)]


def test_of_equally_good_epochs_the_first_is_the_best():
    log = TrainingHistory(({"epoch": 1.0, "f1": 0.1}, {"epoch": 2.0, "f1": 0.3}, {"epoch": 3.0, "f1": 0.3}))
    assert log.best_epoch("f1") == 2
    assert log.best_epoch("other") is None


def test_a_run_without_a_log_has_an_empty_one(tmp_path):
    assert read_training_history(tmp_path / "log.jsonl") == TrainingHistory(())
