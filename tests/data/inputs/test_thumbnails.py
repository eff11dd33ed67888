"""Pictures beside a video of their name: no inputs of their own, unless metadata names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from optsg.data.inputs import left_out_thumbnails, open_inputs
from optsg.data.inputs.create_annotations import CreateAnnotations
from optsg.data.inputs.create_input import CreateInput
from optsg.data.inputs.media_folder import scan_folder

from tests.data.inputs.test_folder import read, touch, write_rows

INFO = {"id": "abc", "title": "Cats", "tags": ["cat", "funny"]}


@pytest.mark.parametrize("name", ["X.jpg", "X.webp", "X.png", "X.JPG", "X.mp4.jpg", "X.0.jpg", "X.maxres-default.webp"])
def test_what_yt_dlp_writes_beside_a_video_is_its_thumbnail(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "set/X.mp4", f"set/{name}")
    write_rows(tmp_path / "set/X.info.json", INFO)
    items, failures = read(tmp_path)
    assert failures == []
    assert [(item.id, item.source, item.tags) for item in items] == [("abc", "set/X.mp4", ("cat", "funny"))]
    assert open_inputs(tmp_path).description == (
        f"folder {tmp_path} with 1 info.json file: 1 video, 0 images "
        "(1 picture beside a video of that name: thumbnails, left out)"
    )
    assert left_out_thumbnails(open_inputs(tmp_path, limit=1)) == 1


def test_pictures_of_other_names_folders_and_stems_are_inputs(tmp_path: Path) -> None:
    touch(tmp_path, "X.mp4", "X.b.mp4", "Y.jpg", "other/X.jpg", "X.0.jpg", "Xa.jpg", "Z.jpg", "Z.png")
    assert [item.source for item in read(tmp_path)[0]] == [
        *("X.0.jpg", "X.b.mp4", "X.mp4", "Xa.jpg", "Y.jpg", "Z.jpg", "Z.png", "other/X.jpg"),
    ]


def test_a_row_that_names_the_picture_makes_it_an_input(tmp_path: Path) -> None:
    touch(tmp_path, "X.mp4", "X.jpg")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "X.jpg", "tags": ["still"]})
    assert [(item.id, item.kind, item.tags) for item in read(tmp_path)[0]] == [
        ("X.jpg", "image", ("still",)),
        ("X", "video", ()),
    ]
    inputs = open_inputs(tmp_path)
    assert left_out_thumbnails(inputs) == 0
    assert inputs.description.endswith("thumbnails, left out unless a row names them)")


def test_annotations_by_id_find_the_video_and_not_its_thumbnail(tmp_path: Path) -> None:
    touch(tmp_path, "v1.mp4", "v1.jpg")
    path = tmp_path / "create_210k_train.json"
    path.write_text(json.dumps([{"vid": "v1", "raw_title": "T", "tag": ["x"]}]))
    (item,) = CreateInput(scan_folder(tmp_path), CreateAnnotations([path]))
    assert item.source == "v1.mp4"
