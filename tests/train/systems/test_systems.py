"""What every system has in common, what the classifiers add, and that OP-TSG is what it was before there were others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from optsg.data.batching import Batch, collate
from optsg.data.errors import ConfigError, RunError
from optsg.data.store import FeatureStore, open_store
from optsg.data.word_pieces import NIL, SEPARATOR
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.cli import main
from optsg.train.loop.saved_states import read_progress
from optsg.train.loop.trainer import Trainer
from optsg.train.model.op_tsg import OPTSG
from optsg.train.model.tag_head import mean_over_valid
from optsg.train.objective.shares import ALONE
from optsg.train.run.run import load_run
from optsg.train.system_names import FITTED_SYSTEMS, SYSTEM_NAMES
from optsg.train.systems.classifiers import THRESHOLD, Classifier
from optsg.train.systems.op_tsg import PAPER_SETTINGS
from optsg.train.systems.prompt_classification import NIL_COLUMN, PromptClassification
from optsg.train.systems.prompt_label import (
    LABEL_THRESHOLD,
    PromptLabel,
    keep_prompts,
    prompt_label_loss,
    write_labelled,
)
from optsg.train.systems.registry import SYSTEMS, find_system
from optsg.train.systems.system import System
from optsg.train.systems.writers.ordered_writer import EOS_BIAS

from tests.tiny_world import as_options, read_log, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import started, train
from tests.train.trainings import assert_same_run

pytestmark = pytest.mark.usefixtures("short_texts")

NETWORKS = [name for name in SYSTEMS if name not in FITTED_SYSTEMS]
"""Systems that are trained step by step."""
PARTS = {
    "bin": ["classification"],
    "asy": ["classification"],
    **{name: ["generation"] for name in ("order-free", "open-book", "frequency-first", "rare-first", "random")},
    "frequency-first-full": ["generation", "recognition"],
    "no-contrast": ["generation"],
    "prompt-label": ["contrastive", "generation", "label"],
    "prompt-classification": ["contrastive", "classification"],
}
"""Parts of a system's loss where they are not OP-TSG's."""
REMEDY = "install the package that has it, or name a class as MODULE:CLASS"


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its text model gives its tag embeddings, so every system can be trained on it."""
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(120), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def first_feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the numbers that were written down."""
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(120))


def classifier(feats: Path, store: FeatureStore, name: str = "bin", *settings: str) -> Classifier:
    system = started(feats, store, name, *settings)
    assert isinstance(system, Classifier)
    return system


def test_names_and_systems_are_the_same_list() -> None:
    assert list(SYSTEMS) == list(SYSTEM_NAMES)
    assert len(set(SYSTEMS.values())) == len(SYSTEMS)


def test_an_unknown_system_is_one_sentence_that_lists_the_known_ones(feats: Path) -> None:
    sentence = f"there is no system 'bim'; known are {', '.join(SYSTEM_NAMES)}; {REMEDY}"
    result = train("--feats", feats, "--system", "bim")
    assert (result.exit_code, result.output) == (1, f"error: {sentence}\n")
    assert not Path("runs").exists()
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        find_system("bim")


@pytest.mark.parametrize("option", [("--system", "bin"), ("--size", "base")])
def test_resuming_takes_no_system_and_no_size(option: tuple[str, str]) -> None:
    result = train("--run", "runs/a", "--resume", *option)
    assert result.exit_code == 2
    assert "leave --feats, --init-from, --system, --size, --set and --seed out" in result.output


def test_help_lists_the_systems() -> None:
    text = "".join(CliRunner().invoke(main, ["--help"]).output.split())  # lines may break at hyphens
    own = "oneofaninstalledpackage;oraclassofyourown,MODULE:CLASS"
    assert f"Whattotrain:{','.join(SYSTEM_NAMES)};{own}.[default:op-tsg;memoryforahandfulofvideos]" in text


@pytest.mark.parametrize("width", ["width=32", pytest.param("width=48", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "op-tsg"])
def test_the_shared_encoder_starts_the_same_in_every_system(
    feats: Path, store: FeatureStore, name: str, width: str
) -> None:
    def encoder(system: System) -> dict[str, torch.Tensor]:
        state = system.model.state_dict()
        return {key: value for key, value in state.items() if key.startswith(("title_encoder.", "hybrid_encoder."))}

    ours, reference = encoder(started(feats, store, name, width)), encoder(started(feats, store, "op-tsg", width))
    other_seed = encoder(started(feats, store, name, width, seed=4))
    assert ours.keys() == reference.keys()
    assert [key for key in ours if not torch.equal(ours[key], reference[key])] == []
    assert [key for key in ours if not torch.equal(ours[key], other_seed[key])] != []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_trained_parameter_gets_a_gradient(feats: Path, store: FeatureStore, name: str) -> None:
    system = started(feats, store, name)
    system.model.train()
    losses = system.losses(collate(store, np.arange(32)), np.random.default_rng(0))
    losses.total.backward()
    without = {key for key, value in system.model.named_parameters() if value.requires_grad and value.grad is None}
    assert without == ({"log_inverse_temperature"} if name == "no-contrast" else set())
    values = losses.numbers()
    assert values.pop("loss") == pytest.approx(losses.total.item())
    expected = ["contrastive", "generation", "recognition"] if name == "op-tsg" else ["contrastive", "generation"]
    assert list(values) == PARTS.get(name, expected)


# --- OP-TSG ---


def test_the_paper_s_model_trains_as_it_did(first_feats: Path) -> None:
    """Numbers written down: what is added to OP-TSG as an option must not change them."""
    settings = [
        *as_options(),
        *as_options(PAPER_SETTINGS),
        "--set",
        "epochs=4",
        "--set",
        "validate_every=2",
        "--set",
        "buckets=visual",
        "--seed",
        "1",
    ]
    result = train("--feats", first_feats, "--run", "runs/a", *settings)
    assert result.exit_code == 0, result.output
    epochs = [event for event in read_log(Path("runs/a")) if event["event"] == "epoch"]
    found = [[event["train_contrastive"], event["train_generation"]] for event in epochs]
    expected = [[2.326846, 4.201241], [1.685352, 3.482278], [1.503574, 3.064855], [1.48471, 2.910419]]
    assert found == [pytest.approx(row, rel=1e-3) for row in expected]
    (first, _) = (event for event in read_log(Path("runs/a")) if event["event"] == "validation")
    assert first["val_contrastive"] == pytest.approx(1.811291, rel=1e-3)
    assert first["val_generation"] == pytest.approx(3.142749, rel=1e-3)
    assert list(epochs[0]) == [
        "event", "step", "epoch", "train_loss", "train_contrastive", "train_generation", "prompts_used", "seconds",
    ]  # fmt: skip


def test_a_run_folder_from_before_there_were_systems_opens_as_op_tsg(short_run: Path, store: FeatureStore) -> None:
    batch = collate(store, store.indices("test"))
    before = RunTagger(load_run(short_run, device="cpu")).predict(batch)
    path = short_run / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("system") == "op-tsg"
    del config["training"]["contrastive"]
    path.write_text(json.dumps(config))
    run = load_run(short_run, device="cpu")
    assert run.config.system == "op-tsg"
    assert isinstance(run.model, OPTSG)
    assert RunTagger(run).predict(batch) == before


def test_a_state_from_before_there_were_systems_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    old = {"tensors": "step-000000003.safetensors", "step": 3, "epoch_sums": [1.5, 6.0, 21.0], "epoch_steps": 3}
    (tmp_path / "state" / "progress.json").write_text(json.dumps(old))
    progress = read_progress(tmp_path)
    assert progress is not None
    assert progress.epoch_sums == {"train_contrastive": 1.5, "train_generation": 6.0, "prompts_used": 21.0}


# --- ablations of OP-TSG ---


@pytest.mark.parametrize(("name", "key"), [("no-shuffle", "shuffle"), ("no-contrast", "contrastive")])
def test_an_ablation_is_a_setting_that_its_configuration_tells(feats: Path, name: str, key: str) -> None:
    result = train("--feats", feats, "--system", name, *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    config = json.loads(Path(f"runs/{name}-small-1/config.json").read_text())
    assert (config["system"], config["training"][key]) == (name, False)
    assert load_run(Path(f"runs/{name}-small-1"), device="cpu").config.system == name
    refused = train("--feats", feats, "--system", name, "--set", f"{key}=true")
    assert refused.exit_code == 1
    assert refused.output == f"error: --set {key}=true: the system {name} has {key}=false; leave it out\n"


def test_no_shuffle_asks_for_the_tags_in_the_prompts_own_order(feats: Path, store: FeatureStore) -> None:
    batch = collate(store, np.arange(32))

    def generation(name: str, draw: int) -> float:
        system = started(feats, store, name, "dropout=0")
        system.model.train()
        return system.losses(batch, np.random.default_rng(draw)).parts["generation"].item()

    assert generation("no-shuffle", 1) == generation("no-shuffle", 2)
    assert generation("no-contrast", 1) != generation("no-contrast", 2)


def test_no_contrast_keeps_matching_and_generation_as_they_are(feats: Path, store: FeatureStore) -> None:
    batch = collate(store, np.arange(32))
    ours, whole = (
        started(feats, store, name, "dropout=0", *settings).losses(batch, np.random.default_rng(5))
        for name, settings in (("no-contrast", ()), ("op-tsg", PAPER_SETTINGS))
    )
    assert set(ours.parts) == {"generation"}
    assert ours.parts["generation"].item() == whole.parts["generation"].item()
    assert ours.measures == whole.measures
    assert whole.total.item() > ours.total.item() == ours.parts["generation"].item()


# --- prompt-label ---


def test_prompts_are_kept_in_the_given_order_and_filled_up_with_zeros() -> None:
    prompts = torch.arange(1.0, 13.0).view(2, 3, 2)
    kept = keep_prompts(prompts, [[2, 0], [1]])
    assert kept.tolist() == [[[5.0, 6.0], [1.0, 2.0]], [[9.0, 10.0], [0.0, 0.0]]]
    assert keep_prompts(prompts, [[], []]).tolist() == [[[0.0, 0.0]], [[0.0, 0.0]]]


def test_labels_are_whether_a_prompt_has_a_tag() -> None:
    logits, assignment = torch.tensor([[0.3, -1.2, 2.0]]), np.array([[4, -1, 0]])
    loss = prompt_label_loss(logits, assignment, ALONE)
    chances = logits.sigmoid()[0].tolist()
    assert loss.item() == pytest.approx(-(np.log(chances[0]) + np.log(1 - chances[1]) + np.log(chances[2])) / 3)


def labelled(feats: Path, store: FeatureStore, *settings: str) -> PromptLabel:
    system = started(feats, store, "prompt-label", *settings)
    assert isinstance(system, PromptLabel)
    system.model.eval()
    return system


def test_prompt_label_has_no_nil_in_its_targets(
    feats: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, seen = labelled(feats, store), []
    original = system.model.decoder.forward

    def watch(prompts: torch.Tensor, tokens: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        seen.append((prompts, tokens))
        features, mask = others
        return original(prompts, tokens, features, mask)

    monkeypatch.setattr(system.model.decoder, "forward", watch)
    batch = collate(store, np.arange(16))
    system.losses(batch, np.random.default_rng(0))
    ((prompts, tokens),) = seen
    tags = [len(video) for video in batch.tags]
    assert prompts.shape[1] == max(tags)
    assert not bool((tokens == NIL).any())
    assert [int((row == SEPARATOR).sum()) for row in tokens] == [count - 1 for count in tags]
    assert [int(row.any(-1).sum()) for row in prompts] == tags


def test_the_decoder_writes_for_the_prompts_above_the_threshold_alone(feats: Path, store: FeatureStore) -> None:
    system = labelled(feats, store)
    with torch.no_grad():
        system.model.label_head.weight.mul_(100)
        for parameter in system.model.decoder.layers.parameters():
            parameter.mul_(20 if parameter.ndim == 2 else 1)  # freshly drawn layers repeat one token
    batch = collate(store, np.arange(16))
    with torch.no_grad():
        chances = system.model.labels(system.model.order_prompts(*system.model.encode(batch))).sigmoid()
    # One at which videos keep different numbers of prompts.
    threshold = next(t for t in chances.flatten().sort().values.tolist() if len(set((chances > t).sum(1).tolist())) > 1)
    kept = [[n for n, chance in enumerate(row) if chance > threshold] for row in chances.tolist()]
    assert len({len(row) for row in kept}) > 1
    written = write_labelled(system.model, batch, label_threshold=threshold)
    assert written.prompts is not None
    assert [row[: len(own)].tolist() for row, own in zip(written.prompts, kept, strict=True)] == kept
    assert not bool((written.tokens == NIL).any())
    for row, numbers in enumerate(kept):
        assert int((written.tokens[row] == SEPARATOR).sum()) <= len(numbers)
        alone = write_labelled(system.model, collate(store, [row]), label_threshold=threshold)
        length = min(alone.tokens.shape[1], written.tokens.shape[1])
        assert torch.equal(alone.tokens[0, :length], written.tokens[row, :length])
        assert not bool(written.tokens[row, length:].any())
    for row, tags in enumerate(system.predict(batch, threshold)):
        assert {tag.prompt for tag in tags} <= set(kept[row])
        assert all(tag.score <= chances[row, tag.prompt] + 1e-6 for tag in tags if tag.prompt is not None)
    assert system.predict(batch, 1.0) == [[] for _ in range(16)]


def test_prompt_label_learns_and_tunes_its_threshold(feats: Path) -> None:
    settings = [*as_options(), "--set", "epochs=20", "--set", "ema=0", "--set", "validate_every=10"]
    result = train("--feats", feats, "--system", "prompt-label", *settings)
    assert result.exit_code == 0, result.output
    decision = json.loads(Path("runs/prompt-label-small-1/decision.json").read_text())
    curve = {float(value): score for value, score in decision["full_f1_by_label_threshold"].items()}
    assert tuple(curve) == LABEL_THRESHOLD.candidates
    assert curve[decision["label_threshold"]] == decision["full_f1"] > 0.3
    refused = train("--feats", feats, "--system", "prompt-label", "--set", "prompt_entry=prefix")
    message = "--set prompt_entry=prefix: the system prompt-label has prompt_entry=slot; leave it out"
    assert refused.output == f"error: {message}\n"


# --- prompt-classification ---


def prompt_classifier(feats: Path, store: FeatureStore, *settings: str) -> PromptClassification:
    system = started(feats, store, "prompt-classification", *settings)
    assert isinstance(system, PromptClassification)
    system.model.eval()
    return system


def test_prompt_classification_starts_from_op_tsg_s_prompts_and_the_tags_shares(
    feats: Path, store: FeatureStore
) -> None:
    system, whole = prompt_classifier(feats, store), started(feats, store, "op-tsg")
    assert isinstance(whole.model, OPTSG)
    ours, theirs = system.model.prompt_encoder.state_dict(), whole.model.prompt_encoder.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    counts, prompts = system.tag_table.counts, 8 * len(store.indices("train"))
    shares = np.array([0.3 * (prompts - counts.sum()), *counts]) / prompts
    assert system.model.head.bias.detach().exp().numpy() == pytest.approx(shares, rel=1e-5)


def test_prompt_classification_weighs_nil_with_lambda(feats: Path, store: FeatureStore) -> None:
    batch = collate(store, np.arange(8))
    by_weight = {}
    for weight in ("0", "0.5", "1"):
        system = prompt_classifier(feats, store, f"nil_weight={weight}")
        with torch.no_grad():
            system.model.head.bias.zero_()
            system.model.head.bias[NIL_COLUMN] = 1.0
            system.model.head.weight.zero_()
        by_weight[weight] = system.losses(batch, np.random.default_rng(0)).parts["classification"].item()
    tags = sum(len(video) for video in batch.tags)
    nils, total = 8 * 8 - tags, np.log(np.e + len(system.tag_table))
    for weight, loss in by_weight.items():
        share = float(weight) * nils
        assert loss == pytest.approx((tags * total + share * (total - 1)) / (tags + share), rel=1e-5)


def test_each_prompt_gives_its_likeliest_tag_unless_nil_is_likelier(feats: Path, store: FeatureStore) -> None:
    system = prompt_classifier(feats, store)
    with torch.no_grad():
        system.model.head.weight.mul_(50)
    batch = collate(store, np.arange(12))
    with torch.no_grad():
        chances = system.model.classify(system.model.prompts(batch)).softmax(-1)
    assert system.predict(batch, -1e9) == [[] for _ in range(12)]
    for row, tags in enumerate(system.predict(batch, 2.0)):
        wanted: dict[str, float] = {}
        for prompt in chances[row]:
            column = int(prompt[1:].argmax())
            if prompt[1 + column].log() > prompt[NIL_COLUMN].log() - 2.0:
                spelling = system.tag_table.spellings[column]
                wanted[spelling] = max(wanted.get(spelling, 0.0), float(prompt[1 + column]))
        assert {tag.text: tag.score for tag in tags} == pytest.approx(wanted, rel=1e-5)
        assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
        assert len({tag.prompt for tag in tags}) == len(tags)
        assert not any(tag.novel for tag in tags)
    assert system.predict_each(batch, [0.0, 2.0]) == [system.predict(batch, value) for value in (0.0, 2.0)]


def test_prompt_classification_learns(feats: Path) -> None:
    settings = [*as_options(), "--set", "epochs=20", "--set", "ema=0", "--set", "validate_every=10"]
    result = train("--feats", feats, "--system", "prompt-classification", *settings)
    assert result.exit_code == 0, result.output
    decision = json.loads(Path("runs/prompt-classification-small-1/decision.json").read_text())
    assert decision["full_f1"] > 0.3
    assert {"nil_bias", "tuned_on", "full_f1", "full_f1_by_bias"} <= set(decision)


# --- classifiers ---


def test_pooling_is_the_mean_over_valid_positions() -> None:
    features = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[5.0, 7.0], [9.0, 9.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert mean_over_valid(features, mask).tolist() == [[2.0, 4.0], [5.0, 7.0]]
    assert mean_over_valid(features, torch.zeros_like(mask)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_a_classifier_starts_from_the_tags_shares(feats: Path, store: FeatureStore) -> None:
    system = classifier(feats, store)
    videos, counts = len(store.indices("train")), system.tag_table.counts
    assert counts.max() == videos, "every video of the tiny world is tagged animal"
    expected = np.minimum(counts / videos, 1 - 0.5 / videos)
    assert system.model.head.bias.detach().sigmoid().numpy() == pytest.approx(expected, rel=1e-5)


def test_targets_are_the_training_tags_and_other_tags_are_left_out(tmp_path: Path) -> None:
    videos = tiny_videos(40)
    unseen = [type(v)(**{**vars(v), "tags": (*v.tags, "Comet")}) if v.split == "test" else v for v in videos]
    path = write_tiny_store(tmp_path / "s.h5", unseen)
    with open_store(path) as store:
        system = classifier(path, store)
        rows = np.concatenate([store.indices("train")[:5], store.indices("test")[:3]])
        targets = system.targets(collate(store, rows))
        assert "comet" in store.tag_keys
        keys = system.tag_table.keys
        found = [{keys[column] for column in torch.nonzero(row).flatten().tolist()} for row in targets]
        assert found == [{store.tag_keys[tag] for tag in store.tags(int(row))} - {"comet"} for row in rows]
        assert set(targets.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["bin", "asy"])
def test_a_classifier_s_loss_does_not_depend_on_padding_or_on_the_split_into_batches(
    feats: Path, store: FeatureStore, name: str
) -> None:
    system = classifier(feats, store, name)
    system.model.eval()

    def loss(batch: Batch) -> float:
        return system.losses(batch, np.random.default_rng(0)).total.item()

    whole = loss(collate(store, np.arange(12)))
    parts = [loss(collate(store, [row])) for row in range(12)]
    assert whole == pytest.approx(float(np.mean(parts)), rel=1e-5)


def test_scores_are_probabilities_and_tags_are_those_at_the_threshold(feats: Path, store: FeatureStore) -> None:
    system = classifier(feats, store)
    with torch.no_grad():
        system.model.head.weight.mul_(20)
    system.model.eval()
    batch = collate(store, store.indices("test"))
    with torch.no_grad():
        probabilities = system.model(batch).sigmoid()
    spellings = system.tag_table.spellings
    for row, tags in enumerate(system.predict(batch, 0.3)):
        wanted = {spellings[c]: p for c, p in enumerate(probabilities[row].tolist()) if p >= 0.3}
        assert {tag.text: tag.score for tag in tags} == wanted
        assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
        assert {(tag.novel, tag.prompt) for tag in tags} <= {(False, None)}
    values = (0.9, 0.3, 0.01)
    assert system.predict_each(batch, values) == [system.predict(batch, value) for value in values]
    assert [sum(map(len, system.predict(batch, value))) for value in values] == sorted(
        sum(map(len, system.predict(batch, value))) for value in values
    )


@pytest.mark.parametrize("name", ["bin", "asy"])
def test_a_classifier_learns_and_its_threshold_is_tuned(feats: Path, name: str) -> None:
    settings = [*as_options(), "--set", "epochs=30", "--set", "ema=0.9", "--set", "validate_every=15"]
    result = train("--feats", feats, "--system", name, *settings)
    assert result.exit_code == 0, result.output
    run = Path(f"runs/{name}-small-1")
    assert result.output.startswith(f"training {name} (small, ")
    assert re.search(rf"trained {run} in .* minutes; best epoch \d+, threshold 0\.\d+\n", result.output)
    decision = json.loads((run / "decision.json").read_text())
    assert {"threshold", "tuned_on", "full_f1", "full_f1_by_threshold"} <= set(decision)
    by_threshold = {float(value): score for value, score in decision["full_f1_by_threshold"].items()}
    assert tuple(by_threshold) == THRESHOLD.candidates
    assert by_threshold[decision["threshold"]] == decision["full_f1"] > 0.6
    assert load_run(run, device="cpu").decision.value == decision["threshold"]
    events = read_log(run)
    assert [event["event"] for event in events][-1] == "finished"
    losses = [event["train_classification"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < 0.5 * losses[0]
    assert all(event["train_loss"] == event["train_classification"] for event in events if event["event"] == "epoch")
    validation = next(event for event in events if event["event"] == "validation")
    assert validation.keys() >= {"val_loss", "val_classification", "val_full_f1", "threshold"}


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        pytest.param("frequency-first", 100, marks=pytest.mark.slow),
        pytest.param("order-free", 120, marks=pytest.mark.slow),
        ("open-book", 20),
    ],
)
def test_a_generator_without_prompts_learns_and_its_end_bias_is_tuned(feats: Path, name: str, epochs: int) -> None:
    settings = [*as_options(), "--set", f"epochs={epochs}", "--set", "ema=0.9", "--set", "validate_every=20"]
    result = train("--feats", feats, "--system", name, *settings)
    assert result.exit_code == 0, result.output
    run = Path(f"runs/{name}-small-1")
    assert re.search(rf"trained {run} in .* minutes; best epoch \d+, end bias -?\d", result.output)
    decision = json.loads((run / "decision.json").read_text())
    assert {"eos_bias", "tuned_on", "full_f1", "full_f1_by_eos_bias"} <= set(decision)
    assert tuple(float(value) for value in decision["full_f1_by_eos_bias"]) == EOS_BIAS.candidates
    assert decision["full_f1"] > 0.6
    losses = [event["train_generation"] for event in read_log(run) if event["event"] == "epoch"]
    assert losses[-1] < 0.5 * losses[0]


def test_without_a_validation_split_the_threshold_stays_a_half(tmp_path: Path) -> None:
    feats = write_tiny_store(tmp_path / "s.h5", [video for video in tiny_videos(40) if video.split != "val"])
    result = train("--feats", feats, "--system", "bin", "--run", "runs/a", *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    assert "no validation split: the last weights are kept and the threshold stays 0.5" in result.output
    assert load_run(Path("runs/a"), device="cpu").decision.value == 0.5


RESUMED = (
    "bin",
    "no-contrast",
    "order-free",
    "frequency-first-full",
    "prompt-label",
    "prompt-classification",
    "learnable-tag-embeddings",
)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "fp32") for name in RESUMED),
        ("bin", "bf16"),
        *(pytest.param(name, "bf16", marks=pytest.mark.slow) for name in RESUMED[1:]),
    ],
)
def test_resumed_training_equals_uninterrupted(
    feats: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    settings = [*as_options(), "--set", "epochs=2", "--set", "validate_every=1", "--set", f"precision={precision}"]
    assert train("--feats", feats, "--system", name, "--run", "runs/whole", *settings).exit_code == 0
    original, steps = Trainer._step, iter(range(1, 1000))

    def stopping(self: Trainer, *arguments: object) -> object:
        if next(steps) == 8:
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        stopped = train("--feats", feats, "--system", name, "--run", "runs/parts", *settings)
    assert stopped.exit_code == 130
    resumed = train("--run", "runs/parts", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert resumed.output.startswith(f"training {name} (small, ")
    assert_same_run(Path("runs/whole"), Path("runs/parts"))


def test_from_pretrained_is_for_op_tsg_and_says_so(feats: Path) -> None:
    train("--feats", feats, "--system", "bin", "--run", "runs/a", *as_options(), "--set", "epochs=1")
    message = "runs/a is a run of the system bin, whose model is no OPTSG; open it with optsg.train.run.run.load_run"
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        OPTSG.from_pretrained("runs/a")


def test_a_run_of_a_system_that_this_version_does_not_know(short_run: Path) -> None:
    path = short_run / "config.json"
    path.write_text(path.read_text().replace('"system": "op-tsg"', '"system": "next-year"'))
    known = ", ".join(SYSTEM_NAMES)
    message = f"runs/a cannot be read: there is no system 'next-year'; known are {known}; {REMEDY}"
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        load_run(short_run)
