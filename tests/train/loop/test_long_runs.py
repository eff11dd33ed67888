"""Long trainings: killed, asked to stop, with damaged states, begun again by the same command; bounded on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from optsg.data.errors import RunError
from optsg.data.whole_files import lock_out
from optsg.train.loop.log import TrainingLog
from optsg.train.loop.optimiser import AveragedWeights, MasterWeights
from optsg.train.loop.saved_states import StateSaver, TrainingProgress, read_progress, state_files, write_state
from optsg.train.loop.trainer import Trainer
from safetensors.torch import load_file
from torch import nn

from tests.tiny_world import as_options, read_log, tiny_videos, write_tiny_store
from tests.train.command import train
from tests.train.trainings import Trainings, assert_same_run, open_trainings

SETTINGS = as_options(("epochs=4", "validate_every=1", "keep_states=3"))


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(120))


@pytest.fixture(scope="module")
def whole(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with contextlib.chdir(run.parent):
        assert train("--feats", feats, "--run", run, *as_options(), *SETTINGS).exit_code == 0
    return run


def stop_after(patch: pytest.MonkeyPatch, step: int) -> None:
    """Trainings are asked to stop after so many steps, and save a state after every one."""
    original = Trainer._step
    steps = iter(range(1, 1000))

    def stopping(self: Trainer, *arguments: object) -> object:
        self._states._next = 0.0
        if next(steps) == step:
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    patch.setattr(Trainer, "_step", stopping)


@pytest.fixture(scope="module")
def stopped(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was asked to stop after 8 steps."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        stop_after(patch, 8)
        assert train("--feats", feats, "--run", "runs/a", *as_options(), *SETTINGS).exit_code == 130
    return folder / "runs" / "a"


@pytest.fixture
def stopped_run(stopped: Path, own_folder: None) -> Path:
    """A copy of it in the test's own folder: ``runs/a``."""
    return Path(shutil.copytree(stopped, "runs/a"))


# --- states ---


@pytest.mark.usefixtures("stopped_run")
def test_the_newest_states_are_kept_each_with_its_digest() -> None:
    states = state_files(Path("runs/a"))
    assert [state.name for state in states] == [f"step-{step:09d}.safetensors" for step in (8, 7, 6)]
    for state in states:
        recorded = state.with_name(state.name + ".sha256").read_text()
        assert recorded == f"{hashlib.sha256(state.read_bytes()).hexdigest()}  {state.name}\n"
    assert len(list(Path("runs/a/state").iterdir())) == 6
    assert train("--run", "runs/a", "--resume").exit_code == 0
    assert [path.name for path in Path("runs/a/state").iterdir()] == ["progress.json"]


def test_everything_of_a_state_comes_back(tmp_path: Path) -> None:
    """What chooses the best weights and ends a run early too, which weights alone do not show."""
    progress = TrainingProgress(
        step=7,
        epochs_done=3,
        epoch_sums={"train_generation": 1.5},
        epoch_steps=2,
        validations_without_gain=4,
        best_score=0.25,
        best_example_score=0.125,
        best_loss=2.5,
        best_epoch=2,
        seconds=12.5,
        trained=True,
    )
    assert all(
        getattr(progress, name) != value for name, value in vars(TrainingProgress()).items() if name != "finished"
    )

    def saver() -> tuple[StateSaver, MasterWeights, torch.optim.Optimizer, AveragedWeights]:
        weights = MasterWeights(nn.Linear(3, 2), torch.float32)
        optimiser, average = torch.optim.AdamW(weights.masters), AveragedWeights(weights.masters, 0.9)
        return StateSaver(tmp_path, weights, optimiser, average, seconds=0, keep=1), weights, optimiser, average

    saves, weights, optimiser, average = saver()
    for master in weights.masters:
        master.grad = torch.ones_like(master)
    optimiser.step()
    saves.save(progress)
    loads, others, other_optimiser, other_average = saver()
    assert loads.load(state_files(tmp_path)[0]) == progress
    assert all(map(torch.equal, weights.masters, others.masters))
    assert all(map(torch.equal, average.values, other_average.values))
    for one, other in zip(weights.masters, others.masters, strict=True):
        assert optimiser.state[one].keys() == other_optimiser.state[other].keys()
        assert all(torch.equal(value, other_optimiser.state[other][key]) for key, value in optimiser.state[one].items())


def test_states_of_a_future_that_was_given_up_go(tmp_path: Path) -> None:
    """Such as the damaged one that gave way to one before it: it would count as the newest again."""
    (tmp_path / "state").mkdir()
    for step in (2, 6, 4):
        write_state(tmp_path, step, "{}", {"weight": torch.ones(1)}, keep=3)
    assert [state.name for state in state_files(tmp_path)] == [f"step-{step:09d}.safetensors" for step in (4, 2)]
    assert len(list((tmp_path / "state").iterdir())) == 4


def cut_off(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:-100])


def flip_a_bit(state: Path) -> None:
    content = bytearray(state.read_bytes())
    content[-50] ^= 1
    state.write_bytes(content)


def empty(state: Path) -> None:
    state.write_bytes(b"")


def lose_digest(state: Path) -> None:
    state.with_name(state.name + ".sha256").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_off, "its SHA-256 is not the recorded one"),
        (flip_a_bit, "its SHA-256 is not the recorded one"),
        (empty, "its SHA-256 is not the recorded one"),
        (lose_digest, "its digest is missing"),
    ],
)
def test_a_damaged_state_gives_way_to_the_one_before(
    whole: Path, stopped_run: Path, damage: object, reason: str
) -> None:
    newest, *_ = state_files(stopped_run)
    assert callable(damage)
    damage(newest)
    resumed = train("--run", "runs/a", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert f"warning: {newest} is damaged ({reason}); going on from the state of step 7\n" in resumed.output
    assert_same_run(whole, Path("runs/a"))


@pytest.mark.usefixtures("stopped_run")
def test_when_all_states_are_damaged_resuming_is_refused() -> None:
    for state in state_files(Path("runs/a")):
        flip_a_bit(state)
    resumed = train("--run", "runs/a", "--resume")
    assert resumed.exit_code == 1
    reason = "its SHA-256 is not the recorded one"
    message = f"error: runs/a/state does not hold a usable training state ({reason}); start a new run\n"
    assert resumed.output.endswith(message)
    for state in state_files(Path("runs/a")):
        empty(state)
    with pytest.raises(RunError, match=r"^runs/a/state does not hold a usable training state \(.*\); start a new run$"):
        read_progress(Path("runs/a"))


def test_a_state_of_an_earlier_version_is_resumed(feats: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        settings = (*SETTINGS, "--set", "keep_states=1")
        assert train("--feats", feats, "--run", "runs/a", *as_options(), *settings).exit_code == 130
    [state] = state_files(Path("runs/a"))
    progress = read_progress(Path("runs/a"))
    # Then there was no digest, no header in the tensors, and a file that points at them.
    from safetensors.torch import save_file

    save_file(load_file(state), state)
    lose_digest(state)
    pointer = {"tensors": state.name, **{k: v for k, v in vars(progress).items() if k != "trained"}}
    (state.parent / "progress.json").write_text(json.dumps(pointer))
    resumed = train("--run", "runs/a", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert_same_run(whole, Path("runs/a"))


def test_a_run_stopped_while_it_is_tuned_takes_no_step_again(
    feats: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Trainer, *_: object) -> None:
        self._stop.set()
        self._check_stop()

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_finish", stop)
        assert train("--feats", feats, "--run", "runs/a", *as_options(), *SETTINGS).exit_code == 130
    monkeypatch.setattr(Trainer, "_step", None)
    assert train("--run", "runs/a", "--resume").exit_code == 0
    assert_same_run(whole, Path("runs/a"))


def test_a_run_that_ended_early_is_not_trained_on(feats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = ("learning_rate=1e-9", "pretrained_learning_rate=1e-9")
    settings = as_options(("epochs=30", "validate_every=1", "patience=1", *rates))

    def stop(self: Trainer, *_: object) -> None:
        self._stop.set()
        self._check_stop()

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_finish", stop)
        assert train("--feats", feats, "--run", "runs/a", *as_options(), *settings).exit_code == 130
    monkeypatch.setattr(Trainer, "_step", None)
    assert train("--run", "runs/a", "--resume").exit_code == 0
    assert read_log(Path("runs/a"))[-1]["step"] < 30 * 6


def test_a_run_stopped_in_validation_validates_again(feats: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer._validate

    def stopping(self: Trainer, *arguments: object) -> object:
        if arguments[0] == 1:
            assert isinstance(arguments[1], TrainingProgress)
            arguments[1].seconds += 1000
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_validate", stopping)
        assert train("--feats", feats, "--run", "runs/a", *as_options(), *SETTINGS).exit_code == 130
    progress = read_progress(Path("runs/a"))
    assert progress is not None
    assert (progress.step, progress.epochs_done) == (12, 1)  # no step is done again
    assert train("--run", "runs/a", "--resume").exit_code == 0
    assert_same_run(whole, Path("runs/a"))
    assert all(
        event["seconds"] > 1000 for event in read_log(Path("runs/a")) if event["step"] > 12 and "seconds" in event
    )


# --- the same command again ---


def test_resume_auto_begins_goes_on_and_stays_finished(
    feats: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ["--feats", str(feats), "--run", "runs/a", *as_options(), *SETTINGS, "--resume", "auto"]
    original, steps = Trainer._step, iter(range(1, 1000))

    def stopping(self: Trainer, *arguments: object) -> object:
        if next(steps) == 9:
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        assert train(*again).exit_code == 130
    progress = read_progress(Path("runs/a"))
    assert progress is not None
    assert progress.step == 9
    assert train(*again).exit_code == 0
    assert_same_run(whole, Path("runs/a"))
    finished = train(*again)
    assert (finished.exit_code, finished.output) == (0, "runs/a is finished: there is nothing to resume\n")
    other = train(*again, "--set", "batch_size=8", "--seed", "3")
    assert other.exit_code == 1
    assert other.output == (
        "error: runs/a was begun with batch_size=16, this command wants batch_size=8 (and 2 more); choose another --run\n"
    )
    assert train(*again, "--set", "state_seconds=60").exit_code == 0
    ranked = train(*again, "--set", "ranking=true")
    assert ranked.exit_code == 1
    assert ranked.output == (
        "error: runs/a was begun with ranking=false, this command wants ranking=true; choose another --run\n"
    )


def test_resume_auto_begins_again_where_no_state_was_saved(
    feats: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ["--feats", str(feats), "--run", "runs/a", *as_options(), *SETTINGS, "--resume", "auto"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", lambda *_, **__: sys.exit(9))
        assert train(*again).exit_code == 9
    assert not state_files(Path("runs/a"))
    assert train(*again).exit_code == 0
    assert_same_run(whole, Path("runs/a"))


def test_resume_auto_needs_a_name(feats: Path) -> None:
    result = train("--feats", feats, "--resume", "auto")
    assert result.exit_code == 2
    assert "--resume auto needs --run: which run to begin or to go on with" in result.output


# --- signals ---


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    with open_trainings(tmp_path) as opened:
        yield opened


def kill_at_random(trainings: Trainings, feats: Path, kills: int, *settings: str) -> None:
    """A run killed so many times, at random moments of its work, each time begun again by the same command."""
    rng = random.Random(5)
    command = ["--feats", str(feats), *as_options(), *settings, "--set", "state_seconds=0", "--resume", "auto", "-q"]
    [code], seconds = trainings.run(*command, "--run", "runs/whole")
    assert code == 0
    for _ in range(kills):
        # All attempts together take less time than the whole run, so that it does not end before its last kill.
        [code], _ = trainings.run(*command, "--run", "runs/killed", after=rng.uniform(0.0, 0.9 * seconds / kills))
        assert code == -signal.SIGKILL
        assert len(state_files(Path("runs/killed"))) <= 4
    assert trainings.run(*command, "--run", "runs/killed")[0] == [0]
    assert_same_run(Path("runs/whole"), Path("runs/killed"))


def test_a_killed_run_ends_with_the_weights_of_the_uninterrupted_one(trainings: Trainings, feats: Path) -> None:
    kill_at_random(trainings, feats, 2, *SETTINGS)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_weights_of_the_uninterrupted_one(
    trainings: Trainings, feats: Path
) -> None:
    kill_at_random(trainings, feats, 20, *as_options(("epochs=60", "keep_states=3")))


def test_sigterm_saves_and_ends_the_run(trainings: Trainings, feats: Path) -> None:
    settings = [*as_options(("epochs=500", "state_seconds=0"))]
    command = ["--feats", str(feats), "--run", "runs/a", *as_options(), *settings, "--resume", "auto"]
    [code], _ = trainings.run(*command, number=signal.SIGTERM, once=Path("runs/a"), after=0.1)
    assert code == 143
    progress = read_progress(Path("runs/a"))
    assert progress is not None
    assert 0 < progress.step < 500 * 6
    assert not progress.finished


# --- one at a time ---


@pytest.mark.parametrize("more", [("--resume", "auto"), ()])
def test_a_run_that_another_process_trains_is_left_alone(feats: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    run = tmp_path / "run"
    with lock_out(run, RunError):
        result = train("--feats", feats, "--run", run, *as_options(), *SETTINGS, *more)
    expected = "is being trained by another process; wait until it has ended, or choose another --run"
    assert (result.exit_code, result.stderr) == (1, f"error: {run} {expected}\n")
    assert not run.exists()


def test_a_link_to_a_run_leads_to_the_same_lock(feats: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    with lock_out(tmp_path / "run", RunError):
        result = train("--feats", feats, "--run", tmp_path / "latest", *as_options(), *SETTINGS)
    assert result.exit_code == 1
    assert "is being trained by another process" in result.stderr


def test_all_processes_of_a_second_training_end(feats: Path, trainings: Trainings, tmp_path: Path) -> None:
    command = ["--feats", str(feats), *as_options(), *SETTINGS, "--run", str(tmp_path / "run")]
    with lock_out(tmp_path / "run", RunError):
        codes, _ = trainings.run(*command, processes=2)
    assert codes == [1, 1]
    assert (trainings.folder / "output-0.txt").read_text().count("is being trained by another process") == 1


def test_all_files_of_a_run_have_the_same_permissions(whole: Path) -> None:
    assert {file.stat().st_mode for file in whole.iterdir() if file.is_file()} == {(whole / "log.jsonl").stat().st_mode}


@pytest.mark.parametrize("place", ["a-file/run", "run"])
def test_a_run_that_cannot_be_written_is_one_line(feats: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "run").symlink_to("/proc/no-such-folder/run")
    result = train("--feats", feats, "--run", tmp_path / place, *as_options(), *SETTINGS)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "cannot be written: " in result.stderr


def test_a_log_on_a_full_disk_is_one_line() -> None:
    log = TrainingLog(None)
    log._path = Path("/dev/full")
    with pytest.raises(RunError, match=r"^/dev/full cannot be written: No space left on device$"):
        log.write("epoch", 1)
