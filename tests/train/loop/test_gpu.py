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
from optsg.train.loop.processes import Processes
from optsg.train.loop.trainer import Trainer
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


# What torch.compile imports and looks at.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_a_step_waits_for_the_gpu_once(feats: Path, tmp_path: Path, compiled: str) -> None:
    with open_store(feats) as store:
        words = [*TINY_SETTINGS, f"compile={compiled}"]
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=words, seed=0)
        trainer = Trainer(store, tmp_path, plan.config, plan.tag_table, plan.tokenizer, Processes.alone(GPU))
        prepared = trainer._joint_step.prepare(store.indices("train")[:16])
        for step in range(4):  # what is prepared once, and the fourth takes in the average
            trainer._step(step, prepared)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            trainer._step(4, prepared)
            torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchronizing CUDA operation" in str(warning.message)]
    assert len(waits) == 1, [str(warning) for warning in waits]
