"""WebDataset shards: layouts of video2dataset and img2dataset, keys with dots, patterns, and damaged tar files."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import InputError
from optsg.data.inputs import left_out_thumbnails, open_inputs, skipped_files
from optsg.data.media import Failure, MediaItem, TarMember


def write_tar(path: Path, members: dict[str, bytes | str | dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def sample(key: str, /, **metadata: Any) -> dict[str, bytes | str | dict[str, Any]]:
    return {f"{key}.mp4": f"video {key}", f"{key}.json": metadata, f"{key}.txt": f"text {key}"}


def read(path: Path, **options: Any) -> tuple[list[MediaItem], list[Failure]]:
    everything = list(open_inputs(path, **options))
    items = [item for item in everything if isinstance(item, MediaItem)]
    return items, [item for item in everything if isinstance(item, Failure)]


def read_one(tmp_path: Path, members: dict[str, Any], *, name: str = "0.tar") -> MediaItem:
    items, failures = read(write_tar(tmp_path / name, members))
    assert failures == []
    assert len(items) == 1
    return items[0]


def read_error(tmp_path: Path, members: dict[str, Any]) -> str:
    """The error of one bad sample between two good ones, which must come through."""
    path = write_tar(tmp_path / "0.tar", sample("first") | members | sample("last"))
    items, failures = read(path)
    assert [item.id for item in items] == ["first", "last"]
    assert len(failures) == 1
    assert failures[0].stage == "read"
    return failures[0].error


def bytes_of(item: MediaItem) -> bytes:
    assert isinstance(item.payload, TarMember)
    return item.payload.read()


# --- what a sample becomes


def test_a_sample_with_everything(tmp_path):
    members = sample("000", id="v1", title="A title", tags=["x", "y"], split="validation")
    item = read_one(tmp_path, members)
    assert bytes_of(item) == b"video 000"
    assert item == MediaItem(
        id="v1",
        source="0.tar/000.mp4",
        kind="video",
        title="A title",
        tags=("x", "y"),
        split="val",
        payload=item.payload,
    )


def test_the_order_of_the_members_does_not_matter_and_other_members_are_skipped(tmp_path):
    members = {"a.txt": "t", "a.json": {"tags": "x"}, "a.m4a": b"sound", "a.WEBM": b"v", "a.srt": "s"}
    item = read_one(tmp_path, members)
    assert (item.id, item.kind, item.title, item.tags, bytes_of(item)) == ("a", "video", "t", ("x",), b"v")


def test_other_members_and_thumbnails_are_counted_as_they_are_read(tmp_path: Path) -> None:
    first: dict[str, bytes | str | dict[str, Any]] = {
        "a.mp4": b"v",
        "a.jpg": b"p",
        "a.png": b"p",
        "a.m4a": b"sound",
        "a.cls": b"1",
        "README": b"",
        ".hid.m4a": b"",
    }
    write_tar(tmp_path / "0.tar", first)
    write_tar(tmp_path / "1.tar", {"b.jpg": b"p", "b.M4A": b"sound", "b.json": {}, "dir.x/b.npy": b""})
    (tmp_path / "notes.md").write_text("")
    inputs = open_inputs(tmp_path)
    assert (dict(skipped_files(inputs)), left_out_thumbnails(inputs)) == ({".md": 1}, 0)
    for _ in range(2):  # counted anew each time
        assert len(list(inputs)) == 2
        assert dict(skipped_files(inputs)) == {".md": 1, ".m4a": 2, ".cls": 1, "": 1, ".npy": 1}
        assert left_out_thumbnails(inputs) == 2


def test_of_several_pictures_or_videos_of_a_sample_one_is_read_and_the_others_are_counted(tmp_path: Path) -> None:
    members: dict[str, bytes | str | dict[str, Any]] = {
        "a.jpg": b"1",
        "a.png": b"2",
        "a.webp": b"3",
        "b.mp4": b"1",
        "b.webm": b"2",
        "b.jpg": b"p",
    }
    write_tar(tmp_path / "0.tar", members)
    inputs = open_inputs(tmp_path)
    assert [item.source for item in inputs] == ["0.tar/a.jpg", "0.tar/b.mp4"]
    assert dict(skipped_files(inputs)) == {".png": 1, ".webp": 1, ".webm": 1}
    assert left_out_thumbnails(inputs) == 1


def test_a_picture_beside_a_video_is_its_thumbnail(tmp_path):
    assert bytes_of(read_one(tmp_path, {"a.jpg": b"picture", "a.mp4": b"video", "a.json": {}})) == b"video"


def test_a_sample_with_a_picture_alone_is_an_image_without_metadata(tmp_path):
    item = read_one(tmp_path, {"a.jpg": b"picture"})
    assert (item.kind, item.title, item.tags, item.split) == ("image", "", (), "none")


def test_keys_keep_their_dots_and_folders(tmp_path):
    members = sample("Track 2.0 (Clean v1.1)", tags="x") | sample("./val/b.c", tags="x")
    items, failures = read(write_tar(tmp_path / "0.tar", members))
    assert [(item.id, item.title, item.source) for item in items] == [
        ("Track 2.0 (Clean v1.1)", "text Track 2.0 (Clean v1.1)", "0.tar/Track 2.0 (Clean v1.1).mp4"),
        ("val/b.c", "text ./val/b.c", "0.tar/val/b.c.mp4"),
    ]
    assert items[1].split == "val"
    assert failures == []


def test_a_sample_of_img2dataset(tmp_path):
    metadata = {"url": "http://x/y.jpg", "caption": "a cat", "key": "000000001", "status": "success", "width": 256}
    members = {"000000001.jpg": b"picture", "000000001.txt": "a cat", "000000001.json": metadata}
    item = read_one(tmp_path, members)
    assert (item.id, item.kind, item.title, item.tags) == ("000000001", "image", "a cat", ())


def test_a_sample_of_video2dataset_with_information_of_yt_dlp(tmp_path):
    info = {"id": "QW3-5OuWn4M", "title": "IBM SPSS", "tags": ["IBM", "data"], "categories": ["Science"]}
    metadata = {
        "caption": "short",
        "key": "000_1",
        "status": "success",
        "yt_meta_dict": {"info": info, "subtitles": None},
    }
    item = read_one(tmp_path, sample("000_1", **metadata))
    assert (item.id, item.title, item.tags) == ("000_1", "IBM SPSS", ("IBM", "data"))


def test_columns_go_before_what_yt_dlp_knows(tmp_path):
    info = {"title": "theirs", "tags": ["theirs"]}
    item = read_one(tmp_path, sample("a", title="mine", tags=[], yt_meta_dict={"info": info}))
    assert (item.title, item.tags) == ("mine", ())


def test_tars_that_were_joined_end_to_end_are_no_whole_one(tmp_path):
    one, other = (write_tar(tmp_path / f"{key}.tar", {f"{key}.mp4": "x"}).read_bytes() for key in ("a", "b"))
    (tmp_path / "joined").mkdir()
    (tmp_path / "joined" / "0.tar").write_bytes(one + other)
    items, failures = read(tmp_path / "joined")
    assert [item.id for item in items] == ["a"]
    message = f"another tar begins behind the end mark, at byte {len(one):,}: unpack them and make one"
    assert [failure.error for failure in failures] == [
        f"0.tar: cut short, damaged or not a tar file ({message}); samples read: 1"
    ]
    (tmp_path / "joined" / "0.tar").write_bytes(one + b"left over" + bytes(20_000))
    assert [len(found) for found in read(tmp_path / "joined")] == [1, 0]


def test_a_value_that_pandas_marked_as_missing_is_no_value(tmp_path):
    info = {"title": "theirs", "tags": ["theirs"]}
    missing = sample("a", title=float("nan"), tags=float("nan"), split=float("nan"), yt_meta_dict={"info": info})
    item = read_one(tmp_path, missing)
    assert (item.title, item.tags, set(item.given)) == ("theirs", ("theirs",), {"title", "tags"})


def test_case_and_white_space_of_names_do_not_matter_and_an_exact_one_goes_first(tmp_path):
    item = read_one(tmp_path, sample("a", Title="A title", **{"Tags ": ["x"], "ID": "v", "Split": "test"}))
    assert (item.id, item.title, item.tags, item.split) == ("v", "A title", ("x",), "test")
    item = read_one(tmp_path, sample("a", tags=["x"], Tags=["y"]))
    assert item.tags == ("x",)


@pytest.mark.parametrize("yt_meta_dict", [None, {}, {"info": None}, {"info": "?"}, []])
def test_video2dataset_without_information_of_yt_dlp(tmp_path, yt_meta_dict):
    item = read_one(tmp_path, sample("a", caption=None, yt_meta_dict=yt_meta_dict))
    assert (item.title, item.tags) == ("text a", ())


def test_clips_cut_by_video2dataset_keep_ids_apart(tmp_path):
    clips = sample("0_0", id="v", clips=[[0.0, 1.0]]) | sample("0_1", id="v", clips=[[1.0, 2.0]])
    assert [item.id for item in read(write_tar(tmp_path / "0.tar", clips))[0]] == ["0_0", "0_1"]


def test_a_failed_download_of_video2dataset_says_so(tmp_path):
    metadata = {"key": "x", "status": "failed_to_download", "error_message": "HTTP 404"}
    error = read_error(tmp_path, {"x.json": metadata, "x.txt": "t"})
    assert error == "0.tar/x: no video or image, its download ended with failed_to_download: HTTP 404"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"x.json": {}, "x.txt": "t"}, "x: no video or image, only .json, .txt"),
        ({"x.mp4": b"v", "x.json": "{"}, "x: its .json is not JSON (Expecting property name"),
        (
            {"x.mp4": b"v", "x.json": b'{"title": "caf\xe9"}'},
            "x: its .json is not JSON ('utf-8' codec can't decode byte",
        ),
        ({"x.mp4": b"v", "x.json": "[]"}, "x: its .json is not a JSON object"),
        ({"x.mp4": b"v", "x.txt": b"caf\xe9"}, "x: its .txt is not UTF-8 (byte 0xe9)"),
        ({"x.mp4": b"v", "x.json": {"tags": 1}}, "x: tags is a number (1), expected a list of texts, or one text with"),
        ({"x.mp4": b"v", "x.json": {"title": 1}}, "x: title is a number (1), expected text"),
        ({"x.mp4": b"v", "x.json": {"split": "y"}}, "x: split is 'y', expected train, val (or valid, validation, dev)"),
        ({"../x.mp4": b"v", "../x.json": {}}, "../x: '../x' leads outside its folder"),
        ({"/etc/x.mp4": b"v", "/etc/x.json": {}}, "/etc/x: '/etc/x' is an absolute path, expected one relative to"),
    ],
)
def test_a_bad_sample_costs_itself_only(tmp_path, members, why):
    assert read_error(tmp_path, members).startswith(f"0.tar/{why}")


def test_a_bad_sample_fails_under_the_id_it_will_have_once_mended(tmp_path):
    path = write_tar(tmp_path / "0.tar", sample("a", id="x", tags=1) | sample("b", tags=1))
    assert [failure.id for failure in read(path)[1]] == ["x", "b"]


def test_links_in_a_tar_are_refused_and_hidden_members_skipped(tmp_path):
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("a.mp4", tarfile.SYMTYPE), ("b.mp4", tarfile.LNKTYPE), ("folder.mp4", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("._c.mp4")
        tar.addfile(info)
    items, failures = read(path)
    assert items == []
    assert [failure.error for failure in failures] == [
        "0.tar/a.mp4: is a link or a sparse file, which is not read",
        "0.tar/b.mp4: is a link or a sparse file, which is not read",
    ]


def test_two_members_of_one_key_and_suffix_are_two_samples_of_one_id(tmp_path):
    items, failures = read(write_tar(tmp_path / "0.tar", {"a.mp4": "first", "a.MP4": "second", "b.mp4": "b"}))
    assert [bytes_of(item) for item in items] == [b"first", b"b"]
    assert [failure.error for failure in failures] == [
        "0.tar/a.mp4: duplicate id 'a', which an earlier input has; give each its own id"
    ]


def test_duplicate_ids_over_shards(tmp_path):
    write_tar(tmp_path / "0.tar", sample("a"))
    write_tar(tmp_path / "1.tar", sample("a") | sample("b"))
    items, failures = read(tmp_path)
    assert [item.source for item in items] == ["0.tar/a.mp4", "1.tar/b.mp4"]
    assert [(failure.id, failure.error) for failure in failures] == [
        ("1.tar/a.mp4", "1.tar/a.mp4: duplicate id 'a', which an earlier input has; give each its own id")
    ]


@pytest.mark.parametrize(
    ("shard", "expected"),
    [
        ("train.tar", "train"),
        ("emoji-validation-00012.tar", "val"),
        ("test2014.tar", "test"),
        ("dev/0001.tar", "val"),
        ("test/train-0.tar", "train"),
    ],
)
def test_split_of_shard_and_folder(tmp_path, shard, expected):
    write_tar(tmp_path / shard, sample("a", tags="x"))
    assert read(tmp_path)[0][0].split == expected
    write_tar(tmp_path / shard, sample("a", tags="x", split="test"))
    assert read(tmp_path)[0][0].split == "test"
    write_tar(tmp_path / shard, sample("a", split="test"))
    assert read(tmp_path)[0][0].split == "none"


# --- which shards


def test_a_folder_of_shards_gives_them_by_path_and_tells_the_count(tmp_path):
    for name in ("b/1.tar", "a/2.tar", "c.tar"):
        write_tar(tmp_path / name, sample(f"{name}-x") | sample(f"{name}-y") | {"z.json": {}})
    inputs = open_inputs(tmp_path)
    assert inputs.description == f"{tmp_path}: 3 shards"
    assert inputs.count == 6
    assert [item.source for item in inputs if isinstance(item, MediaItem)][::2] == [
        "a/2.tar/a/2.tar-x.mp4",
        "b/1.tar/b/1.tar-x.mp4",
        "c.tar/c.tar-x.mp4",
    ]
    assert list(inputs) == list(inputs)


def test_limit_stops_within_a_shard(tmp_path):
    path = write_tar(tmp_path / "0.tar", sample("a") | sample("b") | sample("c"))
    assert [item.id for item in read(path, limit=2)[0]] == ["a", "b"]
    assert open_inputs(path, limit=2).count == 2
    assert open_inputs(path, limit=9).count == 3


def test_very_many_samples_are_not_counted(tmp_path, monkeypatch):
    from optsg.data.inputs import shard_input

    path = write_tar(tmp_path / "0.tar", sample("a") | sample("b") | sample("c"))
    monkeypatch.setattr(shard_input, "COUNTED_SAMPLES", 2)
    assert open_inputs(path).count is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{train,val}/{00..01}.tar", ["train/00.tar", "train/01.tar", "val/00.tar", "val/01.tar"]),
        ("train/*.tar", ["00.tar", "01.tar"]),
        ("**/00.tar", ["train/00.tar", "val/00.tar"]),
        ("{val/00,train/00,val/00}.tar", ["val/00.tar", "train/00.tar"]),
    ],
)
def test_patterns(tmp_path, pattern, expected):
    for name in ("train/00", "train/01", "val/00", "val/01"):
        write_tar(tmp_path / f"{name}.tar", sample(name.replace("/", "-"), tags="x"))
    items, _ = read(tmp_path / pattern)
    assert [item.source.rpartition("/")[0] for item in items] == expected


def test_a_relative_pattern(tmp_path, monkeypatch):
    write_tar(tmp_path / "shards/00.tar", sample("a"))
    monkeypatch.chdir(tmp_path)
    assert [item.id for item in read(Path("shards/{00..00}.tar"))[0]] == ["a"]
    assert [item.id for item in read(Path("shards/*.tar"))[0]] == ["a"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{00..02}.tar", "{root}/01.tar: there is no such file or folder (of the pattern {root}/{{00..02}}.tar)"),
        ("x*.tar", "{root}/x*.tar: there is no such file or folder"),
        ("a**b.tar", "{root}/a**b.tar: there is no such file or folder"),
        ("{00.tar", "{root}/{{00.tar: the braces of this pattern are not balanced"),
        ("*", "{root}/notes.txt: not a .tar shard, expected a folder of videos or images, or WebDataset shards"),
        ("x" * 300, "{root}/" + "x" * 300 + ": there is no such file or folder"),
    ],
)
def test_patterns_that_are_refused(tmp_path, pattern, message):
    write_tar(tmp_path / "00.tar", sample("a"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=f"^{re.escape(message.format(root=tmp_path))}$"):
        open_inputs(tmp_path / pattern)


def test_a_table_is_refused_with_shards(tmp_path):
    write_tar(tmp_path / "0.tar", sample("a"))
    message = f"{tmp_path}: --metadata is for a folder of videos and images, shards carry their own metadata"
    with pytest.raises(InputError, match=re.escape(message)):
        open_inputs(tmp_path, metadata=tmp_path / "metadata.csv")


def test_what_cannot_be_listed_in_a_folder_of_shards_is_recorded(tmp_path):
    write_tar(tmp_path / "0.tar", sample("a"))
    (tmp_path / "more").symlink_to(tmp_path)
    assert read(tmp_path)[1][0].error.startswith("more: is a link to a folder, which is not followed")


# --- damaged shards


def three_samples(path: Path) -> tuple[Path, dict[str, int]]:
    """A shard of three samples, and at which byte the data of each member begin."""
    write_tar(path, sample("a") | sample("b") | sample("c"))
    with tarfile.open(path) as tar:
        return path, {member.name: member.offset_data for member in tar}


@pytest.mark.parametrize(
    ("cut_before", "extra", "expected"),
    [
        ("c.mp4", 3, ["a", "b"]),  # within the video's bytes
        ("c.json", 1, ["a", "b"]),  # within its .json
        ("c.json", -512, ["a", "b"]),  # between two members of a sample
        ("c.json", -100, ["a", "b"]),  # within a header
        ("c.mp4", -512, ["a", "b"]),  # between two samples: nothing says that b is complete but that it is like a
        ("c.txt", 512, ["a", "b", "c"]),  # all is there but the end mark
        ("a.txt", 0, []),
    ],
)
def test_a_cut_shard_gives_the_complete_samples_and_one_failure(tmp_path, cut_before, extra, expected):
    path, offsets = three_samples(tmp_path / "0.tar")
    os.truncate(path, offsets[cut_before] + extra)
    write_tar(tmp_path / "1.tar", sample("next"))
    inputs = open_inputs(tmp_path)
    assert inputs.count is None
    everything = list(inputs)
    assert [item.id for item in everything if isinstance(item, MediaItem)] == [*expected, "next"]
    failures = [item for item in everything if isinstance(item, Failure)]
    assert [(failure.id, failure.stage) for failure in failures] == [("0.tar", "read")]
    pattern = rf"0\.tar: cut short, damaged or not a tar file \(.+\); samples read: {len(expected)}"
    assert re.fullmatch(pattern, failures[0].error)


def test_the_message_of_a_cut_within_a_video(tmp_path):
    path, offsets = three_samples(tmp_path / "0.tar")
    os.truncate(path, offsets["c.mp4"] + 3)
    assert read(path)[1][0].error == (
        f"0.tar: cut short, damaged or not a tar file ('c.mp4' goes on after the end of the file, "
        f"byte {offsets['c.mp4'] + 3:,}); samples read: 2"
    )


def test_a_broken_header_in_the_middle_is_no_end(tmp_path):
    path, offsets = three_samples(tmp_path / "0.tar")
    content = bytearray(path.read_bytes())
    content[offsets["b.mp4"] - 512 : offsets["b.mp4"]] = b"?" * 512
    path.write_bytes(content)
    items, failures = read(path)
    assert [item.id for item in items] == ["a"]
    assert failures[0].error == (
        f"0.tar: cut short, damaged or not a tar file (no end mark at byte {offsets['b.mp4'] - 512:,}); samples read: 1"
    )


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"x" * 20_000])
def test_a_file_that_is_no_tar_is_recorded(tmp_path, content):
    (tmp_path / "0.tar").write_bytes(content)
    items, failures = read(tmp_path / "0.tar")
    assert items == []
    assert [failure.source for failure in failures] == ["0.tar"]
    assert failures[0].error.startswith("0.tar: cut short, damaged or not a tar file (")


def test_an_empty_tar_has_no_samples(tmp_path):
    inputs = open_inputs(write_tar(tmp_path / "0.tar", {}))
    assert inputs.count == 0
    assert list(inputs) == []


def test_memory_holds_one_sample_and_not_the_shard(tmp_path):
    members: dict[str, Any] = {}
    for number in range(60):
        members |= {f"{number}.mp4": bytes(500_000), f"{number}.json": {}}
    path = write_tar(tmp_path / "0.tar", members)
    del members
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_inputs(path)) == 60
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000  # of 30 MB


def test_shards_written_by_webdataset_are_read(tmp_path):
    import webdataset

    with webdataset.TarWriter(str(tmp_path / "0.tar")) as writer:
        for number in range(3):
            writer.write(
                {"__key__": f"{number:03}", "mp4": b"v", "json": {"tags": ["x", "y"]}, "txt": f"title {number}"}
            )
    items, failures = read(tmp_path)
    assert [(item.id, item.title, item.tags) for item in items] == [
        (f"{number:03}", f"title {number}", ("x", "y")) for number in range(3)
    ]
    assert failures == []
