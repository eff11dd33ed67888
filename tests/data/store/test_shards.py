"""The store as WebDataset shards: the same as one file, readable by the webdataset package, refused where it is not whole."""

from __future__ import annotations

import gc
import json
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
from optsg.data.batching import collate
from optsg.data.errors import StoreError, StoreVersionError
from optsg.data.store import open_store
from optsg.data.store.conversion import convert_store
from optsg.data.store.shards import reading, writing
from optsg.data.store.shards.reading import ShardColumn

from tests.data.inputs.odd_videos import IDS, all_arrays, assert_same, odd_failures, odd_videos
from tests.tiny_world import tiny_videos, write_tiny_store

REMEDY = "copy it again, or make the store anew"


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The odd videos as one file and as four shards."""
    monkeypatch.setattr(writing.ShardSetWriter.__init__, "__kwdefaults__", {"shard_samples": 5, "shard_bytes": 1 << 30})
    one = write_tiny_store(tmp_path / "one.h5", odd_videos(), failures=odd_failures())
    folder = tmp_path / "shards"
    convert_store(one, folder)
    for file in folder.iterdir():
        file.chmod(0o644)
    return one, folder


def test_both_forms_are_the_same_store(both: tuple[Path, Path]) -> None:
    one, folder = both
    assert sorted(file.name for file in folder.iterdir()) == [
        "index.json",
        *(f"shard-00000{number}.tar" for number in range(4)),
        "tables.h5",
    ]
    with open_store(one) as left, open_store(folder) as right:
        assert right.path == folder
        assert left.header == right.header
        assert left.ids() == right.ids() == list(IDS)
        for row in range(len(left)):
            assert_same(left.features(row), right.features(row))
            assert left.title_tokens(row).tolist() == right.title_tokens(row).tolist()
        assert left.failures == right.failures == odd_failures()
        assert left.tag_keys == right.tag_keys
        assert left.tag_spellings == right.tag_spellings
        assert left.visual_lengths().tolist() == right.visual_lengths().tolist()
        assert left.indices("train").tolist() == right.indices("train").tolist()
        ours, theirs = collate(left, left.indices("val")), collate(right, right.indices("val"))
        assert all(
            np.array_equal(np.asarray(vars(ours)[k]), np.asarray(vars(theirs)[k])) for k in ("frames", "patches")
        )


def test_round_trip_over_both_forms(both: tuple[Path, Path], tmp_path: Path) -> None:
    one, folder = both
    convert_store(folder, tmp_path / "two.h5")
    assert all_arrays(tmp_path / "two.h5") == all_arrays(one)
    convert_store(tmp_path / "two.h5", tmp_path / "again")
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").glob("*.[tj]*")} == {
        file.name: file.read_bytes() for file in folder.glob("*.[tj]*") if file.name != "tables.h5"
    }
    assert all_arrays(tmp_path / "again" / "tables.h5") == all_arrays(folder / "tables.h5")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its files open
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_webdataset_package_reads_the_shards(both: tuple[Path, Path]) -> None:
    import webdataset

    one, folder = both
    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    gc.collect()
    with open_store(one) as store:
        assert [sample["json"]["id"] for sample in samples] == store.ids()
        for row, sample in enumerate(samples):
            video = store.features(row)
            assert re.fullmatch(r"[0-9a-f]{32}", sample["__key__"])
            for suffix, array in (("frames", video.frames), ("patches", video.patches), ("times", video.times)):
                if len(array):
                    assert sample[f"{suffix}.npy"].dtype == array.dtype
                    assert np.array_equal(sample[f"{suffix}.npy"], array)
                else:
                    assert f"{suffix}.npy" not in sample
            assert sample.get("thumbnail.jpg", b"") == video.thumbnail
            said = sample["json"]
            for name in ("title", "split", "source", "kind", "status", "note", "backend", "digest"):
                assert said[name] == getattr(video, name)
            assert said["tags"] == list(video.tags)
            assert said["duration"] == (None if np.isnan(video.duration) else video.duration)
            assert said["decode_seconds"] == video.decode_seconds
            assert (said["frames"], said["patches"]) == (len(video.frames), len(video.patches))
    assert len({sample["__key__"] for sample in samples}) == len(IDS)


def test_nothing_of_the_machine_or_the_moment_is_in_a_shard(both: tuple[Path, Path]) -> None:
    _, folder = both
    with tarfile.open(folder / "shard-000000.tar") as tar:
        members = tar.getmembers()
    assert {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in members} == {
        (0, 0, 0, "", "")
    }


def test_values_are_mapped_out_of_the_shards(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OPEN_SHARDS", 2)
    with open_store(both[1]) as store:
        shards = cast("ShardColumn", store.column("videos/frames"))._shards
        assert shards._maps == {}
        frames = [store.frames(row) for row in range(len(store))]
        assert len(shards._maps) <= 2
        assert not any(array.flags.owndata or array.flags.writeable for array in frames if len(array))
        assert all(array.flags.aligned for array in frames)
        store.release()
        assert np.array_equal(frames[0], store.frames(0))


@pytest.mark.parametrize("form", [0, 1])
def test_a_store_can_be_pickled(both: tuple[Path, Path], form: int) -> None:
    with open_store(both[form]) as store, pickle.loads(pickle.dumps(store)) as copy:
        assert_same(copy.features(1), store.features(1))


def test_a_store_of_no_videos(tmp_path: Path) -> None:
    one = write_tiny_store(tmp_path / "one.h5", [], failures=odd_failures())
    convert_store(one, tmp_path / "shards")
    convert_store(tmp_path / "shards", tmp_path / "two.h5")
    with open_store(tmp_path / "shards") as store:
        assert (len(store), store.failures) == (0, odd_failures())
    assert all_arrays(one) == all_arrays(tmp_path / "two.h5")


def change_index(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))


def truncate(folder: Path) -> None:
    path = folder / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:5000])


def count_more(folder: Path) -> None:
    change_index(folder, lambda index: index.update(videos=17))


def count_more_failures(folder: Path) -> None:
    change_index(folder, lambda index: index.update(failures=9))


def leave_the_folder(folder: Path) -> None:
    change_index(folder, lambda index: index["shards"][0].update(name="../../etc/passwd"))


def point_outside(folder: Path) -> None:
    with h5py.File(folder / "tables.h5", "r+") as file:
        file["shards/frames"][2] = 1 << 40


def link_outside(folder: Path) -> None:
    with h5py.File(folder / "tables.h5", "r+") as file:
        del file["shards/frames"]
        file["shards/frames"] = h5py.ExternalLink("/etc/passwd", "/x")
    change_index(folder, lambda index: index["tables"].update(bytes=(folder / "tables.h5").stat().st_size))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            truncate,
            r"{folder}/shard-000001.tar has 5,000 bytes where index.json says [\d,]+; {remedy}",
        ),
        (
            lambda folder: (folder / "shard-000002.tar").unlink(),
            "{folder}/shard-000002.tar is missing; {remedy}",
        ),
        (
            lambda folder: (folder / "tables.h5").unlink(),
            "{folder}/tables.h5 is missing; {remedy}",
        ),
        (
            lambda folder: (folder / "index.json").unlink(),
            r"{folder} is not a finished feature store \(it has no index.json\); run the command that wrote it again",
        ),
        (
            lambda folder: (folder / "index.json").write_text("{"),
            "{folder}/index.json is no index of a feature store; {folder} is damaged or something else",
        ),
        (
            lambda folder: (folder / "index.json").write_text('{"name": "a package"}'),
            "{folder}/index.json is no index of a feature store; {folder} is damaged or something else",
        ),
        (
            lambda folder: change_index(folder, lambda index: index.pop("tables")),
            r"{folder}/index.json is damaged \('tables'\); {remedy}",
        ),
        (
            count_more,
            r"{folder}/index.json is damaged \(its shards have 16 samples, but it counts 17 videos\); {remedy}",
        ),
        (
            count_more_failures,
            "{folder}: its index counts 16 videos, 9 failures and 6 tags, its tables have 16 videos, 4 failures and 6 tags; {remedy}",
        ),
        (
            leave_the_folder,
            r"{folder}/index.json is damaged \(it names the file '../../etc/passwd' where 'shard-000000.tar' is due\); {remedy}",
        ),
        (
            point_outside,
            "{folder}/tables.h5: the values of 'videos/frames' would lie outside the shards; the file is damaged",
        ),
        (
            link_outside,
            "{folder}/tables.h5: 'shards/frames' is a link to elsewhere, which a feature store must not contain",
        ),
    ],
)
def test_a_folder_that_is_not_whole_says_so(
    both: tuple[Path, Path], damage: Callable[[Path], None], expected: str
) -> None:
    _, folder = both
    damage(folder)
    expected = expected.replace("{folder}", re.escape(str(folder)))
    with pytest.raises(StoreError, match=f"^{expected.replace('{remedy}', REMEDY)}$"):
        open_store(folder)


def test_a_newer_version_is_refused(both: tuple[Path, Path]) -> None:
    _, folder = both
    change_index(folder, lambda index: index.update(version=3))
    expected = f"{folder} is a feature store of version 3; this optsg reads up to version 2: upgrade optsg"
    with pytest.raises(StoreVersionError, match=f"^{re.escape(expected)}$"):
        open_store(folder)


def test_a_folder_being_written_is_no_store(tmp_path: Path) -> None:
    folder = tmp_path / "out.tmp"
    folder.mkdir()
    (folder / "shard-000000.tar").write_bytes(b"")
    expected = f"{folder} is not a finished feature store (it has no index.json); run the command that wrote it again"
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        open_store(folder)


def test_the_tables_alone_are_no_store(both: tuple[Path, Path]) -> None:
    path = both[1] / "tables.h5"
    expected = f"{path} is one file of a store of shards; open its folder instead: {both[1]}"
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        open_store(path)


def test_a_shard_that_goes_missing_while_the_store_is_open_says_so(both: tuple[Path, Path]) -> None:
    _, folder = both
    with open_store(folder) as store:
        (folder / "shard-000003.tar").write_bytes(b"short")
        with pytest.raises(StoreError, match=re.escape(f"{folder / 'shard-000003.tar'} cannot be read any more (")):
            store.thumbnail(len(store) - 1)


def test_large_stores_are_cut_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.ShardSetWriter.__init__, "__kwdefaults__", {"shard_samples": 99, "shard_bytes": 9000})
    folder = write_tiny_store(tmp_path / "shards", tiny_videos(30))
    index = json.loads((folder / "index.json").read_text())
    assert len(index["shards"]) > 3
    assert sum(shard["samples"] for shard in index["shards"]) == 30
    with open_store(folder) as store:
        assert [store.id(row) for row in range(30)] == [video.id for video in tiny_videos(30)]
