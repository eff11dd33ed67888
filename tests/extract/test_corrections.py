"""Titles, tags, splits and rows that are corrected after extraction: seen by the same command, and nothing is decoded again."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from optsg.data.inputs import open_inputs
from optsg.data.store import FeatureStore, open_store
from optsg.data.store.conversion import convert_store
from optsg.extract.cli import main as extract_main
from optsg.extract.corrections import Corrections, KnownLabels, WatchedInputs

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.same_store import assert_same_store

ROWS: list[dict[str, Any]] = [
    {"file_name": "a.mp4", "title": "Red cat", "tags": ["cat", "animal"], "split": "train"},
    {"file_name": "b.mp4", "title": "Blue dog", "tags": ["dog", "animal"], "split": "train"},
    {"file_name": "c.mp4", "title": "Fox", "tags": ["fox"], "split": "val"},
]


@pytest.fixture(scope="module", params=["bert", "characters"])
def tiny(request: pytest.FixtureRequest, tiny_timm_folder: Path, tiny_bert_folder: Path) -> list[str]:
    text = "characters:32" if request.param == "characters" else str(tiny_bert_folder)
    return ["--image-encoder", str(tiny_timm_folder), "--text-encoder", text, "--device", "cpu", "--workers", "1"]


@pytest.fixture
def videos(make_clip: ClipMaker, tmp_path: Path) -> Path:
    return make_videos(tmp_path, make_clip)


@pytest.fixture(scope="module")
def first(make_clip: ClipMaker, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the videos and their store, extracted once."""
    folder = tmp_path_factory.mktemp("first")
    extract(make_videos(folder, make_clip), folder / "feats.h5", *tiny)
    return folder


@pytest.fixture
def out(first: Path, videos: Path, tmp_path: Path) -> Path:
    """A copy of the store, beside ``videos``."""
    return Path(shutil.copy2(first / "feats.h5", tmp_path))


def make_videos(folder: Path, make_clip: ClipMaker) -> Path:
    videos = folder / "videos"
    videos.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(make_clip(f"{name}.mp4", frames=12), videos / f"{name}.mp4")
    write(videos, *ROWS)
    return videos


def write(folder: Path, *rows: dict[str, Any] | str) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def extract(videos: Path, out: Path, *options: str) -> list[str]:
    result = CliRunner().invoke(extract_main, [str(videos), "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def labels(store: FeatureStore) -> list[tuple[str, str, tuple[str, ...], str]]:
    rows = [store.features(row) for row in range(len(store))]
    return [(row.id, row.title, row.tags, row.split) for row in rows]


@pytest.mark.parametrize(
    ("form", "retry"),
    [
        ("feats.h5", []),
        ("feats", ["--retry-failed"]),
        pytest.param("feats.h5", ["--retry-failed"], marks=pytest.mark.slow),
        pytest.param("feats", [], marks=pytest.mark.slow),
    ],
)
def test_what_is_corrected_is_applied_and_counted(
    videos: Path, tmp_path: Path, tiny: list[str], form: str, retry: list[str]
) -> None:
    out = tmp_path / form
    extract(videos, out, *tiny)
    write(
        videos,
        {**ROWS[0], "title": "A crimson cat"},
        {**ROWS[1], "tags": ["dog", "good boy"], "split": "test"},
        {**ROWS[2], "tags": []},
    )
    lines = extract(videos, out, *tiny, *retry)
    assert lines[:2] == [
        "earlier          3  done before",
        "changed          3  corrected in the metadata: titles 1, tags 2, splits 2",
    ]
    with open_store(out) as store:
        assert labels(store) == [
            ("a", "A crimson cat", ("cat", "animal"), "train"),
            ("b", "Blue dog", ("dog", "good boy"), "test"),
            ("c", "Fox", (), "none"),
        ]
        assert store.tag_keys == ["cat", "animal", "dog", "good boy"]
    anew = tmp_path / "anew" / form
    extract(videos, anew, *tiny)
    assert_same_store(out, anew)
    assert extract(videos, out, *tiny, *retry)[-1] == f"{out}: nothing new, left as it was"


def test_a_row_that_is_mended_gives_its_tags_and_its_failure_goes(
    videos: Path, tmp_path: Path, tiny: list[str]
) -> None:
    out = tmp_path / "feats.h5"
    write(videos, ROWS[0], '{"file_name": "b.mp4", "tags": [', ROWS[2])
    extract(videos, out, *tiny)
    with open_store(out) as store:
        assert labels(store)[-1] == ("b", "", (), "none")
        assert [failure.id for failure in store.failures] == ["metadata.jsonl, line 2"]
    assert extract(videos, out, *tiny)[-1] == f"{out}: nothing new, left as it was"
    again = Path(shutil.copy2(out, tmp_path / "again.h5"))
    write(videos, *ROWS)
    for path, options in ((out, []), (again, ["--retry-failed"])):
        lines = extract(videos, path, *tiny, *options)
        assert lines[1] == "changed          1  corrected in the metadata: titles 1, tags 1, splits 1, mended rows 1"
        with open_store(path) as store:
            assert labels(store)[-1] == ("b", "Blue dog", ("dog", "animal"), "train")
            assert store.failures == []


def test_items_of_create_that_are_mended_are_read_and_their_failures_go(
    videos: Path, tmp_path: Path, tiny: list[str]
) -> None:
    out = tmp_path / "feats.h5"
    (videos / "metadata.jsonl").unlink()
    table = videos / "create_210k_train.json"
    sound: list[Any] = [{"vid": name, "raw_title": name.upper(), "tag": ["cat"]} for name in "abc"]
    late = {"vid": "late", "raw_title": "LATE", "tag": ["cat"]}
    table.write_text(json.dumps([sound[0], {**sound[1], "tag": {"no": "list"}}, {**sound[2], "vid": None}, late]))
    extract(videos, out, *tiny)
    with open_store(out) as store:
        assert store.ids() == ["a"]
        assert [failure.id for failure in store.failures] == ["b", "create_210k_train.json, item 3", "late"]
    table.write_text(json.dumps([*sound, late]))
    shutil.copy(videos / "a.mp4", videos / "late.mp4")
    lines = extract(videos, out, *tiny)
    assert lines[:3] == [
        "ok               3  3 videos",
        "earlier          4  done before",
        "changed          1  corrected in the metadata: mended rows 1",
    ]
    with open_store(out) as store:
        assert [row[:3] for row in labels(store)] == [
            (name, name.upper(), ("cat",)) for name in ("a", "b", "c", "late")
        ]
        assert store.failures == []
    assert extract(videos, out, *tiny)[-1] == f"{out}: nothing new, left as it was"


def test_what_metadata_says_nothing_of_stays(videos: Path, out: Path, tiny: list[str]) -> None:
    """A command without its --metadata, or with a table of titles alone, takes no tags away."""
    with open_store(out) as store:
        before = labels(store)
    (videos / "metadata.jsonl").unlink()
    kept = "without metadata by now; titles and tags stay (optsg-store relabel --clear-missing takes them away)"
    assert extract(videos, out, *tiny) == [
        "earlier          3  done before",
        f"kept             3  {kept}",
        f"{out}: nothing new, left as it was",
    ]
    write(videos, *ROWS[1:])
    assert extract(videos, out, *tiny)[1] == f"kept             1  {kept}"
    write(videos, {"file_name": "a.mp4", "title": "Red cat"}, {"file_name": "b.mp4", "split": "test"})
    extract(videos, out, *tiny)
    with open_store(out) as store:
        assert labels(store) == [before[0], (*before[1][:3], "test"), before[2]]


def test_a_spelling_changes_where_nobody_uses_the_old_one(videos: Path, out: Path, tiny: list[str]) -> None:
    write(videos, {**ROWS[0], "tags": ["Cat", "Animal"]}, ROWS[1], ROWS[2])
    lines = extract(videos, out, *tiny)
    assert lines[1] == "changed          1  corrected in the metadata: spellings of tags 1"
    with open_store(out) as store:
        assert store.tag_spellings == ["Cat", "animal", "dog", "fox"]
    assert extract(videos, out, *tiny)[-1] == f"{out}: nothing new, left as it was"


def test_new_videos_and_corrections_at_once(
    videos: Path, out: Path, tmp_path: Path, tiny: list[str], make_clip: ClipMaker
) -> None:
    shutil.copy(make_clip("d.mp4", frames=12), videos / "d.mp4")
    write(
        videos, *ROWS[:2], {**ROWS[2], "tags": ["red fox"]}, {"file_name": "d.mp4", "tags": ["bird"], "split": "train"}
    )
    lines = extract(videos, out, *tiny)
    assert lines[:3] == [
        "ok               1  1 videos",
        "earlier          3  done before",
        "changed          1  corrected in the metadata: tags 1",
    ]
    anew = tmp_path / "anew.h5"
    extract(videos, anew, *tiny)
    assert_same_store(out, anew)


def test_a_store_of_the_other_form_is_the_same(videos: Path, out: Path, tmp_path: Path, tiny: list[str]) -> None:
    convert_store(out, tmp_path / "shards")
    write(videos, {**ROWS[0], "tags": ["lynx"]}, *ROWS[1:])
    extract(videos, out, *tiny)
    extract(videos, tmp_path / "shards", *tiny)
    assert_same_store(out, tmp_path / "shards")


def test_a_store_without_tags_or_titles_says_so(videos: Path, tmp_path: Path, tiny: list[str]) -> None:
    (videos / "metadata.jsonl").unlink()
    lines = extract(videos, tmp_path / "feats.h5", *tiny)
    assert lines[-2] == (
        "warning: no video has a title or tags; the same command with --dry-run shows what metadata is read, and what is added "
        "to it later is applied without decoding"
    )


def test_a_table_that_is_put_beside_info_json_corrects_the_same_videos(
    videos: Path, tmp_path: Path, tiny: list[str]
) -> None:
    out = tmp_path / "feats.h5"
    (videos / "metadata.jsonl").unlink()
    (videos / "a.info.json").write_text(json.dumps({"id": "dQw4w9WgXcQ", "title": "A", "tags": ["x"]}))
    extract(videos, out, *tiny)
    write(videos, {"file_name": "a.mp4", "tags": ["lynx"]})
    lines = extract(videos, out, *tiny)
    assert lines[:2] == ["earlier          3  done before", "changed          1  corrected in the metadata: tags 1"]
    with open_store(out) as store:
        assert labels(store)[0][:3] == ("dQw4w9WgXcQ", "A", ("lynx",))


def test_a_file_that_the_store_has_under_another_id_is_refused(videos: Path, out: Path, tiny: list[str]) -> None:
    write(videos, {**ROWS[0], "id": "other"}, *ROWS[1:])
    lines = extract(videos, out, *tiny)
    assert lines[:3] == [
        "earlier          3  done before",
        "failed           1  decode: the store has this file as …",
        "  a.mp4: the store has this file as 'a'; give it this id in the metadata, or begin anew with --overwrite",
    ]
    with open_store(out) as store:
        assert store.ids() == ["a", "b", "c"]
    assert extract(videos, out, *tiny)[-1] == f"{out}: nothing new, left as it was"


def test_inputs_that_another_process_reads_are_compared_here(videos: Path, out: Path) -> None:
    write(videos, {**ROWS[0], "title": "Lynx"}, *ROWS[1:])
    with open_store(out) as store:
        known = KnownLabels()
        known.add(store, store.ids())
        ids = set(store.ids())
    corrections = Corrections(known=known)
    watched = WatchedInputs(open_inputs(videos), corrections, ids)
    elsewhere = pickle.loads(pickle.dumps(watched))
    assert [item.id for item in elsewhere] == ["a", "b", "c"]
    assert not isinstance(elsewhere, WatchedInputs)
    watched.read_on()
    assert {name: labels.title for name, labels in corrections.changes.items()} == {"a": "Lynx"}
    known.close()
