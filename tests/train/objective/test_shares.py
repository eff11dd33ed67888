"""Losses and gradients of two processes equal those of one process with the joint batch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optsg.data.batching import JointBatch, collate
from optsg.data.store import open_store
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer, Vocabulary
from optsg.train.config import InputConfig, ModelConfig, RunConfig, TrainingConfig
from optsg.train.model.op_tsg import OPTSG
from optsg.train.objective.op_tsg_loss import OpTsgLoss
from optsg.train.objective.shares import ProcessExchange
from optsg.train.objective.tag_targets import tag_targets
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.systems.registry import start_system
from torch import distributed
from torch.multiprocessing.spawn import spawn

from tests.tiny_world import TINY_SETTINGS, tiny_text_tables, tiny_videos, write_tiny_store


def losses_and_gradients(feats: Path, rows: list[int]) -> dict[str, torch.Tensor]:
    """Both losses and all gradients on some rows, averaged over the processes if there are several."""
    torch.set_num_threads(1)
    with open_store(feats) as store:
        model = OPTSG(
            ModelConfig(
                width=32, heads=4, title_layers=2, hybrid_layers=1, prompt_layers=1, decoder_layers=1, prompts=6
            ),
            InputConfig(
                frame_dim=store.header.frame_dim,
                patch_dim=store.header.patch_dim,
                max_patches=4,
                tag_dim=store.header.tag_dim,
                title_encoder=json.loads(store.title_encoder_config),
                pieces=tuple(range(4, 99)),
            ),
        )
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        model.eval()
        targets = tag_targets(store, _all_pieces(), 24, torch.device("cpu"))
        loss = OpTsgLoss(model, targets, TrainingConfig(shuffle=False))
        losses = loss(collate(store, rows), np.random.default_rng(0), ProcessExchange())
    losses.total.backward()
    values = {name: part.detach() for name, part in losses.parts.items()}
    # A process whose share has no image has no gradient for the patch projection.
    values |= {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }
    if distributed.is_initialized():
        for value in values.values():
            distributed.all_reduce(value)
            value /= distributed.get_world_size()
    return values


def _all_pieces() -> Vocabulary:
    return Vocabulary(range(4, 99))


def system_losses_and_gradients(feats: Path, run: Path, rows: list[int], joint: list[int]) -> dict[str, torch.Tensor]:
    """Parts of a system's loss and all gradients on some of the joint rows, averaged over the processes if there are several."""
    torch.set_num_threads(1)
    config = RunConfig.from_json((run / "config.json").read_text())
    with open_store(feats) as store:
        tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
        system = start_system(store, config, TagTable.from_store(store), tokenizer)
        system.prepare(store, torch.device("cpu"))
        system.model.eval()
        tags = tuple(store.tags(row) for row in joint)
        share = JointBatch(tags=tags, places=np.array([joint.index(row) for row in rows]))
        batch = replace(collate(store, rows), joint=share)
        losses = system.losses(batch, np.random.default_rng(0), ProcessExchange())
    losses.total.backward()
    values = {name: part.detach() for name, part in losses.parts.items()}
    values |= {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in system.model.named_parameters()
        if parameter.requires_grad
    }
    if distributed.is_initialized():
        for value in values.values():
            distributed.all_reduce(value)
            value /= distributed.get_world_size()
    return values


def in_two_processes(
    compute: Callable[..., dict[str, torch.Tensor]], arguments: list[tuple[Any, ...]], out: Path
) -> Any:
    """What ``compute`` gives in the first of two processes that form a group, each with its own arguments."""
    spawn(_worker, args=(compute, arguments, out), nprocs=2)
    return torch.load(out / "values.pt", weights_only=True)


def _worker(
    rank: int, compute: Callable[..., dict[str, torch.Tensor]], arguments: list[tuple[Any, ...]], out: Path
) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{out}/rendezvous", rank=rank, world_size=2)
    values = compute(*arguments[rank])
    if rank == 0:
        torch.save(values, out / "values.pt")
    distributed.barrier()
    # Leaves without taking the interpreter down: a thread of Gloo that still holds a tensor would then ask for the
    # interpreter's lock, and the process would end in SIGABRT (pytorch/pytorch#179291).
    os._exit(0)


@pytest.mark.parametrize(
    "name",
    [
        "prompt-label",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("prompt-classification", "learnable-tag-embeddings")),
    ],
)
def test_an_ablation_in_two_processes_equals_one_with_the_joint_batch(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(16), text_tables=tiny_text_tables(contextual=True))
    shares = [[0, 1, 2, 3, 4], [5, 6, 7]]
    run = new_run(RunRequest(feats=feats, system=name, size="small", settings=TINY_SETTINGS, seed=0, device="cpu"))
    rows = [*shares[0], *shares[1]]
    joint = system_losses_and_gradients(feats, run, rows, rows)
    parts = in_two_processes(system_losses_and_gradients, [(feats, run, share, rows) for share in shares], tmp_path)
    assert parts.keys() == joint.keys()
    assert any(key.startswith("tag_model.") for key in joint) == (name == "learnable-tag-embeddings")
    for key, value in joint.items():
        assert torch.allclose(parts[key], value, rtol=1e-3, atol=1e-5), key


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([[0, 1, 2, 3], [4, 5, 6, 7]], marks=pytest.mark.slow),
        [[0, 1, 2, 3, 4], [5, 6, 7]],
    ],
)
def test_two_processes_equal_one_with_the_joint_batch(tmp_path: Path, shares: list[list[int]]) -> None:
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(16))
    joint = losses_and_gradients(feats, [*shares[0], *shares[1]])
    parts = in_two_processes(losses_and_gradients, [(feats, share) for share in shares], tmp_path)
    assert parts.keys() == joint.keys()
    for name, value in joint.items():
        assert torch.allclose(parts[name], value, rtol=1e-3, atol=1e-5), name
