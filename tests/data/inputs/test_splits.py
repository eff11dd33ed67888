"""The seeded split by id, fixed for all machines."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from optsg.data.errors import InputError
from optsg.data.inputs.metadata.records import parse_record
from optsg.data.inputs.splits import choose_split, parse_split, split_by_hash, split_of_folders, split_of_shard


def test_shares_are_90_5_5():
    counts = Counter(split_by_hash(f"video {number}") for number in range(20_000))
    assert counts["train"] == pytest.approx(18_000, abs=150)
    assert counts["val"] == pytest.approx(1_000, abs=100)
    assert counts["test"] == pytest.approx(1_000, abs=100)


def test_the_hash_is_sha256_of_seed_and_id():
    for video_id in ("a", "dQw4w9WgXcQ", "中文", ""):
        for seed in (0, 7):
            percent = int(hashlib.sha256(f"{seed}:{video_id}".encode()).hexdigest()[:16], 16) / 2**64 * 100
            expected = "train" if percent < 90 else "val" if percent < 95 else "test"
            assert split_by_hash(video_id, seed=seed) == expected


def test_these_ids_stay_where_they_are():
    # Golden: a changed hash would move videos between the sets of every store that was ever made.
    ids = range(100)
    assert [number for number in ids if split_by_hash(f"video{number}") == "val"] == [14, 58, 59]
    assert [number for number in ids if split_by_hash(f"video{number}") == "test"] == [0, 32, 33, 82, 83, 87]


def test_another_seed_is_another_split():
    ids = [str(number) for number in range(1_000)]
    assert [split_by_hash(i, seed=1) for i in ids] != [split_by_hash(i, seed=2) for i in ids]


def test_the_first_named_set_counts_and_tags_are_needed():
    assert choose_split(tags=("x",), video_id="a", named=(None, "test", "train")) == "test"
    assert choose_split(tags=("x",), video_id="a", named=("none", "test")) == "none"
    assert choose_split(tags=("x",), video_id="a", named=(None, None)) == split_by_hash("a")
    assert choose_split(tags=(), video_id="a", named=("test",)) == "none"


@pytest.mark.parametrize(
    ("text", "split"),
    [("train", "train"), ("DEV", "val"), ("valid", "val"), (" validation", "val"), ("test", "test"), ("", None)],
)
def test_names_of_splits(text, split):
    assert parse_split(text) == split


def test_a_cell_of_none_is_a_split_and_one_of_nan_says_nothing():
    found = [parse_record({"tags": "cat", "split": text}).split for text in ("None", "none", "NONE", "nan", "NULL")]
    assert found == ["none", "none", "none", None, None]


def test_an_unknown_split_is_refused():
    with pytest.raises(
        InputError, match=r"^split is 'xxxxx+', expected train, val \(or valid, validation, dev\), test or none$"
    ):
        parse_split("x" * 1000)


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train/a.mp4", "train"),
        ("x/Test/train/a.mp4", "test"),
        ("train.mp4", None),
        ("trains/a.mp4", None),
        ("split=Testing/part-0.parquet", "test"),
        ("x/split=none/a", "none"),
        ("split=/train/a", "train"),
        ("split=a/b", None),
    ],
)
def test_folders(path, split):
    assert split_of_folders(path) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [("a_train_01.tar", "train"), ("train-val.tar", None), ("test/train-val.tar", "test"), ("pretrain.tar", None)],
)
def test_shards(name, split):
    assert split_of_shard(name) == split
