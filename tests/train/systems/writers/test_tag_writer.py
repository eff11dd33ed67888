"""Generators without prompts: the order of their targets, decoding, and the order that a model chooses itself."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.errors import ConfigError
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import BOS, EOS, NIL, PAD, SEPARATOR, TitleTokenizer
from optsg.train.config import SIZES, ModelConfig, RunConfig, apply_settings
from optsg.train.model.tag_sequence import MAX_TARGET_TOKENS
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.systems.registry import start_system
from optsg.train.systems.writers.order_free import model_order
from optsg.train.systems.writers.ordered_writer import OrderedWriter
from optsg.train.writing.greedy import WrittenTokens, drop_unfinished
from optsg.train.writing.reading import split_tags

from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store

NAMES = ("frequency-first", "frequency-first-full", "rare-first", "random", "order-free", "open-book")


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(60))


def started(feats: Path, store: FeatureStore, name: str, seed: int = 1) -> OrderedWriter:
    """A system whose decoder writes varied text, in evaluation mode."""
    run = new_run(RunRequest(feats=feats, system=name, size="small", settings=TINY_SETTINGS, seed=3, device="cpu"))
    config = RunConfig.from_json((run / "config.json").read_text())
    system = start_system(store, config, TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json))
    system.prepare(store, torch.device("cpu"))
    assert isinstance(system, OrderedWriter)
    shake(system, seed)
    system.model.eval()
    return system


def shake(system: OrderedWriter, seed: int) -> None:
    """Random weights that write varied text of short tags: freshly drawn ones repeat one token without end."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in system.model.decoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        system.model.decoder.text_position.weight.normal_()
        system.model.decoder.output_bias[SEPARATOR] += 8.0


def written_keys(system: OrderedWriter, store: FeatureStore, sequence: list[int]) -> list[str]:
    """Keys of a target's tags, in order."""
    assert sequence[-1] == EOS
    key_of = {tuple(pieces): store.tag_keys[tag] for tag, pieces in system.targets.pieces.items()}
    groups = itertools.groupby(sequence[:-1], key=lambda token: token == SEPARATOR)
    return [key_of[tuple(group)] for is_separator, group in groups if not is_separator]


def test_targets_are_all_tags_in_the_system_s_order(feats: Path, store: FeatureStore) -> None:
    batch, count_of = collate(store, np.arange(30)), TagTable.from_store(store).count_of
    found = {}
    for name in ("frequency-first", "rare-first", "random"):
        system = started(feats, store, name)
        found[name] = [written_keys(system, store, s) for s in system.sequences(batch, np.random.default_rng(0))]
        assert [set(keys) for keys in found[name]] == [{store.tag_keys[tag] for tag in tags} for tags in batch.tags]
    by_count = [sorted(keys, key=lambda key: (-count_of[key], key)) for keys in found["random"]]
    assert found["frequency-first"] == by_count
    assert found["rare-first"] == [keys[::-1] for keys in by_count]
    assert len({keys.index("animal") for keys in found["random"]}) > 2


def test_a_random_order_is_drawn_anew_from_the_given_numbers(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "random"), collate(store, np.arange(10))
    one, again, other = (system.sequences(batch, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_a_video_without_usable_tags_is_asked_for_nothing(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "frequency-first"), collate(store, np.arange(2))
    untagged = dataclasses.replace(batch, tags=(np.empty(0, np.int32), batch.tags[1]))
    assert system.sequences(untagged, np.random.default_rng(0))[0] == [EOS]


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("name", NAMES)
def test_cached_decoding_equals_uncached(feats: Path, store: FeatureStore, name: str) -> None:
    system, batch = started(feats, store, name), collate(store, np.arange(6))
    cached, uncached = (system.write(batch, 1.0, use_cache=use) for use in (True, False))
    assert len(set(cached.tokens.flatten().tolist())) > 3
    assert torch.equal(cached.tokens, uncached.tokens)
    assert torch.allclose(cached.log_probs, uncached.log_probs, atol=2e-4)
    assert not bool(((cached.tokens == NIL) | (cached.tokens == BOS)).any())


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("name", NAMES)
def test_tags_do_not_depend_on_the_batch_around_a_video(feats: Path, store: FeatureStore, name: str) -> None:
    system = started(feats, store, name)
    together = system.predict(collate(store, np.arange(6)), 0.0)
    for row in range(6):
        alone = system.predict(collate(store, [row]), 0.0)[0]
        assert [tag.text for tag in alone] == [tag.text for tag in together[row]]
        assert {tag.prompt for tag in alone} <= {None}


def test_more_bias_on_the_end_writes_more(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "frequency-first"), collate(store, np.arange(12))
    ends = []
    for bias in (-30.0, 0.0, 30.0):
        tokens = system.model.write(batch, eos_bias=bias).tokens
        ends.append([row.index(EOS) if EOS in row else MAX_TARGET_TOKENS for row in tokens.tolist()])
    assert ends[0] <= ends[1] <= ends[2]
    assert sum(ends[0]) < sum(ends[2])


# --- no tag twice ---


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_order_free_never_repeats_a_tag(feats: Path, store: FeatureStore, seed: int) -> None:
    system, batch = started(feats, store, "order-free", seed), collate(store, np.arange(60))

    def tags(repeats: bool) -> list[list[tuple[tuple[int, ...], float]]]:
        written = system.model.write(batch, eos_bias=20.0, repeats=repeats)
        rows = zip(written.tokens.tolist(), written.log_probs.tolist(), written.nil_probs.tolist(), strict=True)
        return [[(tag.ids, tag.score) for tag in split_tags(*row)] for row in rows]

    free, held = tags(repeats=True), tags(repeats=False)
    assert sum(len(row) - len({ids for ids, _ in row}) for row in free) > 50, "else there is nothing to hold back"
    assert [len(row) for row in held] == [len({ids for ids, _ in row}) for row in held]
    assert sum(map(len, held)) > 200
    assert [row[:1] for row in held] == [row[:1] for row in free], "the first tag's pieces and score stay as they are"
    for predicted in system.predict(batch, 20.0):
        assert len({tag.text.casefold() for tag in predicted}) == len(predicted)


def test_half_a_tag_at_the_longest_length_is_dropped() -> None:
    tokens = torch.tensor(
        [[10, SEPARATOR, 11, 12], [10, SEPARATOR, 11, EOS], [10, 11, 12, 13], [10, 11, 12, SEPARATOR]]
    )
    values = torch.zeros(4, 4)
    kept = drop_unfinished(WrittenTokens(tokens=tokens, log_probs=values, nil_probs=values)).tokens.tolist()
    assert kept == [[10, PAD, PAD, PAD], [10, SEPARATOR, 11, EOS], [PAD] * 4, [10, 11, 12, PAD]]


# --- the model's own order ---


def test_the_model_s_order_is_that_of_decoding_one_by_one_without_cache(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "order-free"), collate(store, np.arange(20))
    pieces, decoder = system.targets.pieces, system.model.decoder
    tags = [system.order(usable, np.random.default_rng(0)).tolist() for usable in system.usable_tags(batch, None)]  # type: ignore[arg-type]
    features, mask = system.model.encode(batch)
    expected = []
    for row, video in enumerate(tags):
        prefix, chosen, remaining = [BOS], [], list(video)
        while remaining:
            hidden = decoder(None, torch.tensor([prefix]), features[[row]], mask[[row]])
            scores = decoder.logits(hidden)[0, -1]
            best = max(remaining, key=lambda tag: scores[pieces[tag][0]].item())
            remaining.remove(best)
            chosen.append(best)
            prefix += [*pieces[best], SEPARATOR]
        expected.append(chosen)
    assert model_order(decoder, features, mask, tags, pieces) == expected
    assert expected != tags


def test_the_rollout_needs_no_dropout_no_gradient_and_leaves_training_on(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "order-free"), collate(store, np.arange(10))
    tags = [usable.tolist() for usable in system.usable_tags(batch, np.random.default_rng(0))]
    (features, mask), decoder = system.model.encode(batch), system.model.decoder.train()
    features = features.detach()
    state = torch.random.get_rng_state()
    one, two = (model_order(decoder, features, mask, tags, system.targets.pieces) for _ in range(2))
    assert one == two
    assert decoder.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in decoder.parameters())


# --- the decoder without prompts ---


def test_without_prompts_the_decoder_has_no_prompt_modules(feats: Path, store: FeatureStore) -> None:
    names = set(started(feats, store, "random").model.state_dict())
    assert not [name for name in names if "prompt" in name or "slot" in name]
    assert not [name for name in names if "copy_gate" in name]


def test_none_is_no_prompt_entry_for_op_tsg() -> None:
    with pytest.raises(ConfigError, match=r"^prompt_entry=none is out of range; expected prefix or memory or slot or"):
        apply_settings(*SIZES["small"], ["prompt_entry=none"])
    assert ModelConfig().prompt_entry != "none"
