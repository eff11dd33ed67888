"""WebDataset shards of real clips: titles and wishes from beside them, corrupt members, shards that are cut short."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from optsg.evaluate.tag.cli import main

WriteShard = Callable[[str, Mapping[str, bytes]], Path]


@pytest.fixture
def write_shard(tmp_path: Path) -> WriteShard:
    """Writes a ``.tar`` with these members, in this order."""

    def write(name: str, members: Mapping[str, bytes]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def clip(colour_videos: Path) -> Callable[[str], bytes]:
    """The bytes of a clip or picture of one colour."""
    return lambda name: (colour_videos / name).read_bytes()


def tag(run: Path, out: Path, *arguments: object) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit code, last line of what was said, and the rows of the output."""
    words = [*arguments, "--run", run, "--out", out, "--device", "cpu", "--workers", 1]
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.stderr.splitlines()[-1], read(out)


def read(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def names(row: dict[str, Any]) -> list[str]:
    return [each["tag"] for each in row["tags"]]


def test_titles_and_wishes_stand_beside_the_clips(
    colour_run: Path, write_shard: WriteShard, clip: Callable[[str], bytes], tmp_path: Path
) -> None:
    wishes = {"title": "", "pinned_tags": ["night"], "forbidden_tags": "Green, spam"}
    of_downloader = {"yt_meta_dict": {"info": {"title": "from the site"}}, "caption": "not this"}
    shards = [
        write_shard(
            "in/000.tar",
            {
                "000.mp4": clip("red0.mp4"),
                "000.json": json.dumps({"title": "red square"}).encode(),
                "000.txt": b"not this",
                "001.mp4": clip("blue0.mp4"),
                "001.txt": b"blue, in a file of text",
                "cats/002.mp4": clip("green0.mp4"),
                "cats/002.json": json.dumps(wishes).encode(),
            },
        ),
        write_shard(
            "in/001.tar",
            {
                "000.mp4": clip("blue1.mp4"),
                "000.jpg": clip("red5.png"),  # the thumbnail
                "000.json": json.dumps(of_downloader).encode(),
                "001.png": clip("blue5.png"),
            },
        ),
    ]
    code, said, rows = tag(colour_run, tmp_path / "tags.jsonl", tmp_path / "in")
    assert (code, said) == (0, f"{tmp_path / 'tags.jsonl'}: 5 tagged")
    first, second = shards
    assert [(row["path"], row["title"]) for row in rows] == [
        (f"{first}/000.mp4", "red square"),
        (f"{first}/001.mp4", "blue, in a file of text"),
        (f"{first}/cats/002.mp4", ""),
        (f"{second}/000.mp4", "from the site"),
        (f"{second}/001.png", ""),
    ]
    assert rows[2]["tags"][0] == {**rows[2]["tags"][0], "tag": "night", "pinned": True}
    assert "Green" not in names(rows[2])
    assert names(rows[4]) == ["Blue"]

    code, said, rows = tag(colour_run, tmp_path / "each.jsonl", f"{tmp_path}/in/{{001..000}}.tar", "--write-sidecar")
    assert [row["path"] for row in rows[:2]] == [f"{second}/000.mp4", f"{second}/001.png"]
    assert (code, len(rows)) == (0, 5)
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["000.tar", "001.tar"], (
        "samples have no sidecar"
    )


def test_corrupt_members_are_lines_and_the_others_go_on(
    colour_run: Path, write_shard: WriteShard, clip: Callable[[str], bytes], tmp_path: Path
) -> None:
    good = clip("red0.mp4")
    shard = write_shard(
        "bad.tar",
        {
            "zeros.mp4": bytes(len(good)),
            "cut.mp4": good[: len(good) // 3],
            "empty.mp4": b"",
            "json.mp4": good,
            "json.json": b"{",
            "text.mp4": good,
            "text.txt": b"\xff",
            "alone.json": b"{}",
            "good.mp4": clip("blue5.png"),  # a picture, whatever its suffix says
            "last.png": clip("red5.png"),
        },
    )
    code, said, rows = tag(colour_run, tmp_path / "tags.jsonl", shard)
    assert (code, said) == (0, f"{tmp_path / 'tags.jsonl'}: 2 tagged, 6 could not be read")
    found = {row["path"].removeprefix(f"{shard}/"): row for row in rows}
    assert list(found) == [
        "zeros.mp4", "cut.mp4", "empty.mp4", "json", "text", "alone", "good.mp4", "last.png",
    ]  # fmt: skip
    assert (names(found["good.mp4"]), names(found["last.png"])) == (["Blue"], ["Red"])
    assert found["empty.mp4"]["error"] == f"{shard}/empty.mp4: the file is empty (0 bytes)"
    assert found["json"]["error"].startswith("bad.tar/json: its .json is not JSON (")
    assert found["text"]["error"] == "bad.tar/text: its .txt is not UTF-8 (byte 0xff)"
    assert found["alone"]["error"] == "bad.tar/alone: no video or image, only .json"
    assert all("error" in row for name, row in found.items() if name not in ("good.mp4", "last.png"))


def test_of_a_shard_that_is_cut_short_what_is_whole_is_tagged_and_later_the_rest(
    colour_run: Path, write_shard: WriteShard, clip: Callable[[str], bytes], tmp_path: Path
) -> None:
    shard = write_shard("cut.tar", {f"{number}.mp4": clip(f"red{number}.mp4") for number in range(4)})
    write_shard("cut2.tar", {"0.mp4": clip("blue0.mp4")})
    whole = shard.read_bytes()
    with tarfile.open(shard) as tar:
        shard.write_bytes(whole[: tar.getmembers()[2].offset_data + 100])
    out = tmp_path / "tags.jsonl"
    command = (shard, tmp_path / "cut2.tar")
    code, said, rows = tag(colour_run, out, *command)
    assert (code, said) == (0, f"{out}: 3 tagged, 1 could not be read")
    paths = [f"{shard}/0.mp4", f"{shard}/1.mp4", str(shard), f"{tmp_path}/cut2.tar/0.mp4"]
    assert [row["path"] for row in rows] == paths
    size = shard.stat().st_size
    assert rows[2]["error"] == (
        "cut.tar: cut short, damaged or not a tar file ('2.mp4' goes on after the end of the file, byte "
        f"{size:,}); samples read: 2"
    )

    before = out.read_bytes()
    shard.write_bytes(whole)
    code, said, rows = tag(colour_run, out, *command)
    assert (code, said) == (0, f"{out}: 2 tagged, 3 done before")
    assert out.read_bytes().startswith(before)
    assert [row["path"] for row in rows[4:]] == [f"{shard}/2.mp4", f"{shard}/3.mp4"]
    assert [names(row) for row in rows[4:]] == [["Red"], ["Red"]]


def test_a_broken_header_in_the_middle_loses_no_line_before_it(
    colour_run: Path, write_shard: WriteShard, clip: Callable[[str], bytes], tmp_path: Path
) -> None:
    shard = write_shard("broken.tar", {f"{number}.png": clip(f"red{number + 4}.png") for number in range(4)})
    content = bytearray(shard.read_bytes())
    with tarfile.open(shard) as tar:
        start = tar.getmembers()[2].offset
    content[start : start + 512] = b"x" * 512
    shard.write_bytes(content)
    code, said, rows = tag(colour_run, tmp_path / "tags.jsonl", shard)
    assert (code, said) == (0, f"{tmp_path / 'tags.jsonl'}: 2 tagged, 1 could not be read")
    assert [row["path"] for row in rows] == [f"{shard}/0.png", f"{shard}/1.png", str(shard)]
    assert rows[2]["error"] == (
        f"broken.tar: cut short, damaged or not a tar file (no end mark at byte {start:,}); samples read: 2"
    )
