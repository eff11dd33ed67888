"""The generator without prompts with copy gate and tag head: that each of the two does what it does in OP-TSG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from optsg.data.batching import Batch, collate
from optsg.data.errors import ConfigError
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore
from optsg.data.tag_list import TagList
from optsg.data.word_pieces import MARKS, PAD, SEPARATOR, Vocabulary
from optsg.train.config import RunConfig
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.systems.writers.full_writer import WRITING_END_BIAS, FrequencyFirstFull
from optsg.train.writing import greedy
from optsg.train.writing.tag_control import TagControl, VideoTags

from tests.tiny_world import tiny_videos, write_tiny_store
from tests.train.command import started


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))


@pytest.fixture
def batch(store: FeatureStore) -> Batch:
    return collate(store, np.arange(8))


def full(feats: Path, store: FeatureStore, *settings: str) -> FrequencyFirstFull:
    """An untrained system without dropout, in evaluation mode."""
    system = started(feats, store, "frequency-first-full", "dropout=0", *settings)
    assert isinstance(system, FrequencyFirstFull)
    system.model.eval()
    return system


def open_gate(system: FrequencyFirstFull, bias: float) -> None:
    """Lets everything (a large bias) or nothing be copied."""
    assert system.model.title_copier is not None
    with torch.no_grad():
        system.model.title_copier.gate.gate.bias.fill_(bias)


def losses(system: FrequencyFirstFull, batch: Batch) -> dict[str, float]:
    with torch.no_grad():
        parts = system.losses(batch, np.random.default_rng(0)).parts
    return {name: loss.item() for name, loss in parts.items()}


# --- copy gate ---


def test_with_an_open_gate_nothing_is_written_but_the_title_s_pieces(
    feats: Path, store: FeatureStore, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "drop_unfinished", lambda written: written)  # without marks no tag ends
    system = full(feats, store)
    vocabulary = Vocabulary(system.config.inputs.pieces)
    pieces = [set(vocabulary.encode([p for p in row if p in set(vocabulary.pieces)])) for row in titles(batch)]

    def written() -> list[set[int]]:
        return [set(row) - {PAD} for row in system.write(batch, 0.0).tokens.tolist()]

    last = MARKS + len(vocabulary.pieces) - 1
    with torch.no_grad():
        system.model.decoder.output_bias[last] = 30.0  # what the vocabulary alone would write
    assert not any(last in own for own in pieces)
    open_gate(system, 100.0)
    assert all(found and found <= own for found, own in zip(written(), pieces, strict=True))
    open_gate(system, -100.0)
    assert written() == [{last}] * len(batch)


def titles(batch: Batch) -> list[list[int]]:
    return [tokens[mask].tolist() for tokens, mask in zip(batch.title_tokens, batch.title_mask, strict=True)]


def test_training_has_the_copy_loss_beside_the_mixture_and_evaluation_has_not(
    feats: Path, store: FeatureStore, batch: Batch
) -> None:
    without, whole, half = (full(feats, store, f"copy_weight={weight}") for weight in (0.0, 1.0, 0.5))
    evaluated = losses(whole, batch)
    assert losses(without, batch) == losses(half, batch) == evaluated
    for system in (without, whole, half):
        system.model.train()
    none, one, middle = (losses(system, batch)["generation"] for system in (without, whole, half))
    assert none == pytest.approx(evaluated["generation"])
    assert one > none + 0.1
    assert middle == pytest.approx((none + one) / 2)


def test_without_titles_there_is_nothing_to_copy(feats: Path, store: FeatureStore, batch: Batch) -> None:
    system = full(feats, store, "modality=video")
    assert system.model.title_copier is None
    assert set(losses(system, batch)) == {"generation", "recognition"}
    assert all(system.predict(batch, 0.01))


# --- tag head ---


def test_recognition_is_the_head_s_cross_entropy_times_its_weight(
    feats: Path, store: FeatureStore, batch: Batch
) -> None:
    system = full(feats, store, "head_weight=0.7")
    with torch.no_grad():
        chances = system.model.tag_head.score(*system.model.encode(batch)).sigmoid().double().numpy()
    keys = [{store.tag_keys[tag] for tag in tags} for tags in batch.tags]
    wanted = np.array([[key in own for key in system.tag_table.keys] for own in keys])
    expected = -np.log(np.where(wanted, chances, 1 - chances)).sum() / len(batch)
    assert losses(system, batch)["recognition"] == pytest.approx(0.7 * expected, rel=1e-4)


def test_the_head_starts_at_the_tags_shares(feats: Path, store: FeatureStore) -> None:
    system, videos = full(feats, store), len(store.indices("train"))
    expected = np.minimum(system.tag_table.counts / videos, 1 - 0.5 / videos)
    assert system.model.tag_head.bias.detach().sigmoid().numpy() == pytest.approx(expected, rel=1e-5)


def told(system: FrequencyFirstFull, batch: Batch) -> tuple[list[list[PredictedTag]], NDArray[np.float32]]:
    """What is written for the fusion, and the head's probabilities (B, K), each on its own."""
    written = system._reader.read(system.write(batch, WRITING_END_BIAS))
    with torch.no_grad():
        return written, system.model.tag_head.score(*system.model.encode(batch)).sigmoid().numpy()


def varied(system: FrequencyFirstFull) -> FrequencyFirstFull:
    """Random weights that write several short tags: freshly drawn ones repeat one token without end."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in system.model.decoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        system.model.decoder.text_position.weight.normal_()
        system.model.decoder.output_bias[SEPARATOR] += 8.0
    return system


def test_a_score_is_the_mean_of_the_written_and_the_recognised_one(
    feats: Path, store: FeatureStore, batch: Batch
) -> None:
    system = varied(full(feats, store))
    with torch.no_grad():
        system.model.tag_head.weight.normal_(std=0.5)
    written, chances = told(system, batch)
    assert {tag.novel for tags in written for tag in tags} == {False, True}
    columns = system.tag_table.column_of
    found = system.predict(batch, 0.0)
    for row, tags in enumerate(found):
        by_text = {tag.text: tag.score for tag in written[row]}
        assert {tag.text for tag in tags} == {*system.tag_table.spellings, *by_text}
        for tag in tags:
            chance = chances[row, columns[tag.text.casefold()]] if not tag.novel else 0.0
            assert tag.score == pytest.approx((chance + by_text.get(tag.text, 0.0)) / 2, abs=1e-6)
    assert system.recognises
    values = (0.3, 0.1, 0.02)
    each = system.predict_each(batch, values)
    assert each == [[[tag for tag in tags if tag.score >= value] for tags in found] for value in values]
    assert each == [system.predict(batch, value) for value in values]


def test_a_tag_that_only_the_head_knows_comes_out(feats: Path, store: FeatureStore, batch: Batch) -> None:
    system = full(feats, store)
    with torch.no_grad():
        system.model.tag_head.bias.fill_(-20.0)
        system.model.tag_head.bias[system.tag_table.column_of["owl"]] = 20.0
    assert all(next(tag.score for tag in tags if tag.text == "owl") >= 0.49 for tags in system.predict(batch, 0.4))


def test_columns_outside_a_closed_list_are_not_recognised(feats: Path, store: FeatureStore, batch: Batch) -> None:
    system = full(feats, store)
    vocabulary = Vocabulary(system.config.inputs.pieces)
    control = TagControl(TagList.of(["owl", "cat"]), system.tag_table, system.tokenizer, vocabulary)
    found = system.predict(batch, 0.001, control.batch([VideoTags()] * len(batch)))
    assert {tag.text for tags in found for tag in tags} == {"owl", "cat"}


def test_evidence_has_both_scores(feats: Path, store: FeatureStore, batch: Batch) -> None:
    system = varied(full(feats, store))
    evidence = system.recall(batch, torch.empty(len(system.tag_table), 0))
    written, chances = told(system, batch)
    assert list(evidence.scores) == ["written", "recognised"]
    assert np.array_equal(evidence.scores["written"], system.scores_of(written))
    assert evidence.scores["recognised"] == pytest.approx(chances)
    assert evidence.tags == written


def test_log_scores_add_up_what_is_written_and_recognised(feats: Path, store: FeatureStore, batch: Batch) -> None:
    system = full(feats, store)
    own = [[PredictedTag(text="owl", score=0.5, novel=False), PredictedTag(text="farm", score=0.5, novel=True)]] * len(
        batch
    )
    sequences, places = system.given_sequences(own)
    assert places == [[0, 1]] * len(batch)
    with torch.no_grad():
        found = system.tag_log_scores(batch, own)
        written = system.sequence_log_probs(batch, sequences, 2)
    chances = torch.from_numpy(told(system, batch)[1])[:, system.tag_table.column_of["owl"]]
    assert torch.allclose(found[:, 0].exp(), written[:, 0].exp() + chances, atol=1e-5)
    assert torch.allclose(found[:, 1], written[:, 1])
    open_gate(system, 50.0)
    with torch.no_grad():
        copied = system.sequence_log_probs(batch, sequences, 2)[:, 1]
    in_title = torch.tensor(["farm" in store.title(row) for row in range(len(batch))])
    assert 0 < int(in_title.sum()) < len(batch)
    assert copied[in_title].min() > copied[~in_title].max() + 10


# --- beside the other systems ---


def test_what_it_is_made_of_is_written_down_and_not_to_be_left_out(feats: Path) -> None:
    def config(system: str, *settings: str) -> RunConfig:
        run = new_run(RunRequest(feats=feats, system=system, size="base", settings=settings, device="cpu"))
        return RunConfig.from_json((run / "config.json").read_text())

    model = config("frequency-first-full").model
    assert (model.copy_title, model.tag_head) == (True, True)
    for name in ("copy_title", "tag_head"):
        message = f"^--set {name}=false: the system frequency-first-full has {name}=true; leave it out$"
        with pytest.raises(ConfigError, match=message):
            config("frequency-first-full", f"{name}=false")


def test_frequency_first_has_neither_whatever_its_configuration_says(feats: Path, store: FeatureStore) -> None:
    plain = started(feats, store, "frequency-first", "dropout=0")
    assert (plain.config.model.copy_title, plain.config.model.tag_head) == (True, True)
    names, more = set(plain.model.state_dict()), set(full(feats, store).model.state_dict())
    assert names < more
    assert {name.partition(".")[0] for name in more - names} == {"title_copier", "tag_head"}
