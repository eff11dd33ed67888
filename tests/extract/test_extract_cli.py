"""``optsg-extract`` as people see it: exact outputs and exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from optsg.data.errors import ConfigError
from optsg.data.inputs import open_inputs
from optsg.extract.cli import main as extract_main
from optsg.extract.summary import ExtractSummary

from tests.extract.decoding.painted_clips import ClipMaker


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
        "ok               3  3 videos",
        "failed           1  decode: it cannot be opened as a video",
        "  broken.mp4: it cannot be opened as a video (invalid data found when processing input)",
    ]
    assert re.fullmatch(
        rf"{re.escape(str(out))}: 12 frames in [\d.]+ s \(decoding [\d.]+ s of processor time, encoding [\d.]+ s, "
        r"waiting for decoding [\d.]+ s, text and store [\d.]+ s\)",
        lines[-1],
    )
    assert result.stderr == f"{open_inputs(videos).description}\nwriting the store and encoding its tags\n"


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
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "ok               1  1 videos")


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
    assert result.output == f"error: {empty}: there is nothing in this folder, no video, image or .tar shard\n"


NO_STORE = (
    "is not the name of a feature store; expected a path that ends in .h5 for one file, or the name of a folder for "
    "WebDataset shards"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--out", "feats.tar"],
            f"error: --out feats.tar {NO_STORE}\n",
        ),
        (["--out", "/"], "error: '/' has no name of its own; choose another name\n"),
        (
            ["--out", "f.h5", "--fps", "0"],
            "error: --fps 0 is out of range; expected a number above 0 and at most 1000\n",
        ),
        (["--out", "f.h5", "--max-frames", "0"], "error: --max-frames 0 is out of range; expected 1 to 100000\n"),
        (["--out", "f.h5", "--workers", "0"], "error: --workers 0 is out of range; expected 1 or more\n"),
        (
            ["--out", "f.h5", "--timeout", "0"],
            "error: --timeout 0 is out of range; expected seconds above 0, at most 1000000\n",
        ),
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
        "the model hub; optsg-extract --preset small needs no download\n"
    )
    assert (result.exit_code, result.output) == (1, message)
    assert time.monotonic() - started < 30


def test_help_has_examples_and_is_quick() -> None:
    code = "import sys; from optsg.extract.cli import main; sys.argv[0] = 'optsg-extract'; main(['--help'])"
    program = f"{code[: code.index('main([')]}\ntry: main(['--help'])\nfinally: print(sorted(set(sys.modules) & HEAVY))"
    heavy = "HEAVY = {'torch', 'transformers', 'open_clip', 'timm', 'decord', 'av', 'h5py'}\n"
    result = subprocess.run([sys.executable, "-c", heavy + program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "  optsg-extract videos/ --out feats.h5 --preset small\n" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("asked", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped")]
)
def test_stopping_and_repeating_the_command_goes_on(
    videos: Path,
    tmp_path: Path,
    tiny: list[str],
    monkeypatch: pytest.MonkeyPatch,
    asked: signal.Signals,
    code: int,
    said: str,
) -> None:
    from optsg.extract import progress

    out = tmp_path / "feats.h5"

    def impatient(_: object, summary: ExtractSummary) -> None:
        if summary.done == 2:
            os.kill(os.getpid(), asked)

    with monkeypatch.context() as patch:
        patch.setattr(progress._Lines, "extracted", impatient)
        result = run(videos, "--out", out, *tiny, "--batch-size", "4", "--workers", "1")
    assert result.exit_code == code, result.output
    last = f"{said}; complete parts are in {out}.parts, the same command goes on"
    assert result.stderr.splitlines()[-1] == last
    result = run(videos, "--out", out, *tiny)
    assert result.exit_code == 0
    assert re.search(r"^earlier          [234]  done before$", result.stdout, re.MULTILINE)
    assert run(videos, "--out", out, *tiny).stdout.splitlines() == [
        "earlier          4  done before",
        f"{out}: nothing new, left as it was",
    ]


def test_the_log_has_a_line_for_every_input(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    log = tmp_path / "logs" / "extract.jsonl"
    command: list[str | Path] = [videos, "--out", tmp_path / "feats.h5", *tiny, "-q", "--json-log", log]
    assert run(*command).exit_code == 0
    first, *inputs, last = map(json.loads, log.read_text().splitlines())
    assert (first["event"], first["sampling"]["max_frames"], first["options"]["batch_size"]) == ("started", 60, 64)
    assert [(line["event"], line["id"], line["status"]) for line in inputs] == [
        ("input", "a", "ok"),
        ("input", "b", "ok"),
        ("input", "c", "ok"),
        ("input", "broken", "failed"),
    ]
    assert (inputs[0]["frames"], inputs[0]["duration"], inputs[0]["digest"][:7]) == (4, 3.6, "sha256:")
    assert inputs[3]["error"].startswith("it cannot be opened as a video")
    assert (last["event"], last["statuses"], last["frames"]) == ("finished", {"ok": 3, "failed": 1}, 12)
    assert run(*command).exit_code == 0
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()][-2:] == ["started", "finished"]


def test_a_log_that_cannot_be_written_is_one_sentence(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    result = run(videos, "--out", tmp_path / "feats.h5", *tiny, "-q", "--json-log", tmp_path)
    assert (result.exit_code, result.output) == (1, f"error: the log {tmp_path} cannot be written: Is a directory\n")


def test_a_dry_run_shows_what_would_be_read_and_writes_nothing(videos: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with (videos / "metadata.csv").open("a") as table:
        table.write("gone.mp4,Gone,cat,train\n")
    result = run(videos, "--out", tmp_path / "feats.h5", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        open_inputs(videos).description,
        "id      source      split  title     tags",
        "a       a.mp4       train  Red cat   cat, animal",
        "b       b.mp4       val    Blue dog  dog, animal",
        "c       c.mp4       test   Fox       fox, animal",
        "broken  broken.mp4  test   Broken    cat",
        "inputs   4 videos, 0 images, 1 that cannot be read",
        "titles   4 of 4",
        "tags     4 of 4 have some, 4 different",
        "splits   train 1, val 1, test 2",
        "often    animal 3, cat 2, dog 1, fox 1",
        "a video  1 to 2 tags, 1.8 on average, where it has some",
        "columns  metadata.csv, 5 rows: file_name 5, title 5, tags 5, split 5",
        f"  gone.mp4: metadata.csv, line 6: 'gone.mp4' is not in the folder {videos}",
        f"{tmp_path / 'feats.h5'} would be made",
    ]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--out", "feats.tar"), "error: --out feats.tar is not the name of a feature store"),
        (("--out", "new.h5", "--workers", "0"), "error: --workers 0 is out of range; expected 1 or more"),
        (("--out", "there.h5"), "there.h5 exists: only inputs that it does not hold would be read"),
        (("--out", "there.h5", "--overwrite"), "there.h5 would be replaced"),
    ],
)
def test_a_dry_run_says_what_would_become_of_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").touch()
    (tmp_path / "there.h5").touch()
    result = run("in", *options, "--dry-run")
    assert result.output.splitlines()[-1].startswith(expected)
    assert (result.exit_code, expected.startswith("error")) in ((0, False), (1, True))


def test_a_dry_run_counts_a_tag_in_all_its_spellings(videos: Path, tmp_path: Path) -> None:
    rows = ["file_name,tags", "a.mp4,VLOG", 'b.mp4,"vlog, Cat"', 'c.mp4,"vlog, cat"', "broken.mp4,dog"]
    (videos / "metadata.csv").write_text("\n".join(rows))
    lines = run(videos, "--out", tmp_path / "feats.h5", "--dry-run").stdout.splitlines()
    assert [line for line in lines if line.startswith(("tags", "often"))] == [
        "tags     4 of 4 have some, 3 different",
        "often    vlog 3, Cat 2, dog 1",
    ]


def test_a_dry_run_shows_columns_and_what_looks_misread(videos: Path, tmp_path: Path) -> None:
    (videos / "metadata.csv").write_text("Filename,Keywords,titel\na.mp4,cat;dog,T\nb.mp4,fox;red,\n")
    result = run(videos, "--out", tmp_path / "feats.h5", "--dry-run")
    assert result.stdout.splitlines()[-6:-1] == [
        "columns  metadata.csv, 2 rows: filename as file_name 2, keywords as tags 2; not read: titel",
        "note: metadata.csv: column filename is read as file_name",
        "note: metadata.csv: column keywords is read as tags",
        (
            "note: metadata.csv has no column title (found: filename, keywords, titel); if another one is meant, say --columns "
            "title=titel"
        ),
        (
            "note: metadata.csv: 2 of 2 rows with tags have one tag with ';' in it, such as 'cat;dog'; if it separates tags, say "
            "--tag-separator ';'"
        ),
    ]
    result = run(
        videos, "--out", tmp_path / "feats.h5", "--dry-run", "--columns", "title=titel", "--tag-separator", ";"
    )
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["a", "a.mp4", "train", "T", "cat,", "dog"]
    assert lines[-2] == "note: metadata.csv: column keywords is read as tags"


def test_notes_are_said_before_an_extraction(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    (videos / "metadata.csv").write_text("file_name,Keywords,title\na.mp4,cat,T\nb.mp4,fox,\n")
    result = run(videos, "--out", tmp_path / "feats.h5", *tiny)
    assert result.stderr.splitlines()[1] == "note: metadata.csv: column keywords is read as tags"


def test_what_is_skipped_is_counted_by_suffix_wherever_people_look(
    videos: Path, tmp_path: Path, tiny: list[str]
) -> None:
    for name in ("x.jxl", "y.JXL", "notes.txt", "README", "run.20240101"):
        (videos / name).write_text("")
    skipped = (
        "5 files are skipped in the inputs, being neither video nor image by their suffixes: "
        "2 without a suffix, 2 .jxl (JPEG XL, to be converted, for instance with djxl), 1 .txt"
    )
    assert skipped in run(videos, "--out", tmp_path / "feats.h5", "--dry-run").stdout.splitlines()
    log = tmp_path / "log.jsonl"
    result = run(videos, "--out", tmp_path / "feats.h5", *tiny, "--json-log", log)
    assert skipped in result.stdout.splitlines()
    assert json.loads(log.read_text().splitlines()[-1])["skipped"] == {".jxl": 2, "": 2, ".txt": 1}


def test_what_shards_hold_besides_and_what_is_noted_is_counted(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "0.tar", "w") as tar:
        tar.add(videos / "a.mp4", "a.mp4")
        tar.add(videos / "a.mp4", "a.jpg")
        tar.add(videos / "a.mp4", "b.jpg")
        tar.add(videos / "a.mp4", "b.m4a")
    skipped = "1 file is skipped in the inputs, being neither video nor image by their suffixes: 1 .m4a"
    thumbnail = "1 picture beside a video of its name is left out in the inputs: thumbnails"
    out, log = tmp_path / "feats.h5", tmp_path / "log.jsonl"
    assert {skipped, thumbnail} <= set(run(shards, "--out", out, "--dry-run").stdout.splitlines())
    lines = run(shards, "--out", out, *tiny, "--json-log", log).stdout.splitlines()
    assert {skipped, thumbnail, "ok               2  2 videos"} <= set(lines)
    assert "noted            1  it is an MP4 or QuickTime video" in lines
    counts = json.loads(log.read_text().splitlines()[-1])
    noted = {"it is an MP4 or QuickTime video": 1}
    assert (counts["skipped"], counts["thumbnails"], counts["noted"]) == ({".m4a": 1}, 1, noted)


def test_a_dry_run_of_many_shows_the_first(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"[bold]{number:02d}.mp4").write_text("")
    result = run(tmp_path, "--out", tmp_path / "feats.h5", "--dry-run", "--limit", "11")
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["[bold]00", "[bold]00.mp4", "none"]
    assert (len(lines), lines[12]) == (18, "… and 1 more")


def test_the_python_function_does_what_the_command_does(
    videos: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path
) -> None:
    from optsg.data.store import open_store
    from optsg.extract import extract

    seen = []
    out = tmp_path / "feats.h5"
    summary = extract(
        str(videos),
        str(out),
        image_encoder=str(tiny_timm_folder),
        text_encoder=str(tiny_bert_folder),
        device="cpu",
        max_frames=2,
        on_input=lambda so_far: seen.append(so_far.done),
    )
    assert (summary.videos, summary.failed, seen) == (3, 1, [1, 2, 3, 4])
    with open_store(out) as store:
        assert [len(store.times(row)) for row in range(3)] == [2, 2, 2]
    with pytest.raises(
        ConfigError, match=r"^there is no preset 'large'; expected one of clip, clip-zh, siglip2, small$"
    ):
        extract(videos, out, preset="large")


def test_fast_resize_is_recorded_close_and_not_mixed(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    from optsg.data.store import open_store

    exact, fast = tmp_path / "exact.h5", tmp_path / "fast.h5"
    assert run(videos, "--out", exact, *tiny, "-q").exit_code == 0
    assert run(videos, "--out", fast, *tiny, "-q", "--fast-resize").exit_code == 0
    with open_store(exact) as one, open_store(fast) as other:
        assert (one.header.sampling.get("fast_resize"), other.header.sampling["fast_resize"]) == (None, True)
        a, b = (store.frames(0).astype(np.float64) for store in (one, other))
        assert not np.array_equal(a, b)
        assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.95
    result = run(videos, "--out", fast, *tiny, "-q")
    assert result.exit_code == 1
    assert "sampling.fast_resize: True ≠ None" in result.output
