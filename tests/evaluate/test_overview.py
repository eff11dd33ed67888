"""``optsg`` alone: what there is, what comes next."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from optsg.data.media import Split
from optsg.evaluate.overview.cli import main
from optsg.evaluate.overview.found import MOST, Found, look_around

from tests.tiny_world import tiny_videos, write_tiny_store

VIDEOS = tiny_videos(12)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said() -> dict[str, list[str]]:
    """Lines by the title above them."""
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.output
    parts = [part.splitlines() for part in result.output.strip().split("\n\n")]
    return {title: [line.strip() for line in lines] for title, *lines in parts}


def next_command() -> str:
    return said()["Next"][0].partition("  ")[0]


def test_in_an_empty_folder_all_commands_are_named_with_their_purpose() -> None:
    lines = said()
    assert lines["Here"] == ["nothing that optsg has made, and no videos or images"]
    assert next_command() == "optsg-tag VIDEOS --untrained"
    commands = lines["Commands (each has --help)"]
    assert [line.split()[0] for line in commands[:4]] == ["optsg-extract", "optsg-train", "optsg-eval", "optsg-tag"]
    assert all(len(line.split(maxsplit=1)) == 2 for line in commands)


def test_from_videos_to_a_store_to_a_run(here: Path, run_path: Path) -> None:
    (here / "a.mp4").write_bytes(b"")
    (here / "b.PNG").write_bytes(b"")
    (here / "notes.txt").write_text("no media")
    assert said()["Here"] == ["2 videos and images"]
    assert next_command() == "optsg-tag . --untrained"
    write_tiny_store(here / "feats.h5", tiny_videos(5))
    write_tiny_store(here / "shards", tiny_videos(5))
    (here / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (here / "other.h5").write_text("no store")
    (first, second) = said()["Here"][1:]
    assert first.startswith("feats.h5: a feature store of 5 videos and ")
    assert second.startswith("shards: a feature store of 5 videos and ")
    assert next_command() == "optsg-train --feats feats.h5"
    shutil.copytree(run_path, here / "runs" / "mine", ignore=shutil.ignore_patterns("eval"))
    (here / "runs" / "latest").symlink_to("mine")
    assert said()["Here"][-1] == "runs/latest → mine: trained"
    assert next_command() == "optsg-eval --split test"
    (here / "runs" / "mine" / "eval" / "test").mkdir(parents=True)
    assert said()["Here"][-1] == "runs/latest → mine: trained, evaluated on test"
    assert next_command() == "optsg-tag VIDEOS --out tags.csv"


def test_a_run_that_was_stopped_goes_on(here: Path, run_path: Path) -> None:
    shutil.copytree(run_path, here / "runs" / "latest")
    (here / "runs" / "latest" / "decision.json").unlink()  # written last
    assert said()["Here"][-1] == "runs/latest → latest: not trained to the end"
    assert next_command() == "optsg-train --run runs/latest --resume"


def test_a_newer_run_that_was_stopped_beside_a_trained_one(here: Path, run_path: Path) -> None:
    shutil.copytree(run_path, here / "runs" / "old", ignore=shutil.ignore_patterns("eval"))
    shutil.copytree(run_path, here / "runs" / "mine", ignore=shutil.ignore_patterns("eval"))
    (here / "runs" / "latest").symlink_to("mine")
    for began, name in enumerate(["old", "mine", "new"]):
        (here / "runs" / name).mkdir(exist_ok=True)
        shutil.copy(run_path / "config.json", here / "runs" / name)
        os.utime(here / "runs" / name / "config.json", (began, began))
    (here / "runs" / "old" / "decision.json").unlink()  # older than the latest: given up
    assert said()["Here"] == ["runs/latest → mine: trained", "runs/new: begun after it, not trained to the end"]
    assert next_command() == "optsg-eval --split test"
    assert said()["Next"][-1].startswith("optsg-train --run runs/new --resume ")


def test_what_comes_next_names_the_class_of_a_run_of_ones_own(here: Path, run_path: Path) -> None:
    run = shutil.copytree(run_path, here / "runs" / "latest", ignore=shutil.ignore_patterns("eval"))
    text = (run / "config.json").read_text()
    system = json.loads(text)["system"]
    (run / "config.json").write_text(text.replace(f'"system": "{system}"', '"system": "mine:Focal"'))
    steps = [line.partition("  ")[0] for line in said()["Next"]]
    assert steps[0] == "optsg-eval --split test --allow-system mine:Focal"
    assert [step for step in steps if not step.endswith(" --allow-system mine:Focal")] == ["optsg-report"]
    (run / "decision.json").unlink()
    assert next_command() == "optsg-train --run runs/latest --resume --allow-system mine:Focal"


def test_a_folder_of_many_files_is_not_read_to_its_end(here: Path) -> None:
    for number in range(MOST + 5):
        (here / f"{number}.jpg").touch()
    assert look_around(here).lines() == [f"{MOST:,} or more videos and images"]
    assert Found().lines() == []


def steps() -> list[str]:
    return [line.partition("  ")[0] for line in said()["Next"]]


def test_what_comes_next_is_of_a_split_that_has_videos(here: Path, run_path: Path) -> None:
    run = shutil.copytree(run_path, here / "runs" / "latest", ignore=shutil.ignore_patterns("eval"))
    config = json.loads((run / "config.json").read_text())
    tag, serve = "optsg-tag VIDEOS --out tags.csv", "optsg-serve runs/latest"
    cases: tuple[tuple[tuple[Split, ...], str | None], ...] = (
        (("test", "val", "train"), "test"),
        (("val", "train"), "val"),
        (("train",), None),
    )
    for splits, asked in cases:
        store = here / f"{len(splits)}.h5"
        write_tiny_store(
            store, [replace(video, split=splits[place % len(splits)]) for place, video in enumerate(VIDEOS)]
        )
        (run / "config.json").write_text(json.dumps({**config, "store": {**config["store"], "path": str(store)}}))
        report = "optsg-report" if asked == "test" else f"optsg-report --split {asked}"
        assert steps() == ([f"optsg-eval --split {asked}", tag, report, serve] if asked else [tag, serve])
    (run / "eval" / "val-known").mkdir(parents=True)
    assert steps() == [tag, "optsg-report --split val-known", serve]
    (run / "eval" / "test").mkdir()
    assert steps() == [tag, "optsg-report", serve]
