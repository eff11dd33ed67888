"""The graphs before they are exported: their numbers are the run's, to the last digits of small scores too."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.store import open_store
from optsg.evaluate.export.encoder_graph import EncoderGraph
from optsg.evaluate.export.export_run import EXAMPLE, META, TAGS, TEMPLATES, TITLES
from optsg.evaluate.export.graph_inputs import TitleTexts, graph_inputs, ngram_settings, spelled_pieces
from optsg.evaluate.export.ranker_graph import PairFeatures, RankerGraph
from optsg.evaluate.export.source_graphs import noisy_or, sigmoid
from optsg.train.confidence.calibration import UNSCALED, Scaling
from optsg.train.model.op_tsg import OPTSG
from optsg.train.ranking.favour import Bar
from optsg.train.ranking.logistic import LogisticModel
from optsg.train.ranking.pairs import RANKED, feature_names, make_pairs
from optsg.train.recall.ngrams import Ngrams
from optsg.train.run.run import load_run


def test_small_chances_keep_their_digits() -> None:
    chances = torch.logspace(-12, -0.01, 60)[:, None, None].expand(60, 3, 1)
    expected = -np.expm1(3 * np.log1p(-chances[:, 0, 0].double().numpy()))
    assert noisy_or(chances)[:, 0].numpy() == pytest.approx(expected, rel=2e-5)
    logits = torch.linspace(-40, 40, 50)
    assert sigmoid(logits).numpy() == pytest.approx(torch.sigmoid(logits.double()).numpy(), rel=1e-5)


def random_sources() -> torch.Tensor:
    """Scores of two sources, the second with nothing for most tags."""
    rng = np.random.default_rng(0)
    scores = rng.random((4, 2, 150)).astype(np.float32)
    scores[:, 1, 7:] = 0.0
    return torch.from_numpy(scores)


def test_pairs_are_those_of_the_ranker_but_for_the_rank_of_nothing() -> None:
    sources, counts = random_sources(), np.arange(1, 151)
    names = ("one", "other")
    found = PairFeatures(counts).pairs(sources)
    expected = make_pairs({name: sources[:, place].numpy() for place, name in enumerate(names)}, counts)
    assert found.videos.tolist() == expected.videos.tolist()
    assert found.columns.tolist() == expected.columns.tolist()
    score, rank = (feature_names(names).index(f"other: {kind}") for kind in ("score", "rank"))
    nothing = expected.features[:, score] == 0
    assert nothing.any()
    assert found.features[nothing, rank] == pytest.approx(np.log1p(RANKED))
    expected.features[nothing, rank] = found.features[nothing, rank]
    assert found.features == pytest.approx(expected.features, abs=1e-5)


@pytest.mark.parametrize("scaling", [UNSCALED, Scaling(temperature=0.7, offset=-0.4)])
def test_the_decision_is_the_rankers(scaling: Scaling) -> None:
    sources, counts = random_sources(), np.arange(1, 151)
    rng = np.random.default_rng(1)
    width = len(feature_names(["one", "other"]))
    model = LogisticModel(
        mean=rng.normal(size=width), scale=rng.random(width) + 0.5, weights=rng.normal(size=width), bias=-0.3
    )
    bar = Bar(leaning=0.3, least=0.15)
    scores, given = RankerGraph(counts, model, bar, scaling)(sources)
    pairs = PairFeatures(counts).pairs(sources)
    expected = model.probabilities(pairs.features)
    assert scores[pairs.videos, pairs.columns].numpy() == pytest.approx(scaling.apply(expected), abs=1e-5)
    assert given[pairs.videos, pairs.columns].tolist() == bar.passes(expected, counts[pairs.columns]).tolist()
    assert int((scores > 0).sum()) <= len(pairs), "what nobody proposes has no score"
    assert int(given.sum()) == int(bar.passes(expected, counts[pairs.columns]).sum())


def test_sources_are_the_runs(run_folder: Path, feats: Path) -> None:
    run = load_run(run_folder, device="cpu")
    assert run.ranked is not None
    assert isinstance(run.model, OPTSG)
    sources, tokenizer = run.ranked.sources, run.tokenizer
    run.model.float()
    graph = EncoderGraph(run.model, sources, tokenizer.special_ids).eval()
    with open_store(feats) as store, torch.no_grad():
        batch = collate(store, store.indices("test"))
        *_, found = graph(**graph_inputs(batch, TitleTexts(sources, tokenizer), patches=True))
        said = run.ranked.plain.recall(batch, sources.directions).scores
        said = {**sources.score(sources.summarizer.summarize(batch)), **said}
    assert {*said} - {*graph.source_names} == {"written"}
    for place, name in enumerate(graph.source_names):
        assert found[:, place].numpy() == pytest.approx(said[name], abs=2e-6), name


def test_texts_are_spelled_piece_by_piece(run_folder: Path) -> None:
    tokenizer = load_run(run_folder, device="cpu").tokenizer
    spelled = spelled_pieces(tokenizer)
    (pieces,) = tokenizer.encode_tags(["the cats at t-shirt lake"])
    assert "".join(spelled[piece] for piece in pieces) == " the cats at t - shirt lake"
    assert spelled[tokenizer.pieces["##s"]] == "s"
    assert spelled[tokenizer.pieces["[CLS]"]] == ""


@pytest.mark.parametrize("title", ["a sleepy kitten", "小猫 睡觉 了", "かわいい 猫 cat", "고양이 두 마리", "cat"])
def test_the_example_finds_the_n_grams_of_every_script(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = title.split()
    ngrams = Ngrams.of_corpus([words, words, ["other", *words]], np.random.default_rng(0))
    titles = {"pieces": [f" {word}" for word in words], **ngram_settings(ngrams)}
    for name, values in ((META, {}), (TAGS, []), (TITLES, titles)):
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    example = tmp_path / EXAMPLE
    example.write_bytes((TEMPLATES / f"{EXAMPLE}.txt").read_bytes())
    monkeypatch.setattr(sys, "argv", [str(example)])
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=str))
    found = runpy.run_path(str(example))["ngrams_of"](range(len(words)))
    assert found == pytest.approx(ngrams.weigh([words]).toarray()[0])
    assert found.any()
