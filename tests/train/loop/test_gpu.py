"""Training and tagging on a GPU give what they give on the CPU, but for rounding. Skipped where there is no GPU."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from optsg.data.batching import collate
from optsg.data.store import open_store
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.cli import main
from optsg.train.loop import cuda_graphs
from optsg.train.loop.processes import Processes
from optsg.train.loop.trainer import Trainer
from optsg.train.model.prompt_encoder import PromptEncoder
from optsg.train.run.plan import plan_run
from optsg.train.run.run import load_run
from optsg.train.systems.registry import start_system
from torch import Tensor

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_videos, write_tiny_store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

GPU = torch.device("cuda")


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(120))


@pytest.mark.parametrize("settings", [(), ("decoding=sequential", "copy_title=false"), ("label_smoothing=0.1",)])
def test_losses_and_gradients_are_those_of_the_cpu(feats: Path, settings: tuple[str, ...]) -> None:
    found: list[tuple[float, Tensor]] = []
    with open_store(feats) as store:
        words = [*TINY_SETTINGS, "dropout=0", *settings]
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=words, seed=0)
        for device in (torch.device("cpu"), GPU):
            system = start_system(store, plan.config, plan.tag_table, plan.tokenizer)
            model = system.model.to(device).train()
            system.prepare(store, device)
            batch = collate(store, store.indices("train")[:12]).to(device)
            losses = system.losses(batch, np.random.default_rng(0))
            losses.total.backward()
            gradients = [p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None]
            found.append((losses.total.item(), torch.cat(gradients)))
    (loss, gradient), (other, others) = found
    assert other == pytest.approx(loss, rel=1e-3)
    assert float((others - gradient).norm() / gradient.norm()) < 1e-2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_learns_there_and_tags_alike_on_both(feats: Path, precision: str) -> None:
    options = ["--feats", str(feats), "--run", "runs/a", *as_options(), "--set", f"precision={precision}"]
    more = as_options(("epochs=30", "ema=0.9"))
    result = CliRunner().invoke(main, [*options, *more, "--device", "cuda"])
    assert result.exit_code == 0, result.output
    told = []
    with open_store(feats) as store:
        rows = store.indices("test")
        for device in ("cuda", "cpu"):
            predicted = RunTagger(load_run(Path("runs/a"), device=device)).predict(collate(store, rows))
            told.append([{tag.text for tag in tags} for tags in predicted])
        true = [{store.tag_keys[tag] for tag in store.tags(int(row))} for row in rows]
    hits = sum(len(a & b) for a, b in zip(told[0], true, strict=True))
    assert hits / sum(map(len, true)) > 0.7
    alike = sum(len(a & b) for a, b in zip(*told, strict=True))
    assert alike / sum(len(a | b) for a, b in zip(*told, strict=True)) > 0.95


def taken_steps(feats: Path, run: Path, *settings: str) -> tuple[list[float], Tensor, list[str], int]:
    """Losses of six steps over batches of three shapes, the weights after them, what was said, recordings."""
    told: list[str] = []
    with open_store(feats) as store:
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=[*TINY_SETTINGS, *settings], seed=0)
        alone = Processes.alone(GPU)
        trainer = Trainer(store, run, plan.config, plan.tag_table, plan.tokenizer, alone, announce=told.append)
        losses = []
        for number, count in enumerate((16, 9, 16, 9, 5, 16)):
            prepared = trainer._joint_step.prepare(store.indices("train")[:count])
            losses.append(trainer._step(number, prepared).numbers()["loss"])
    graphs = trainer._joint_step._graphs
    recorded = 0 if graphs is None else sum(len(part._made) for part in graphs._parts)
    return losses, torch.cat([weights.detach().flatten() for weights in trainer._weights.masters]), told, recorded


def distance(weights: Tensor, others: Tensor) -> float:
    return float((weights - others).norm() / others.norm())


@pytest.fixture
def recorded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding adds up from step to step: few are taken."""
    monkeypatch.setattr(cuda_graphs, "SEEN_BEFORE", 1)


@pytest.mark.usefixtures("recorded_at_once")
@pytest.mark.parametrize("settings", [(), ("decoding=sequential", "copy_title=false"), ("precision=fp32",)])
def test_recorded_steps_compute_and_draw_what_launched_ones_do(
    feats: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    drawing = (*settings, "dropout=0.5")
    losses, weights, told, recorded = taken_steps(feats, tmp_path, *drawing)
    others, launched, _, none = taken_steps(feats, tmp_path, *drawing, "cuda_graphs=false")
    undrawn, without, _, _ = taken_steps(feats, tmp_path, *settings, "dropout=0", "cuda_graphs=false")
    assert not told
    assert recorded >= 6
    assert none == 0
    assert losses == pytest.approx(others, rel=1e-3)
    assert losses != pytest.approx(undrawn, rel=1e-3)
    # Adam makes much of the last digits of small gradients.
    assert distance(weights, launched) < distance(without, launched) / 2


@pytest.mark.usefixtures("recorded_at_once")
def test_a_part_that_waits_for_the_gpu_is_not_recorded(
    feats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PromptEncoder.forward

    def waiting(self: PromptEncoder, features: Tensor, mask: Tensor) -> Tensor:
        assert mask.any().item()
        return plain(self, features, mask)

    others, _, _, _ = taken_steps(feats, tmp_path, "cuda_graphs=false")
    monkeypatch.setattr(PromptEncoder, "forward", waiting)
    losses, _, told, _ = taken_steps(feats, tmp_path)
    assert len(told) == 1
    assert told[0].startswith("warning: no CUDA graphs from here on, each step costs the host more: ")
    assert losses == pytest.approx(others, rel=1e-3)


# What torch.compile imports and looks at.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("setting", ["cuda_graphs=true", "cuda_graphs=false", "compile=true"])
def test_a_step_waits_for_the_gpu_once(feats: Path, tmp_path: Path, setting: str) -> None:
    with open_store(feats) as store:
        words = [*TINY_SETTINGS, setting]
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=words, seed=0)
        trainer = Trainer(store, tmp_path, plan.config, plan.tag_table, plan.tokenizer, Processes.alone(GPU))
        prepared = trainer._joint_step.prepare(store.indices("train")[:16])
        for step in range(8):  # what is prepared or recorded once; the average takes in every fourth
            trainer._step(step, prepared)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            trainer._step(8, prepared)
            torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchronizing CUDA operation" in str(warning.message)]
    assert len(waits) == 1, [str(warning) for warning in waits]
