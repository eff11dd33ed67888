"""The plain model of the benchmarks is a model like ours: same shapes, same matching, and it learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.store import FeatureStore, open_store
from optsg.train.model.matching import assign_tags
from optsg.train.model.op_tsg import OPTSG
from optsg.train.run.plan import plan_run
from optsg.train.systems.op_tsg import PAPER_SETTINGS

from benchmarks.newcomer_model import NewcomerModel, NewcomerTargets, NewcomerTraining
from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    videos = [video for video in tiny_videos(60) if video.kind == "video"]
    with open_store(write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", videos)) as opened:
        yield opened


def models(store: FeatureStore) -> tuple[NewcomerModel, OPTSG]:
    settings = [*TINY_SETTINGS, *PAPER_SETTINGS]
    config = plan_run(store, store.path, system="op-tsg", size="small", settings=settings, seed=0).config
    torch.manual_seed(0)
    return NewcomerModel(config.model, config.inputs), OPTSG(config.model, config.inputs)


def test_shapes_and_layers_are_ours(store: FeatureStore) -> None:
    newcomer, ours = models(store)
    batch = collate(store, range(6))
    features, _ = ours.encode(batch)
    assert newcomer.encode(batch).shape == features.shape
    prompts = newcomer.order_prompts(newcomer.encode(batch), batch)
    assert prompts.shape == ours.order_prompts(features, batch.title_mask).shape
    for plain, own in (
        (newcomer.hybrid_encoder, ours.hybrid_encoder),
        (newcomer.prompt_encoder, ours.prompt_encoder),
        (newcomer.tag_decoder, ours.decoder),
    ):
        weights = [sum(p.numel() for p in part.layers.parameters()) for part in (plain, own)]
        assert weights[0] == weights[1]


def test_its_matching_is_ours(store: FeatureStore) -> None:
    newcomer, _ = models(store)
    batch = collate(store, range(12))
    targets = NewcomerTargets.of(store, torch.device("cpu"))
    torch.manual_seed(1)
    prompts = torch.randn(12, newcomer.prompts, store.header.tag_dim)
    tags = [video.astype(np.int64) for video in batch.tags]
    expected = assign_tags(prompts, tags, targets.embeddings, targets.nil)
    assert newcomer.match(prompts, batch, targets) == expected.tolist()


def test_it_learns(store: FeatureStore) -> None:
    newcomer, _ = models(store)
    training = NewcomerTraining(newcomer, NewcomerTargets.of(store, torch.device("cpu")), learning_rate=3e-3)
    batch = collate(store, store.indices("train")[:16])
    losses = [training.step(batch) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
