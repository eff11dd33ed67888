"""How a training step makes the host wait, on a pretended GPU; and that the pretended GPU notices what it is to notice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.store import FeatureStore, open_store
from optsg.train.device import send
from torch import Tensor

from benchmarks import host_bound
from benchmarks.launches import TEXT, as_on_a_gpu, narrow_steps, step_and_read
from benchmarks.pretended_device import CUDA, Kernels, PretendedDevice, is_there, mark
from benchmarks.synthetic_store import write_synthetic_store

SHALLOW = ("hybrid_layers=1", "prompt_layers=1", "decoder_layers=1", "title_layers=1", "prompts=6")
HOST = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    path = tmp_path_factory.mktemp("store") / "narrow.h5"
    return open_store(write_synthetic_store(path, videos=40, frames=4, width=16, text=TEXT))


WAITING: dict[str, Callable[[Tensor, Tensor], object]] = {
    "item": lambda there, _: there.sum().item(),
    "if": lambda there, _: bool(there.any()),
    "to the host": lambda there, _: there.to("cpu"),
    "cpu": lambda there, _: (there + 1).cpu(),
    "to the device": lambda _, here: here.to(CUDA),
    "tensor": lambda _there, _here: torch.tensor([1.0], device=CUDA),
    "tensor like another": lambda there, _: there.new_tensor(1.0),
    "nonzero": lambda there, _: torch.nonzero(there),
    "mask": lambda there, _: there[there > 0],
    "index of the host": lambda there, _: there[torch.tensor([0, 1])],
    "gradient": lambda there, _: there.clone().requires_grad_().sum().backward() or there.sum().tolist(),
}
GOING_ON: dict[str, Callable[[Tensor, Tensor], object]] = {
    "sent": lambda _, here: send(here, CUDA),
    "computed": lambda there, _: (there @ there.T).softmax(dim=-1).masked_fill(there.new_ones(3, 3) > 0, 0.0),
    "made there": lambda there, _: there + torch.arange(3, device=CUDA),
    "of the host": lambda _, here: (here.sum().item(), torch.nonzero(here), here[here > 0]),
}


@pytest.mark.parametrize(("name", "waits"), [*((n, 1) for n in WAITING), *((n, 0) for n in GOING_ON)])
def test_a_pretended_device_knows_what_waits(name: str, waits: int) -> None:
    there, here = torch.rand(3, 3), torch.rand(3, 3)
    mark([there])
    with PretendedDevice() as pretended:
        assert there.device == CUDA
        assert here.device == HOST
        {**WAITING, **GOING_ON}[name](there, here)
    assert pretended.waits.total() == waits, pretended.waits
    assert not is_there(here)


@pytest.mark.parametrize("settings", [(), ("copy_title=true", "tag_head=true"), ("decoding=parallel",)])
def test_a_step_waits_for_the_device_once(store: FeatureStore, settings: tuple[str, ...]) -> None:
    """For the matching's gains. What the losses are, training asks later."""
    with as_on_a_gpu(), PretendedDevice() as pretended:
        steps = narrow_steps(store, CUDA, [*SHALLOW, *settings, "precision=bf16"])
        trainer = steps.trainer
        assert trainer._average is not None
        mark([*trainer.model.parameters(), *trainer.model.buffers(), *trainer._weights.masters])
        mark(trainer._average.values)
        prepared = trainer._joint_step.prepare(store.indices("train")[:4])
        for step in range(4):  # the fourth takes in the average
            pretended.waits.clear()
            losses = trainer._step(step, prepared)
            assert pretended.waits.total() == 1, pretended.waits
        pretended.waits.clear()
        assert len(losses.logged()) >= 3
        assert losses.numbers()["loss"] > 0
        assert pretended.waits.total() == 1


def test_gradients_and_average_are_a_few_launches(store: FeatureStore) -> None:
    """Beside AdamW's, none for each weight."""
    steps = narrow_steps(store, HOST, [*SHALLOW, "precision=bf16"])
    step_and_read(steps, store)()
    weights, count = steps.trainer._weights, len(steps.trainer._weights.masters)
    for parameter in weights.parameters:
        parameter.grad = torch.zeros_like(parameter)
    with Kernels() as kernels:
        weights.collect_gradients()
        weights.publish()
        assert steps.trainer._average is not None
        steps.trainer._average.update(3)
    assert kernels.launched.total() == 3
    assert count > 50


@pytest.mark.parametrize("decoding", ["sequential", "parallel"])
def test_a_gpus_operations_compute_what_the_cpus_do(store: FeatureStore, decoding: str) -> None:
    steps = narrow_steps(store, HOST, [*SHALLOW, f"decoding={decoding}", "dropout=0", "precision=fp32"])
    trainer, rows = steps.trainer, store.indices("train")[:8]

    def loss_and_gradients() -> tuple[float, Tensor]:
        trainer.model.train().zero_grad()
        losses = trainer.system.losses(collate(store, rows), np.random.default_rng(0))
        losses.total.backward()
        gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        return losses.total.item(), torch.cat(gradients)

    found = [loss_and_gradients()]
    with as_on_a_gpu():
        found.append(loss_and_gradients())
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_its_table_names_every_part() -> None:
    seconds = {"collate": 0.01, "targets": 0.002, "matching": 0.001, "launching": 0.087}
    cost = host_bound.HostCost(seconds=seconds, launches=2000, waits=1)
    before = host_bound.HostCost(seconds={**seconds, "launching": 0.187}, launches=2800, waits=13)
    text = host_bound.report({"before": before, "this version": cost}, 256)
    assert [line.split(",")[0].strip("| ") for line in text.splitlines()[2:6]] == list(host_bound.PARTS)
    assert "| samples/s that the host allows | 1,280 | 2,560 |" in text
    assert "Against the first column: 2.0 times (target: 3)." in text
