"""The sample data gives the same items as shards and unpacked as a folder with ``metadata.jsonl``."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

from optsg.data.inputs import open_inputs
from optsg.data.media import MediaItem


def unpack(shards: Path, folder: Path) -> None:
    """Videos into ``folder``, what their ``.json`` says into ``folder/metadata.jsonl``."""
    folder.mkdir()
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
        for shard in sorted(shards.glob("*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    if member.name.endswith(".mp4"):
                        (folder / member.name).write_bytes(stream.read())
                    elif member.name.endswith(".json"):
                        row = {"file_name": member.name.replace(".json", ".mp4"), **json.load(stream)}
                        metadata.write(json.dumps(row, ensure_ascii=False) + "\n")


def described(item: object) -> tuple[object, ...]:
    assert isinstance(item, MediaItem), item
    return item.id, item.title, item.tags, item.split, item.kind


def bytes_of(item: object) -> bytes:
    assert isinstance(item, MediaItem)
    assert not isinstance(item.payload, bytes)
    return item.payload.read_bytes() if isinstance(item.payload, Path) else item.payload.read()


def test_shards_and_folder_give_the_same_items(sample_dir, tmp_path):
    unpack(sample_dir, tmp_path / "videos")
    shards, folder = open_inputs(sample_dir), open_inputs(tmp_path / "videos")
    assert shards.count == folder.count == 1855
    count = 0
    for of_shard, of_folder in zip(shards, folder, strict=True):
        assert described(of_shard) == described(of_folder)
        assert bytes_of(of_shard) == bytes_of(of_folder)
        count += 1
    assert count == 1855


def test_the_sample_is_what_its_notes_say(sample_dir):
    items = [item for item in open_inputs(sample_dir) if isinstance(item, MediaItem)]
    assert Counter(item.split for item in items) == {"train": 1485, "val": 185, "test": 185}
    assert len({tag for item in items for tag in item.tags}) == 4726
    assert max(len(item.tags) for item in items) == 24
    assert all(item.title for item in items)
