"""What version 0.1.0 left behind opens: its stores, its runs of every system, and the tags that it predicted with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from optsg.evaluate.cli import main as optsg_eval
from optsg.extract.store.cli import main as optsg_store
from optsg.train.cli import main as optsg_train

from tests.golden.files import OLD

RUNS = sorted(path.parent.name for path in OLD.glob("tables/runs/*/model.safetensors"))
TOLERANCE = 1e-5
"""Of scores, absolute and relative: they differ between processors in the last digits of float32."""


def evaluate(run: str, *arguments: str) -> Path:
    """``optsg-eval`` on the test split of a run in the current folder."""
    folder = Path("tables/runs") / run
    result = CliRunner().invoke(optsg_eval, ["--run", str(folder), "--device", "cpu", "-q", *arguments])
    assert result.exit_code == 0, result.output
    return folder / "eval" / "test"


def predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def close(value: float) -> Any:
    return pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)


def assert_same_predictions(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same tags with the same scores; those of one score may stand in any order."""
    facts = [{name: value for name, value in video.items() if name != "tags"} for video in expected]
    assert [{name: value for name, value in video.items() if name != "tags"} for video in found] == facts
    for video, old in zip(found, expected, strict=True):
        scores = {tag["tag"]: tag["score"] for tag in old["tags"]}
        assert len(video["tags"]) == len(old["tags"])
        for tag, other in zip(video["tags"], old["tags"], strict=True):
            assert scores[tag["tag"]] == close(other["score"]), (video["id"], "order")
        by_name = {tag["tag"]: {**tag, "score": close(tag["score"])} for tag in old["tags"]}
        assert {tag["tag"]: tag for tag in video["tags"]} == by_name, video["id"]


def about(value: Any) -> Any:
    """The document with its numbers approximate, without what depends on the machine."""
    if isinstance(value, dict):
        return {name: about(part) for name, part in value.items() if name != "cost"}
    if isinstance(value, list):
        return [about(part) for part in value]
    return close(value) if isinstance(value, float) else value


LATER = ("cost", "by_chance", "labels")
"""What depends on the machine, and what 0.1.0 did not say."""


def as_before(value: Any) -> Any:
    """The document without what is not compared."""
    if isinstance(value, dict):
        return {name: as_before(part) for name, part in value.items() if name not in LATER}
    return [as_before(part) for part in value] if isinstance(value, list) else value


def test_there_are_runs_of_every_kind_of_weights() -> None:
    assert len(RUNS) == 12


@pytest.mark.parametrize("run", RUNS)
def test_an_old_run_predicts_what_it_predicted(old: Path, run: str) -> None:
    folder = evaluate(run)
    before = OLD / folder
    assert_same_predictions(predictions(folder), predictions(before))
    found, expected = (json.loads((path / "metrics.json").read_text(encoding="utf-8")) for path in (folder, before))
    assert as_before(found) == about(expected)
    assert found["cost"].keys() == expected["cost"].keys()


def test_an_old_store_of_shards_gives_the_same_tags(old: Path) -> None:
    folder = evaluate("op-tsg-seed-0", "--feats", "feats-shards")
    assert_same_predictions(predictions(folder), predictions(OLD / folder))


def test_a_changed_tag_or_score_is_seen() -> None:
    before = predictions(OLD / "tables/runs/op-tsg-seed-0/eval/test")
    for name, value in (("tag", "another"), ("score", 0.5), ("novel", None), ("prompt", 77)):
        changed = json.loads(json.dumps(before))
        changed[0]["tags"][1][name] = value
        with pytest.raises((AssertionError, KeyError)):
            assert_same_predictions(changed, before)
    turned = [{**video, "tags": video["tags"][::-1]} for video in before]
    with pytest.raises(AssertionError):
        assert_same_predictions(turned, before)


@pytest.mark.parametrize("feats", ["feats.h5", "feats-shards"])
def test_old_stores_are_whole(old: Path, feats: str) -> None:
    result = CliRunner().invoke(optsg_store, ["verify", feats])
    assert result.exit_code == 0, result.output


def test_training_starts_from_an_old_run(old: Path) -> None:
    arguments = ["--feats", "feats.h5", "--init-from", "tables/runs/op-tsg-seed-0", "--run", "new", "--device", "cpu"]
    result = CliRunner().invoke(optsg_train, [*arguments, "-q", "--set", "epochs=1"])
    assert result.exit_code == 0, result.output
