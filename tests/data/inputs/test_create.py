"""CREATE's annotations in their published layouts, with a folder of videos; exact errors; bounded memory."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import InputError
from optsg.data.inputs import open_inputs
from optsg.data.inputs.metadata.json_list import read_json_list
from optsg.data.inputs.splits import split_by_hash
from optsg.data.media import Failure, MediaItem


def annotated(vid: str, **changes: Any) -> dict[str, Any]:
    """An item of create_210k_*.json."""
    values = {
        "vid": vid,
        "ann_title": f"{vid} 标注标题",
        "ann_caption": "一只猫",
        "raw_title": f"{vid} 原标题",
        "tag": ["猫", "宠物"],
        "category": 3,
    }
    return {**values, **changes}


def write(path: Path, items: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")
    return path


def make_folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def items_of(path: Path, **options: Any) -> list[MediaItem | Failure]:
    return list(open_inputs(path, **options))


def test_a_folder_with_the_three_files_beside_its_videos(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "create", "videos/0/v1.mp4", "videos/1/v2.webm", "v3.mp4", "other.mp4")
    write(folder / "create_210k_test.json", [annotated("v3", tag=["狗"])])
    write(folder / "create_210k_train.json", [annotated("v1")])
    write(folder / "create_210k_val.json", [annotated("v2", raw_title="")])
    inputs = open_inputs(folder)
    found = list(inputs)
    assert inputs.description == (
        f"folder {folder} with create_210k_train.json, create_210k_val.json, create_210k_test.json: 4 videos or images"
    )
    assert all(isinstance(item, MediaItem) for item in found)
    assert [
        (item.id, item.source, item.title, item.tags, item.split) for item in found if isinstance(item, MediaItem)
    ] == [
        ("v1", "videos/0/v1.mp4", "v1 原标题", ("猫", "宠物"), "train"),
        ("v2", "videos/1/v2.webm", "v2 标注标题", ("猫", "宠物"), "val"),
        ("v3", "v3.mp4", "v3 原标题", ("狗",), "test"),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [("create_210k_val.json", "val"), ("create_3m_pretrain.json", "train"), ("CREATE_10M_PRETRAIN.json", "train")],
)
def test_one_file_named_gives_the_videos_of_its_split_and_no_others(tmp_path: Path, name: str, split: str) -> None:
    folder = make_folder(tmp_path / "videos", "v1.mp4", "v99.mp4")
    assert split_by_hash("v99") == "test"  # where no name of a file says anything
    table = write(tmp_path / name, [{"vid": "v99", "raw_title": "标题", "tag": ["a,b", "猫"]}])
    [item] = items_of(folder, metadata=table)
    assert isinstance(item, MediaItem)
    assert (item.id, item.title, item.tags, item.split) == ("v99", "标题", ("a,b", "猫"), split)


def test_a_folder_as_metadata_and_a_file_of_another_name(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "videos", "v1.mp4")
    write(tmp_path / "json" / "annotations" / "create_210k_test.json", [annotated("v1")])
    [item] = items_of(folder, metadata=tmp_path / "json")
    assert isinstance(item, MediaItem)
    assert item.split == "test"
    [item] = items_of(folder, metadata=write(tmp_path / "mine.json", [annotated("v1", tag=[])]))
    assert isinstance(item, MediaItem)
    assert (item.split, item.tags) == ("none", ())


def test_what_cannot_be_used_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "videos", "v1.mp4", "a/twice.mp4", "b/twice.mp4")
    nameless = {**annotated("v1"), "vid": None}
    rows = [annotated("gone"), annotated("twice"), 5, nameless, annotated("v4", tag=7), annotated("v1")]
    table = write(tmp_path / "create_210k_train.json", [annotated("v1"), *rows])
    first, *failures = items_of(folder, metadata=table)
    assert isinstance(first, MediaItem)
    where = "create_210k_train.json, item"
    assert [(failure.id, failure.error) for failure in failures if isinstance(failure, Failure)] == [
        ("gone", f"{where} 2: no video or image called 'gone' in the folder {folder}"),
        ("twice", f"{where} 3: more than one video or image is called 'twice' (a/twice.mp4 and b/twice.mp4)"),
        (f"{where} 4", f"{where} 4: not a JSON object"),
        (f"{where} 5", f"{where} 5: no vid, which is the stem of the video's file name"),
        ("v4", f"{where} 6: tags is a number (7), expected a list of texts, or one text with commas"),
        ("v1.mp4", "v1.mp4: duplicate id 'v1', which an earlier input has; give each its own id"),
    ]


def refused(folder: Path, message: str, **options: Any) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        open_inputs(folder, **options)


def test_two_sets_and_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "create", "v1.mp4")
    write(folder / "create_210k_train.json", [annotated("v1")])
    write(folder / "old" / "create_210k_train.json", [annotated("v1")])
    refused(folder, f"{folder}: holds 2 files create_210k_train.json, one of them create_210k_train.json")
    write(folder / "create_3m_pretrain.json", [annotated("v1")])
    refused(
        folder,
        f"{folder}: holds annotations of CREATE-210K and CREATE-3M; a feature store takes one of them: name a file of it "
        "with --metadata",
    )


def test_annotations_that_are_bad_as_a_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "videos", "v1.mp4")
    table = tmp_path / "create_210k_train.json"
    refused(folder, f"{table}: there is no such metadata file", metadata=table)
    refused(
        folder,
        f"{folder}: no annotations of CREATE in this folder; expected files such as create_210k_train.json or "
        "create_3m_pretrain.json",
        metadata=folder,
    )
    write(table, {"v1": annotated("v1")})
    refused(
        folder,
        f"{table}: not a JSON list; expected [ at its beginning, and one object per video in it",
        metadata=table,
    )
    write(table, [])
    refused(folder, f"{table}: holds no rows", metadata=table)
    write(table, ["v1"])
    refused(folder, f"{table}, item 1: not a JSON object; expected a list of objects", metadata=table)
    write(table, [{"id": "v1", "title": "x"}])
    refused(
        folder,
        f"{table}: no 'vid' (found: id, title); expected the layout of CREATE's annotations",
        metadata=table,
    )
    whole = json.dumps([annotated("v1"), annotated("v2")])
    for text, after in ((whole[:-40], 1), (whole[:-1], 2), (whole.replace("}, {", "} {"), 1)):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=rf"^{re.escape(str(table))}, after item {after}: not JSON \(.+\)$"):
            open_inputs(folder, metadata=table)


def test_escapes_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "videos", "v1.mp4")
    table = tmp_path / "create_210k_train.json"
    escaped = json.dumps([annotated("v1", raw_title='猫 😀 / " x', tag=["\u0061b", "好"])])
    table.write_bytes(b"\xef\xbb\xbf\n " + escaped.encode("ascii"))
    [item] = items_of(folder, metadata=table)
    assert isinstance(item, MediaItem)
    assert (item.title, item.tags) == ('猫 😀 / " x', ("ab", "好"))


@pytest.mark.parametrize(
    ("text", "after", "reason"),
    [
        (b'[{"vid": "\xff"}]', 0, "lexical error: invalid bytes in UTF8 string."),
        (b'[{"vid": "a"}, ' + b"[" * 100_000, 1, "nested more than 64 deep"),
        (b'[{"vid": "a"}] x', 1, "parse error: trailing garbage"),
    ],
)
def test_hostile_lists_are_one_sentence(tmp_path: Path, text: bytes, after: int, reason: str) -> None:
    table = tmp_path / "list.json"
    table.write_bytes(text)
    with pytest.raises(InputError, match=f"^{re.escape(f'{table}, after item {after}: not JSON ({reason})')}$"):
        list(read_json_list(table))


def test_nested_items_and_plain_ones_come_whole(tmp_path: Path) -> None:
    items = [1, "a", None, [], {}, [[2]], {"a": {"b": [3, {}]}, "c": 4.5}, True]
    assert list(read_json_list(write(tmp_path / "list.json", items))) == items


def test_a_large_list_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    table = tmp_path / "create_10m_pretrain.json"
    with table.open("w", encoding="utf-8") as file:
        file.write("[")
        file.writelines(
            json.dumps({"vid": f"v{number}", "raw_title": "标题" * 200, "tag": ["猫"]}) + ",\n"
            for number in range(5_000)
        )
        file.write('{"vid": "last", "raw_title": "", "tag": []}]')
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_json_list(table))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5_001
    assert peak < table.stat().st_size / 10


def test_a_pexel_style_image_set_in_a_json_list_or_a_csv(tmp_path: Path) -> None:
    """Images, titles and tags; each in a folder of its split or with a column that says it."""
    folder = make_folder(tmp_path / "pexel", "images/train/1.jpg", "images/test/2.jpeg", "images/3.png")
    rows = [
        {"file_name": "images/train/1.jpg", "title": "A woman with a racket", "tags": ["tennis", "young woman"]},
        {"file_name": "images/test/2.jpeg", "title": "Sea", "tags": ["sea"]},
        {"file_name": "images/3.png", "title": "Road", "tags": ["road"], "split": "val"},
    ]
    table = write(tmp_path / "pexel.json", rows)
    expected = [
        ("1", "image", "A woman with a racket", ("tennis", "young woman"), "train"),
        ("2", "image", "Sea", ("sea",), "test"),
        ("3", "image", "Road", ("road",), "val"),
    ]

    def shown(metadata: Path) -> list[tuple[object, ...]]:
        items = [item for item in items_of(folder, metadata=metadata) if isinstance(item, MediaItem)]
        return [(item.id, item.kind, item.title, item.tags, item.split) for item in items]

    assert shown(table) == expected
    lines = [f'{row["file_name"]},{row["title"]},"{",".join(row["tags"])}",{row.get("split", "")}' for row in rows]
    (tmp_path / "pexel.csv").write_text("\n".join(["file_name,title,tags,split", *lines]))
    assert shown(tmp_path / "pexel.csv") == expected
    write(table, [{"image": "1.jpg"}])
    hint = "if another one is meant, say --columns file_name=COLUMN"
    refused(folder, f"{table}: no column 'file_name' (found: image); {hint}", metadata=table)
    write(table, [*rows, 5])
    assert [item.error for item in items_of(folder, metadata=table) if isinstance(item, Failure)] == [
        "pexel.json, item 4: not a JSON object"
    ]
