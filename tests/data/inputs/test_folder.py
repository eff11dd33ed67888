"""Folders of videos and images: what is listed, ids, splits, metadata from tables and sidecars, and everything bad."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import ConfigError, InputError
from optsg.data.inputs import MetadataOptions, open_inputs, skipped_files
from optsg.data.media import Failure, MediaItem

from tests.tiny_world import tiny_videos, write_tiny_store


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"read, not decoded")
    return root


def write_rows(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(root: Path, **options: Any) -> tuple[list[MediaItem], list[Failure]]:
    everything = list(open_inputs(root, **options))
    items = [item for item in everything if isinstance(item, MediaItem)]
    return items, [item for item in everything if isinstance(item, Failure)]


def read_row(root: Path, row: dict[str, Any]) -> MediaItem:
    """The item of a table with this one row, about ``a.mp4``."""
    touch(root, "a.mp4")
    write_rows(root / "metadata.jsonl", {"file_name": "a.mp4", **row})
    items, failures = read(root)
    assert failures == []
    return items[0]


def row_error(root: Path, row: Any) -> str:
    """The one failure's error of a table whose second row is ``row``; the good first row must come through."""
    touch(root, "a.mp4", "good.mp4")
    write_rows(root / "metadata.jsonl", {"file_name": "good.mp4", "tags": ["fine"]}, row)
    items, failures = read(root)
    assert items[0].id == "good"
    assert items[0].tags == ("fine",)
    assert len(failures) == 1
    assert failures[0].stage == "read"
    return failures[0].error


# --- what is listed


def test_files_come_in_the_order_of_their_paths_and_others_are_ignored(tmp_path):
    touch(tmp_path, "b.webm", "a/z.JPG", "a/y.mp4", "notes.txt", ".hidden.mp4", ".git/x.mp4", "a/._y.mp4", "c.mp4.part")
    items, failures = read(tmp_path)
    assert [(item.source, item.kind) for item in items] == [
        ("a/y.mp4", "video"),
        ("a/z.JPG", "image"),
        ("b.webm", "video"),
    ]
    assert items[0].payload == tmp_path / "a/y.mp4"
    assert failures == []


def test_a_file_without_metadata_is_an_item_without_title_tags_and_split(tmp_path):
    items, _ = read(touch(tmp_path, "train/a.mp4"))
    assert (items[0].title, items[0].tags, items[0].split) == ("", (), "none")


def test_files_of_other_tools_speak_for_files_that_neither_row_nor_info_json_names(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "sub/d.jpg", "e.f.jpg")
    for name in ("a.txt", "b.txt", "c.txt", "sub/d.txt", "e.f.txt", "z.txt", "a.mp4.txt"):
        (tmp_path / name).write_text(f"{name} tag, other", encoding="utf-8")
    (tmp_path / "c.nfo").write_text("<movie><title>See</title><tag>nfo</tag></movie>", encoding="utf-8")
    (tmp_path / "b.info.json").write_text('{"tags": ["info"]}', encoding="utf-8")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "tags": ["row"]})
    inputs = open_inputs(tmp_path)
    found = {item.source: (item.title, item.tags, set(item.given)) for item in inputs if isinstance(item, MediaItem)}
    assert found == {
        "a.mp4": ("", ("row",), {"tags"}),
        "b.mp4": ("", ("info",), {"tags"}),
        "c.mp4": ("See", ("nfo", "c.txt tag", "other"), {"title", "tags"}),
        "sub/d.jpg": ("", ("sub/d.txt tag", "other"), {"tags"}),
        "e.f.jpg": ("", ("e.f.txt tag", "other"), {"tags"}),
    }
    assert skipped_files(inputs) == {".txt": 2}
    assert "6 files beside (.nfo, .txt)" in inputs.description


def test_names_are_titles_where_that_is_asked_for_and_metadata_names_none(tmp_path):
    touch(tmp_path, "trip/our_cat.mp4", "trip/a lake.mp4", "IMG_0001.jpg")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "trip/a lake.mp4", "title": "Two days", "tags": ["lake"]})
    items, _ = read(tmp_path, options=MetadataOptions(title_from_name=True))
    assert {item.source: (item.title, set(item.given)) for item in items} == {
        "trip/a lake.mp4": ("Two days", {"title", "tags"}),
        "trip/our_cat.mp4": ("our cat", {"title"}),
        "IMG_0001.jpg": ("", set()),
    }
    assert {item.title for item in read(tmp_path)[0]} == {"Two days", ""}


def test_a_text_file_called_mp4_is_left_to_the_decoder(tmp_path):
    (tmp_path / "a.mp4").write_text("I am a text.")
    assert [item.id for item in read(tmp_path)[0]] == ["a"]


def test_inputs_can_be_read_again_and_tell_count_and_description(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.png")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "b.mp4"})
    inputs = open_inputs(tmp_path)
    assert list(inputs) == list(inputs)
    assert inputs.count == 3
    assert inputs.description == f"folder {tmp_path} with metadata.jsonl: 2 videos, 1 image"


def test_limit_counts_items_and_not_failures(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "gone.mp4"}, {"file_name": "b.mp4"}, {"file_name": "c.mp4"})
    inputs = open_inputs(tmp_path, limit=2)
    assert inputs.count == 2
    assert inputs.description.endswith("with metadata.jsonl: 3 videos, 0 images (the first 2)")
    assert [item.id for item in inputs] == ["gone.mp4", "b", "c"]


def test_a_limit_below_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=re.escape("--limit is 0, expected 1 or more")):
        open_inputs(touch(tmp_path, "a.mp4"), limit=0)


def test_missing_folder():
    with pytest.raises(InputError, match=f"^{re.escape('/no/such/videos: there is no such file or folder')}$"):
        open_inputs(Path("/no/such/videos"))


OTHERS = "no video, image or .tar shard in this folder, only other files (2); known are the suffixes .264 .3g2 .3gp "


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "there is nothing in this folder, no video, image or .tar shard"),
        (("a.txt", "b.pdf"), OTHERS),
    ],
)
def test_folder_without_media(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=f"^{re.escape(f'{tmp_path}: {message}')}"):
        open_inputs(tmp_path)


def test_a_single_video_is_no_input(tmp_path):
    video = touch(tmp_path, "a.mp4") / "a.mp4"
    message = f"{video}: not a .tar shard, expected a folder of videos or images, or WebDataset shards"
    with pytest.raises(InputError, match=re.escape(message)):
        open_inputs(video)


@pytest.mark.parametrize("name", ["feats", "feats.tmp"])
def test_a_feature_store_in_the_folder_is_no_input(tmp_path: Path, name: str) -> None:
    """As the one that the same command wrote there before, and what is left of one where it was killed."""
    write_tiny_store(tmp_path / "feats", tiny_videos(3))
    if name != "feats":
        (tmp_path / "feats").rename(tmp_path / name)
        (tmp_path / name / "index.json").unlink()
    touch(tmp_path, "a.mp4", f"{name}/b.mp4")
    items, failures = read(tmp_path)
    assert [item.source for item in items] == ["a.mp4", f"{name}/b.mp4"]
    assert failures == []
    assert not skipped_files(open_inputs(tmp_path))


def test_videos_beside_shards_are_ambiguous(tmp_path):
    touch(tmp_path, "picture.png", "shards/000.tar", "shards/001.tar")
    message = (
        f"{tmp_path}: holds both videos or images (1, such as picture.png) and shards (2, such as shards/000.tar); "
        f"move one kind away, or give the shards as '{tmp_path}/**/*.tar'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_inputs(tmp_path)


def test_links_to_files_are_followed_wherever_they_lead(tmp_path):
    touch(tmp_path, "cache/blob", "set/a.mp4")
    (tmp_path / "set/linked.mp4").symlink_to(tmp_path / "cache/blob")
    items, failures = read(tmp_path / "set")
    assert [item.id for item in items] == ["a", "linked"]
    assert isinstance(items[1].payload, Path)
    assert items[1].payload.read_bytes() == b"read, not decoded"
    assert failures == []


def test_links_to_folders_dead_links_and_pipes_are_recorded(tmp_path):
    touch(tmp_path, "elsewhere/b.mp4", "set/a.mp4")
    (tmp_path / "set/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/circle").symlink_to(tmp_path / "set")
    (tmp_path / "set/dead.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "set/self.mp4").symlink_to("self.mp4")
    os.mkfifo(tmp_path / "set/pipe.mp4")
    items, failures = read(tmp_path / "set")
    assert [item.id for item in items] == ["a"]
    assert [failure.error for failure in failures] == [
        "circle: is a link to a folder, which is not followed; give that folder as the input",
        "dead.mp4: is not a file, or a link that leads nowhere",
        "more: is a link to a folder, which is not followed; give that folder as the input",
        "pipe.mp4: is not a file, or a link that leads nowhere",
        "self.mp4: is not a file, or a link that leads nowhere",
    ]


def test_a_sub_folder_that_cannot_be_listed_is_recorded(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "closed/b.mp4")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    items, failures = read(tmp_path)
    assert [item.id for item in items] == ["a"]
    assert failures[0].error == "closed: cannot be listed (Permission denied)"


def test_a_file_name_that_is_not_utf8_can_be_stored(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"x")
    item = read(tmp_path)[0][0]
    assert (item.id, item.source) == ("caf\\xe9", "caf\\xe9.mp4")
    assert isinstance(item.payload, Path)
    assert item.payload.read_bytes() == b"x"


# --- ids


def test_ids_are_stems_and_grow_only_where_they_would_clash(tmp_path):
    touch(tmp_path, "cats/a.mp4", "dogs/a.mp4", "dogs/a.webm", "dogs/b.v2.mp4")
    items, failures = read(tmp_path)
    assert [item.id for item in items] == ["cats/a", "dogs/a.mp4", "dogs/a.webm", "b.v2"]
    assert failures == []


def test_of_duplicate_ids_the_first_wins(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "b.mp4", "id": "a"}, {"file_name": "c.mp4", "id": "a"})
    items, failures = read(tmp_path)
    assert [(item.id, item.source) for item in items] == [("a", "b.mp4")]
    assert failures == [
        Failure(
            id=name,
            source=name,
            stage="read",
            error=f"{name}: duplicate id 'a', which an earlier input has; give each its own id",
        )
        for name in ("c.mp4", "a.mp4")
    ]


def test_a_file_named_by_two_rows_is_refused(tmp_path):
    """Under two ids it could be in the training and in the test set."""
    touch(tmp_path, "a.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "id": "one"}, {"file_name": "./a.mp4", "id": "two"})
    items, failures = read(tmp_path)
    assert items == []
    why = (
        "2 rows are about 'a.mp4' (line 1, line 2); give it one row with all its tags, or add --group-rows to join them"
    )
    assert [(failure.source, failure.error) for failure in failures] == [("a.mp4", f"metadata.jsonl: {why}")]


def test_a_failure_never_carries_the_id_of_an_item_that_came_through(tmp_path):
    touch(tmp_path, "a.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "id": "x"}, {"file_name": "gone.mp4", "id": "x"})
    items, failures = read(tmp_path)
    assert [item.id for item in items] == ["x"]
    assert [failure.id for failure in failures] == ["gone.mp4"]


def test_a_bad_row_fails_under_the_id_it_will_have_once_mended(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_rows(
        tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "tags": 3, "id": 17}, {"file_name": "b.mp4", "tags": 3}
    )
    items, failures = read(tmp_path)
    assert items == []
    assert [(failure.id, failure.source) for failure in failures] == [("17", "a.mp4"), ("b", "b.mp4")]


# --- rows and files


def test_rows_come_first_in_their_order_then_the_files_without_a_row(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "sub/c.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "sub/c.mp4", "title": "C", "tags": ["x"], "split": "test"})
    items, failures = read(tmp_path)
    assert [item.source for item in items] == ["sub/c.mp4", "a.mp4", "b.mp4"]
    assert (items[0].title, items[0].tags, items[0].split) == ("C", ("x",), "test")
    assert failures == []


def test_tables_in_sub_folders_name_files_relative_to_themselves(tmp_path):
    touch(tmp_path, "train/a.mp4", "test/a.mp4")
    write_rows(tmp_path / "train/metadata.jsonl", {"file_name": "a.mp4", "tags": ["x"]}, "{")
    write_rows(tmp_path / "test/metadata.jsonl", {"file_name": "a.mp4", "tags": ["y"]}, {"file_name": "../train/a.mp4"})
    items, failures = read(tmp_path)
    assert [(item.id, item.tags, item.split) for item in items] == [
        ("test/a", ("y",), "test"),
        ("train/a", ("x",), "train"),
    ]
    assert failures[0].error == "test/metadata.jsonl, line 2: '../train/a.mp4' leads outside its folder"
    assert failures[1].error.startswith("train/metadata.jsonl, line 2: not JSON (")
    assert open_inputs(tmp_path).description == f"folder {tmp_path} with 2 metadata tables: 2 videos, 0 images"


def test_the_table_given_goes_before_the_one_in_the_folder(tmp_path):
    touch(tmp_path, "videos/a.mp4")
    write_rows(tmp_path / "videos/metadata.jsonl", {"file_name": "a.mp4", "title": "in the folder"})
    given = write_rows(tmp_path / "other.jsonl", {"file_name": "a.mp4", "title": "given"})
    assert read(tmp_path / "videos", metadata=given)[0][0].title == "given"


def test_metadata_row_without_its_file(tmp_path):
    error = row_error(tmp_path, {"file_name": "gone.mp4"})
    assert error == f"metadata.jsonl, line 2: 'gone.mp4' is not in the folder {tmp_path}"


@pytest.mark.parametrize(("in_table", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_with_accents_is_found_in_either_spelling_of_unicode(
    tmp_path: Path, in_table: Any, on_disk: Any
) -> None:
    """macOS takes letters and accents apart, spreadsheets put them together."""
    named, found = (unicodedata.normalize(form, "café/naïve.mp4") for form in (in_table, on_disk))
    touch(tmp_path, found)
    write_rows(tmp_path / "metadata.jsonl", {"file_name": named, "title": "t"})
    ((item,), failures) = read(tmp_path)
    assert (item.source, item.title, item.payload, failures) == (found, "t", tmp_path / found, [])


def test_of_two_files_whose_names_look_alike_a_row_means_the_one_that_it_spells(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD")]
    touch(tmp_path, *names)
    write_rows(tmp_path / "metadata.jsonl", *({"file_name": name, "title": f"{len(name)}"} for name in names))
    items, _ = read(tmp_path)
    assert {item.source: item.title for item in items} == {name: f"{len(name)}" for name in names}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../a.mp4", "'../a.mp4' leads outside its folder"),
        ("x/../../a.mp4", "'x/../../a.mp4' leads outside its folder"),
        ("/etc/a.mp4", "'/etc/a.mp4' is an absolute path, expected one relative to the folder"),
        (".", "'.' names no file"),
        ("", "no file_name, expected the path of a video or image relative to the folder"),
        (None, "no file_name, expected the path of a video or image relative to the folder"),
        (7, "no file_name, expected the path of a video or image relative to the folder"),
        (".secret.mp4", "'.secret.mp4' is hidden"),
        ("a\0.mp4", "'a .mp4' is not in the folder {folder}"),
        ("a.xyz", "'a.xyz' has no known video or image suffix (known: .264 .3g2 .3gp"),
    ],
)
def test_file_names_that_are_refused(tmp_path, name, why):
    touch(tmp_path, ".secret.mp4")
    error = row_error(tmp_path, {"file_name": name, "title": "t"})
    assert error.startswith(f"metadata.jsonl, line 2: {why.format(folder=tmp_path)}")


def test_a_path_through_dots_that_stays_inside_is_fine(tmp_path):
    touch(tmp_path, "a.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "sub/../a.mp4", "title": "t"})
    assert [item.title for item in read(tmp_path)[0]] == ["t"]


# --- columns


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["a", "b"], ("a", "b")),
        ("a, b ,c", ("a", "b", "c")),
        (["a, b", "c"], ("a, b", "c")),
        ("[SEP], ;x;, [MASK]", ("[SEP]", ";x;", "[MASK]")),
        (["[SEP]", ";", "a;b"], ("[SEP]", ";", "a;b")),
        (["two\nlines", "tab\there"], ("two lines", "tab here")),
        ("two\nlines,b", ("two", "lines", "b")),
        ('["a, b", "c"]', ("a, b", "c")),
        ("['it', \"it's\"]", ("it", "it's")),
        ("[1, 2]", ("1", "2")),
        ("[]", ()),
        (["👩‍🚀", "🎉🎉"], ("👩‍🚀", "🎉🎉")),
        (["", "  ", "a"], ("a",)),
        ("", ()),
        (" , ,", ()),
        ([], ()),
        (None, ()),
        ([None, "a"], ("a",)),
        (float("nan"), ()),
        (["Cat", "cat", "ＣＡＴ"], ("Cat",)),
        (["你好，李焕英"], ("你好,李焕英",)),
        (["x" * 500], ("x" * 500,)),
        (["a\ud800b"], ("a b",)),
    ],
)
def test_tags(tmp_path, tags, expected):
    touch(tmp_path, "a.mp4")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.mp4", "tags": tags}))
    items, failures = read(tmp_path)
    assert failures == []
    assert items[0].tags == expected


def test_titles(tmp_path):
    assert read_row(tmp_path, {"title": None}).title == ""
    assert read_row(tmp_path, {}).title == ""
    assert read_row(tmp_path, {"title": " two\r\nlines\t, \0 x "}).title == "two lines , x"
    assert len(read_row(tmp_path, {"title": "word " * 2000}).title) == 9999
    assert len(read_row(tmp_path, {"title": "x" * 10_000}).title) == 10_000


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"tags": 3}, "tags is a number (3), expected a list of texts, or one text with commas"),
        ({"tags": {"a": 1}}, "tags is an object, expected a list of texts, or one text with commas"),
        ({"tags": ["a", True]}, "tags holds true, expected texts only"),
        ({"tags": [["a"]]}, "tags holds a list, expected texts only"),
        ({"title": 1917}, "title is a number (1917), expected text"),
        ({"title": ["a"]}, "title is a list, expected text"),
        ({"id": 1.5}, "id is a number (1.5), expected text"),
        ({"id": True}, "id is true, expected text"),
        ({"split": "holdout"}, "split is 'holdout', expected train, val (or valid, validation, dev), test or none"),
        ({"split": 1}, "split is a number (1), expected text"),
    ],
)
def test_wrong_columns(tmp_path, columns, why):
    assert row_error(tmp_path, {"file_name": "a.mp4", **columns}) == f"metadata.jsonl, line 2: {why}"


def test_integer_ids_are_their_digits(tmp_path):
    assert read_row(tmp_path, {"id": 42}).id == "42"


def test_column_names_are_trimmed_and_lower_cased(tmp_path):
    item = read_row(tmp_path, {" Title": "t", "TAGS": "a", "Split": "val"})
    assert (item.title, item.tags, item.split) == ("t", ("a",), "val")


# --- splits


@pytest.mark.parametrize(
    ("folder", "column", "expected"),
    [
        ("", "train", "train"),
        ("", " Validation ", "val"),
        ("", "dev", "val"),
        ("", "valid", "val"),
        ("", "none", "none"),
        ("test/", None, "test"),
        ("test/", "", "test"),
        ("test/", "train", "train"),
        ("x/DEV/y/", None, "val"),
        ("test/train/", None, "test"),
    ],
)
def test_split_of_column_and_folder(tmp_path, folder, column, expected):
    touch(tmp_path, f"{folder}a.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": f"{folder}a.mp4", "tags": ["x"], "split": column})
    assert read(tmp_path)[0][0].split == expected


def test_a_video_without_tags_has_no_split_whatever_the_column_says(tmp_path):
    assert read_row(tmp_path, {"split": "train", "tags": []}).split == "none"


# --- yt-dlp


def test_yt_dlp_sidecars(tmp_path):
    touch(tmp_path, "Cats, v1.0 [dQw4].mp4", "b.mp4")
    info = {"id": "dQw4", "title": "Cats!", "tags": ["Cat", "funny"], "categories": ["Pets"], "ext": "mp4"}
    write_rows(tmp_path / "Cats, v1.0 [dQw4].info.json", info)
    items, failures = read(tmp_path)
    assert [(item.id, item.title, item.tags) for item in items] == [("dQw4", "Cats!", ("Cat", "funny")), ("b", "", ())]
    assert items[0].split in ("train", "val", "test")
    assert failures == []
    assert open_inputs(tmp_path).description == f"folder {tmp_path} with 1 info.json file: 2 videos, 0 images"


def test_a_sidecar_of_the_whole_name_says_more_than_that_of_the_stem(tmp_path):
    touch(tmp_path, "a.jpg", "a.png")
    write_rows(tmp_path / "a.info.json", {"title": "A", "tags": ["x"]})
    write_rows(tmp_path / "a.png.info.json", {"tags": ["y"], "optsg_tags": {}})
    assert [(item.id, item.title, item.tags) for item in read(tmp_path)[0]] == [
        ("a.jpg", "A", ("x",)),
        ("a.png", "A", ("y",)),
    ]


def test_sidecars_speak_for_files_that_no_row_names(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "title": "table"})
    for name in ("a", "b"):
        write_rows(tmp_path / f"{name}.info.json", {"title": "sidecar", "tags": ["x"]})
    assert [(item.id, item.title, item.tags) for item in read(tmp_path)[0]] == [
        ("a", "table", ()),
        ("b", "sidecar", ("x",)),
    ]
    assert open_inputs(tmp_path).description == (
        f"folder {tmp_path} with metadata.jsonl and 2 info.json files: 2 videos, 0 images"
    )


def test_a_row_without_an_id_leaves_that_of_info_json(tmp_path):
    touch(tmp_path, "a.mp4", "a.jpg", "b.mp4", "c.mp4", "d.mp4", "e.mp4")
    names = ("a.mp4", "a.jpg", "b.mp4", "c.mp4", "d.mp4", "e.mp4")
    rows = [{"file_name": name, "title": "table"} for name in names]
    write_rows(tmp_path / "metadata.jsonl", rows[0], rows[1], {**rows[2], "id": "own"}, rows[3], rows[4], rows[5])
    for name in "abd":
        write_rows(tmp_path / f"{name}.info.json", {"id": f"site-{name}", "title": "sidecar", "tags": ["x"]})
    write_rows(tmp_path / "d.mp4.info.json", {"id": 7})
    (tmp_path / "e.info.json").write_text("{")
    items, failures = read(tmp_path)
    assert [(item.id, item.title, item.tags) for item in items] == [
        ("site-a", "table", ()),
        ("a.jpg", "table", ()),
        ("own", "table", ()),
        ("c", "table", ()),
        ("7", "table", ()),
    ]
    assert [failure.id for failure in failures] == ["e"]
    assert failures[0].error.startswith("metadata.jsonl, line 6: e.info.json is not JSON (")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "a.info.json is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        (b'{"title": "caf\xe9"}', "a.info.json is not JSON ('utf-8' codec can't decode byte 0xe9"),
        (b"[]", "a.info.json is not a JSON object, which is what yt-dlp --write-info-json writes"),
        (b'{"tags": 3}', "tags is a number (3), expected a list of texts, or one text with commas"),
        (b"[" * 100_000, "a.info.json is not JSON ("),
    ],
)
def test_a_bad_sidecar_costs_its_own_video_only(tmp_path, content, why):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "a.info.json").write_bytes(content)
    items, failures = read(tmp_path)
    assert [item.id for item in items] == ["b"]
    assert [(failure.id, failure.source) for failure in failures] == [("a", "a.mp4")]
    assert failures[0].error.startswith(f"a.mp4: {why}")


def test_a_null_of_the_nearer_info_json_says_nothing(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "a.info.json").write_text('{"id": "A", "title": "One", "tags": ["cat"]}')
    (tmp_path / "a.mp4.info.json").write_text('{"id": null, "title": null, "tags": null}')
    (tmp_path / "b.info.json").write_text('{"id": "B", "title": "Two", "tags": ["dog"]}')
    (tmp_path / "b.mp4.info.json").write_text('{"title": "Nearer", "tags": []}')
    found = [(item.id, item.title, item.tags) for item in open_inputs(tmp_path) if isinstance(item, MediaItem)]
    assert found == [("A", "One", ("cat",)), ("B", "Nearer", ())]


def test_a_table_with_capitals_in_its_name_is_not_counted_as_skipped(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "Metadata.CSV").write_text("file_name,tags\na.mp4,cat\n")
    inputs = open_inputs(tmp_path)
    assert [item.tags for item in inputs if isinstance(item, MediaItem)] == [("cat",)]
    assert skipped_files(inputs) == {}
