"""``--part I/N``: one process of a job array."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.corpus_part import CorpusPart
from optsg.data.inputs import open_inputs
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.extract import pipeline
from optsg.extract.cli import main as extract_main
from optsg.extract.store.cli import main as store_main

from tests.extract.decoding.painted_clips import ClipMaker

NAMES = "abcdef"


@pytest.fixture
def videos(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Six clips."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(make_clip("part.mp4", frames=12), folder / f"{name}.mp4")
    return folder


@pytest.fixture
def tiny(tiny_timm_folder: Path, tiny_bert_folder: Path) -> list[str]:
    encoders = ["--image-encoder", str(tiny_timm_folder), "--text-encoder", str(tiny_bert_folder)]
    return [*encoders, "--device", "cpu", "--workers", "1", "-q"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(extract_main, [str(argument) for argument in arguments])


def of_part(names: str, part: str) -> list[str]:
    return [name for name in names if CorpusPart.parse(part).holds(name)]


def test_a_part_is_extracted_recorded_and_gone_on_with(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    out = tmp_path / "2.h5"
    result = run(videos, "--out", out, *tiny, "--part", "2/2")
    assert result.exit_code == 0, result.output
    with open_store(out) as store:
        assert (store.ids(), store.header.part) == (of_part(NAMES, "2/2"), "2/2")
    assert "  inputs of      part 2 of 2\n" in CliRunner().invoke(store_main, ["info", str(out)]).output
    for name in "ghijkl":
        shutil.copy(videos / "a.mp4", videos / f"{name}.mp4")
    assert run(videos, "--out", out, *tiny, "--part", "2/2").exit_code == 0
    with open_store(out) as store:
        assert store.ids() == of_part(NAMES, "2/2") + of_part("ghijkl", "2/2")
        assert store.header.part == "2/2"


def test_going_on_with_another_part_is_refused(
    videos: Path, tmp_path: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole, parts = tmp_path / "1.h5", tmp_path / "whole.h5", tmp_path / "new.h5.parts"
    assert run(videos, "--out", out, *tiny, "--part", "1/2").exit_code == 0
    assert run(videos, "--out", whole, *tiny, "--limit", "1").exit_code == 0
    monkeypatch.setattr(pipeline, "INPUTS_PER_PART", 1)
    (videos / "zz.mp4").write_text("no video")
    assert run(videos, "--out", tmp_path / "new.h5", *tiny, "--part", "1,2/2", "--strict").exit_code == 1
    for path, option, there, now, repeat in (
        (out, ["--part", "2/2"], "exists already, made of part 1 of 2", "part 2 of 2", "with --part 1/2"),
        (out, ["--part", "1/3"], "exists already, made of part 1 of 2", "part 1 of 3", "with --part 1/2"),
        (out, [], "exists already, made of part 1 of 2", "all inputs", "with --part 1/2"),
        (whole, ["--part", "1/2"], "exists already, made of all inputs", "part 1 of 2", "without --part"),
        (
            parts,
            ["--part", "2/2"],
            "holds an unfinished extraction of parts 1 and 2 of 2",
            "part 2 of 2",
            "with --part 1,2/2",
        ),
    ):
        result = run(videos, "--out", path.with_name(path.name.removesuffix(".parts")), *tiny, *option)
        assert result.exit_code == 1
        assert result.output == (
            f"error: {path} {there}, and this command extracts {now}; repeat it {repeat}, choose another --out, or add "
            "--overwrite to begin anew\n"
        )
    assert run(videos, "--out", out, *tiny, "--part", "2/2", "--overwrite").exit_code == 0
    with open_store(out) as store:
        assert (store.ids(), store.header.part) == (of_part(NAMES, "2/2"), "2/2")


@pytest.mark.parametrize("name", ["empty.h5", "empty"])
def test_a_part_without_a_readable_input_is_an_empty_store(tmp_path: Path, tiny: list[str], name: str) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_text("no video")
    has_it, has_nothing = ("1/2", "2/2") if CorpusPart.parse("1/2").holds("a") else ("2/2", "1/2")
    for part, failures in ((has_nothing, 0), (has_it, 1)):
        out = tmp_path / part[0] / name
        result = run(videos, "--out", out, *tiny, "--part", part)
        assert result.exit_code == 0, result.output
        with open_store(out) as store:
            assert (len(store), len(store.failures), store.header.part) == (0, failures, part)
        assert verify_store(out).problems == []
        assert CliRunner().invoke(store_main, ["info", str(out)]).exit_code == 0
        assert run(videos, "--out", out, *tiny, "--part", part).exit_code == 0
    assert run(videos, "--out", tmp_path / "whole.h5", *tiny).exit_code == 1


def test_a_dry_run_shows_the_part(videos: Path, tmp_path: Path) -> None:
    result = run(videos, "--out", tmp_path / "f.h5", "--dry-run", "--part", "1/2")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{open_inputs(videos).description} (part 1 of 2)"
    names = of_part(NAMES, "1/2")
    assert [line.split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert lines[2 + len(names)] == f"inputs   {len(names)} videos, 0 images, 0 that cannot be read"
    result = run(videos, "--out", tmp_path / "f.h5", "--dry-run", "--part", "3/2")
    assert result.output == "error: --part 3/2 is no part; expected I/N with I from 1 to N, for instance 2/8\n"
    assert not re.search(r"f\.h5", " ".join(path.name for path in tmp_path.iterdir()))
