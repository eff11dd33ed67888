"""Operating points and vocabularies of optsg-eval, on a run that has learnt its tags."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from optsg.data.batching import collate
from optsg.data.errors import ConfigError, RunError
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore
from optsg.data.tag_list import TagList
from optsg.evaluate.cli import main
from optsg.evaluate.options import TaggingOptions
from optsg.evaluate.scores.predictions import read_predictions, tag_rows
from optsg.evaluate.tag import run_tagger as opening
from optsg.evaluate.tag.run_tagger import RunTagger, known_tags, open_tagger
from optsg.evaluate.tag.snapping import Snapper
from optsg.evaluate.terminal_tables import tags_table
from optsg.train.run.run import Run, load_run
from optsg.train.run.tag_embeddings import load_tag_embeddings
from optsg.train.run_files import CALIBRATION, TAG_EMBEDDINGS
from optsg.train.systems.classifiers import Bin
from rich.console import Console


@pytest.fixture
def copied(run_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_path, tmp_path / "copied"))


@pytest.fixture(scope="session")
def run(run_path: Path) -> Run:
    return load_run(run_path, device="cpu")


def optsg_eval(run: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["--run", str(run), "--device", "cpu", "-q", *options])


def metrics(run: Path, folder: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "eval" / folder / "metrics.json").read_text(encoding="utf-8"))
    return document


def test_training_leaves_a_calibration_and_tag_embeddings(run: Run, store: FeatureStore) -> None:
    assert run.calibration is not None
    embeddings = load_tag_embeddings(run.path, run.tag_table)
    key = run.tag_table.keys[2]
    assert embeddings[2] == pytest.approx(store.tag_embeddings[store.tag_keys.index(key)], abs=1e-3)


def test_metrics_and_report_say_what_scores_are_worth(copied: Path) -> None:
    result = optsg_eval(copied, "--split", "test")
    assert result.exit_code == 0, result.output
    document = metrics(copied, "test")["confidence"]
    assert set(document) == {
        "ece", "known", "novel", "operating_point", "average_precision", "reliability", "precision_recall",
    }  # fmt: skip
    assert set(document["ece"]) == {"before", "after", "by_chance"}
    assert 0 < document["ece"]["by_chance"] < 1
    predicted = [(tag, item) for item in read_predictions(copied / "eval/test/predictions.jsonl") for tag in item.tags]
    assert (
        document["operating_point"]["tags"] == len(predicted) == document["known"]["tags"] + document["novel"]["tags"]
    )
    assert sum(each["tags"] for each in document["reliability"]) == len(predicted)
    curve = document["precision_recall"]
    assert [point["threshold"] for point in curve] == sorted(point["threshold"] for point in curve)
    assert curve[0]["tags"] >= len(predicted), "the curve reaches below the operating point"
    assert 0 <= document["average_precision"] <= 1
    page = (copied / "eval/test/report.html").read_text(encoding="utf-8")
    for text in (
        "Reliability: how often tags of a score are right",
        "Precision and recall by least score",
        "operating point: ",
    ):
        assert text in page


def test_an_older_run_is_calibrated_by_its_validation_split(copied: Path) -> None:
    (copied / CALIBRATION).unlink()
    result = optsg_eval(copied, "--split", "test", "--min-precision", "0.5")
    sentence = (
        f"error: {copied} has no calibration.json: it was trained by an older optsg or without a validation split; "
        f"make it with: optsg-eval --run {copied} --split val\n"
    )
    assert (result.exit_code, result.output) == (1, sentence)
    assert optsg_eval(copied, "--split", "test").exit_code == 0
    assert metrics(copied, "test")["confidence"]["ece"]["after"] is None
    assert optsg_eval(copied, "--split", "val").exit_code == 0
    assert (copied / CALIBRATION).is_file()
    assert optsg_eval(copied, "--split", "test", "--min-precision", "0.5").exit_code == 0


def test_options_change_what_is_predicted_and_where_it_is_written(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("red, cat -> Something\nblue\n")
    for options, folder in (
        (["--vocabulary", "known"], "test-known"),
        (["--vocabulary", str(tmp_path / "list.txt")], "test-list.txt"),
        (["--threshold", "0.6"], "test-threshold-0.6"),
        (["--decision", "0.45"], "test-decision-0.45"),
    ):
        result = optsg_eval(copied, *options)
        assert result.exit_code == 0, result.output
        tags = [tag for item in read_predictions(copied / "eval" / folder / "predictions.jsonl") for tag in item.tags]
        assert tags
        if folder == "test-known":
            assert not any(tag.novel for tag in tags)
        if folder == "test-list.txt":
            assert {tag.text for tag in tags} <= {"Something", "blue"}
        if folder == "test-threshold-0.6":
            assert all(tag.score >= 0.6 for tag in tags)
        assert metrics(copied, folder)["options"]
    assert not (copied / "eval" / "test").exists()


def test_a_precision_is_reached_on_validation(run: Run, store: FeatureStore) -> None:
    opened = open_tagger(run, TaggingOptions(min_precision=0.8))
    rows = store.indices("val")
    predicted = opened.predict(collate(store, rows))
    true = [{store.tag_keys[tag] for tag in store.tags(int(row))} for row in rows]
    hits = [tag.text.casefold() in own for own, tags in zip(true, predicted, strict=True) for tag in tags]
    assert np.mean(hits) >= 0.8
    [warning] = opened.warnings
    assert (
        warning
        == f"a precision of 0.8 rests on {len(hits)} predicted tags of the validation split; expect it to be off"
    )
    assert run.calibration is not None


def test_a_precision_that_no_score_reaches_is_one_sentence(copied: Path) -> None:
    values = json.loads((copied / CALIBRATION).read_text())
    values["curve"]["right"] = [0] * 1000
    (copied / CALIBRATION).write_text(json.dumps(values))
    with pytest.raises(
        RunError, match=r"^no score of .*copied reaches a precision of 0.5 on validation; the highest is 0.000$"
    ):
        open_tagger(load_run(copied, device="cpu"), TaggingOptions(min_precision=0.5))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_precision": 0.0}, "--min-precision 0 is out of range; expected more than 0, at most 1"),
        ({"threshold": 1.5}, "--threshold 1.5 is out of range; expected 0 to 1"),
        (
            {"threshold": 0.5, "min_precision": 0.5},
            "--threshold and --min-precision each say which tags are predicted; give one of them",
        ),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{sentence}$"):
        TaggingOptions(**options)  # type: ignore[arg-type]


def test_the_nil_bias_is_the_dial_of_systems_that_have_one(run: Run, store: FeatureStore) -> None:
    batch = collate(store, store.indices("test"))
    few, many = (sum(map(len, open_tagger(run, TaggingOptions(nil_bias=bias)).predict(batch))) for bias in (-20.0, 3.0))
    assert few <= many
    other = replace(run, system=Bin(run.config, run.tag_table, run.tokenizer))
    with pytest.raises(
        ConfigError, match=r"^the system op-tsg has no NIL bias; its recall is set by its threshold: --decision VALUE$"
    ):
        open_tagger(other, TaggingOptions(nil_bias=1.0))


def test_tags_of_a_list_that_cannot_be_produced_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("red\n猫\n犬\n")
    opened = open_tagger(run, TaggingOptions(vocabulary=str(tmp_path / "list.txt")))
    assert opened.warnings == ("2 of 3 tags of the vocabulary cannot be produced by this run: “猫”, “犬”",)


class FakeEncoder:
    """Two tags are as near as they have letters in common."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array(
            [[float(letter in text) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32
        )


def test_a_novel_tag_becomes_the_nearest_allowed_one_and_the_distance_is_kept() -> None:
    snapper = Snapper(TagList.of(["Cat", "Dog"]), {}, FakeEncoder().embed)
    tags = [
        PredictedTag(text=text, score=score, novel=novel)
        for text, score, novel in (("cat", 0.9, False), ("cart", 0.8, True), ("god", 0.7, True))
    ]
    found = snapper(tags)
    assert [(tag.text, tag.written) for tag in found] == [("cat", None), ("Cat", "cart"), ("Dog", "god")]
    assert found[1].distance == pytest.approx(1 - 3 / np.sqrt(12))
    assert found[2].distance == pytest.approx(0.0, abs=1e-6)
    assert tag_rows(found)[1] == {
        "tag": "Cat", "score": 0.8, "novel": True, "prompt": None, "written": "cart", "distance": found[1].distance,
    }  # fmt: skip
    console = Console(width=100, record=True)
    console.print(tags_table("a", found, system="op-tsg"))
    assert "for “cart”, distance 0.13" in console.export_text()
    assert Snapper(TagList(), {}, FakeEncoder().embed)(tags) == tags


def test_snap_leaves_known_tags_alone(run: Run, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Snapper] = []

    def fake(opened: Run, tags: TagList, *, device: str) -> Callable[..., list[PredictedTag]]:
        made.append(Snapper(tags, {}, FakeEncoder().embed))
        return made[0]

    monkeypatch.setattr(opening, "open_snapper", fake)
    batch = collate(store, store.indices("test"))
    free, found = (
        RunTagger(run).predict(batch),
        open_tagger(run, TaggingOptions(vocabulary="snap")).predict(batch),
    )
    assert all(not tag.novel and tag.text in run.tag_table.spellings for tags in found for tag in tags)
    for before, after in zip(free, found, strict=True):
        assert {tag.text for tag in before if not tag.novel} <= {tag.text for tag in after}
    assert known_tags(run).closed


def test_a_run_without_tag_embeddings_cannot_snap(copied: Path) -> None:
    (copied / TAG_EMBEDDINGS).unlink()
    result = optsg_eval(copied, "--vocabulary", "snap")
    sentence = f"error: {copied} keeps no tag embeddings, it was trained by an older optsg; train it again\n"
    assert (result.exit_code, result.output) == (1, sentence)
    (copied / TAG_EMBEDDINGS).write_bytes(b"no tensors")
    assert "does not hold tag embeddings" in optsg_eval(copied, "--vocabulary", "snap").output
