"""Evidence: shares that add up, in every system, and that point at the half of a video that shows what a tag names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch, collate
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore, open_store
from optsg.data.word_pieces import NIL, SEPARATOR, TitleTokenizer
from optsg.evaluate.tag.evidence import Evidence, explain
from optsg.evaluate.tag.segments import segments_of
from optsg.train.model.layers import Attention
from optsg.train.model.op_tsg import OPTSG
from optsg.train.objective.op_tsg_loss import slot_log_probs
from optsg.train.run.run import Run, load_run
from optsg.train.system_names import FITTED_SYSTEMS
from optsg.train.systems.registry import SYSTEMS
from optsg.train.systems.system import System
from torch import Tensor

from tests.tiny_world import (
    COLOURS,
    TINY_SETTINGS,
    as_options,
    tiny_text_tables,
    tiny_tokenizer,
    tiny_videos,
    write_tiny_store,
)
from tests.train.command import started, train

EPOCHS = ("dropout=0", "epochs=20", "batch_size=8", "ema=0", "validate_every=20", "patience=0")


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(120), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def store(feats: Path) -> Iterator[FeatureStore]:
    with open_store(feats) as opened:
        yield opened


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to ``runs/`` of the current folder."""
    monkeypatch.chdir(tmp_path)


def some_tags(system: System, batch: Batch) -> list[list[PredictedTag]]:
    """Tags of every video, as many as it has: known ones, each from a prompt of its own where there are prompts."""
    with_prompts = isinstance(system.model, OPTSG) or "prompt" in type(system).__name__.lower()
    spellings = system.tag_table.spellings
    return [
        [
            PredictedTag(
                text=spellings[(row + place) % len(spellings)],
                score=0.5,
                novel=False,
                prompt=place if with_prompts else None,
            )
            for place in range(1 + row % 3)
        ]
        for row in range(len(batch))
    ]


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in FITTED_SYSTEMS])
def test_every_system_gives_shares_that_add_up(feats: Path, store: FeatureStore, name: str) -> None:
    system = started(feats, store, name)
    system.model.train()
    batch = collate(store, store.indices("train")[:9])  # one of them is an image
    tags = some_tags(system, batch)
    evidence = explain(system, batch, tags)
    assert [len(video) for video in evidence] == [len(video) for video in tags]
    totals: list[float] = []
    for row, video in enumerate(evidence):
        for one in video:
            assert len(one.visual) == int(batch.frame_mask[row].sum() + batch.patch_mask[row].sum())
            assert len(one.tokens) == int(batch.title_mask[row].sum())
            assert min(*one.visual, *one.tokens) >= 0.0
            totals += [sum(one.visual), sum(one.tokens)]
    assert all(total == 0.0 or math.isclose(total, 1.0, abs_tol=1e-5) for total in totals)
    assert sum(totals) > len(totals) / 2
    # Nothing is left behind: not the mode, no listener, no gradients for the next step of a training.
    assert system.model.training
    assert all(module.listener is None for module in system.model.modules() if isinstance(module, Attention))
    assert all(parameter.grad is None for parameter in system.model.parameters())


class BrokenError(Exception):
    """Raised in the midst of an explanation."""


def test_the_model_is_as_it_was_also_after_an_error(
    feats: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = started(feats, store, "op-tsg")
    batch = collate(store, store.indices("train")[:3])
    system.model.train()
    system.model.hybrid_encoder.eval()  # a part that stands still while the rest is trained
    modes = [module.training for module in system.model.modules()]
    seen: list[bool] = []

    def broken(*_: object) -> Tensor:
        seen.append(system.model.training or torch.is_inference_mode_enabled() or not torch.is_grad_enabled())
        raise BrokenError

    monkeypatch.setattr(system, "tag_log_scores", broken)
    with torch.no_grad(), pytest.raises(BrokenError):
        explain(system, batch, some_tags(system, batch))
    assert seen == [False]
    assert [module.training for module in system.model.modules()] == modes
    assert all(module.listener is None for module in system.model.modules() if isinstance(module, Attention))
    assert not system.model.hybrid_encoder._forward_hooks


@pytest.mark.parametrize(("modality", "visual", "tokens"), [("video", True, False), ("title", False, True)])
def test_a_model_of_one_modality_has_evidence_of_that_one(
    feats: Path, store: FeatureStore, modality: str, visual: bool, tokens: bool
) -> None:
    system = started(feats, store, "op-tsg", f"modality={modality}")
    batch = collate(store, store.indices("train")[:9])
    for video in explain(system, batch, some_tags(system, batch)):
        assert all((bool(one.visual), bool(one.tokens)) == (visual, tokens) for one in video)


def test_videos_do_not_influence_each_other(feats: Path, store: FeatureStore) -> None:
    system = started(feats, store, "op-tsg")
    batch = collate(store, store.indices("train")[:6])
    tags = some_tags(system, batch)
    together = explain(system, batch, tags)
    for row in range(6):
        alone = explain(system, collate(store, store.indices("train")[row : row + 1]), tags[row : row + 1])[0]
        for one, other in zip(alone, together[row], strict=True):
            assert np.allclose(one.visual, other.visual, atol=1e-4)
            assert np.allclose(one.tokens, other.tokens, atol=1e-4)


def test_no_tags_no_evidence(feats: Path, store: FeatureStore) -> None:
    batch = collate(store, store.indices("train")[:2])
    assert explain(started(feats, store, "op-tsg"), batch, [[], []]) == [[], []]


def test_tags_that_the_model_says_nothing_of_have_none(feats: Path, store: FeatureStore) -> None:
    """A new word of the title rests on the title alone."""
    batch = collate(store, store.indices("train")[:2])
    new = PredictedTag(text="zebra", score=0.5, novel=True)
    for video in explain(started(feats, store, "op-tsg"), batch, [[new], [new, new]]):
        assert all(not any((*tag.visual, *tag.tokens)) for tag in video)


@pytest.mark.parametrize("name", ["bin", "asy"])
def test_a_classifier_s_log_scores_are_the_logarithms_of_its_scores(
    feats: Path, store: FeatureStore, name: str
) -> None:
    system = started(feats, store, name)
    system.model.eval()
    batch = collate(store, store.indices("train")[:5])
    tags = system.predict(batch, 0.01)
    found = system.tag_log_scores(batch, tags).exp()
    for row, video in zip(found.tolist(), tags, strict=True):
        assert np.allclose(row[: len(video)], [tag.score for tag in video], atol=1e-6)
        assert row[len(video) :] == [1.0] * (len(row) - len(video))


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in FITTED_SYSTEMS])
def test_a_tag_that_others_proposed_has_its_place(feats: Path, store: FeatureStore, name: str) -> None:
    """Where a ranker decides, sources propose tags that no prompt stands for."""
    system = started(feats, store, name)
    batch = collate(store, store.indices("train")[:3])
    tags = some_tags(system, batch)
    other = PredictedTag(text=system.tag_table.spellings[-1], score=0.5, novel=False)
    more = [[other, *video] for video in tags]
    assert [len(video) for video in explain(system, batch, more)] == [len(video) for video in more]
    if name == "prompt-classification":
        system.model.eval()
        found = system.tag_log_scores(batch, more)
        assert found[:, 0].tolist() == [0.0] * 3
        assert torch.equal(found[:, 1:], system.tag_log_scores(batch, tags))


@pytest.mark.parametrize("decoding", ["sequential", "parallel"])
def test_slot_log_probs_are_those_of_writing_piece_by_piece(feats: Path, store: FeatureStore, decoding: str) -> None:
    """A tag is forced on one prompt, none on the others: the pieces' probabilities from the cached decoder's own steps."""
    system = started(feats, store, "op-tsg", f"decoding={decoding}", "tag_head=false", "copy_title=false")
    model = system.model.eval()
    assert isinstance(model, OPTSG)
    batch = collate(store, store.indices("train")[:1])
    pieces, slots, prompt = [10, 11, 12], model.config.prompts, 2
    with torch.no_grad():
        features, mask = model.encode(batch)
        prompts = model.order_prompts(features, mask)
        tags = np.full((1, slots), -1)
        tags[0, prompt] = 0
        found = slot_log_probs(model, prompts, tags, {0: pieces}, features, mask, batch)
        state = model.decoder.begin(prompts, features, mask)
        total = 0.0
        if decoding == "sequential":
            before = [1, *[token for slot in range(prompt) for token in (NIL, SEPARATOR)]]
            read = [*before, *pieces]
            for place, token in enumerate(read[:-1]):
                hidden = model.decoder.step(state, torch.tensor([token if place else 1]))
                if place >= len(before) - 1:
                    total += float(model.decoder.logits(hidden)[0, 0].log_softmax(-1)[read[place + 1]])
        else:
            own = torch.eye(slots, dtype=torch.bool)[None]
            tokens, seen = torch.full((1, slots), 1), own[:, :, :0]
            for place, piece in enumerate(pieces):
                now = own if place else torch.ones_like(own)
                hidden = model.decoder.step_slots(state, tokens, torch.cat([seen, now], dim=2)[:, None])
                total += float(model.decoder.logits(hidden)[0, prompt].log_softmax(-1)[piece])
                there = torch.ones(1, slots, dtype=torch.bool) if place == 0 else torch.arange(slots)[None] == prompt
                seen = torch.cat([seen, there[:, None, :].expand(-1, slots, -1)], dim=2)
                tokens = torch.where(torch.arange(slots)[None] == prompt, piece, tokens)
    assert math.isclose(float(found[0, prompt]), total / len(pieces), abs_tol=1e-4)
    assert found[0, :prompt].tolist() == [0.0] * prompt


def test_the_words_of_a_title_are_found_by_their_tokens() -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    title = "Cats at the zoo"
    ids, spans = tokenizer.encode_titles([title])[0], tokenizer.title_words(title)
    assert len(ids) == len(spans)
    assert (spans[0], spans[-1]) == (None, None)
    assert [title[slice(*span)] for span in dict.fromkeys(spans) if span is not None] == ["Cats", "at", "the", "zoo"]


def test_the_words_of_a_long_title_are_cut_as_its_tokens_are() -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    title = "cat dog " * 60
    assert len(tokenizer.title_words(title)) == len(tokenizer.encode_titles([title])[0]) == 40


@pytest.fixture(scope="module")
def trained(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    def make(name: str) -> Run:
        run = tmp_path_factory.mktemp("runs") / name
        result = train("--feats", feats, "--run", run, "--system", name, "-q", *as_options((*TINY_SETTINGS, *EPOCHS)))
        assert result.exit_code == 0, result.output
        return load_run(run, device="cpu")

    return make


@pytest.mark.parametrize("name", ["op-tsg", "bin"])
def test_the_evidence_of_a_colour_lies_in_the_half_that_shows_it(
    feats: Path, trained: Callable[[str], Run], name: str
) -> None:
    """Videos put together from two, one colour in either half; the title names neither. So do its segments, to the frame."""
    run = trained(name)
    right = total = placed = 0
    with open_store(feats) as store:
        rows = [int(row) for row in store.indices("train") if len(store.frames(int(row)))]
        colours = [next(key for tag in store.tags(row) if (key := store.tag_keys[tag]) in COLOURS) for row in rows]
        for first, second in zip(range(40), range(40, 80), strict=True):
            if second >= len(rows) or colours[first] == colours[second]:
                continue
            halves = [store.frames(rows[number])[:1].repeat(3, axis=0) for number in (first, second)]
            batch = Batch.from_features(
                [np.concatenate(halves)],
                [store.patches(rows[first])[:0]],
                run.tokenizer.encode_titles(["a t at the farm"]),
            )
            tags = [
                PredictedTag(text=colours[number], score=0.5, novel=False, prompt=None) for number in (first, second)
            ]
            for shows, one in zip((0, 1), explain(run.system, batch, [tags])[0], strict=True):
                right += sum(one.visual[3 * shows : 3 * shows + 3]) > 0.5
                shown = Evidence(frames=tuple((float(n), share) for n, share in enumerate(one.visual)), words=())
                spans = [(each.start, each.end) for each in segments_of(shown, duration=6.0)]
                placed += spans == [(3.0 * shows, 3.0 * shows + 3)]
                total += 1
    assert total >= 20
    assert right / total > 0.8
    assert placed / total > 0.8
