"""What is left out of folders and shards is said, each sentence once."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from optsg.data.media import MediaItem
from optsg.evaluate.tag.requests import TagRequests


def said_of(path: Path) -> tuple[list[str], list[str]]:
    """The names of the requests, and the warnings."""
    warnings: list[str] = []
    requests = [Path(request.path).name for request in TagRequests([path], warn=warnings.append)]
    return requests, warnings


def test_thumbnails_of_a_folder_are_counted(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.jpg", "b.mp4", "b.webp", "c.png", "c.txt", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert said_of(tmp_path) == (
        ["a.mp4", "b.mp4", "c.png"],
        [
            f"1 file is skipped in {tmp_path}, being neither video nor image by their suffixes: 1 .txt",
            f"2 pictures beside videos of their names are left out in {tmp_path}: thumbnails",
        ],
    )


def test_members_of_a_shard_are_counted_once_it_is_read(tmp_path: Path) -> None:
    shard = tmp_path / "0.tar"
    with tarfile.open(shard, "w") as tar:
        for name in ("a.mp4", "a.jpg", "a.srt", "b.jpg", "b.npy"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert said_of(shard) == (
        ["a.mp4", "b.jpg"],
        [
            f"2 files are skipped in {shard}, being neither video nor image by their suffixes: 1 .npy, 1 .srt",
            f"1 picture beside a video of its name is left out in {shard}: thumbnails",
        ],
    )


def test_a_file_alone_has_the_title_that_it_has_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.info.json").write_text('{"title": "a cat"}', encoding="utf-8")
    (tmp_path / "a.png.info.json").write_text('{"title": null, "tags": ["cat"]}', encoding="utf-8")
    for path in (tmp_path, tmp_path / "a.png"):
        (request,) = TagRequests([path])
        assert isinstance(request.item, MediaItem)
        assert request.item.title == "a cat"
