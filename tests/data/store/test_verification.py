"""``verify_store`` finds whatever is wrong with a store of either form, and nothing in a whole one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from optsg.data.errors import OptsgError
from optsg.data.store import open_store
from optsg.data.store.verification import Check, verify_store

from tests.data.inputs.odd_videos import as_version_1, odd_failures, odd_videos
from tests.tiny_world import tiny_videos, write_tiny_store

NAMES = ("structure", "counts", "ids", "ranges", "finite", "digests")


def make(path: Path) -> Path:
    return write_tiny_store(path, odd_videos(), failures=odd_failures())


@pytest.mark.parametrize("name", ["s.h5", "s"])
def test_a_whole_store_has_no_problems(tmp_path: Path, name: str) -> None:
    told: list[Check] = []
    report = verify_store(make(tmp_path / name), told.append)
    assert report.problems == []
    assert report.checks == tuple(told)
    assert [check.name for check in told] == [*NAMES, "shards"][: len(NAMES) + (name == "s")]
    assert told[1].looked_at == "16 videos, 593 frames, 6 tags, 4 failures"


def test_a_store_of_version_1_says_that_it_has_no_digests(tmp_path: Path) -> None:
    report = verify_store(as_version_1(make(tmp_path / "s.h5")))
    assert report.problems == []
    assert report.checks[-1].looked_at == "none recorded: a store of version 1 has none"


def edit(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def set_value(name: str, place: int, value: float) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        file[name][place] = value

    return edit(change)


def repeat_an_id(file: h5py.File) -> None:
    offsets = file["videos/id/offsets"][()]
    upper, lower = (slice(offsets[row], offsets[row + 1]) for row in (7, 8))
    file["videos/id/values"][lower] = file["videos/id/values"][upper]


def fail_a_video(file: h5py.File) -> None:
    offsets = file["failures/id/offsets"][()]
    assert offsets[1] >= 9
    file["failures/id/offsets"][0:5] = [0, 9, 9, 9, len(file["failures/id/values"])]
    file["failures/id/values"][:9] = np.frombuffer(b"Track 2.0", np.uint8)


def lose_a_time(file: h5py.File) -> None:
    file["videos/times/offsets"][1] += 1


def widen(file: h5py.File) -> None:
    header = json.loads(file.attrs["header"])
    file.attrs["header"] = json.dumps({**header, "patch_dim": 7})


def drop(name: str) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return edit(change)


@pytest.mark.parametrize(
    ("damage", "check", "problem"),
    [
        (edit(repeat_an_id), "ids", "the id 'UPPER' occurs more than once"),
        (edit(fail_a_video), "ids", "'Track 2.0' is among the failures though it has features"),
        (edit(lose_a_time), "counts", "'Track 2.0' has 1 frames and 2 times"),
        (
            edit(widen),
            "structure",
            "{path}: 'videos/patches/values' has the shape (18, 6), expected rows × 7; the file is damaged",
        ),
        (
            set_value("videos/split", 3, 9),
            "ranges",
            "'猫.狗/视频' has the number 9 in videos/split, expected less than 4",
        ),
        (set_value("videos/kind", 0, 2), "ranges", "'Track 2.0' has the number 2 in videos/kind, expected less than 2"),
        (
            set_value("videos/tags/values", 0, 6),
            "ranges",
            "'../up/a.b.c.mp4' has a tag that is not in the tag table of 6",
        ),
        (
            set_value("videos/tags/values", 1, -1),
            "ranges",
            "'../up/a.b.c.mp4' has a tag that is not in the tag table of 6",
        ),
        (set_value("videos/title/values", 5, 0xFF), "ranges", "row 0 of videos/title is not UTF-8"),
        (
            set_value("failures/status/values", 0, ord("F")),
            "ranges",
            "the failure of 'broken/failed.mp4' has an unknown stage or status: decode, Failed",
        ),
        (
            set_value("videos/frames/values", 30, np.nan),
            "finite",
            "videos/frames of 'folder/sub.folder/clip' has values that are not finite",
        ),
        (
            set_value("videos/patches/values", 10, np.inf),
            "finite",
            "videos/patches of 'picture/two' has values that are not finite",
        ),
        (set_value("tags/embedding", 2, np.nan), "finite", "tags/embedding has values that are not finite"),
        (
            set_value("videos/frames/values", 30, 1.5),
            "digests",
            "videos/frames/values is not what was written: its digest differs from the recorded one",
        ),
        (
            set_value("text/weights/embeddings.LayerNorm.bias", 3, 1.5),
            "digests",
            "text/weights is not what was written: its digest differs from the recorded one",
        ),
        (
            drop("text/config"),
            "counts",
            "it cannot be read on: {path}: the array 'text/config' is missing; the file is damaged, extract it again",
        ),
        (
            drop("videos/duration"),
            "structure",
            "{path}: the array 'videos/duration' is missing; the file is damaged, extract it again",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:3000]),
            "structure",
            "{path} is not a readable HDF5 file; it is damaged or something else",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, damage: Callable[[Path], None], check: str, problem: str
) -> None:
    path = make(tmp_path / "s.h5")
    damage(path)
    report = verify_store(path)
    found = {check.name: check.problems for check in report.checks}
    assert problem.format(path=path) in found[check]
    assert report.problems


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path / "s.h5", tiny_videos(40))
    with h5py.File(path, "r+") as file:
        file["videos/split"][:] = 7
    problems = {check.name: check.problems for check in verify_store(path).checks}["ranges"]
    assert len(problems) == 11
    assert problems[-1] == "… and 30 more of this kind"


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 4
    path.write_bytes(raw)


def place_of(folder: Path, column: str, row: int) -> int:
    with open_store(folder) as store:
        return int(store.array(column)[row])


def flip_a_feature(folder: Path) -> None:
    flip(folder / "shard-000000.tar", place_of(folder, "shards/frames", 2))


def flip_an_npy_header(folder: Path) -> None:
    flip(folder / "shard-000000.tar", place_of(folder, "shards/frames", 2) - 128)


def flip_a_name(folder: Path) -> None:
    flip(folder / "shard-000000.tar", place_of(folder, "shards/frames", 2) - 128 - 512)


def another_title(folder: Path) -> None:
    with h5py.File(folder / "tables.h5", "r+") as file:
        file["videos/title/values"][0] = ord("a")


def another_place(folder: Path) -> None:
    with h5py.File(folder / "tables.h5", "r+") as file:
        file["shards/times"][0] += 512


def cut_two(folder: Path) -> None:
    (folder / "tables.h5").write_bytes(b"")
    (folder / "shard-000000.tar").unlink()


SHARD = "{folder}/shard-000000.tar"
OTHER_BYTES = " is not what was written: its digest differs from the one in index.json"


@pytest.mark.parametrize(
    ("damage", "check", "problems"),
    [
        (flip_a_feature, "shards", [SHARD + OTHER_BYTES]),
        (
            flip_an_npy_header,
            "shards",
            [
                SHARD + OTHER_BYTES,
                SHARD
                + ": '{key2}.frames.npy' of 'folder/sub.folder/clip' is not the array of the tables, or lies at another place",
            ],
        ),
        (
            flip_a_name,
            "shards",
            [
                SHARD + OTHER_BYTES,
                SHARD + ": the end of the archive where '{key2}.frames.npy' of 'folder/sub.folder/clip' is due",
            ],
        ),
        (
            another_title,
            "shards",
            [
                SHARD + ": the .json of 'Track 2.0' says something else than the tables",
                "{folder}/tables.h5" + OTHER_BYTES,
            ],
        ),
        (
            another_place,
            "shards",
            [
                SHARD + ": '{key0}.times.npy' of 'Track 2.0' is not the array of the tables, or lies at another place",
                "{folder}/tables.h5" + OTHER_BYTES,
            ],
        ),
        (
            cut_two,
            "structure",
            [
                "{folder}/tables.h5 has 0 bytes where index.json says {tables:,}; copy it again, or make the store anew",
                SHARD + " is missing; copy it again, or make the store anew",
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    tmp_path: Path, damage: Callable[[Path], None], check: str, problems: list[str]
) -> None:
    folder = make(tmp_path / "s")
    tables = (folder / "tables.h5").stat().st_size
    keys = [hashlib.sha256(video.id.encode()).hexdigest()[:32] for video in odd_videos()]
    damage(folder)
    report = verify_store(folder)
    found = {check.name: list(check.problems) for check in report.checks}
    assert found[check] == [
        problem.replace("{folder}", str(folder))
        .replace("{key0}", keys[0])
        .replace("{key2}", keys[2])
        .replace("{tables:,}", f"{tables:,}")
        for problem in problems
    ]


@pytest.mark.parametrize("name", ["s.h5", "s/tables.h5", "s/index.json", "s/shard-000000.tar"])
def test_a_flipped_bit_anywhere_is_found_and_never_a_traceback(tmp_path: Path, name: str) -> None:
    store = write_tiny_store(tmp_path / name.split("/")[0], tiny_videos(6), failures=odd_failures())
    path = tmp_path / name
    whole = path.read_bytes()
    with open_store(store) as opened:
        before = [str(opened.features(row)) for row in range(len(opened))]
    rng = np.random.default_rng(3)
    for place in rng.choice(len(whole), size=min(20, len(whole)), replace=False).tolist():
        flip(path, place)
        report = verify_store(store)
        if not report.problems:  # a byte that means nothing: room that HDF5 keeps, the name of a file in an index
            with open_store(store) as opened:
                assert [str(opened.features(row)) for row in range(len(opened))] == before
        try:
            with open_store(store) as opened:
                opened.failures, opened.tag_keys  # noqa: B018
        except OptsgError:
            pass
        path.write_bytes(whole)
