"""Systems without a network: each is the plain computation that it says, in a run folder like any other."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from optsg.data.batching import Batch, collate
from optsg.data.store import FeatureStore, open_store
from optsg.evaluate.tag.evidence import explain
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.recall.linear import RIDGE
from optsg.train.recall.memory import NEIGHBOURS, TEMPERATURE
from optsg.train.recall.ngrams import title_words
from optsg.train.recall.sources import training_tags
from optsg.train.run.run import Run, load_run
from optsg.train.run_files import FURTHER, NEEDED
from optsg.train.system_names import FITTED_SYSTEMS
from optsg.train.systems.source_systems import SourceSystem
from safetensors.torch import load_file
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from tests.tiny_world import FRAME_DIM, read_log, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import started, train

TITLES = {0: "T-shirt of a fox", 1: "t shirts of the cats", 2: "the lake at night", 3: "catfox", 4: "Dog! (black)"}
"""Titles of some videos that try the borders of words."""


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = tiny_videos(240)
    for number, title in TITLES.items():
        videos[number] = dataclasses.replace(videos[number], title=title)
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, videos, text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def runs(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A run of each system."""
    folder = tmp_path_factory.mktemp("runs")
    found = {name: folder / name for name in FITTED_SYSTEMS}
    for name, run in found.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = train("--feats", feats, "--system", name, "--run", run)
        assert result.exit_code == 0, result.output
        assert re.search(rf"^fitted {re.escape(str(run))} in [\d.]+ s, threshold [\d.]+$", result.output, re.MULTILINE)
        assert result.output.splitlines()[-1] == f"next: optsg-eval --run {run} --split test"
    return found


@pytest.fixture
def batch(store: FeatureStore) -> Batch:
    return collate(store, store.indices("test"))


def system_of(run: Run) -> SourceSystem:
    system = run.decided_by_scalar().system
    assert isinstance(system, SourceSystem)
    return system


def opened(runs: Mapping[str, Path], name: str) -> SourceSystem:
    return system_of(load_run(runs[name], device="cpu"))


def examples(system: SourceSystem, store: FeatureStore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Summaries (I, W) and tags (I, K) of the training videos."""
    rows = store.indices("train")
    vectors = system.own_sources.summarizer.summarize(collate(store, rows)).vectors
    return vectors.astype(np.float64), training_tags(store, system.tag_table, rows).toarray().astype(np.float64)


def test_linear_is_ridge_regression(runs: Mapping[str, Path], store: FeatureStore, batch: Batch) -> None:
    system = opened(runs, "linear")
    vectors, tags = examples(system, store)
    new = system.own_sources.summarizer.summarize(batch).vectors
    expected = Ridge(alpha=RIDGE).fit(vectors, tags).predict(new.astype(np.float64)).clip(0, 1)
    assert np.allclose(system.scores(batch), expected, atol=2e-3)
    assert expected.max() > 0.5


def test_memory_is_the_votes_of_the_nearest(runs: Mapping[str, Path], store: FeatureStore, batch: Batch) -> None:
    system = opened(runs, "memory")
    vectors, tags = examples(system, store)
    new = system.own_sources.summarizer.summarize(batch).vectors - vectors.mean(0)
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine", algorithm="brute").fit(vectors - vectors.mean(0))
    distances, nearest = search.kneighbors(new)
    votes = np.exp((1 - distances) / TEMPERATURE)
    votes /= votes.sum(1, keepdims=True)
    expected = np.einsum("bn,bnk->bk", votes, tags[nearest])
    assert np.allclose(system.scores(batch), expected, atol=5e-3)
    assert expected.max() > 0.5


def test_title_match_finds_whole_words(runs: Mapping[str, Path], store: FeatureStore) -> None:
    system = opened(runs, "title-match")

    def words(text: str) -> str:
        return " ".join(["", *re.findall(r"\w+|[^\w\s]", text.lower()), ""])

    rows = range(len(store.ids()))
    expected = [{tag for tag in system.tag_table.spellings if words(tag) in words(store.title(row))} for row in rows]
    found = system.predict(collate(store, np.array(rows)), 0.5)
    assert [{tag.text for tag in tags} for tags in found] == expected
    assert all(tag.score == 1.0 for tags in found for tag in tags)
    assert expected[:5] == [{"T-shirt", "fox"}, set(), set(), set(), {"dog", "black"}]


def test_sources_alone_are_the_mean_of_the_three(runs: Mapping[str, Path], batch: Batch) -> None:
    three = [opened(runs, name).scores(batch) for name in ("linear", "memory", "title-match")]
    assert np.allclose(opened(runs, "sources").scores(batch), np.mean(three, axis=0), atol=5e-3)


@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_an_opened_run_predicts_what_the_fitted_system_did(
    feats: Path, store: FeatureStore, runs: Mapping[str, Path], name: str, batch: Batch
) -> None:
    values = (0.9, 0.3, 0.01)
    before, after = started(feats, store, name), opened(runs, name)
    assert before.predict_each(batch, values) == after.predict_each(batch, values)
    found = after.predict_each(batch, values)
    assert found == [after.predict(batch, value) for value in values]
    assert sum(map(len, found[2])) >= sum(map(len, found[0])) > 0


@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_the_run_folder_is_whole(runs: Mapping[str, Path], name: str) -> None:
    run = runs[name]
    ranking = ["ranker.json", "ranked_calibration.json"] if name == "sources" else []
    due = [
        *NEEDED,
        "calibration.json",
        "tag_embeddings.safetensors",
        "recall.safetensors",
        "sentence_model.safetensors",
    ]
    assert {path for path in (*NEEDED, *FURTHER) if (run / path).is_file()} == {*due, *ranking}
    assert load_file(run / "model.safetensors") == {}
    [event] = read_log(run)
    assert (event["event"], event["step"]) == ("finished", 0)
    assert event["seconds"] > 0
    assert json.loads((run / "config.json").read_text())["training"]["ranking"] == (name == "sources")
    decision = json.loads((run / "decision.json").read_text())
    assert decision["tuned_on"] == "val"
    assert decision["full_f1"] > (0.2 if name == "title-match" else 0.8)
    assert f"System `{name}`" in (run / "README.md").read_text()
    assert load_run(run, device="cpu").model.parameter_count() == 0


def test_the_ranker_of_sources_reads_the_sources_alone(runs: Mapping[str, Path], batch: Batch) -> None:
    run = load_run(runs["sources"], device="cpu")
    assert run.ranked is not None
    assert run.ranked.ranker.sources == ("linear", "memory", "title-match", "text-similarity")
    assert run.ranked.ranker.reads_titles
    assert run.ranked.sources is system_of(run).own_sources
    found = RunTagger(run).predict(batch)
    assert any(found)
    pieces = run.ranked.sources.summarizer.summarize(batch).titles
    titles = [title_words(run.ranked.tokenizer, some) for some in pieces]
    for tags, title in zip(found, titles, strict=True):
        assert all({*tag.text.split(" ")} <= {*title} for tag in tags if tag.novel)
    assert len(RunTagger(run.favouring("precise")).predict(batch)) == len(batch)
    for name in ("linear", "memory", "title-match"):
        assert load_run(runs[name], device="cpu").ranked is None


def test_a_finished_run_is_not_fitted_again(feats: Path, runs: Mapping[str, Path]) -> None:
    run = runs["memory"]
    files = {path: path.stat().st_mtime_ns for path in run.iterdir() if path.is_file()}
    same = ("--feats", feats, "--system", "memory", "--run", run, "--resume", "auto")
    for arguments in (("--run", run, "--resume"), same):
        result = train(*arguments)
        assert (result.exit_code, result.output) == (0, f"{run} is finished: there is nothing to resume\n")
    assert {path: path.stat().st_mtime_ns for path in run.iterdir() if path.is_file()} == files


def test_an_interrupted_fit_is_done_again(feats: Path, runs: Mapping[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "tokenizer.json", "tag_table.json"):
        (run / name).write_bytes((runs["linear"] / name).read_bytes())
    result = train("--run", run, "--resume", "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert (run / "recall.safetensors").read_bytes() == (runs["linear"] / "recall.safetensors").read_bytes()
    assert (run / "decision.json").read_text() == (runs["linear"] / "decision.json").read_text()


def test_what_these_systems_do_not_take_is_refused(feats: Path, runs: Mapping[str, Path]) -> None:
    refused = train("--feats", feats, "--system", "memory", "--set", "ranking=true")
    sentence = "error: --set ranking=true: the system memory has ranking=false; leave it out\n"
    assert (refused.exit_code, refused.output) == (1, sentence)
    refused = train("--feats", feats, "--init-from", runs["linear"])
    sentence = f"error: --init-from {runs['linear']}: the system linear has no weights to start from\n"
    assert (refused.exit_code, refused.output) == (1, sentence)
    assert not Path("runs").exists()


def changed(batch: Batch, part: str) -> Batch:
    """Other titles, or other pictures."""
    if part == "titles":
        return dataclasses.replace(batch, title_tokens=batch.title_tokens.flip(0), title_mask=batch.title_mask.flip(0))
    frames = torch.randn(batch.frames.shape, generator=torch.Generator().manual_seed(0))
    return dataclasses.replace(batch, frames=frames, patches=-batch.patches)


@pytest.mark.parametrize(("modality", "reads"), [("title", [True, False]), ("video", [False, True])])
@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_one_modality_reads_nothing_else(
    feats: Path, store: FeatureStore, batch: Batch, name: str, modality: str, reads: list[bool]
) -> None:
    system = started(feats, store, name, f"modality={modality}")
    assert isinstance(system, SourceSystem)
    scores = system.scores(batch)
    found = [not np.allclose(system.scores(changed(batch, part)), scores, atol=1e-6) for part in ("titles", "pictures")]
    if name == "title-match":
        reads = [reads[0], False]
        assert scores.any() == reads[0]
    assert found == reads


@pytest.mark.parametrize("kind", ["no titles", "no pictures", "untrained text model", "no validation", "three videos"])
@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_poor_stores_are_fitted_too(tmp_path: Path, name: str, kind: str) -> None:
    videos = tiny_videos(3 if kind == "three videos" else 100)
    header: dict[str, Any] = {}
    if kind == "no titles":
        videos = [dataclasses.replace(video, title="") for video in videos]
    elif kind == "no pictures":
        none = np.empty((0, FRAME_DIM), np.float16)
        videos = [
            dataclasses.replace(v, frames=none, times=np.empty(0, np.float32), patches=v.patches[:0]) for v in videos
        ]
    elif kind == "untrained text model":
        header = {"text_encoder": {"kind": "tiny", "name": "tiny", "title_encoder": "untrained"}}
    elif kind == "no validation":
        videos = [video for video in videos if video.split != "val"]
    path = write_tiny_store(tmp_path / "poor.h5", videos, **header)
    result = train("--feats", path, "--system", name, "--run", "runs/poor")
    assert result.exit_code == 0, result.output
    without = kind in ("no validation", "three videos")
    assert ("the store has no validation split: the threshold stays 0.2" in result.output) == without
    run = load_run(Path("runs/poor"), device="cpu")
    with open_store(path) as poor:
        found = RunTagger(run).predict(collate(poor, poor.indices("train")))
    assert any(found) != (name == "title-match" and kind == "no titles")
    assert all(0 < tag.score <= 1 for tags in found for tag in tags)
    sentences = run.path / "sentence_model.safetensors"
    assert sentences.is_file() == (kind != "untrained text model")


@pytest.mark.parametrize("name", FITTED_SYSTEMS)
def test_log_scores_are_logarithms_of_scores_and_nothing_is_looked_at(
    runs: Mapping[str, Path], batch: Batch, name: str
) -> None:
    system = opened(runs, name)
    tags = system.predict(batch, 0.3)
    found = system.tag_log_scores(batch, tags).exp().tolist()
    for row, video in zip(found, tags, strict=True):
        assert row[: len(video)] == pytest.approx([tag.score for tag in video], rel=1e-5)
        assert row[len(video) :] == [1.0] * (len(row) - len(video))
    for video, evidence in zip(tags, explain(system, batch, tags), strict=True):
        assert [(one.visual, one.tokens) for one in evidence] == [((), ())] * len(video)


def test_scores_of_nothing_are_no_predictions(runs: Mapping[str, Path], batch: Batch) -> None:
    for name in FITTED_SYSTEMS:
        found = opened(runs, name).predict(batch, 0.0)
        assert all(tag.score > 0 for tags in found for tag in tags)
