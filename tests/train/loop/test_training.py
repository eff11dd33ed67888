"""Training from a store: it learns, resumes exactly, keeps the best, and says what is wrong."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from optsg.data.batching import collate
from optsg.data.errors import RunError
from optsg.data.store import open_store
from optsg.data.store.schema import VideoFeatures
from optsg.data.tag_table import TagTable
from optsg.data.tags import tag_key
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.tag.run_tagger import RunTagger
from optsg.train.confidence.few_videos import F1Pair
from optsg.train.config import RunConfig
from optsg.train.loop.finish_run import finish_run
from optsg.train.loop.processes import Processes
from optsg.train.loop.saved_states import TrainingProgress
from optsg.train.loop.trainer import Trainer, TrainingInterrupted
from optsg.train.loop.validation import Rank
from optsg.train.objective.step_losses import StepLosses
from optsg.train.run.run import load_run
from optsg.train.run_files import NEEDED, point_latest
from optsg.train.systems.system import System
from optsg.train.systems.tuned_scalar import choose_value
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from tests.full_disk import full_disk
from tests.tiny_world import as_options, read_log, tiny_videos, write_tiny_store
from tests.train.command import train
from tests.train.trainings import assert_same_run


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(120))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def test_a_run_learns_the_tiny_world_and_its_tags_come_back(feats: Path) -> None:
    result = train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=30", "--set", "ema=0.9")
    assert result.exit_code == 0, result.output
    run = load_run(Path("runs/latest"), device="cpu")
    with open_store(feats) as store:
        rows = store.indices("test")
        predicted = RunTagger(run).predict(collate(store, rows))
        true = [{store.tag_keys[tag] for tag in store.tags(int(row))} - {"t-shirt"} for row in rows]
    found = [{tag_key(tag.text) for tag in tags} - {"t-shirt"} for tags in predicted]
    hits = sum(len(a & b) for a, b in zip(true, found, strict=True))
    assert hits / sum(map(len, true)) > 0.8
    assert hits / sum(map(len, found)) > 0.75
    for tags in predicted:
        scores = [tag.score for tag in tags]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert len({tag_key(tag.text) for tag in tags}) == len(tags)


def test_run_folder_and_log_are_complete(feats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, losses = Trainer._step, list[StepLosses]()

    def noting(self: Trainer, *arguments: object) -> StepLosses:
        losses.append(original(self, *arguments))  # type: ignore[arg-type]
        return losses[-1]

    monkeypatch.setattr(Trainer, "_step", noting)
    result = train("--feats", feats, *as_options(), "--set", "epochs=3", "--set", "validate_every=1", "--seed", "5")
    assert result.exit_code == 0, result.output
    run = Path("runs/op-tsg-small-1")
    assert Path("runs/latest").resolve() == run.resolve()
    assert not [name for name in NEEDED if not (run / name).is_file()]
    assert list((run / "tensorboard").glob("events.*"))
    assert not list((run / "state").glob("*.safetensors"))
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["seed"] == 5
    assert config["store"]["path"] == str(feats)
    events = read_log(run)
    assert [event["event"] for event in events] == ["epoch", "validation"] * 3 + ["finished"]
    means = [sum(step.numbers()["loss"] for step in losses[first : first + 6]) / 6 for first in (0, 6, 12)]
    assert [event["train_loss"] for event in events if event["event"] == "epoch"] == pytest.approx(means, rel=1e-4)
    assert events[0].keys() >= {"train_loss", "train_contrastive", "train_generation", "prompts_used", "seconds"}
    assert events[1].keys() >= {"val_loss", "val_full_f1", "val_example_f1"}
    decision = json.loads((run / "decision.json").read_text())
    values = {float(value): score for value, score in decision["full_f1_by_threshold"].items()}
    others = {float(value): score for value, score in decision["example_f1_by_threshold"].items()}
    weight = decision["weight_of_full_f1"]
    assert decision["threshold"] == choose_value(
        {value: F1Pair(values[value], others[value]).mean(weight) for value in values}
    )
    assert decision["full_f1"] == values[decision["threshold"]]
    assert re.search(r"trained runs/op-tsg-small-1 in .* minutes; best epoch \d, threshold", result.output)


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ({0.0: 0.300, 1.0: 0.350, 2.0: 0.352, 4.0: 0.353}, 2.0),
        ({0.0: 0.300, 1.0: 0.351, 2.0: 0.352, 4.0: 0.353}, 1.0),
        ({0.0: 0.0, 1.0: 0.0}, 0.0),
        ({0.0: 0.1, 6.0: 0.9}, 6.0),
        ({0.9: 0.300, 0.5: 0.351, 0.2: 0.352, 0.1: 0.353}, 0.5),  # thresholds: fewest tags first too
    ],
)
def test_the_most_cautious_value_that_is_as_good_as_the_best_is_chosen(
    values: dict[float, float], chosen: float
) -> None:
    assert choose_value(values) == chosen


def test_the_kept_weights_are_those_of_the_best_validation(feats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finishing(run: Path, system: System, *rest: object) -> None:
        own = system.model.state_dict()
        assert all(torch.equal(weight, own[name]) for name, weight in weights_of(run).items())  # they are tuned
        finish_run(run, system, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("optsg.train.loop.trainer.finish_run", finishing)
    train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=4", "--set", "validate_every=1")
    events = read_log(Path("runs/a"))
    scores = [event["val_full_f1"] for event in events if event["event"] == "validation"]
    assert events[-1]["best_epoch"] == 1 + scores.index(max(scores))


def test_same_seed_same_weights_other_seed_others(feats: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        train("--feats", feats, "--run", f"runs/{name}", *as_options(), "--set", "epochs=2", "--seed", seed)
    one, two, other = (weights_of(Path(f"runs/{name}")) for name in "abc")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


RESUMED = ("epochs=3", "validate_every=1")


@pytest.fixture(scope="module")
def whole(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of a precision that nothing interrupted; trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("whole")

    def run_of(precision: str) -> Path:
        run = folder / precision
        if not run.exists():
            settings = as_options((*RESUMED, f"precision={precision}"))
            with contextlib.chdir(folder):
                assert train("--feats", feats, "--run", run, *as_options(), *settings).exit_code == 0
        return run

    return run_of


@pytest.mark.parametrize(
    ("stop_after", "precision"),
    [
        *((step, "fp32") for step in (1, 7, 12, 13)),
        (13, "bf16"),
        *(pytest.param(step, "bf16", marks=pytest.mark.slow) for step in (1, 7, 12)),
    ],
)
def test_resumed_training_equals_uninterrupted(
    feats: Path, whole: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, stop_after: int, precision: str
) -> None:
    settings = [*as_options(), *as_options((*RESUMED, f"precision={precision}"))]
    original = Trainer._step
    steps = 0

    def stopping(self: Trainer, *arguments: object) -> object:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            self._stop.set()
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        stopped = train("--feats", feats, "--run", "runs/parts", *settings)
    assert stopped.exit_code == 130
    assert "interrupted; go on with: optsg-train --run runs/parts --resume" in stopped.output
    resumed = train("--run", "runs/parts", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert_same_run(whole(precision), Path("runs/parts"))


def test_early_stop(feats: Path) -> None:
    settings = ["epochs=30", "validate_every=1", "patience=2", "learning_rate=1e-9", "pretrained_learning_rate=1e-9"]
    train("--feats", feats, "--run", "runs/a", *as_options(), *as_options(settings))
    events = [event for event in read_log(Path("runs/a")) if event["event"] == "validation"]
    assert len(events) < 30
    assert [event["best"] for event in events[-2:]] == [False, False]


@pytest.mark.parametrize("system", ["op-tsg", "asy"])
def test_a_training_that_diverges_says_so_and_leaves_no_run_behind(feats: Path, system: str) -> None:
    """A step that is much too large: cosines, and so what prompts are matched by, are no numbers after it, or the loss is none."""
    rates = ("learning_rate=1e30", "pretrained_learning_rate=1e30")
    result = train("--feats", feats, "--run", "runs/a", "--system", system, *as_options(), *as_options(rates))
    sentence = (
        "error: the training has diverged: its loss is no finite number any more; begin again with lower rates "
        "(--set learning_rate=R, --set pretrained_learning_rate=R)\n"
    )
    assert result.exit_code == 1
    assert result.output.endswith(sentence)
    with pytest.raises(RunError, match="not finished"):
        load_run(Path("runs/a"))


def test_a_store_without_validation_split_trains_all_the_same(tmp_path: Path) -> None:
    videos = [video for video in tiny_videos(60) if video.split != "val"]
    feats = write_tiny_store(tmp_path / "s.h5", videos)
    for name, stays in (("op-tsg", "threshold stays 0.1"), ("no-contrast", "NIL bias stays 0")):
        run = f"runs/{name}"
        result = train("--feats", feats, "--run", run, "--system", name, *as_options(), "--set", "epochs=1")
        assert result.exit_code == 0, result.output
        assert f"the store has no validation split: the last weights are kept and the {stays}" in result.output
        assert f"{load_run(Path(run), device='cpu').decision.value:g}" == stays.split()[-1]


def test_more_tags_than_prompts_is_said(feats: Path) -> None:
    result = train("--feats", feats, *as_options(), "--set", "epochs=1", "--set", "prompts=4")
    assert result.exit_code == 0, result.output
    assert re.search(r"warning: \d+ of 84 training videos have more tags than there are prompts \(4\)", result.output)


def test_tags_that_cannot_be_written_are_left_out_and_counted(tmp_path: Path) -> None:
    videos = [type(video)(**{**vars(video), "tags": (*video.tags, "🎉", "long " * 100)}) for video in tiny_videos(40)]
    feats = write_tiny_store(tmp_path / "s.h5", videos)
    result = train("--feats", feats, *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"warning: 2 of \d+ training tags cannot be written in at most 24 known word pieces; the decoder does not learn to "
        r"write them, the tag head learns to recognise them\n",
        result.output,
    )
    bare = train("--feats", feats, *as_options(), "--set", "epochs=1", "--set", "tag_head=false")
    assert "known word pieces; the decoder does not learn to write them\n" in bare.output


@pytest.mark.parametrize(
    ("splits", "expected"),
    [(("train", "val", "test"), "--split test"), (("train", "val"), "--split val"), (("train",), "optsg-tag FILE")],
)
def test_what_comes_next_is_something_that_can_be_done(tmp_path: Path, splits: tuple[str, ...], expected: str) -> None:
    videos = [video for video in tiny_videos(60) if video.split in splits]
    result = train("--feats", write_tiny_store(tmp_path / "s.h5", videos), *as_options(), "--set", "epochs=1")
    assert result.exit_code == 0, result.output
    assert expected in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--feats", "missing.h5"], "error: there is no feature store at missing.h5; make one with: optsg-extract"),
        (["--feats", "{feats}", "--set", "epoch=3"], "error: --set epoch: unknown setting; did you mean epochs?"),
        (["--feats", "{feats}", "--set", "epochs"], "error: --set epochs: expected key=value"),
        (["--feats", "{feats}", "--set", "epochs=many"], "error: epochs=many is not a number; expected int"),
        (["--feats", "{feats}", "--set", "dropout=2"], "error: dropout=2.0 is out of range; expected 0 ≤ dropout < 1"),
        (
            ["--feats", "{feats}", "--set", "prompt_entry=front"],
            "error: prompt_entry=front is out of range; expected prefix or memory or slot or prefix+slot or memory+slot",
        ),
        (["--run", "runs/none", "--resume"], "error: runs/none holds no run to resume; start one with: optsg-train"),
    ],
)
def test_wrong_arguments(feats: Path, arguments: list[str], message: str) -> None:
    result = train(*(argument.format(feats=feats) for argument in arguments))
    assert result.exit_code == 1
    assert result.output.startswith(message)
    assert not Path("runs").exists()


def test_an_existing_run_is_not_overwritten(feats: Path, short_run: Path) -> None:
    before = weights_of(short_run)
    again = train("--feats", feats, "--run", "runs/a", *as_options())
    assert again.exit_code == 1
    assert again.output == "error: runs/a holds a run already; go on with it (--resume) or choose another --run\n"
    finished = train("--run", "runs/a", "--resume")
    assert finished.exit_code == 0
    assert finished.output == "runs/a is finished: there is nothing to resume\n"
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(short_run).items())


def test_the_latest_run_is_the_one_before_until_the_next_is_trained(
    feats: Path, short_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = Path("runs/latest")
    point_latest(short_run)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("optsg.train.loop.train_run._train", killed)
        train("--feats", feats, "--run", "runs/b", *as_options(), "--set", "epochs=1")
        assert latest.resolve() == short_run.resolve()
        (short_run / "model.safetensors").rename("kept")
        train("--feats", feats, "--run", "runs/c", *as_options(), "--set", "epochs=1")
        assert latest.resolve() == Path("runs/c").resolve()  # what it stood for is no run any more
    shutil.rmtree("runs/c")
    Path("kept").rename(short_run / "model.safetensors")
    point_latest(short_run)
    resumed = train("--resume")  # the newest that was stopped, not what is trained
    assert "trained runs/b in" in resumed.output
    assert latest.resolve() == Path("runs/b").resolve()
    again = train("--resume")
    assert again.output == "runs/latest is finished: there is nothing to resume\n"


def test_a_run_is_trained_where_it_cannot_become_the_latest(feats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Path("elsewhere/runs")
    train("--feats", feats, "--run", runs / "a", *as_options(), "--set", "epochs=1")
    shutil.rmtree("runs")
    (runs / "a" / "decision.json").unlink()
    (runs / "a" / "state" / "progress.json").unlink()
    train("--run", runs / "a", "--resume")
    assert not Path("runs").exists()  # resumed in another folder than it was begun
    (runs / "a" / "decision.json").unlink()
    (runs / "a" / "state" / "progress.json").unlink()
    (runs / "latest").mkdir()
    monkeypatch.chdir("elsewhere")
    result = train("--run", "runs/a", "--resume")
    assert result.exit_code == 0
    assert "warning: runs/latest cannot be written: Is a directory" in result.output
    assert "trained runs/a in" in result.output


@pytest.mark.parametrize(
    "how", [["--resume"], ["--feats", "{feats}", *as_options(), "--set", "epochs=1", "--resume", "auto"]]
)
def test_a_finished_run_says_so_where_nothing_can_be_written(
    feats: Path, short_run: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:

    def refuse(self: FileLock, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self.lock_file))  # root is not kept out by a mode

    monkeypatch.setattr(FileLock, "acquire", refuse)
    options = [word.format(feats=feats) for word in how]
    result = train("--run", "runs/a", *options)
    assert (result.exit_code, result.output) == (0, "runs/a is finished: there is nothing to resume\n")
    (short_run / "state" / "progress.json").unlink()
    result = train("--run", "runs/a", *options)
    assert result.exit_code == 1
    assert result.output.endswith("cannot be written: Permission denied; what was finished before is kept\n")


def test_features_that_are_no_numbers_end_a_training_in_one_sentence(tmp_path: Path) -> None:
    videos = tiny_videos(40)
    videos[4].frames[0, 0] = float("nan")
    feats = write_tiny_store(tmp_path / "s.h5", videos)
    result = train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=1")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == (
        f"error: {feats} is damaged: the features of 'video-4' have values that are not finite; optsg-store verify says "
        "which videos"
    )


def test_resuming_on_another_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(40))

    def stop(self: Trainer, *_: object, **__: object) -> None:
        raise TrainingInterrupted

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", stop)
        train("--feats", feats, "--run", "runs/a", *as_options())
    write_tiny_store(feats, tiny_videos(40), created="later")
    result = train("--run", "runs/a", "--resume")
    assert result.exit_code == 1
    assert result.output.endswith(
        f"error: {feats} is not the store that runs/a began with; it was made anew since: start a new run\n"
    )


def _as_corrected(what: str) -> list[VideoFeatures]:
    """The tiny world's 40 videos as optsg-extract or optsg-store relabel would make them later."""
    videos = tiny_videos(42 if what == "grown" else 40)
    one, other = videos[1], videos[2]
    assert one.split == other.split == "train"
    assert one.tags != other.tags
    if what == "tags exchanged":
        videos[1:3] = [replace(one, tags=other.tags), replace(other, tags=one.tags)]
    elif what == "tags":
        videos[1] = replace(one, tags=(*one.tags, "Zeppelin"))
    elif what == "title":
        videos[1] = replace(one, title="a farm")
    elif what == "titles exchanged":
        videos[1:3] = [replace(one, title=other.title), replace(other, title=one.title)]
    elif what == "validation":
        videos[7] = replace(videos[7], tags=one.tags)
    elif what == "sets":
        videos[7], videos[9] = replace(videos[7], split="test"), replace(videos[9], split="val")
    elif what == "tested on":
        tested = [replace(video, title="a farm", tags=("Zeppelin", *video.tags)) for video in videos[8:10]]
        videos[8:10] = tested
        videos += [replace(tested[0], id="new")]
    return videos


CORRECTED = ("grown", "tags", "tags exchanged", "title", "titles exchanged", "validation", "sets")


@pytest.mark.parametrize("where", ["_finish", "train"])
def test_resuming_on_a_store_that_grew_or_was_corrected_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Also where the run was stopped before its first state (``train``): its tag table is of the old tags."""
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(40))
    begin = ["--feats", str(feats), *as_options(), "--set", "epochs=2"]

    def stop(self: Trainer, progress: TrainingProgress | None = None, *_: object, **__: object) -> None:
        if progress is not None:
            self._save_state(progress)
        raise TrainingInterrupted

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, where, stop)
        train("--run", "runs/a", *begin)
    for what in CORRECTED:
        write_tiny_store(feats, _as_corrected(what))
        for resume in (["--resume"], ["--resume", "auto", *begin]):
            result = train("--run", "runs/a", *resume)
            assert result.exit_code == 1, what
            assert result.output.endswith(
                f"error: {feats} is not what it was when runs/a began: videos for training or validation were added, or "
                "their titles, tags or sets corrected, and the run is of the old ones; start a new run\n"
            ), what
    write_tiny_store(feats, _as_corrected("tested on"))
    resumed = train("--run", "runs/a", "--resume")
    assert "trained runs/a in" in resumed.output
    assert re.search(r"\nepoch [12] is kept; fitting its decision \(4 validation videos\)\n", resumed.output)
    again = ("--run", "runs/a", "--resume", "auto", *begin)
    assert "runs/a is finished: there is nothing to resume" in train(*again).output
    write_tiny_store(feats, _as_corrected("tags"))
    finished = train(*again)
    assert finished.exit_code == 1
    assert f"{feats} is not what it was when runs/a began" in finished.output, "the run that is wanted is not this one"


def test_of_a_run_of_an_earlier_version_the_numbers_of_tags_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feats = write_tiny_store(tmp_path / "s.h5", tiny_videos(40))

    def stop(*_: object, **__: object) -> None:
        raise TrainingInterrupted

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", stop)
        train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=1")
    config = json.loads(Path("runs/a/config.json").read_text())
    del config["store"]["labels"]
    Path("runs/a/config.json").write_text(json.dumps(config))
    write_tiny_store(feats, _as_corrected("tags"))
    assert "is not what it was when runs/a began" in train("--run", "runs/a", "--resume").output
    write_tiny_store(feats, tiny_videos(40))
    assert "trained runs/a in" in train("--run", "runs/a", "--resume").output


@pytest.mark.parametrize("name", NEEDED)
def test_a_run_that_misses_a_file_says_which(short_run: Path, name: str) -> None:
    from optsg.data.errors import RunError

    (short_run / name).unlink()
    expected = f"runs/a has no {name}; the run is not finished (optsg-train --resume) or was damaged"
    with pytest.raises(RunError, match=f"^{re.escape(expected)}$"):
        load_run(short_run)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "runs/a/config.json: the run's configuration cannot be read"),
        ("decision.json", "runs/a cannot be read: "),
        ("tokenizer.json", "runs/a/tokenizer.json: the tokenizer cannot be read"),
        ("tag_table.json", "runs/a/tag_table.json is not a readable tag table"),
        ("model.safetensors", "runs/a/model.safetensors does not hold this run's weights"),
    ],
)
def test_a_run_with_a_damaged_file_says_which(short_run: Path, name: str, message: str) -> None:
    from optsg.data.errors import RunError

    (short_run / name).write_text("{")
    with pytest.raises(RunError, match=f"^{re.escape(message)}"):
        load_run(short_run)


def test_from_pretrained_gives_the_run_s_model(short_run: Path) -> None:
    from optsg.data.errors import RunError
    from optsg.train.model.op_tsg import OPTSG

    model = OPTSG.from_pretrained(str(short_run))
    assert not model.training
    saved = weights_of(short_run)
    assert all(torch.equal(saved[name], weight) for name, weight in model.state_dict().items())
    expected = "somebody/nothing is neither a run folder nor a Hugging Face repository within reach"
    with pytest.raises(RunError, match=f"^{re.escape(expected)}"):
        OPTSG.from_pretrained("somebody/nothing")


def test_a_full_disk_is_one_sentence_and_training_can_go_on(feats: Path) -> None:
    with full_disk(100_000):
        full = train("--feats", feats, "--run", "runs/a", *as_options(), "--set", "epochs=1")
    assert full.exit_code == 1
    assert re.search(
        r"^error: runs/a/model.safetensors cannot be written: .*; an earlier one is kept$", full.stderr, re.MULTILINE
    ), full.stderr
    assert isinstance(full.exception, SystemExit)
    assert not list(Path("runs/a").glob("*.tmp"))
    assert train("--run", "runs/a", "--resume").exit_code == 0
    assert load_run(Path("runs/a"), device="cpu").path == Path("runs/a")


def test_frozen_weights_stay_exactly_those_of_the_text_model(feats: Path) -> None:
    settings = as_options(["frozen_title_layers=1", "precision=bf16", "epochs=1"])
    train("--feats", feats, "--run", "runs/a", *as_options(), *settings)
    saved = weights_of(Path("runs/a"))
    with open_store(feats) as store:
        original = store.title_encoder_weights()
    for name, weight in original.items():
        same = torch.equal(saved[f"title_encoder.model.{name}"], torch.from_numpy(weight))
        assert same == (name.startswith("embeddings.") or ".layer.0." in name), name


def test_events_of_an_unfinished_epoch_are_not_logged_twice(tmp_path: Path) -> None:
    from optsg.train.loop.log import TrainingLog

    log = TrainingLog(tmp_path)
    for epoch in (1, 2):
        log.write("epoch", 6 * epoch, epoch=epoch, train_loss=1.0)
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "validation", "st')
    log = TrainingLog(tmp_path, keep_epochs=1, keep_steps=6)
    log.write("epoch", 12, epoch=2, train_loss=0.5)
    log.close()
    assert [(event["epoch"], event["train_loss"]) for event in read_log(tmp_path)] == [(1, 1.0), (2, 0.5)]
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in curves.Scalars("epoch/train_loss")] == [(6, 1.0), (12, 0.5)]


@pytest.mark.parametrize(
    ("found", "is_above"),
    [
        ((0.5, 0.1, 9.0), True),
        ((0.3, 0.9, 0.1), False),
        ((0.4, 0.6, 9.0), True),  # ties of full F1 are broken by example-based F1
        ((0.4, 0.4, 0.1), False),
        ((0.4, 0.5, 1.9), True),  # ties of both by the loss
        ((0.4, 0.5, 1.9999), False),  # by nothing that a last digit decides
        ((0.4, 0.5, 2.1), False),
        ((0.4, 0.5, float("nan")), False),
    ],
)
def test_what_checkpoints_are_chosen_by(found: tuple[float, float, float], is_above: bool) -> None:
    best = Rank(f1=0.4, example_f1=0.5, loss=2.0)
    assert Rank(**dict(zip(("f1", "example_f1", "loss"), found, strict=True))).is_above(best) == is_above


def test_validation_begins_where_the_settings_say(feats: Path) -> None:
    settings = ["epochs=5", "validate_every=2", "validate_from=3"]
    train("--feats", feats, "--run", "runs/a", *as_options(), *as_options(settings))
    assert [e["epoch"] for e in read_log(Path("runs/a")) if e["event"] == "validation"] == [4, 5]


def test_a_configuration_that_leaves_the_schedule_open_trains_as_version_0_1_0_did(
    feats: Path, short_run: Path
) -> None:
    """Runs that it began, and whose ``config.json`` names no numbers, go on with its choices."""
    config = json.loads((short_run / "config.json").read_text())
    config["training"] |= {"epochs": 0, "validate_every": 0, "batch_size": 64}
    for later in ("buckets", "validate_from"):
        del config["training"][later]
    earlier = RunConfig.from_json(json.dumps(config))
    assert (earlier.training.buckets, earlier.training.validate_from) == ("visual", 0)
    with open_store(feats) as store:
        trainer = Trainer(
            store,
            short_run,
            earlier,
            TagTable.load(short_run / "tag_table.json"),
            TitleTokenizer.from_json(store.tokenizer_json),
            Processes.alone(torch.device("cpu")),
        )
    assert (trainer.epochs, trainer.steps_per_epoch, trainer.validate_every) == (120, 2, 10)
