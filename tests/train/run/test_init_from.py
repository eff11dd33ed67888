"""``--init-from``: what a run takes over from another run on another store, what it refuses, and what counts as novel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from optsg.data.batching import collate
from optsg.data.errors import ConfigError, RunError
from optsg.data.store import open_store
from optsg.data.store.schema import VideoFeatures
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.cli import main as optsg_eval
from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder
from optsg.train.config import RunConfig
from optsg.train.loop.trainer import Trainer
from optsg.train.run.init_from import load_start, take_over
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import load_run
from optsg.train.systems.registry import start_system
from safetensors.torch import load_file
from torch import Tensor

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_videos, write_tiny_store
from tests.train.command import train

FAST = ("ema=0", "dropout=0", "validate_every=20")


def big_world() -> list[VideoFeatures]:
    return tiny_videos(120)


def small_world() -> list[VideoFeatures]:
    """Titles of other words, a tag of its own, and foxes in the test split alone."""
    videos = []
    for number, video in enumerate(tiny_videos(120, seed=5)):
        if "fox" in video.tags and video.split != "test":
            continue
        tags = (*video.tags, "Comet") if number % 3 == 0 else video.tags
        videos.append(replace(video, title=video.title.replace(" at ", " of "), tags=tags))
    return videos


def character_store(path: Path, videos: list[VideoFeatures]) -> Path:
    encoder = CharacterTextEncoder(32)
    tables = encoder.tables([text for video in videos for text in (video.title, *video.tags)])
    return write_tiny_store(path, videos, text_tables=tables, text_encoder=encoder.spec())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores; runs are trained into it when they are first asked for."""
    folder = tmp_path_factory.mktemp("world")
    write_tiny_store(folder / "big.h5", big_world())
    write_tiny_store(folder / "small.h5", small_world())
    return folder


@pytest.fixture(scope="module")
def pretrained(world: Path) -> Callable[[str], Path]:
    def run_of(system: str) -> Path:
        run = world / f"pre-{system}"
        if not run.exists():
            options = as_options([*TINY_SETTINGS, *FAST, "epochs=20"])
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(world)
                result = train("--feats", world / "big.h5", "--system", system, "--run", run, *options)
            assert result.exit_code == 0, result.output
        return run

    return run_of


def tuned(world: Path, source: Path, *settings: str, run: str = "runs/tuned") -> Path:
    """A run on the small store that starts from the source; one epoch that hardly changes it."""
    settings = (
        "epochs=1",
        "batch_size=16",
        "precision=fp32",
        "learning_rate=1e-7",
        "ema=0",
        "ranking=false",
        *settings,
    )
    result = train("--feats", world / "small.h5", "--init-from", source, "--run", run, *as_options(settings))
    assert result.exit_code == 0, result.output
    return Path(run)


def started(feats: Path, source: Path, *settings: str, system: str | None = None) -> dict[str, Tensor]:
    """The weights that ``runs/a`` starts with."""
    run = Path("runs/a")
    new_run(RunRequest(feats=feats, run=run, system=system, settings=settings, device="cpu", init_from=str(source)))
    return load_file(run / "state" / "start.safetensors")


def pieces_of(run: Path) -> dict[str, int]:
    """Row of the decoder's embedding by the piece's text."""
    loaded = load_run(run, device="cpu")
    text_of = {number: text for text, number in loaded.tokenizer.pieces.items()}
    return {text_of[piece]: 5 + row for row, piece in enumerate(loaded.config.inputs.pieces)}


def test_rows_are_found_by_what_they_stand_for() -> None:
    ours = {"head": torch.zeros(3, 2), "same": torch.zeros(2), "new": torch.ones(1)}
    theirs = {"head": torch.tensor([[1.0, 1.0], [2.0, 2.0]]), "same": torch.tensor([5.0, 6.0]), "old": torch.ones(1)}
    start = take_over(ours, theirs, {"head": ["a", "b", "c"]}, {"head": ["c", "a"]})
    assert {name: weight.tolist() for name, weight in start.items()} == {
        "head": [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]],
        "same": [5.0, 6.0],
        "new": [1.0],
    }
    assert not ours["same"].any()
    with pytest.raises(ConfigError, match=r"^--init-from: same has the size \(2,\) there and \(3,\) here$"):
        take_over({"same": torch.zeros(3)}, theirs, {}, {})


def test_everything_is_taken_over_and_new_rows_start_as_without(world: Path, pretrained: Callable[[str], Path]) -> None:
    source = pretrained("op-tsg")
    small, theirs = world / "small.h5", load_file(source / "model.safetensors")
    start = started(small, source, *FAST)
    config = RunConfig.from_json(Path("runs/a/config.json").read_text())
    with open_store(small) as store:
        tokenizer, table = TitleTokenizer.from_json(store.tokenizer_json), TagTable.from_store(store)
        scratch = start_system(store, config, table, tokenizer).model.state_dict()
    assert start.keys() == theirs.keys() == scratch.keys()
    rows, tag_rows = ("decoder.embedding.weight", "decoder.output_bias"), ("tag_head.weight", "tag_head.bias")
    same = [torch.equal(start[name], theirs[name]) for name in start if name not in (*rows, *tag_rows)]
    assert all(same)
    known = TagTable.load(source / "tag_table.json").column_of
    assert 0 < len(known.keys() & table.column_of.keys()) < len(table)
    for name in tag_rows:
        for key, row in table.column_of.items():
            expected = theirs[name][known[key]] if key in known else scratch[name][row]
            assert torch.equal(start[name][row], expected), key
    text_of = {number: text for text, number in tokenizer.pieces.items()}
    ours, there = [text_of[piece] for piece in config.inputs.pieces], pieces_of(source)
    assert {"of", "at"} == set(ours) ^ set(there)
    for name in rows:
        assert torch.equal(start[name][:5], theirs[name][:5])
        for row, text in enumerate(ours, start=5):
            expected = theirs[name][there[text]] if text in there else scratch[name][row]
            assert torch.equal(start[name][row], expected), text


def test_the_first_loss_is_lower_than_from_scratch(world: Path, pretrained: Callable[[str], Path]) -> None:
    for system in ("op-tsg", "bin"):
        run = Path("runs/a")
        rmtree(run, ignore_errors=True)
        started(world / "small.h5", pretrained(system))
        config = RunConfig.from_json((run / "config.json").read_text())
        assert config.system == system
        with open_store(world / "small.h5") as store:
            table, tokenizer = TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json)
            fresh = start_system(store, config, table, tokenizer)
            fresh.prepare(store, torch.device("cpu"))
            fresh.model.eval()
            batch = collate(store, store.indices("val"))
            scratch = fresh.losses(batch, np.random.default_rng(0)).total.item()
            load_start(fresh.model, run)
            assert fresh.losses(batch, np.random.default_rng(0)).total.item() < 0.7 * scratch


@pytest.mark.parametrize(("system", "first"), [("bin", 0), ("prompt-classification", 1)])
def test_heads_are_taken_over_by_tag(world: Path, pretrained: Callable[[str], Path], system: str, first: int) -> None:
    source = pretrained(system)
    start, theirs = started(world / "small.h5", source, system=system), load_file(source / "model.safetensors")
    ours, there = (list(TagTable.load(run / "tag_table.json").keys) for run in (Path("runs/a"), source))
    assert set(ours) ^ set(there) == {"comet", "fox"}
    assert ours != [key for key in there if key != "fox"], "the tables have other orders"
    assert torch.equal(start["head.bias"][:first], theirs["head.bias"][:first])
    for name in ("head.weight", "head.bias"):
        for row, key in enumerate(ours, start=first):
            same = key != "comet" and torch.equal(start[name][row], theirs[name][first + there.index(key)])
            assert same == (key != "comet")


def test_a_tag_known_from_pre_training_alone_is_novel(world: Path, pretrained: Callable[[str], Path]) -> None:
    run = tuned(world, pretrained("op-tsg"))
    assert "fox" in TagTable.load(pretrained("op-tsg") / "tag_table.json").keys
    assert "fox" not in TagTable.load(run / "tag_table.json").keys
    result = CliRunner().invoke(optsg_eval, ["--run", str(run), "--split", "test", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines = (run / "eval" / "test" / "predictions.jsonl").read_text().splitlines()
    tags = [tag for line in lines for tag in json.loads(line)["tags"]]
    assert {tag["novel"] for tag in tags if tag["tag"] == "fox"} == {True}
    assert {tag["novel"] for tag in tags if tag["tag"] in ("cat", "animal")} == {False}
    assert json.loads((run / "eval" / "test" / "metrics.json").read_text())["novel"]["hits"] > 0


def test_sizes_and_system_are_the_source_s_and_the_run_tells_it(world: Path, pretrained: Callable[[str], Path]) -> None:
    source = pretrained("bin")
    started(world / "small.h5", source, "dropout=0.3")
    config, theirs = (RunConfig.from_json((run / "config.json").read_text()) for run in (Path("runs/a"), source))
    assert (config.system, config.model) == ("bin", replace(theirs.model, dropout=0.3))
    assert config.training.learning_rate != theirs.training.learning_rate
    assert theirs.init_from is None
    assert config.init_from is not None
    assert config.init_from["path"] == str(source)
    assert re.fullmatch("sha256:[0-9a-f]{64}", config.init_from["weights"])
    assert RunConfig.from_json(config.to_json()) == config


def test_resuming_takes_nothing_over_again_and_needs_no_source(
    world: Path, pretrained: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("epochs=3", "learning_rate=0.001", "frozen_title_layers=0")
    whole = tuned(world, pretrained("op-tsg"), *settings, run="runs/whole")
    assert not (whole / "state" / "start.safetensors").exists()
    source = pretrained("op-tsg").rename(tmp_path / "moved")
    original, steps = Trainer._step, iter(range(1, 1000))

    def stopping(self: Trainer, *arguments: object) -> object:
        if next(steps) == 4:
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    options = as_options(("batch_size=16", "precision=fp32", "ema=0", *settings))
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        stopped = train("--feats", world / "small.h5", "--init-from", source, "--run", "runs/parts", *options)
    assert stopped.exit_code == 130, stopped.output
    source.rename(world / "pre-op-tsg")
    resumed = train("--run", "runs/parts", "--resume")
    assert resumed.exit_code == 0, resumed.output
    ours, theirs = (load_file(f"runs/{run}/model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_whose_start_is_lost_is_not_trained_from_scratch(world: Path, pretrained: Callable[[str], Path]) -> None:
    started(world / "small.h5", pretrained("bin"))
    Path("runs/a/state/start.safetensors").unlink()
    result = train("--run", "runs/a", "--resume")
    message = "runs/a/state/start.safetensors is missing, with which runs/a starts; start a new run"
    assert (result.exit_code, result.output) == (1, f"error: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--system", "asy"], "it is a run of the system bin, not of asy"),
        (["--set", "prompts=6"], "prompts is 8 there and 6 here; the models must be the same"),
        (["--set", "width=64"], "width is 32 there and 64 here; the models must be the same"),
        (["--set", "modality=title"], "modality is both there and title here; the models must be the same"),
        (["--size", "base"], "size is small there and base here; the models must be the same"),
    ],
)
def test_another_model_is_refused(
    world: Path, pretrained: Callable[[str], Path], arguments: list[str], reason: str
) -> None:
    source = pretrained("bin")
    result = train("--feats", world / "small.h5", "--init-from", source, "--run", "runs/a", *arguments)
    assert (result.exit_code, result.output) == (1, f"error: --init-from {source}: {reason}\n")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"frame_dim": 8}, "frame_dim is 12 in its features and 8 in these; extract them alike"),
        (
            {"image_encoder": {"kind": "other"}},
            "its features come from another image encoder than these; extract them alike",
        ),
        (
            {"text_encoder": {"kind": "other"}},
            "its features come from another text encoder than these; extract them alike",
        ),
    ],
)
def test_other_features_are_refused(
    pretrained: Callable[[str], Path], tmp_path: Path, header: dict[str, object], reason: str
) -> None:
    videos = [replace(video, frames=video.frames[:, : int(str(header.get("frame_dim", 12)))]) for video in big_world()]
    feats, source = write_tiny_store(tmp_path / "s.h5", videos, **dict[str, Any](header)), pretrained("bin")
    result = train("--feats", feats, "--init-from", source)
    assert (result.exit_code, result.output) == (1, f"error: --init-from {source}: {reason}\n")


def test_a_source_that_cannot_be_used(world: Path, pretrained: Callable[[str], Path]) -> None:
    result = train("--feats", world / "small.h5", "--init-from", "runs/none")
    assert result.exit_code == 1
    assert result.output.startswith("error: runs/none is neither a run folder nor a Hugging Face repository")
    copy = Path("runs/copy")
    copytree(pretrained("bin"), copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "store": {}}))
    result = train("--feats", world / "small.h5", "--init-from", copy)
    message = f"{copy} does not say how its features were made ('header'); train it again"
    assert (result.exit_code, result.output) == (1, f"error: {message}\n")
    with pytest.raises(RunError, match="is missing"):
        load_start(torch.nn.Module(), Path("runs/none"))  # type: ignore[arg-type]


def test_resuming_takes_no_init_from() -> None:
    result = train("--run", "runs/a", "--resume", "--init-from", "runs/b")
    assert result.exit_code == 2
    assert "leave --feats, --init-from, --system, --size, --set and --seed out" in result.output


def test_words_of_two_corpora_are_told_by_their_text(tmp_path: Path) -> None:
    """Two vocabularies of characters number the same character differently."""
    big = [replace(video, tags=(*video.tags, "Ärger")) for video in tiny_videos(40)]
    small = [replace(video, tags=(*video.tags, "Über", "猫")) for video in tiny_videos(30, seed=2)]
    feats, other = character_store(tmp_path / "big.h5", big), character_store(tmp_path / "small.h5", small)
    result = train("--feats", feats, "--run", "runs/pre", *as_options([*TINY_SETTINGS, "epochs=1", "ema=0"]))
    assert result.exit_code == 0, result.output
    start = started(other, Path("runs/pre"))
    theirs = load_file("runs/pre/model.safetensors")
    vocabularies = []
    for path in (other, feats):
        with open_store(path) as store:
            vocabularies.append(TitleTokenizer.from_json(store.tokenizer_json).pieces)
    ours, there = vocabularies
    assert ours["ü"] != there["ä"] or ours.keys() != there.keys()
    words = "title_encoder.model.embeddings.word_embeddings.weight"
    shared = sorted(ours.keys() & there.keys())
    assert torch.equal(start[words][[ours[text] for text in shared]], theirs[words][[there[text] for text in shared]])
    assert {"ü", "猫"} <= ours.keys() - there.keys()
