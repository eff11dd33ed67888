"""``optsg-store merge``: the parts of a job array to the store of a single extraction."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.extract.cli import main as extract_main
from optsg.extract.store.cli import main as store_main

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.same_store import assert_rows_kept, assert_same_store
from tests.tiny_world import tiny_videos, write_tiny_store

TITLES = ("red cat", "blue dog", "naïve fox", "green owl", "black bee", "red cow", "a cat at the lake")


@pytest.fixture
def videos(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Seven clips with titles and tags, and one that is none."""
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = ["file_name,title,tags"]
    for number, title in enumerate(TITLES):
        shutil.copy(make_clip(f"merge{number % 3}.mp4", frames=12 + 5 * (number % 3)), folder / f"{number}.mp4")
        rows.append(f'{number}.mp4,{title},"{title.split()[1]}, animal"')
    (folder / "broken.mp4").write_text("no video")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def extract(*arguments: str | Path) -> Result:
    options = ["--device", "cpu", "--precision", "float32", "--workers", "1", "-q"]
    result = CliRunner().invoke(extract_main, [*map(str, arguments), *options])
    assert result.exit_code == 0, result.output
    return result


def merge(*arguments: str | Path) -> Result:
    return CliRunner().invoke(store_main, ["merge", *map(str, arguments)])


@pytest.mark.parametrize("text_encoder", ["bert", pytest.param("characters:32", marks=pytest.mark.slow)])
def test_parts_merge_into_the_store_of_a_single_extraction_which_grows(
    videos: Path, tmp_path: Path, tiny_timm_folder: Path, tiny_bert_folder: Path, text_encoder: str
) -> None:
    text = str(tiny_bert_folder) if text_encoder == "bert" else text_encoder
    encoders = ["--image-encoder", str(tiny_timm_folder), "--text-encoder", text]
    parts = [tmp_path / "1.h5", tmp_path / "2", tmp_path / "3.h5"]
    for number, part in enumerate(parts, start=1):
        extract(videos, "--out", part, *encoders, "--part", f"{number}/3")
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    extract(videos, "--out", whole, *encoders)

    result = merge(*parts[:2], "--out", tmp_path / "some", "--inputs", videos)
    assert (result.exit_code, result.stderr) == (0, "warning: part 3 of 3 is missing\n")
    result = merge(*parts, "--out", out, "--inputs", videos)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(rf"{re.escape(str(out))}: 7 videos, 1 failed, [\d.]+ MiB, out of 3 stores\n", result.output)
    assert_same_store(out, whole)
    for part in parts:
        assert_rows_kept(out, part)
    assert verify_store(out).problems == []

    shutil.copy(videos / "0.mp4", videos / "new.mp4")
    for path in (out, whole):
        extract(videos, "--out", path, *encoders)
    with open_store(out) as store:
        assert len(store) == 8
        assert store.header.part is None
    assert_same_store(out, whole)


def test_what_cannot_be_merged_is_one_sentence(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "a.h5", tiny_videos(2), part="1/2")
    other = write_tiny_store(tmp_path / "b.h5", tiny_videos(2))
    cases: list[tuple[list[str | Path], str]] = [
        ([path, other, "--out", tmp_path / "o.h5"], f"{path} and {other} overlap: the id 'video-0' is in both"),
        ([path, "--out", tmp_path / "o.tar"], f"--out {tmp_path / 'o.tar'} is not the name of a feature store"),
        ([path, "--out", tmp_path / "o.h5", "--metadata", "x"], "--metadata and how it is read go with --inputs"),
        ([path, "--out", tmp_path / "o.h5", "--columns", "id=key"], "--metadata and how it is read go with --inputs"),
        ([path, "--out", tmp_path / "o.h5", "--columns", "key"], "--columns key is not understood at 'key'"),
        ([tmp_path / "gone.h5", "--out", tmp_path / "o.h5"], f"there is no feature store at {tmp_path / 'gone.h5'}"),
        ([path, "--out", path, "--overwrite"], f"{path} is one of the stores to merge; choose another name"),
    ]
    for arguments, message in cases:
        result = merge(*arguments)
        assert result.exit_code == 1
        assert result.output.startswith(f"error: {message}")
        assert result.output.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5", "b.h5"]
    result = merge(path, "--out", tmp_path / "o.h5", "-q")
    assert (result.exit_code, result.output) == (0, "warning: part 2 of 2 is missing\n")


def test_the_order_of_inputs_is_found_by_the_ids_that_columns_name(tmp_path: Path) -> None:
    """As the extractions were told to read their table."""
    videos = tiny_videos(4)
    path = write_tiny_store(tmp_path / "a.h5", videos[:2])
    other = write_tiny_store(tmp_path / "b.h5", videos[2:])
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = ["clip,key"]
    for number in (3, 0, 2, 1):
        (folder / f"{9 - number}.mp4").touch()
        rows.append(f"{9 - number}.mp4,video-{number}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    options: list[str | Path] = [
        "--inputs",
        folder,
        "--metadata",
        tmp_path / "table.csv",
        "--columns",
        "file_name=clip,id=key",
    ]
    result = merge(path, other, "--out", tmp_path / "o.h5", *options)
    assert result.exit_code == 0, result.output
    with open_store(tmp_path / "o.h5") as store:
        assert store.ids() == [f"video-{number}" for number in (3, 0, 2, 1)]
