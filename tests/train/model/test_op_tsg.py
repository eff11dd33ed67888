"""Invariants of the assembled model."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch, collate
from optsg.data.store import FeatureStore, open_store
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import SEPARATOR, TitleTokenizer, Vocabulary, build_vocabulary
from optsg.train.config import PROMPT_ENTRIES, InputConfig, ModelConfig, TrainingConfig
from optsg.train.model import layers, tag_decoder
from optsg.train.model.op_tsg import OPTSG, bounded_inverse
from optsg.train.objective.op_tsg_loss import MatchedBatch, OpTsgLoss
from optsg.train.objective.shares import ALONE
from optsg.train.objective.tag_targets import TagTargets, tag_targets
from optsg.train.writing import greedy
from optsg.train.writing.write_op_tsg import write

from tests.tiny_world import tiny_videos, write_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    path = write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))
    with open_store(path) as opened:
        yield opened


def build(store: FeatureStore, prompt_entry: str = "prefix+slot", dropout: float = 0.1) -> OPTSG:
    table = TagTable.from_store(store)
    vocabulary = build_vocabulary(store, table, TitleTokenizer.from_json(store.tokenizer_json), "corpus")
    inputs = InputConfig(
        frame_dim=store.header.frame_dim,
        patch_dim=store.header.patch_dim,
        max_patches=4,
        tag_dim=store.header.tag_dim,
        title_encoder=json.loads(store.title_encoder_config),
        pieces=vocabulary.pieces,
    )
    config = ModelConfig(
        width=32, heads=4, title_layers=2, hybrid_layers=1, prompt_layers=2, decoder_layers=2, prompts=6,
        prompt_entry=prompt_entry, dropout=dropout,
    )  # fmt: skip
    torch.manual_seed(5)
    model = OPTSG(config, inputs)
    model.load_text_encoder(store.title_encoder_weights())
    # Freshly drawn layers add next to nothing, and tied embeddings then repeat one token; larger ones write varied text.
    with torch.no_grad():
        for parameter in (*model.decoder.layers.parameters(), model.decoder.text_position.weight):
            parameter.mul_(20 if parameter.ndim == 2 else 1)
    return model.eval()


def targets_of(store: FeatureStore, model: OPTSG) -> TagTargets:
    return tag_targets(store, Vocabulary(model.inputs.pieces), 24, torch.device("cpu"))


TRAINING = TrainingConfig(shuffle=False)


@pytest.mark.parametrize("entry", PROMPT_ENTRIES)
def test_cached_decoding_equals_uncached(store: FeatureStore, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greedy, "drop_unfinished", lambda written: written)  # untrained, it hardly ends a tag
    model = build(store, entry)
    batch = collate(store, np.arange(6))
    cached, uncached = write(model, batch), write(model, batch, use_cache=False)
    assert len(set(cached.tokens.flatten().tolist())) > 3
    assert torch.equal(cached.tokens, uncached.tokens)
    assert torch.allclose(cached.log_probs, uncached.log_probs, atol=2e-5)
    assert torch.allclose(cached.nil_probs, uncached.nil_probs, atol=2e-5)
    assert (cached.tokens == SEPARATOR).sum(dim=1).max() <= 5  # six prompts, six slots


@pytest.mark.parametrize("entry", PROMPT_ENTRIES)
def test_the_decoder_never_looks_ahead(store: FeatureStore, entry: str) -> None:
    model = build(store, entry)
    batch = collate(store, np.arange(2))
    features, mask = model.encode(batch)
    prompts = model.order_prompts(features, mask)
    tokens = torch.randint(5, 20, (2, 9))
    changed = tokens.clone()
    changed[:, 5:] = torch.randint(20, 30, (2, 4))
    before, after = (model.decoder(prompts, t, features, mask) for t in (tokens, changed))
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


@pytest.mark.parametrize("entry", ["slot", "prefix+slot"])
def test_a_gpu_s_attention_learns_what_the_formula_teaches(
    store: FeatureStore, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(store, entry).double()
    torch.manual_seed(0)
    features, prompts = torch.randn(2, 5, 32).double(), torch.randn(2, 6, model.inputs.tag_dim).double()
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    tokens = torch.tensor([[1, 9, 8, SEPARATOR, 7], [1, SEPARATOR, 9, 0, 0]])
    weights = [weight for name, weight in model.decoder.named_parameters() if "self_attention.query.weight" in name]

    def found() -> tuple[torch.Tensor, list[torch.Tensor]]:
        hidden = model.decoder(prompts, tokens, features, mask)
        return hidden, list(torch.autograd.grad(hidden.square().sum(), weights))

    hidden, gradients = found()
    for module in (layers, tag_decoder):
        monkeypatch.setattr(module, "has_fused_kernels", lambda _: True)
    quick, others = found()
    torch.testing.assert_close(quick, hidden)
    torch.testing.assert_close(others, gradients)


def test_permuting_the_queries_permutes_the_prompts_and_their_tags(store: FeatureStore) -> None:
    model = build(store)
    batch, targets = collate(store, np.arange(4)), targets_of(store, model)
    features, mask = model.encode(batch)
    prompts = model.order_prompts(features, mask)
    loss = OpTsgLoss(model, targets, TRAINING)
    assigned = loss.assign(prompts, batch, np.random.default_rng(0))
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    with torch.no_grad():
        model.prompt_encoder.queries.copy_(model.prompt_encoder.queries[order])
    permuted = model.order_prompts(features, mask)
    assert torch.allclose(permuted, prompts[:, order], atol=1e-5)
    again = loss.assign(permuted, batch, np.random.default_rng(0))
    assert np.array_equal(again, assigned[:, order.numpy()])


def test_writing_in_another_order_is_writing_from_prompts_in_that_order(store: FeatureStore) -> None:
    model, batch = build(store), collate(store, np.arange(4))
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    reordered = write(model, batch, order=order).tokens
    assert torch.equal(write(model, batch, order=torch.arange(6)).tokens, write(model, batch).tokens)
    with torch.no_grad():
        model.prompt_encoder.queries.copy_(model.prompt_encoder.queries[order])
    assert torch.equal(reordered, write(model, batch).tokens)


@pytest.mark.parametrize("shuffle", [True, False])
def test_losses_do_not_depend_on_padding(store: FeatureStore, shuffle: bool) -> None:
    model, training = build(store, dropout=0.0), dataclasses.replace(TRAINING, shuffle=shuffle)
    batch = collate(store, np.arange(5))
    empty = [np.zeros((0, store.header.frame_dim), np.float16)]

    def padded(values: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        more = torch.full((len(values), 3, *values.shape[2:]), 1, dtype=values.dtype)
        return torch.cat([values, more], 1), torch.cat([mask, torch.zeros(len(mask), 3, dtype=torch.bool)], 1)

    assert empty[0].shape[0] == 0
    frames, frame_mask = padded(batch.frames, batch.frame_mask)
    patches, patch_mask = padded(batch.patches, batch.patch_mask)
    tokens, title_mask = padded(batch.title_tokens, batch.title_mask)
    wide = Batch(
        frames=frames, frame_mask=frame_mask, patches=patches, patch_mask=patch_mask,
        title_tokens=tokens, title_mask=title_mask, tags=batch.tags,
    )  # fmt: skip
    targets = targets_of(store, model)
    loss = OpTsgLoss(model.train(), targets, training)
    one, other = (loss(b, np.random.default_rng(5)).numbers() for b in (batch, wide))
    assert one == pytest.approx(other, rel=1e-5)
    assert set(one) == {"loss", "contrastive", "generation"}


def test_tags_of_a_video_do_not_depend_on_the_batch_around_it(store: FeatureStore) -> None:
    model = build(store)
    together = write(model, collate(store, np.arange(6))).tokens
    for row in range(6):
        alone = write(model, collate(store, [row])).tokens[0]
        assert torch.equal(alone, together[row, : len(alone)])


def test_more_tags_than_prompts_draws_as_many_as_there_are_prompts(store: FeatureStore) -> None:
    model = build(store)
    targets = targets_of(store, model)
    tags = np.array(sorted(targets.pieces)[:9], np.int32)
    drawn = {tuple(targets.choose(tags, 6, np.random.default_rng(seed)).tolist()) for seed in range(20)}
    assert {len(chosen) for chosen in drawn} == {6}
    assert len(drawn) > 5
    assert all(set(chosen) <= set(tags.tolist()) for chosen in drawn)
    assert all(len(set(chosen)) == 6 for chosen in drawn)


def test_shuffled_prompts_take_their_tags_along(store: FeatureStore) -> None:
    """What prompts in another order are to write is what prompts that lie in that order are to write."""
    model, batch = build(store, dropout=0.0), collate(store, np.arange(4))
    loss = OpTsgLoss(model, targets_of(store, model), TRAINING)
    features, mask = model.encode(batch)
    prompts = model.order_prompts(features, mask)
    assignment = loss.assign(prompts, batch, np.random.default_rng(0))
    order = np.random.default_rng(0).permuted(np.tile(np.arange(6), (4, 1)), axis=1)
    matched = MatchedBatch(
        batch=batch, features=features, mask=mask, prompts=prompts, assignment=assignment, order=order
    )
    index = torch.from_numpy(order)
    lying = dataclasses.replace(
        matched,
        prompts=prompts.gather(1, index[..., None].expand_as(prompts)),
        assignment=np.take_along_axis(assignment, order, axis=1),
        order=np.tile(np.arange(6), (4, 1)),
    )
    shuffled, expected = (loss.written(each, ALONE)["generation"].item() for each in (matched, lying))
    assert shuffled == pytest.approx(expected)
    assert shuffled != pytest.approx(
        loss.written(dataclasses.replace(lying, prompts=prompts), ALONE)["generation"].item()
    )


def test_prompts_are_shuffled_in_training_alone(store: FeatureStore) -> None:
    model, batch = build(store, dropout=0.0), collate(store, np.arange(4))
    loss = OpTsgLoss(model, targets_of(store, model), dataclasses.replace(TRAINING, shuffle=True))

    def losses() -> set[float]:
        return {loss(batch, np.random.default_rng(seed)).numbers()["generation"] for seed in range(3)}

    assert len(losses()) == 1
    model.train()
    assert len(losses()) == 3


def test_the_temperature_of_the_contrast_is_bounded() -> None:
    found = [bounded_inverse(torch.tensor(math.log(value))).item() for value in (0.5, 14.0, 99.0, 1e4)]
    assert found == pytest.approx([0.5, 14, 99, 100], rel=1e-5)


def test_a_saved_model_loads_to_identical_outputs(store: FeatureStore, tmp_path: Path) -> None:
    from optsg.train.run_files import MODEL, load_weights, save_weights

    model = build(store)
    save_weights(tmp_path, model.state_dict())
    other = OPTSG(model.config, model.inputs).eval()
    load_weights(other, tmp_path / MODEL)
    batch = collate(store, np.arange(6))
    one, two = write(model, batch), write(other, batch)
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(one.log_probs, two.log_probs)


def test_every_trained_parameter_gets_a_gradient(store: FeatureStore) -> None:
    model = build(store).train()
    loss = OpTsgLoss(model, targets_of(store, model), TRAINING)
    losses = loss(collate(store, np.arange(16)), np.random.default_rng(0))
    losses.total.backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    # Token type 1 and BERT's unused positions get zero gradients, none at all would be a part that is not wired in.
    assert without == []


def test_the_base_model_has_the_paper_s_size() -> None:
    with torch.device("meta"):
        model = OPTSG(
            ModelConfig(),
            InputConfig(
                frame_dim=512, patch_dim=0, max_patches=1, tag_dim=768, pieces=tuple(range(30522 - 5)),
                title_encoder={
                    "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 6,
                    "num_attention_heads": 12, "intermediate_size": 3072,
                },
            ),
        )  # fmt: skip
    # "Trainable parameters of the full model ≈ 285 M"; ours shares no word embeddings between title and tags (23 M).
    assert 280e6 < model.parameter_count() < 325e6
