"""Prompts as scorers: what they learn, what they say of tags that they were not trained on, how their steps are sampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optsg.train.recall import scoring_prompts
from optsg.train.recall.scoring_prompts import READINGS, PromptNetwork, Reading, ScoringPrompts
from optsg.train.recall.source import Summary
from scipy.sparse import csr_array

VIDEOS, TAGS, WIDTH, TEXT = 96, 12, 10, 16


def world(seed: int = 0) -> tuple[np.ndarray, csr_array, np.ndarray]:
    """Summaries that tell each video's two tags, these tags, and the tags' embeddings."""
    rng = np.random.default_rng(seed)
    tags = np.zeros((VIDEOS, TAGS), np.float32)
    for row in tags:
        row[rng.choice(TAGS, 2, replace=False)] = 1
    meaning = rng.normal(size=(TAGS, WIDTH)).astype(np.float32)
    vectors = tags @ meaning + 0.1 * rng.normal(size=(VIDEOS, WIDTH)).astype(np.float32)
    return vectors.astype(np.float32), csr_array(tags), rng.normal(size=(TAGS, TEXT)).astype(np.float32)


def summary_of(vectors: np.ndarray) -> Summary:
    return Summary(titles=[[]] * len(vectors), sentences=vectors[:, :0], vectors=vectors)


@pytest.mark.parametrize("reading", READINGS)
def test_they_learn_which_tags_a_video_has(reading: Reading) -> None:
    vectors, tags, embeddings = world()
    prompts = ScoringPrompts.fit(reading, vectors, tags, embeddings)
    scores, own = prompts.score(summary_of(vectors)), tags.toarray() > 0
    assert prompts.name == f"{reading}-prompts"
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert scores[own].mean() > 3 * scores[~own].mean()


@pytest.mark.parametrize("reading", READINGS)
def test_they_are_the_same_for_a_seed_and_leave_other_draws_alone(reading: Reading) -> None:
    vectors, tags, embeddings = world()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (ScoringPrompts.fit(reading, vectors, tags, embeddings, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    scores = [each.score(summary_of(vectors)) for each in (first, again, other)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


@pytest.mark.parametrize("reading", READINGS)
def test_a_tag_that_came_later_is_scored_by_its_embedding(reading: Reading) -> None:
    vectors, tags, embeddings = world()
    prompts = ScoringPrompts.fit(reading, vectors, tags, embeddings)
    before = prompts.score(summary_of(vectors))
    priors = np.asarray(tags.sum(0) / VIDEOS, np.float32)
    later = prompts.of_tags(
        np.concatenate([embeddings, embeddings[:1]]), np.append(priors, priors[0]).astype(np.float32)
    )
    after = later.score(summary_of(vectors))
    assert after.shape == (VIDEOS, TAGS + 1)
    assert np.corrcoef(after[:, TAGS], before[:, 0])[0, 1] > 0.9
    if reading == "nearest":  # each tag for itself
        assert after[:, :TAGS] == pytest.approx(before, abs=1e-6)


def test_of_two_later_tags_alike_the_more_frequent_one_is_likelier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_prompts, "EPOCHS", 2)
    vectors, tags, embeddings = world()
    prompts = ScoringPrompts.fit("nearest", vectors, tags, embeddings)
    priors = [*np.asarray(tags.sum(0) / VIDEOS), 0.02, 0.4]
    later = prompts.of_tags(np.concatenate([embeddings, embeddings[[0, 0]]]), np.array(priors, np.float32))
    scores = later.score(summary_of(vectors))
    assert (scores[:, TAGS + 1] > scores[:, TAGS]).all()


def test_a_tag_that_no_prompt_is_nearer_to_than_to_others_is_as_likely_as_it_is_frequent() -> None:
    priors = torch.tensor([0.02, 0.3, 0.9])
    network = PromptNetwork("nearest", WIDTH, TEXT, priors).eval()
    absent = network(torch.randn(4, WIDTH), torch.zeros(3, TEXT), network.bias)
    assert -torch.expm1(absent).detach().numpy() == pytest.approx(priors.expand(4, -1).numpy(), rel=1e-4)


def test_of_summaries_that_say_nothing_tags_are_as_likely_as_they_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a step looks at one alone of the tags that its videos lack: it stands for all of them."""
    for name, value in (("SAMPLED", 1), ("BATCH", 2), ("EPOCHS", 6)):
        monkeypatch.setattr(scoring_prompts, name, value)
    vectors, tags, embeddings = world()
    silent = np.zeros_like(vectors)
    scores = ScoringPrompts.fit("nearest", silent, tags, embeddings).score(summary_of(silent))
    assert scores.sum(1) == pytest.approx(2, rel=0.2)  # as every video has


def test_every_epoch_has_every_video_once_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_prompts, "BATCH", 4)
    batches = [rows.tolist() for rows in scoring_prompts._batches(10, 8, np.random.default_rng(0))]
    assert [len(rows) for rows in batches] == [4, 4, 2, 4, 4, 2, 4, 4]
    epochs = [[row for rows in batches[first : first + 3] for row in rows] for first in (0, 3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_few_cosines_at_a_time_give_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, tags, embeddings = world()
    prompts = ScoringPrompts.fit("chosen", vectors, tags, embeddings)
    whole = prompts.score(summary_of(vectors))
    monkeypatch.setattr(scoring_prompts, "CHUNK", 1)
    assert prompts.score(summary_of(vectors)) == pytest.approx(whole, abs=1e-6)


def test_drawn_tags_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_prompts, "SAMPLED", 3)
    own = np.array([2, 5])
    columns, weight = scoring_prompts._drawn(own, TAGS, np.random.default_rng(0))
    assert columns[:2].tolist() == [2, 5]
    assert len(set(columns.tolist())) == 5
    assert weight.tolist() == pytest.approx([1, 1, 10 / 3, 10 / 3, 10 / 3])
    columns, weight = scoring_prompts._drawn(own, 4, np.random.default_rng(0))
    assert sorted(columns.tolist()) == [0, 1, 2, 3, 5][: len(columns)]


def test_the_sampled_loss_estimates_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each tag for itself: the mean over draws is the loss over all tags."""
    torch.manual_seed(0)
    vectors, tags, embeddings = world()
    known = torch.nn.functional.normalize(torch.from_numpy(embeddings), dim=-1)
    network = PromptNetwork("nearest", WIDTH, TEXT, torch.full((TAGS,), 0.2)).eval()
    absent = network(torch.from_numpy(vectors[:4]), known, network.bias)
    own = np.unique(tags[:4, :].indices).astype(np.int64)
    others = np.setdiff1d(np.arange(TAGS), own)
    whole = -absent[:, others].sum().item()
    monkeypatch.setattr(scoring_prompts, "SAMPLED", 2)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        columns, weight = scoring_prompts._drawn(own, TAGS, rng)
        drawn.append(-(weight * absent[:, columns])[:, len(own) :].sum().item())
    assert np.mean(drawn) == pytest.approx(whole, rel=0.05)


def test_a_run_without_them_is_read_as_one_without() -> None:
    vectors, tags, embeddings = world()
    priors = np.asarray(tags.sum(0) / VIDEOS, np.float32)
    kept = ScoringPrompts.fit("nearest", vectors, tags, embeddings).tensors()
    assert ScoringPrompts.from_tensors("chosen", kept, embeddings, priors) is None
    with pytest.raises(KeyError):
        ScoringPrompts.from_tensors("nearest", {"nearest-prompts.scale": torch.tensor(1.0)}, embeddings, priors)


def test_opening_them_draws_nothing() -> None:
    vectors, tags, embeddings = world()
    priors = np.asarray(tags.sum(0) / VIDEOS, np.float32)
    kept = ScoringPrompts.fit("chosen", vectors, tags, embeddings)
    before = torch.get_rng_state()
    opened = ScoringPrompts.from_tensors("chosen", kept.tensors(), embeddings, priors)
    assert torch.equal(torch.get_rng_state(), before)
    assert opened is not None
    assert opened.score(summary_of(vectors)) == pytest.approx(kept.score(summary_of(vectors)), abs=1e-6)
