"""One modality alone (paper Table 8): what the model reads, what is built for it, and that everything still runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from optsg.data.batching import Batch, collate
from optsg.data.errors import ConfigError
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.cli import main
from optsg.train.config import Modality, ModelConfig, RunConfig, TrainingConfig, apply_settings
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import load_run
from optsg.train.system_names import FITTED_SYSTEMS
from optsg.train.systems.registry import SYSTEMS, start_system
from optsg.train.systems.system import System
from safetensors.torch import load_file

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_text_tables, tiny_videos, write_tiny_store

ONE: tuple[Modality, ...] = ("video", "title")
NETWORKS = [name for name in SYSTEMS if name not in FITTED_SYSTEMS]


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(60), text_tables=tiny_text_tables(contextual=True))


def started(feats: Path, store: FeatureStore, name: str, modality: str, *settings: str) -> System:
    chosen = [*TINY_SETTINGS, f"modality={modality}", *settings]
    run = new_run(RunRequest(feats=feats, system=name, size="small", settings=chosen, seed=3, device="cpu"))
    config = RunConfig.from_json((run / "config.json").read_text())
    system = start_system(store, config, TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json))
    system.prepare(store, torch.device("cpu"))
    system.model.eval()
    return system


def other_titles(batch: Batch) -> Batch:
    return dataclasses.replace(batch, title_tokens=batch.title_tokens.flip(0), title_mask=batch.title_mask.flip(0))


def other_pixels(batch: Batch) -> Batch:
    return dataclasses.replace(
        batch,
        frames=batch.frames.flip(0) + 1,
        frame_mask=batch.frame_mask.flip(0),
        patches=batch.patches.flip(0) + 1,
        patch_mask=batch.patch_mask.flip(0),
    )


@pytest.mark.parametrize("name", ["op-tsg", "bin"])
def test_each_modality_reads_what_it_says(feats: Path, store: FeatureStore, name: str) -> None:
    batch = collate(store, np.arange(16))
    reads = {}
    for modality in ("both", *ONE):
        model = started(feats, store, name, modality).model
        with torch.no_grad():
            features, changed = model.encode(batch)[0], [other_titles(batch), other_pixels(batch)]
            reads[modality] = [not torch.equal(model.encode(other)[0], features) for other in changed]
    assert reads == {"both": [True, True], "title": [True, False], "video": [False, True]}


def test_features_stand_at_title_tokens_or_at_frames_and_patches(feats: Path, store: FeatureStore) -> None:
    batch = collate(store, np.arange(16))
    visual_mask = torch.cat([batch.frame_mask, batch.patch_mask], dim=1)
    masks: dict[str, torch.Tensor] = {"both": batch.title_mask, "title": batch.title_mask, "video": visual_mask}
    for modality, expected in masks.items():
        features, mask = started(feats, store, "op-tsg", modality).model.encode(batch)
        assert torch.equal(mask, expected)
        assert features.shape == (*expected.shape, 32)


@pytest.mark.parametrize("modality", ONE)
def test_a_video_does_not_depend_on_the_batch_around_it(feats: Path, store: FeatureStore, modality: str) -> None:
    model = started(feats, store, "op-tsg", modality).model
    with torch.no_grad():
        together, mask = model.encode(collate(store, np.arange(16)))
        for row in range(16):
            alone, own = model.encode(collate(store, [row]))
            assert torch.allclose(together[row][mask[row]], alone[0][own[0]], atol=1e-5)


@pytest.mark.parametrize("modality", ONE)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_not_read_is_not_built(feats: Path, store: FeatureStore, name: str, modality: str) -> None:
    system, both = started(feats, store, name, modality), started(feats, store, name, "both")
    missing = both.model.state_dict().keys() - system.model.state_dict().keys()
    assert system.model.state_dict().keys() <= both.model.state_dict().keys()
    cross = ("hybrid_encoder.layers.0.cross_norm.", "hybrid_encoder.layers.0.cross_attention.")
    unread = {
        "video": ("title_encoder.", "title_copier."),
        "title": ("hybrid_encoder.frame_projection.", "hybrid_encoder.patch_projection."),
    }[modality]
    assert {key for key in both.model.state_dict() if key.startswith((*cross, *unread))} == missing
    assert system.model.parameter_count() < both.model.parameter_count()
    system.model.train()
    system.losses(collate(store, np.arange(32)), np.random.default_rng(0)).total.backward()
    without = {key for key, value in system.model.named_parameters() if value.requires_grad and value.grad is None}
    assert without <= {"log_inverse_temperature"}  # of the systems without a contrastive loss


@pytest.mark.parametrize("modality", ONE)
def test_decoders_start_from_the_same_words_whatever_is_read(feats: Path, store: FeatureStore, modality: str) -> None:
    ours, both = (started(feats, store, "op-tsg", which).model.state_dict() for which in (modality, "both"))
    assert torch.equal(ours["decoder.embedding.weight"][5:], both["decoder.embedding.weight"][5:])


@pytest.mark.parametrize("modality", ONE)
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "op-tsg"])
def test_the_encoder_starts_the_same_in_every_system(
    feats: Path, store: FeatureStore, name: str, modality: str
) -> None:
    def encoder(system: System) -> dict[str, torch.Tensor]:
        state = system.model.state_dict()
        return {key: value for key, value in state.items() if key.startswith(("title_encoder.", "hybrid_encoder."))}

    ours, reference = (encoder(started(feats, store, which, modality, "title_layers=1")) for which in (name, "op-tsg"))
    assert ours.keys() == reference.keys()
    assert all(torch.equal(ours[key], reference[key]) for key in ours)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("modality", ONE)
@pytest.mark.parametrize("name", ["op-tsg", "bin"])
def test_a_run_of_one_modality_trains_and_opens(
    feats: Path, store: FeatureStore, name: str, modality: str, precision: str
) -> None:
    options = as_options([*TINY_SETTINGS, f"modality={modality}", "epochs=1", f"precision={precision}"])
    arguments = ["--feats", str(feats), "--system", name, "--run", "runs/a", *options, "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    run = load_run(Path("runs/a"), device="cpu")
    assert run.config.model.modality == modality
    assert load_file("runs/a/model.safetensors").keys() == run.model.state_dict().keys()
    assert len(RunTagger(run).predict(collate(store, store.indices("test")))) == len(store.indices("test"))


def test_an_unknown_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^modality=sound is out of range; expected both or video or title$"):
        apply_settings(ModelConfig(), TrainingConfig(), ["modality=sound"])
