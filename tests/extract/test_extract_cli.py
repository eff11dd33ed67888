"""``optsg-extract`` and ``optsg-store`` as people see them: exact outputs and exit codes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.inputs import open_inputs
from optsg.extract.cli import main as extract_main
from optsg.extract.store_cli import main as store_main
from optsg.extract.summary import ExtractSummary

from tests.extract.painted_clips import ClipMaker


@pytest.fixture
def videos(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """A folder of three clips with a table, and a text file with the name of a video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(make_clip("h264.mp4", frames=36), folder / f"{name}.mp4")
    (folder / "broken.mp4").write_text("no video")
    rows = 'file_name,title,tags,split\na.mp4,Red cat,"cat, animal",train\nb.mp4,Blue dog,"dog, animal",val\n'
    (folder / "metadata.csv").write_text(rows + 'c.mp4,Fox,"fox, animal",test\nbroken.mp4,Broken,cat,test\n')
    return folder


@pytest.fixture
def tiny(tiny_timm_folder: Path, tiny_bert_folder: Path) -> list[str]:
    return ["--image-encoder", str(tiny_timm_folder), "--text-encoder", str(tiny_bert_folder), "--device", "cpu"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(extract_main, [str(argument) for argument in arguments])


def test_a_folder_becomes_a_store_and_failures_keep_exit_code_0(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    out = tmp_path / "feats.h5"
    result = run(videos, "--out", out, *tiny)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:-1] == [
        "ok               3  videos",
        "failed           1  decode: it cannot be opened as a video",
        "  broken.mp4: it cannot be opened as a video (invalid data found when processing input)",
    ]
    assert re.fullmatch(
        rf"{re.escape(str(out))}: 12 frames in [\d.]+ s \(decoding [\d.]+ s of processor time, encoding [\d.]+ s, "
        r"waiting for decoding [\d.]+ s, text and store [\d.]+ s\)",
        lines[-1],
    )
    assert result.stderr == f"{open_inputs(videos).description}\nwriting the store and encoding its tags\n"


def test_store_info_is_a_readable_summary(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    out = tmp_path / "feats.h5"
    assert run(videos, "--out", out, *tiny, "-q").exit_code == 0
    result = CliRunner().invoke(store_main, ["info", str(out)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.fullmatch(rf"{re.escape(str(out))}: [\d.]+ MiB, made \S+ by optsg \S+", lines[0])
    assert lines[1] == "  preset         none, encoders named one by one"
    assert re.fullmatch(r"  image encoder  \S+ \(timm \S+; sha256:[0-9a-f]{12}, float(16|32)\)", lines[2])
    assert re.fullmatch(r"  text encoder   \S+ \(transformers \S+; sha256:[0-9a-f]{12}, float32\)", lines[3])
    assert lines[4:] == [
        "  sampling       1 frames a second, at most 60",
        "  widths         frame 256, patch 256, tag 32",
        "  inputs         3 videos, 0 images, 1 failed",
        "  splits         train 1, val 1, test 1",
        "  tags           4 different, 2.0 a video",
        "  frames         12 of 0.00 hours of video",
        "  failed         1 × decode: it cannot be opened as a video",
        "    broken.mp4: it cannot be opened as a video (invalid data found when processing input)",
    ]


def test_quiet_prints_nothing(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    result = run(videos, "--out", tmp_path / "feats.h5", *tiny, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_strict_and_limit(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    result = run(videos, "--out", tmp_path / "strict.h5", *tiny, "--strict", "-q")
    assert result.exit_code == 1
    assert result.output == (
        "error: broken.mp4: it cannot be opened as a video (invalid data found when processing input); "
        "--strict makes this fatal\n"
    )
    result = run(videos, "--out", tmp_path / "limit.h5", *tiny, "--limit", "1")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "ok               1  videos")


def test_nothing_readable_is_exit_code_1(tmp_path: Path, tiny: list[str]) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"")
    result = run(folder, "--out", tmp_path / "feats.h5", *tiny, "-q")
    assert result.exit_code == 1
    assert re.fullmatch(
        r"error: nothing could be read of .*: 1 failed; the first: broken.mp4: the file is empty \(0 bytes\)\n",
        result.output,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["videos"]


def test_a_missing_and_an_empty_folder_are_one_sentence(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", "--out", tmp_path / "feats.h5")
    assert result.exit_code == 1
    assert result.output == f"error: {tmp_path / 'nowhere'}: there is no such file or folder\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(empty, "--out", tmp_path / "feats.h5")
    assert result.exit_code == 1
    assert result.output.startswith(
        f"error: {empty}: no video, image or .tar shard in this folder, nothing; known are "
    )
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--out", "feats"],
            "error: --out feats is not the name of a feature store; expected a path that ends in .h5\n",
        ),
        (
            ["--out", "f.h5", "--fps", "0"],
            "error: --fps 0 is out of range; expected a number above 0 and at most 1000\n",
        ),
        (["--out", "f.h5", "--max-frames", "0"], "error: --max-frames 0 is out of range; expected 1 to 100000\n"),
        (["--out", "f.h5", "--workers", "0"], "error: --workers 0 is out of range; expected 1 or more\n"),
        (["--out", "f.h5", "--limit", "0"], "error: --limit is 0, expected 1 or more\n"),
        (["--out", "f.h5", "--batch-size", "0"], "error: --batch-size 0 is out of range; expected 1 or more\n"),
    ],
)
def test_options_out_of_range_are_one_sentence(
    videos: Path, tiny: list[str], arguments: list[str], message: str
) -> None:
    result = run(videos, *arguments, *tiny, "-q")
    assert (result.exit_code, result.output) == (1, message)


def test_weights_that_cannot_be_had_name_the_preset_that_needs_none(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    started = time.monotonic()
    result = run(videos, "--out", tmp_path / "feats.h5", "-q")
    message = (
        "error: the weights of the open_clip model ViT-B-32/openai are neither in the local cache nor to be had from "
        "the model hub; --preset small needs no download\n"
    )
    assert (result.exit_code, result.output) == (1, message)
    assert time.monotonic() - started < 30


def test_store_info_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no store")
    for path, message in (
        (tmp_path / "nowhere.h5", f"there is no feature store at {tmp_path / 'nowhere.h5'}"),
        (tmp_path / "text.h5", f"{tmp_path / 'text.h5'} is not a readable HDF5 file"),
    ):
        result = CliRunner().invoke(store_main, ["info", str(path)])
        assert result.exit_code == 1
        assert result.output.startswith(f"error: {message}")
        assert result.output.count("\n") == 1


def test_help_has_examples_and_is_quick() -> None:
    code = "import sys; from optsg.extract.cli import main; sys.argv[0] = 'optsg-extract'; main(['--help'])"
    program = f"{code[: code.index('main([')]}\ntry: main(['--help'])\nfinally: print(sorted(set(sys.modules) & HEAVY))"
    heavy = "HEAVY = {'torch', 'transformers', 'open_clip', 'timm', 'decord', 'av', 'h5py'}\n"
    result = subprocess.run([sys.executable, "-c", heavy + program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "  optsg-extract videos/ --out feats.h5 --preset small\n" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_interrupting_and_repeating_the_command_goes_on(
    videos: Path, tmp_path: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from optsg.extract import pipeline, progress

    monkeypatch.setattr(pipeline, "INPUTS_PER_PART", 2)
    out = tmp_path / "feats.h5"

    def impatient(_: object, summary: ExtractSummary) -> None:
        if summary.done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress._Lines, "extracted", impatient)
        result = run(videos, "--out", out, *tiny)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == f"interrupted; complete parts are in {out}.parts, the same command goes on"
    result = run(videos, "--out", out, *tiny)
    assert result.exit_code == 0
    assert "earlier          2  done by an interrupted run" in result.stdout
