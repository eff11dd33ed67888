"""The trained tag language model (paper Table 7, D): its start, its gradients, and what a run keeps of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.config import RunConfig
from optsg.train.loop.optimiser import build_optimiser
from optsg.train.model.op_tsg import OPTSG
from optsg.train.objective.op_tsg_loss import OpTsgLoss
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import load_run
from optsg.train.systems.learnable_tag_embeddings import LearnableTagEmbeddings, tag_texts
from optsg.train.systems.registry import start_system
from safetensors.torch import load_file

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train

NAME = "learnable-tag-embeddings"


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(60), text_tables=tiny_text_tables(contextual=True))


def started(feats: Path, store: FeatureStore, *settings: str) -> LearnableTagEmbeddings:
    chosen = [*TINY_SETTINGS, *settings]
    run = new_run(RunRequest(feats=feats, system=NAME, size="small", settings=chosen, seed=3, device="cpu"))
    config = RunConfig.from_json((run / "config.json").read_text())
    system = start_system(store, config, TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json))
    system.prepare(store, torch.device("cpu"))
    assert isinstance(system, LearnableTagEmbeddings)
    system.model.eval()
    return system


def test_it_starts_with_the_store_s_embeddings(feats: Path, store: FeatureStore) -> None:
    # The title encoder's depth is not the tag language model's.
    system = started(feats, store, "title_layers=1")
    assert system.model.tag_model is not None
    texts = tag_texts(store, system.tokenizer)
    with torch.no_grad():
        embeddings = system.model.tag_model(texts).numpy()
    assert embeddings[:-1] == pytest.approx(store.tag_embeddings, abs=1e-5)
    assert embeddings[-1] == pytest.approx(store.nil_embedding, abs=1e-5)


def test_the_first_loss_is_op_tsg_s(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "dropout=0"), collate(store, np.arange(16))
    whole = OPTSG(system.config.model, system.config.inputs).eval()
    weights = system.model.state_dict()
    whole.load_state_dict({name: value for name, value in weights.items() if not name.startswith("tag_model.")})
    ours = system.losses(batch, np.random.default_rng(0)).parts
    theirs = OpTsgLoss(whole, system.targets, system.config.training)(batch, np.random.default_rng(0)).parts
    assert ours["contrastive"].item() == pytest.approx(theirs["contrastive"].item(), rel=1e-4)
    assert ours["generation"].item() == pytest.approx(theirs["generation"].item(), rel=1e-5)


def test_the_contrastive_loss_alone_teaches_it(feats: Path, store: FeatureStore) -> None:
    system, batch = started(feats, store, "frozen_title_layers=-1"), collate(store, np.arange(16))
    assert system.model.tag_model is not None
    parts = system.losses(batch, np.random.default_rng(0)).parts
    parts["generation"].backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in system.model.tag_model.parameters())
    parts["contrastive"].backward()
    assert [name for name, p in system.model.tag_model.named_parameters() if p.grad is None] == []


def test_it_learns_at_the_pre_trained_rate_and_is_frozen_like_the_title_encoder(
    feats: Path, store: FeatureStore
) -> None:
    system = started(feats, store, "frozen_title_layers=1")
    trained = {name: p for name, p in system.model.named_parameters() if p.requires_grad}
    ours = {name.removeprefix("tag_model.") for name in trained if name.startswith("tag_model.")}
    assert ours == {name.removeprefix("title_encoder.") for name in trained if name.startswith("title_encoder.model.")}
    optimiser = build_optimiser(list(trained), list(trained.values()), system.config.training)
    rates = {id(p): group["peak_lr"] for group in optimiser.param_groups for p in group["params"]}
    slow = {name for name, p in trained.items() if rates[id(p)] == system.config.training.pretrained_learning_rate}
    assert slow == {name for name in trained if name.startswith(("tag_model.", "title_encoder.model."))}


def test_a_run_keeps_no_tag_language_model_and_needs_none(feats: Path, store: FeatureStore) -> None:
    result = train("--feats", feats, "--system", NAME, "--run", "runs/a", *as_options(), "--set", "epochs=2")
    assert result.exit_code == 0, result.output
    assert not [name for name in load_file("runs/a/model.safetensors") if name.startswith("tag_model.")]
    run = load_run(Path("runs/a"), device="cpu")
    assert run.config.system == NAME
    assert len(RunTagger(run).predict(collate(store, [0, 1]))) == 2


def test_a_store_whose_text_model_gives_other_embeddings_is_refused(tmp_path: Path) -> None:
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(20))
    message = f"the system {NAME} cannot start: the text model in {feats} does not give the tag embeddings in it"
    result = train("--feats", feats, "--system", NAME, *as_options())
    assert (result.exit_code, result.output) == (1, f"error: {message}\n")


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({"layers": 12}, "needs the whole text model; {} holds 2 of the 12 layers that made its tag embeddings"),
        ({"title_encoder": "untrained"}, "needs a text model; the tag embeddings of {} were made without one"),
    ],
)
def test_a_store_without_the_whole_text_model_is_refused(
    tmp_path: Path, description: dict[str, object], reason: str
) -> None:
    text_encoder = {"kind": "tiny", "name": "tiny", **description}
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(20), text_encoder=text_encoder)
    result = train("--feats", feats, "--system", NAME, *as_options())
    assert result.exit_code == 1
    assert re.search(rf"^error: the system {NAME} {re.escape(reason.format(feats))}$", result.output, re.MULTILINE)


def test_pooling_is_the_store_s(tmp_path: Path) -> None:
    text_encoder = {"kind": "tiny", "name": "tiny", "pooling": "cls"}
    tables = tiny_text_tables(contextual=True)
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(20), text_tables=tables, text_encoder=text_encoder)
    result = train("--feats", feats, "--system", NAME, *as_options())
    assert "does not give the tag embeddings in it" in result.output, "CLS is not the mean"
    assert json.loads(Path(f"runs/{NAME}-small-1/config.json").read_text())["system"] == NAME
