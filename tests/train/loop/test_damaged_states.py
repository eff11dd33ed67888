"""States that are damaged, or made to do harm, with digests that fit: refused in one line, and none goes on as another training."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optsg.train.loop.saved_states import state_files
from optsg.train.loop.trainer import Trainer
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.tiny_world import as_options, tiny_videos, write_tiny_store
from tests.train.command import train

WEIGHT = "decoder.embedding.weight"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its fourth step, the first of its second epoch; it has two states."""
    folder = tmp_path_factory.mktemp("stopped")
    feats = write_tiny_store(folder / "tiny.h5", tiny_videos(60))
    done, step = [0], Trainer._step

    def stop(self: Trainer, *arguments: Any) -> Any:
        done[0] += 1
        if done[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", stop)
        few = ["--set", "epochs=2", "--set", "state_seconds=0", "--set", "ema=0.9"]
        result = train("--feats", feats, "--run", folder / "run", *as_options(), *few)
    assert "interrupted" in result.output
    assert len(state_files(folder / "run")) == 2
    return folder / "run"


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    shutil.copy(stopped.parent / "tiny.h5", tmp_path)
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def resume(run: Path) -> tuple[int, str]:
    """Exit code, and the one line that an error is."""
    result = train("--run", run, "--resume")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    errors = [line for line in result.output.splitlines() if line.startswith("error:")]
    assert len(errors) == (result.exit_code == 1), result.output
    return result.exit_code, "".join(errors)


def rewrite(run: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Changes the newest state, gives it the digest of what it then is, and removes the other."""
    newest, other = state_files(run)
    tensors = load_file(newest)
    with safe_open(newest, framework="pt") as file:
        progress = json.loads((file.metadata() or {})["progress"])
    change(progress, tensors)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, newest, {"progress": json.dumps(progress)}
    )
    digest = hashlib.sha256(newest.read_bytes()).hexdigest()
    newest.with_name(f"{newest.name}.sha256").write_text(f"{digest}  {newest.name}\n")
    other.unlink()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"step": 3.5}, "step is no number of steps or epochs"),
        ({"step": -3}, "step is no number of steps or epochs"),
        ({"step": 0}, "0 steps and 1 epochs are done, which is no state of this training of 2 epochs of 3 steps"),
        ({"step": 10**15}, "which is no state of this training"),
        ({"epochs_done": 10**12}, "which is no state of this training"),
        ({"epoch_steps": 0}, "which is no state of this training"),
        ({"epochs_done": True}, "epochs_done is no number"),
        ({"trained": 5}, "trained is neither true nor false"),
        ({"epoch_sums": {"train_x": "a"}}, "train_x is no number"),
        ({"epoch_sums": {"event": 1.0}}, "epoch_sums are no sums"),
        ({"epoch_sums": None}, "epoch_sums are no sums"),
    ],
)
def test_progress_that_cannot_be_is_refused(run: Path, values: dict[str, Any], reason: str) -> None:
    rewrite(run, lambda progress, _: progress.update(values))
    code, error = resume(run)
    assert (code, reason in error) == (1, True), error


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weight", lambda tensor: tensor[:1, :1]),
        ("weight", lambda tensor: tensor[:1]),
        ("weight", lambda tensor: tensor.to(torch.int8)),
        ("average", lambda tensor: tensor[:1, :1]),
        ("exp_avg", lambda tensor: tensor[:1]),
        ("exp_avg_sq", lambda tensor: tensor.double()),
        ("step", lambda _: torch.zeros(3)),
    ],
)
def test_a_tensor_of_another_form_is_refused_and_not_spread(
    run: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    key = f"{name}/{WEIGHT}"
    rewrite(run, lambda _, tensors: tensors.update({key: change(tensors[key])}))
    code, error = resume(run)
    assert code == 1
    assert f"does not hold a usable training state ({key} is torch." in error


def test_a_moment_that_is_missing_is_named(run: Path) -> None:
    rewrite(run, lambda _, tensors: tensors.pop(f"exp_avg/{WEIGHT}"))
    assert f"(exp_avg/{WEIGHT} is missing)" in resume(run)[1]


@pytest.mark.parametrize("suffix", ["", ".sha256"])
def test_a_pipe_in_the_place_of_a_state_is_passed_over(run: Path, suffix: str) -> None:
    path = state_files(run)[0]
    path = path.with_name(path.name + suffix)
    path.unlink()
    os.mkfifo(path)
    assert resume(run)[0] == 0


@pytest.mark.parametrize("name", ["state", "state/progress.json", "state/step-000000009.safetensors", "log.jsonl"])
def test_what_stands_in_the_place_of_a_file_or_folder_is_one_line(run: Path, name: str) -> None:
    if name == "state":
        shutil.rmtree(run / name)
        (run / name).touch()
    else:
        (run / name).unlink(missing_ok=True)
        (run / name).mkdir()
    code, error = resume(run)
    assert (code, f"{run / name.split('/')[0]} cannot be written: " in error) == (1, True), error


def test_a_log_that_is_a_pipe_is_one_line(run: Path) -> None:
    (run / "log.jsonl").unlink()
    os.mkfifo(run / "log.jsonl")
    assert resume(run)[1].endswith("log.jsonl cannot be written: it is no file but a pipe, socket or device")
