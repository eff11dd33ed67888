"""Data sets in Parquet and Arrow: the same items as a folder of the same pictures, and what is odd is a failure of its row."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optsg.data.errors import ConfigError, InputError
from optsg.data.inputs import MetadataOptions, open_inputs
from optsg.data.inputs.opening import tables_of
from optsg.data.media import Failure, MediaItem
from PIL import Image

SAVE = "write the set with Dataset.save_to_disk, which puts the bytes into it"
FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (shade, 30, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"image": {"bytes": png(n), "path": f"p{n}.png"}, "caption": f"Picture {n}", "tags": ["cat", f"tag {n}"]}
        for n in range(first, last)
    ]


def schema(features: Mapping[str, Any] | None = None, **columns: Any) -> pa.Schema:
    fields = columns or {"image": FILE, "caption": pa.string(), "tags": pa.list_(pa.string())}
    described = None if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(fields.items()), described)


def write_parquet(path: Path, content: Sequence[Mapping[str, Any]], form: pa.Schema | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(content), form or schema()), path, row_group_size=3)
    return path


def write_saved(folder: Path, content: Sequence[Mapping[str, Any]], **state: Any) -> Path:
    """A set as ``Dataset.save_to_disk`` writes it."""
    folder.mkdir(parents=True)
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, schema()) as writer:
        writer.write_table(pa.Table.from_pylist(list(content), schema()), max_chunksize=3)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}], **state}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def items(path: Path, **options: Any) -> list[MediaItem]:
    found = list(open_inputs(path, options=MetadataOptions.of(**options)))
    assert not [one for one in found if isinstance(one, Failure)]
    return [one for one in found if isinstance(one, MediaItem)]


def failures(path: Path) -> list[tuple[str, str]]:
    return [(one.id, one.error) for one in open_inputs(path) if isinstance(one, Failure)]


def known(item: MediaItem) -> tuple[object, ...]:
    data = item.payload.read_bytes() if isinstance(item.payload, Path) else item.payload
    return item.id, item.kind, item.title, item.tags, item.split, data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures in a folder, their sets by its sub-folders."""
    lines = []
    for number, row in enumerate(rows(0, 5)):
        name = f"{'train' if number < 3 else 'validation'}/{row['image']['path']}"
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(row["image"]["bytes"])
        lines.append(json.dumps({"file_name": name, "title": row["caption"], "tags": row["tags"]}))
    (tmp_path / "pictures" / "metadata.jsonl").write_text("\n".join(lines))
    return tmp_path / "pictures"


def test_parquet_gives_what_a_folder_gives(folder: Path, tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "data" / "train-00000-of-00002.parquet", rows(0, 3))
    write_parquet(tmp_path / "set" / "data" / "validation-00000-of-00001.parquet", rows(3, 5))
    inputs = open_inputs(tmp_path / "set")
    assert inputs.count == 5
    assert inputs.description == f"data set {tmp_path / 'set'}: 2 files of rows; read are image, caption as title, tags"
    found = items(tmp_path / "set")
    assert [known(one) for one in found] == [known(one) for one in items(folder)]
    assert found[3].source == "data/validation-00000-of-00001.parquet/p3.png"
    assert list(inputs) == list(inputs) == found


def test_saved_sets_give_what_a_folder_gives(folder: Path, tmp_path: Path) -> None:
    write_saved(tmp_path / "set" / "train", rows(0, 3))
    write_saved(tmp_path / "set" / "validation", rows(3, 5))
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    assert open_inputs(tmp_path / "set").count is None
    assert [known(one) for one in items(tmp_path / "set")] == [known(one) for one in items(folder)]


def test_a_saved_set_alone_is_of_the_split_that_it_names(tmp_path: Path) -> None:
    write_saved(tmp_path / "one", rows(0, 4), _split="test")
    assert [one.split for one in items(tmp_path / "one")] == ["test"] * 4
    write_saved(tmp_path / "other", rows(0, 4), _split="train[:10%]")
    assert [one.named for one in items(tmp_path / "other")] == [None] * 4


def test_saved_sets_are_what_their_folders_are_called(tmp_path: Path) -> None:
    """``train_test_split`` of a set that was loaded as ``train`` leaves that name in both halves."""
    for number, name in enumerate(("train", "eval", "holdout")):
        write_saved(tmp_path / "set" / name, rows(number, number + 1), _split="train")
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "eval", "holdout"]}))
    assert [one.named for one in items(tmp_path / "set")] == ["train", "val", None]
    write_saved(tmp_path / "dev", rows(0, 1), _split="dev")
    assert [one.named for one in items(tmp_path / "dev")] == ["val"]


def test_parquet_with_capitals_in_its_suffix(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "a.parquet", rows(0, 1))
    write_parquet(tmp_path / "set" / "b.PARQUET", rows(1, 2))
    assert [one.id for one in items(tmp_path / "set")] == ["p0", "p1"]


def test_one_file_and_its_own_columns(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        [{"Film": {"bytes": b"v", "path": None}, "shot": {"bytes": b"s", "path": None}, "topic": "a, b", "id": 7, "split": "dev"}],
        schema({"Film": {"_type": "Video"}}, Film=FILE, shot=FILE, topic=pa.string(), id=pa.int64(), split=pa.string()),
    )  # fmt: skip
    with pytest.raises(InputError) as refused:
        open_inputs(path)
    assert (
        str(refused.value)
        == f"{path}: several columns of images or videos (Film, shot); say which: --columns media=COLUMN"
    )
    (found,) = items(path, columns="media=film,tags=topic")
    assert (found.id, found.kind, found.tags, found.split, found.payload) == ("7", "video", ("a", "b"), "val", b"v")
    assert found.source == "x.parquet/1"


def test_classes_are_their_names(tmp_path: Path) -> None:
    label = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    features = {"label": label, "labels": {"_type": "List", "feature": label}}
    form = schema(features, image=pa.binary(), label=pa.int64(), labels=pa.list_(pa.int64()))
    content = [{"image": b"1", "label": 1, "labels": [1, 0]}, {"image": b"2", "label": -1, "labels": [5]}]
    path = write_parquet(tmp_path / "x.parquet", content, form)
    assert [one.tags for one in items(path)] == [("dog", "cat"), ()]
    assert [one.tags for one in items(path, columns="tags=label")] == [("dog",), ()]


def test_a_class_is_one_tag_whatever_commas_its_name_has(tmp_path: Path) -> None:
    names = ["plate, bowl", "barn; shed", "N/A"]
    form = schema({"label": {"_type": "ClassLabel", "names": names}}, image=pa.binary(), label=pa.int64())
    content = [{"image": str(number).encode(), "label": number} for number in range(3)]
    path = write_parquet(tmp_path / "x.parquet", content, form)
    assert [one.tags for one in items(path, columns="tags=label")] == [("plate, bowl",), ("barn; shed",), ()]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(png(1))
    form = schema({"tags": {"_type": "ClassLabel", "names": names}}, file_name=pa.string(), tags=pa.int64())
    write_parquet(tmp_path / "set" / "metadata.parquet", [{"file_name": "a.png", "tags": 1}], form)
    inputs = open_inputs(tmp_path / "set")
    assert [one.tags for one in inputs if isinstance(one, MediaItem)] == [("barn; shed",)]
    tables = tables_of(inputs)
    assert tables is not None
    assert not [note for note in tables.notes() if "separat" in note]


def test_classes_in_a_list_as_datasets_wrote_it_before_version_4_and_in_a_table_of_a_folder(tmp_path: Path) -> None:
    features = {"tags": [{"_type": "ClassLabel", "names": ["cat", "dog"]}]}
    form = schema(features, image=pa.binary(), tags=pa.list_(pa.int64()))
    path = write_parquet(tmp_path / "x.parquet", [{"image": b"1", "tags": [1, 0]}, {"image": b"2", "tags": [5]}], form)
    assert [one.tags for one in items(path)] == [("dog", "cat"), ()]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(png(1))
    form = schema(features, file_name=pa.string(), tags=pa.list_(pa.int64()))
    write_parquet(tmp_path / "set" / "metadata.parquet", [{"file_name": "a.png", "tags": [1, 0]}], form)
    assert [one.tags for one in items(tmp_path / "set")] == [("dog", "cat")]


def test_partitions_by_split_are_splits(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "test")):
        write_parquet(tmp_path / "set" / f"split={name}" / "part-0.parquet", rows(number, number + 1))
    assert [(one.id, one.split, one.named) for one in items(tmp_path / "set")] == [
        ("p1", "test", "test"),
        ("p0", "train", "train"),
    ]


def test_names_of_several_rows_tell_nothing_apart(tmp_path: Path) -> None:
    content = rows(0, 4)
    for row, name in zip(content, ("a/image.png", "a/image.png", "/tmp/b.png", None), strict=True):
        row["image"]["path"] = name
    write_parquet(tmp_path / "set" / "train.parquet", content)
    found = items(tmp_path / "set")
    assert [one.id for one in found] == ["train/1", "train/2", "b", "train/4"]
    assert [one.source for one in found] == [f"train.parquet/{name}" for name in ("1", "2", "b.png", "4")]


def test_a_row_without_bytes_is_the_file_that_it_names(tmp_path: Path) -> None:
    content = [{**row, "image": {"bytes": None, "path": row["image"]["path"]}} for row in rows(0, 2)]
    write_parquet(tmp_path / "set" / "x.parquet", content)
    assert [one.payload for one in items(tmp_path / "set")] == [tmp_path / "set" / f"p{n}.png" for n in range(2)]


@pytest.mark.parametrize(
    ("row", "id_", "error"),
    [
        ({"image": None}, "x/1", "x.parquet/1: has neither bytes nor the name of a file"),
        ({"image": {"bytes": None, "path": ""}}, "x/1", "x.parquet/1: has neither bytes nor the name of a file"),
        (
            {"image": {"bytes": None, "path": "../secret.png"}},
            "secret",
            f"x.parquet/secret.png: has no bytes, and '../secret.png' leads outside its folder; {SAVE}",
        ),
        (
            {"image": {"bytes": None, "path": "/etc/passwd"}},
            "passwd",
            f"x.parquet/passwd: has no bytes, and '/etc/passwd' is an absolute path, expected one relative to the folder; {SAVE}",
        ),
        (
            {"image": {"bytes": b"x", "path": "a.png"}, "split": "sometimes"},
            "a",
            "x.parquet/a.png: split is 'sometimes', expected train, val (or valid, validation, dev), test or none",
        ),
    ],
)
def test_a_bad_row_is_a_failure_of_its_own(tmp_path: Path, row: dict[str, Any], id_: str, error: str) -> None:
    form = schema(image=FILE, tags=pa.list_(pa.string()), split=pa.string())
    path = write_parquet(tmp_path / "x.parquet", [row, {"image": {"bytes": b"y", "path": "good.png"}}], form)
    assert failures(path) == [(id_, error)]
    assert [one.id for one in open_inputs(path) if isinstance(one, MediaItem)][-1] == "good"


def test_a_file_that_is_cut_short_gives_what_stands_before(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "set", rows(0, 9))
    arrow = next(folder.glob("*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:-600])
    found = list(open_inputs(folder))
    good = [one.id for one in found if isinstance(one, MediaItem)]
    assert good == ["p0", "p1", "p2", "p3", "p4", "p5"]
    (bad,) = (one for one in found if isinstance(one, Failure))
    assert bad.error.startswith(f"{arrow.name}: cut short or damaged (")
    assert bad.error.endswith("; rows read: 6")


@pytest.mark.parametrize(
    ("content", "form", "error"),
    [
        (
            [{"a": 1, "b": "x"}],
            schema(a=pa.int64(), b=pa.string()),
            "no column of images or videos (found: a, b); expected one with their bytes, as datasets writes it",
        ),
        (
            [{"audio": {"bytes": b"", "path": "a.wav"}}],
            schema({"audio": {"_type": "Audio"}}, audio=FILE),
            "no column of images or videos (found: audio); expected one with their bytes, as datasets writes it",
        ),
        ([], None, "holds no rows"),
    ],
)
def test_what_is_no_data_set_is_one_sentence(tmp_path: Path, content: Any, form: Any, error: str) -> None:
    path = write_parquet(tmp_path / "x.parquet", content, form)
    with pytest.raises(InputError) as refused:
        open_inputs(path)
    assert str(refused.value) == f"{path}: {error}"


def test_damage_and_foreign_options_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(InputError, match=r"x\.parquet: not a Parquet file \("):
        open_inputs(tmp_path / "x.parquet")
    path = write_parquet(tmp_path / "y.parquet", rows(0, 2))
    with pytest.raises(InputError) as refused:
        open_inputs(path, options=MetadataOptions.of(columns="media=picture"))
    assert str(refused.value) == (
        f"{path}: no column 'picture' of images or videos, which --columns reads as media (found: image, caption, tags)"
    )
    with pytest.raises(InputError, match=r"--metadata is for a folder of videos and images, a data set has its own$"):
        open_inputs(path, metadata=tmp_path / "x.csv")
    with pytest.raises(
        ConfigError, match=r"--group-rows is for metadata tables, a data set has one row for each video$"
    ):
        open_inputs(path, options=MetadataOptions(group_rows=True))


def test_a_column_of_media_is_of_data_sets_alone(folder: Path) -> None:
    with pytest.raises(InputError) as refused:
        open_inputs(folder, options=MetadataOptions.of(columns="media=image"))
    assert str(refused.value) == (
        f"{folder / 'metadata.jsonl'}: --columns media=… is of data sets in Parquet or Arrow that hold pictures or videos themselves"
    )


def test_lists_of_a_saved_set_lead_nowhere_else(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "set", rows(0, 2))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../other.arrow"}]}))
    with pytest.raises(InputError) as outside:
        open_inputs(folder)
    assert str(outside.value) == f"{folder / 'state.json'}: '../other.arrow' leads outside its folder"
    (folder / "state.json").write_text("{}")
    with pytest.raises(InputError) as refused:
        open_inputs(folder)
    assert (
        str(refused.value)
        == f"{folder / 'state.json'}: holds no list '_data_files'; expected a folder as Dataset.save_to_disk writes it"
    )
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["../elsewhere"]}))
    with pytest.raises(InputError, match="leads outside its folder"):
        open_inputs(folder)


def test_a_name_on_the_hub_is_fetched(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_parquet(tmp_path / "kept" / "train.parquet", rows(0, 3))
    asked = []

    def snapshot_download(name: str, *, repo_type: str) -> str:
        asked.append((name, repo_type))
        if name == "me/lost":
            raise OSError("offline mode is enabled")
        return str(tmp_path / "kept")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert [one.id for one in items(Path("me/pets"))] == ["p0", "p1", "p2"]
    with pytest.raises(InputError) as refused:
        open_inputs(Path("me/lost"))
    assert str(refused.value) == (
        "me/lost is neither a file or folder here nor a data set within reach of the Hugging Face hub (OSError: offline mode is "
        "enabled); where there is a network, hf download me/lost --repo-type dataset --local-dir FOLDER fetches it: give that folder"
    )
    for mistyped in (Path("pictures/lost"), Path("lost"), Path("me/lost.tar"), Path("a/b/c"), tmp_path / "lost"):
        with pytest.raises(InputError, match="there is no such file or folder"):
            open_inputs(mistyped)
    assert asked == [("me/pets", "dataset"), ("me/lost", "dataset")]
