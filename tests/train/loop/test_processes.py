"""Several processes and micro-batches train as one process does with the whole batch, through the command itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.errors import ConfigError
from optsg.train.loop.micro_batches import SecondPass, micro_batch_count
from optsg.train.loop.processes import open_processes
from optsg.train.loop.saved_states import read_progress
from optsg.train.system_names import SYSTEM_NAMES
from safetensors.torch import load_file

from tests.command_server import ROOT
from tests.tiny_world import as_options, read_log, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train
from tests.train.trainings import Trainings, assert_same_run, open_trainings

NO_GRADIENT = re.compile(r"(key(_value)?|page_norm)\.bias$")
"""A softmax does not feel what is added to all keys alike: these gradients are rounding, of which Adam makes whole steps."""

# 84 training videos: five batches of 15 and one of 9.
SETTINGS = as_options(("batch_size=15", "epochs=1", "ema=0", "dropout=0"))


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(120), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    with open_trainings(tmp_path_factory.mktemp("trainings")) as opened:
        yield opened


@pytest.fixture
def command(feats: Path, tmp_path: Path) -> list[str]:
    """Options of a training, with a folder of its own for the run."""
    return ["--feats", str(feats), "--size", "small", *as_options(), *SETTINGS, "--run", str(tmp_path / "run")]


def reference(command: list[str], *more: str) -> Path:
    """The same training in one process and without micro-batches."""
    run = Path(command[-1]).with_name("reference")
    result = train(*command[:-1], run, *more)
    assert result.exit_code == 0, result.output
    return run


def assert_equal_up_to_rounding(run: Path, other: Path) -> None:
    """Weights after all steps and every logged number."""
    weights, others = (load_file(folder / "model.safetensors") for folder in (run, other))
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        if NO_GRADIENT.search(name):
            continue
        assert torch.allclose(weight, others[name], atol=2e-5), (name, (weight - others[name]).abs().max())
    events = [[{**event, "seconds": 0} for event in read_log(folder)] for folder in (run, other)]
    assert len(events[0]) == len(events[1])
    for one, two in zip(*events, strict=True):
        assert one.pop("event") == two.pop("event")
        assert one == pytest.approx(two, rel=1e-4, abs=1e-5)


KINDS = ("op-tsg", "bin", "sources")
"""One that writes, one that classifies, one without a network: the others share most of what they do with one of them."""


@pytest.mark.parametrize(
    "system", [name if name in KINDS else pytest.param(name, marks=pytest.mark.slow) for name in SYSTEM_NAMES]
)
def test_two_processes_with_micro_batches_equal_one_with_the_whole_batch(
    command: list[str], trainings: Trainings, system: str
) -> None:
    run = Path(command[-1])
    # 15 videos are 8 and 7, in micro-batches of 3, 3, 2 and 3, 2, 2.
    codes, _ = trainings.run(*command, "--system", system, "--set", "micro_batch=3", processes=2)
    assert codes == [0, 0], (trainings.folder / "output-0.txt").read_text()
    assert_equal_up_to_rounding(run, reference(command, "--system", system))


@pytest.mark.parametrize(
    ("processes", "settings"),
    [
        pytest.param(2, (), marks=pytest.mark.slow),
        (3, ("normalisation=sum", "gradient_norm=100")),
        pytest.param(1, ("micro_batch=4",), marks=pytest.mark.slow),
        (2, ("batch_size=83",)),  # the last batch has one video
        pytest.param(2, ("shuffle_window=120", "micro_batch=2"), marks=pytest.mark.slow),
        pytest.param(  # drawn tags and orders
            2, ("decoding=sequential", "copy_title=false", "prompts=4", "shuffle=true"), marks=pytest.mark.slow
        ),
    ],
)
def test_any_number_of_processes_trains_the_same(
    command: list[str], trainings: Trainings, processes: int, settings: tuple[str, ...]
) -> None:
    codes, _ = trainings.run(*command, *as_options(settings), processes=processes)
    assert codes == [0] * processes, (trainings.folder / "output-0.txt").read_text()
    plain = [setting for setting in settings if not setting.startswith("micro_batch=")]
    assert_equal_up_to_rounding(Path(command[-1]), reference(command, *as_options(plain)))


@pytest.mark.slow
def test_bfloat16_in_processes_and_micro_batches(command: list[str], trainings: Trainings) -> None:
    codes, _ = trainings.run(*command, *as_options(("precision=bf16", "micro_batch=4")), processes=2)
    assert codes == [0, 0]
    ours, whole = (read_log(run) for run in (Path(command[-1]), reference(command, *as_options(("precision=bf16",)))))
    assert ours[0]["train_loss"] == pytest.approx(whole[0]["train_loss"], rel=0.02)


def test_one_process_writes_and_speaks(command: list[str], trainings: Trainings) -> None:
    codes, _ = trainings.run(*command, processes=2)
    assert codes == [0, 0]
    said = (trainings.folder / "output-0.txt").read_text()
    assert re.match(r"training op-tsg \(small, .*\) in .* on cpu in 2 processes: 1 epochs of 6 steps\n", said)
    assert said.count("\ntrained ") == 1
    assert (trainings.folder / "output-1.txt").read_text() == ""
    run = Path(command[-1])
    assert len(list((run / "tensorboard").iterdir())) == 1
    again, _ = trainings.run(*command, processes=2)
    assert again == [1, 1]
    said = (trainings.folder / "output-0.txt").read_text()
    assert said == f"error: {run} holds a run already; go on with it (--resume) or choose another --run\n"
    assert (trainings.folder / "output-1.txt").read_text() == ""
    finished, _ = trainings.run("--run", str(run), "--resume", processes=2)
    assert finished == [0, 0]


def test_stopped_processes_go_on_exactly(command: list[str], trainings: Trainings) -> None:
    """The second of them is told; both stop after the same step."""
    run = Path(command[-1])
    settings = as_options(("dropout=0.1", "epochs=4", "state_seconds=0", "micro_batch=5"))
    assert trainings.run(*command[:-1], str(run.with_name("whole")), *settings, processes=2)[0] == [0, 0]
    codes, _ = trainings.run(*command, *settings, processes=2, number=signal.SIGTERM, to=1, once=run, after=0.1)
    assert codes == [130, 143]
    progress = read_progress(run)
    assert progress is not None
    assert 0 < progress.step < 24
    assert trainings.run(*command, *settings, "--resume", "auto", processes=2)[0] == [0, 0]
    assert_same_run(run.with_name("whole"), run)


def test_torchrun_ends_well(command: list[str]) -> None:
    """The interpreters end by themselves here, threads of the process group and all."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "--", "optsg.train.cli"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [*launch, *command, "--device", "cpu"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert re.findall("^trained ", done.stdout, re.MULTILINE) == ["trained "]


@pytest.mark.parametrize(
    ("device", "environment", "message"),
    [
        ("cuda:1", {}, "--device cuda:1: 2 processes each take a device of their own; use auto, cpu or cuda"),
        (
            "cpu",
            {"ACCELERATE_USE_FSDP": "true"},
            "Accelerate is configured for FSDP; optsg-train keeps the whole model on each device: configure multi-GPU or multi-CPU",
        ),
    ],
)
def test_what_several_processes_cannot_have(
    monkeypatch: pytest.MonkeyPatch, device: str, environment: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"), open_processes(device):
        pass


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("optsg.train.loop.processes.choose_device", lambda _: torch.device("cuda"))
    message = "4 processes on this machine, 2 GPUs; start one process for each GPU"
    with pytest.raises(ConfigError, match=f"^{message}$"), open_processes("auto"):
        pass


def test_micro_batches_are_alike_in_all_processes_and_never_too_large() -> None:
    for processes in range(1, 6):
        for videos in range(processes, 60):
            for most in range(2, 9):
                count = micro_batch_count(videos, processes, most)
                shares = [np.array_split(np.arange(videos)[index::processes], count) for index in range(processes)]
                sizes = [len(part) for share in shares for part in share]
                assert 1 <= min(sizes) <= max(sizes) <= most


def test_both_passes_draw_the_same_dropout(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = SecondPass.gather_rows
    compared: list[int] = []

    def comparing(self: SecondPass, x: torch.Tensor) -> torch.Tensor:
        joint = original(self, x)
        told = [value for kind, value in self.notes.told if kind == "rows"]
        assert torch.equal(told[len(compared) % 2], x)
        compared.append(len(x))
        return joint

    monkeypatch.setattr(SecondPass, "gather_rows", comparing)
    result = train(*command, "--set", "micro_batch=4", "--set", "dropout=0.5")
    assert result.exit_code == 0, result.output
    assert len(compared) > 40


@pytest.mark.parametrize("value", ["1", "-2"])
def test_micro_batches_of_one_video_are_refused(command: list[str], value: str) -> None:
    refused = train(*command, "--set", f"micro_batch={value}")
    assert refused.output == f"error: micro_batch={value} is out of range; expected 0 (off) or at least 2\n"
