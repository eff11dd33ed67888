"""``optsg-store`` as people see it: exact outputs and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import pytest
from click.testing import CliRunner, Result
from optsg.data.errors import StoreWriteError
from optsg.data.store import open_store
from optsg.data.whole_files import lock_out
from optsg.extract.store.cli import main

from tests.data.inputs.odd_videos import as_version_1, odd_failures, odd_videos
from tests.tiny_world import tiny_videos, write_tiny_store

IMAGE_ENCODER = {
    "library": "open_clip",
    "library_version": "3.3.0",
    "name": "ViT-B-32",
    "pretrained": "openai",
    "digest": "sha256:0123456789abcdef",
    "dtype": "bfloat16",
    "quick_gelu": True,
    "preprocessing": {"size": 224, "interpolation": "bicubic", "mean": [0.48145466, 0.4578275]},
}
TEXT_ENCODER = {
    "library": "transformers",
    "library_version": "5.0",
    "folder": "/models/bert",
    "digest": "sha256:fedcba9876543210",
    "dtype": "float32",
}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def make(path: Path, **header: Any) -> Path:
    values = {"image_encoder": IMAGE_ENCODER, "text_encoder": TEXT_ENCODER, **header}
    return write_tiny_store(path, odd_videos(), failures=odd_failures(), **values)


@pytest.mark.parametrize("name", ["s.h5", "s"])
def test_info_is_a_readable_summary(tmp_path: Path, name: str) -> None:
    sampling = {"fps": 0.5, "max_frames": 60, "fast_resize": True}
    path = make(tmp_path / name, preset="clip", sampling=sampling)
    result = run("info", path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path])) / 2**20
    assert lines[0] == f"{path}: {size:.1f} MiB, made 2026-01-01T00:00:00+00:00 by optsg 0.1.0"
    form = "one HDF5 file" if name == "s.h5" else "tables and WebDataset shards: 1"
    assert lines[1:-8] == [
        f"  form           {form}, version 2",
        "  preset         clip",
        "  image encoder  ViT-B-32/openai (open_clip 3.3.0; sha256:0123456789ab, bfloat16, QuickGELU)",
        "  preprocessing  interpolation bicubic, mean [0.4815 0.4578], size 224",
        "  text encoder   /models/bert (transformers 5.0; sha256:fedcba987654, float32)",
        "  sampling       0.5 frames a second, at most 60, shrunk by the decoder (--fast-resize)",
        "  widths         frame 12, patch 6, tag 32",
        "  inputs         14 videos, 2 images, 4 failed",
        "  statuses       ok 13, partial 3, failed 2, timeout 1, crashed 1",
        "  splits         train 4, val 4, test 4, none 4",
        "  tags           6 different, 1.8 a video",
        "  frames         593 of 4.01 hours of video",
        "  backend        8 × decord2 3.4.0 (FFmpeg 7.1)",
        "  backend        5 × PyAV 18.1.0 (FFmpeg 8.0)",
        "  decoding       17.1 s for features, 7.5 s for failures",
        "  digests        13 of 16 sources",
        "  note           3 × truncated",
    ]
    assert lines[-8] == "  failed         1 × decode: failed"
    assert lines[-5] == "  failed         1 × read: "


def test_info_of_a_store_of_version_1(tmp_path: Path) -> None:
    path = as_version_1(write_tiny_store(tmp_path / "s.h5", tiny_videos(8)))
    lines = run("info", path).stdout.splitlines()
    assert lines[1:] == [
        "  form           one HDF5 file, version 1",
        "  preset         none, encoders named one by one",
        "  image encoder  tiny",
        "  text encoder   tiny",
        "  sampling       1 frames a second, at most 60",
        "  widths         frame 12, patch 6, tag 32",
        "  inputs         7 videos, 1 images, 0 failed",
        "  statuses       ok 8",
        "  splits         train 7, val 1",
        "  tags           13 different, 4.2 a video",
        "  frames         27 of 0.01 hours of video",
    ]


@pytest.mark.parametrize("command", ["info", "verify"])
def test_what_is_no_store_is_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "text.h5").write_text("no store")
    (tmp_path / "photos").mkdir()
    for name, message in (
        ("nowhere.h5", "there is no feature store at {0}; make one with: optsg-extract VIDEOS --out {0}"),
        ("text.h5", "{0} is not a readable HDF5 file; it is damaged or something else"),
        ("photos", "{0} is a folder but no feature store (it has no index.json); make one with optsg-extract"),
    ):
        path = tmp_path / name
        result = run(command, path)
        assert result.exit_code == 1
        if command == "info":
            assert result.output == f"error: {message.format(path)}\n"
        else:
            assert result.output == (
                f"structure  1 problem (files, columns and offsets)\n  {message.format(path)}\n"
                f"error: {path} is not whole: 1 problem\n"
            )


@pytest.mark.parametrize("name", ["s.h5", "s"])
def test_verify_says_what_it_looked_at(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name)
    result = run("verify", path)
    assert result.exit_code == 0, result.output
    form = "one HDF5 file" if name == "s.h5" else "tables and shards: 1"
    arrays = 54 if name == "s.h5" else 55
    with open_store(path) as store:
        assert len(store.digests()) == arrays
    assert result.stdout.splitlines() == [
        f"structure  ok (version 2, {form})",
        "counts     ok (16 videos, 593 frames, 6 tags, 4 failures)",
        "ids        ok (each once, no failure with features)",
        "ranges     ok (tags, splits, kinds, statuses, texts)",
        "finite     ok (features, times, embeddings)",
        f"digests    ok ({arrays} arrays)",
        *(["shards     ok (digests, members and .json of every sample)"] if name == "s" else []),
        f"{path} is whole",
    ]
    assert run("verify", path, "--quiet").output == ""


def test_verify_names_each_problem_and_ends_with_exit_code_1(tmp_path: Path) -> None:
    path = make(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        file["videos/split"][:2] = 5
    result = run("verify", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[3:6] == [
        "ranges     2 problems (tags, splits, kinds, statuses, texts)",
        "  'Track 2.0' has the number 5 in videos/split, expected less than 4",
        "  '../up/a.b.c.mp4' has the number 5 in videos/split, expected less than 4",
    ]
    assert result.stderr == f"error: {path} is not whole: 3 problems\n"


def test_convert_there_and_back(tmp_path: Path) -> None:
    path = make(tmp_path / "s.h5")
    folder, back = tmp_path / "shards", tmp_path / "back.h5"
    result = run("convert", path, folder)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(rf"{re.escape(str(folder))}: 16 videos, [\d.]+ MiB\n", result.output)
    assert json.loads((folder / "index.json").read_text())["videos"] == 16
    assert (run("convert", folder, back, "-q").exit_code, run("verify", back, "-q").exit_code) == (0, 0)
    result = run("convert", folder, back)
    assert result.exit_code == 1
    assert result.output == f"error: {back} exists already; choose another name, or add --overwrite to replace it\n"
    assert run("convert", folder, back, "--overwrite").exit_code == 0
    result = run("convert", folder, folder, "--overwrite")
    assert result.exit_code == 1
    assert result.output == f"error: {folder} is the store to convert itself; choose another name\n"


def test_convert_replaces_a_store_and_nothing_else(tmp_path: Path) -> None:
    path = make(tmp_path / "s.h5")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "me.jpg").write_text("mine")
    result = run("convert", path, photos, "--overwrite")
    assert result.exit_code == 1
    assert result.output == (
        f"error: {photos} holds files that are not of a feature store, for instance 'me.jpg'; choose another name\n"
    )
    assert (photos / "me.jpg").read_text() == "mine"


@pytest.mark.parametrize("name", ["b.h5", "b"])
def test_two_conversions_into_one_store_are_refused(tmp_path: Path, name: str) -> None:
    """The first to end would give its name to what the second has half written."""
    path = make(tmp_path / "s.h5")
    with lock_out(tmp_path / name, StoreWriteError):
        result = run("convert", path, tmp_path / name)
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {tmp_path / name} is being written by another process; ")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", [".", "", "/", ".."])
@pytest.mark.parametrize(
    "command", [("convert", "../s.h5"), ("merge", "../s.h5", "--out"), ("relabel", "--metadata", "t.csv")]
)
def test_a_store_needs_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], name: str
) -> None:
    """What a store is written under until it is whole is named after it, and so is its lock."""
    make(tmp_path / "s.h5")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("t.csv").write_text("id,title\nv0,one\n")
    result = run(*command, name)
    assert result.exit_code == 1
    named = {"/": "choose another name", "..": f"give it with its name, {tmp_path}"}
    advice = named.get(name, f"give it with its name, {tmp_path / 'here'}")
    assert result.output == f"error: {name or '.'!r} has no name of its own; {advice}\n"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_a_folder_stays_one(tmp_path: Path, is_there: bool) -> None:
    """The store may be on another disk, and lies there again once it is replaced."""
    disk, link = tmp_path / "disk", tmp_path / "feats"
    disk.mkdir()
    path = make(tmp_path / "s.h5")
    if is_there:
        make(disk / "feats")
    link.symlink_to(disk / "feats")
    for _ in range(2):
        result = run("convert", path, link, "--overwrite")
        assert result.exit_code == 0, result.output
    assert run("verify", link).exit_code == 0
    assert link.is_symlink()
    assert sorted(file.name for file in [*tmp_path.iterdir(), *disk.iterdir()]) == ["disk", "feats", "feats", "s.h5"]
    with lock_out(disk / "feats", StoreWriteError):
        assert "is being written by another process" in run("convert", path, link, "--overwrite").output


def test_help_shows_the_commands() -> None:
    result = run("--help")
    assert "optsg-store convert feats.h5 feats-shards" in result.output
    assert all(command in result.output for command in ("info", "verify", "convert"))
