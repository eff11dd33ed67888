"""A model whose layers are compiled for training computes what it did, and is not compiled elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.errors import ConfigError
from optsg.data.store import open_store
from optsg.train.config import TrainingConfig
from optsg.train.loop.compiled_layers import LAYERS, compile_layers
from optsg.train.run.plan import plan_run
from optsg.train.systems.registry import start_system
from torch import Tensor

from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))


@pytest.mark.slow
# torch.compile looks at both itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_losses_gradients_and_names_stay(feats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend="aot_eager"))
    layers = ["hybrid_layers=3", "prompt_layers=3", "decoder_layers=3"]
    settings = [*TINY_SETTINGS, *layers, "dropout=0", "precision=fp32"]
    with open_store(feats) as store:
        plan = plan_run(store, feats, system="op-tsg", size="small", settings=settings, seed=0)
        system = start_system(store, plan.config, plan.tag_table, plan.tokenizer)
        system.prepare(store, torch.device("cpu"))
        model, rows = system.model, store.indices("train")

        def losses_and_gradients(count: int) -> tuple[float, Tensor]:
            model.train().zero_grad()
            losses = system.losses(collate(store, rows[:count]), np.random.default_rng(0))
            losses.total.backward()
            return losses.total.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

        names = list(model.state_dict())
        plain = [losses_and_gradients(count) for count in (4, 9, 4)]
        compile_layers(model)
        torch._dynamo.utils.counters.clear()
        compiled = [losses_and_gradients(count) for count in (4, 9, 4)]
        assert list(model.state_dict()) == names
        for (loss, gradients), (other, others) in zip(plain, compiled, strict=True):
            assert loss == pytest.approx(other, rel=1e-5)
            assert torch.allclose(gradients, others, atol=1e-5)
        counters = torch._dynamo.utils.counters
        # Alike layers share what was compiled; lengths that happen to be equal at first are told apart later.
        compiled_layers = sum(isinstance(module, LAYERS) for module in model.modules())
        assert 4 <= counters["stats"]["unique_graphs"] < compiled_layers
        assert not counters["graph_break"]
        calls = dict(counters["stats"])
        model.eval()
        system.losses(collate(store, rows[:6]), np.random.default_rng(0))
        assert dict(counters["stats"]) == calls


def test_it_does_not_go_with_micro_batches() -> None:
    with pytest.raises(ConfigError, match="compile=true is out of range; expected false with micro_batch"):
        TrainingConfig(compile=True, micro_batch=4)
