"""Parts and an earlier store to one finished store: each id once, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import StoreError, StoreWriteError
from optsg.data.media import Failure
from optsg.data.store import files as store_files
from optsg.data.store import open_store, row_blocks
from optsg.data.store.corpus import StoredTexts
from optsg.data.store.files import publish_folder, recover_store
from optsg.data.store.merging.merge import merge_parts
from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder

from tests.data.inputs.odd_videos import all_arrays, as_version_1, assert_same, odd_failures, odd_videos, write_part
from tests.tiny_world import tiny_header, tiny_text_tables, tiny_videos, write_tiny_store

FORMS = ("out.h5", "out")


def failure(name: str, error: str = "no") -> Failure:
    return Failure(id=name, source=f"{name}.mp4", stage="decode", error=error)


def merge(parts: list[Path], out: Path, base: Path | None = None) -> None:
    merge_parts(parts, out, tiny_header(), tiny_text_tables(), base=base)


def contents(path: Path) -> list[object]:
    with open_store(path) as store:
        videos = [{k: str(v) for k, v in vars(store.features(row)).items()} for row in range(len(store))]
        tokens = [store.title_tokens(row).tolist() for row in range(len(store))]
        return [videos, tokens, store.tag_keys, store.tag_spellings, store.failures, store.tag_embeddings.tolist()]


@pytest.mark.parametrize("name", FORMS)
def test_merged_parts_equal_one_store_with_each_id_once(tmp_path: Path, name: str) -> None:
    videos = tiny_videos(23)
    parts = [
        write_part(tmp_path / "a.h5", videos[:9], [failure("broken"), failure("video-13", "first try"), failure("x")]),
        write_part(tmp_path / "b.h5", videos[7:20], [failure("broken", "second try")]),
        write_part(tmp_path / "c.h5", videos[20:]),
    ]
    told: list[int] = []
    out = tmp_path / name
    merge_parts(parts, out, tiny_header(), tiny_text_tables(), progress=told.append)
    with open_store(out) as store, open_store(write_tiny_store(tmp_path / "one.h5", videos)) as whole:
        assert store.ids() == whole.ids()
        for row in range(len(whole)):
            assert_same(store.features(row), whole.features(row))
            assert store.title_tokens(row).tolist() == whole.title_tokens(row).tolist()
        assert store.tag_keys == whole.tag_keys
        assert store.tag_spellings == whole.tag_spellings
        assert store.failures == [failure("broken", "second try"), failure("x")]
    assert sum(told) == 23
    assert not list(tmp_path.glob("*.tmp"))


def test_the_most_frequent_spelling_wins_over_all_parts(tmp_path: Path) -> None:
    videos = tiny_videos(5)
    spelled = [
        replace(video, tags=tags)
        for video, tags in zip(videos, [("Cat", "x"), ("cat",), ("cat",), ("CAT",), ("CAT",)], strict=True)
    ]
    parts = [write_part(tmp_path / "a.h5", spelled[:3]), write_part(tmp_path / "b.h5", spelled[3:])]
    merge(parts, tmp_path / "out.h5")
    with open_store(tmp_path / "out.h5") as store:
        assert (store.tag_keys, store.tag_spellings) == (["cat", "x"], ["cat", "x"])


def test_blocks_of_any_size_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [write_part(tmp_path / "a.h5", odd_videos(), odd_failures()), write_part(tmp_path / "b.h5", tiny_videos(9))]
    merge(parts, tmp_path / "whole.h5")
    for rows, size in ((1, 1), (3, 1 << 20), (1024, 2000)):
        monkeypatch.setattr(row_blocks, "BLOCK_ROWS", rows)
        monkeypatch.setattr(row_blocks, "BLOCK_BYTES", size)
        monkeypatch.setattr("optsg.data.store.merging.merge.TEXT_BATCH", rows)
        merge(parts, tmp_path / "out.h5")
        assert contents(tmp_path / "out.h5") == contents(tmp_path / "whole.h5")


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("base_name", FORMS)
def test_new_parts_join_a_store_that_was_finished(tmp_path: Path, name: str, base_name: str) -> None:
    videos = [*odd_videos(), *tiny_videos(10)]
    base = tmp_path / "base" / base_name
    base.parent.mkdir()
    first = write_part(tmp_path / "a.h5", videos[:18], [failure("x", "old"), failure("video-5"), failure("y")])
    merge([first], base)
    second = write_part(tmp_path / "b.h5", videos[15:], [failure("x", "new"), failure("z")])
    merge([second], tmp_path / name, base)
    merge([first, second], tmp_path / "at_once.h5")
    assert contents(tmp_path / name) == contents(tmp_path / "at_once.h5")
    with open_store(tmp_path / name) as store:
        assert store.failures == [failure("x", "new"), failure("y"), failure("z")]
    merge([second], base, base)
    assert contents(base) == contents(tmp_path / "at_once.h5")
    assert [file.name for file in base.parent.iterdir()] == [base_name]


def test_only_new_texts_are_encoded_when_videos_are_added(tmp_path: Path) -> None:
    videos = tiny_videos(30)
    merge([write_part(tmp_path / "a.h5", videos[:10])], tmp_path / "base.h5")
    with open_store(tmp_path / "base.h5") as store:
        known, before = store.tag_keys, store.tag_embeddings.tolist()
    text = tiny_text_tables()
    asked: list[str] = []

    def embed(keys: Sequence[str]) -> Any:
        asked.extend(keys)
        return text.tag_embeddings(keys)

    part = write_part(tmp_path / "b.h5", [replace(videos[10], tags=("newt", known[3], "T-shirt", "axolotl"))])
    counting = replace(text, tag_embeddings=embed)
    merge_parts([part], tmp_path / "out.h5", tiny_header(), counting, base=tmp_path / "base.h5")
    assert asked == ["newt", "axolotl"]
    with open_store(tmp_path / "out.h5") as store:
        assert store.tag_keys == [*known, "newt", "axolotl"]
        assert store.tag_embeddings.tolist() == [*before, *text.tag_embeddings(asked).tolist()]


def test_titles_of_a_store_that_is_added_to_have_the_pieces_of_the_vocabulary_that_both_make(tmp_path: Path) -> None:
    encoder = CharacterTextEncoder(32)
    titles = ("a ünicorn", "ä cat")
    videos = [replace(video, title=title) for video, title in zip(tiny_videos(2), titles, strict=True)]
    header = tiny_header(text_encoder=encoder.spec())
    parts = [write_part(tmp_path / f"{video.id}.part", [video], text_encoder=encoder.spec()) for video in videos]
    base = tmp_path / "base.h5"
    merge_parts(parts[:1], base, header, encoder.tables(StoredTexts(parts[:1])))
    merge_parts(parts[1:], base, header, encoder.tables(StoredTexts(parts[1:], base=base)), base=base)
    merge_parts(parts, tmp_path / "at_once.h5", header, encoder.tables(StoredTexts(parts)))
    assert all_arrays(base) == all_arrays(tmp_path / "at_once.h5")


def test_a_base_of_version_1_becomes_version_2(tmp_path: Path) -> None:
    base = as_version_1(write_tiny_store(tmp_path / "base.h5", tiny_videos(4)))
    merge([write_part(tmp_path / "a.h5", tiny_videos(6))], base, base)
    with open_store(base) as store:
        assert store.version == 2
        assert len(store) == 6


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
@pytest.mark.parametrize("name", FORMS)
def test_a_finished_store_is_read_by_those_alone_whom_the_umask_lets(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    before = os.umask(0o027)
    try:
        merge([write_part(tmp_path / "part.h5", tiny_videos(3))], out)
    finally:
        os.umask(before)
    files = list(out.iterdir()) if out.is_dir() else [out]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o440}


@pytest.mark.parametrize("name", FORMS)
def test_a_finished_store_is_read_only_and_can_be_replaced_and_deleted(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    for count in (3, 4):
        merge([write_part(tmp_path / "part.h5", tiny_videos(count))], out)
        files = list(out.iterdir()) if out.is_dir() else [out]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o444}
        with open_store(out) as store:
            assert len(store) == count
    shutil.rmtree(out) if out.is_dir() else out.unlink()
    assert [file.name for file in tmp_path.iterdir()] == ["part.h5"]


@pytest.mark.parametrize("name", FORMS)
def test_parts_of_other_settings_are_refused(tmp_path: Path, name: str) -> None:
    part = write_part(tmp_path / "a.h5", tiny_videos(3), image_encoder={"kind": "tiny", "name": "other"})
    expected = f"{part} was made with other settings: image_encoder.name: 'tiny' ≠ 'other'"
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        merge([part], tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("name", FORMS)
def test_a_failed_merge_leaves_the_old_store_and_nothing_else(tmp_path: Path, name: str) -> None:
    out = write_tiny_store(tmp_path / name, tiny_videos(4))
    before = contents(out)
    part = write_part(tmp_path / "a.h5", tiny_videos(9))
    text = tiny_text_tables()

    def fails(_: object) -> Any:
        raise KeyboardInterrupt

    for broken in (replace(text, tag_embeddings=fails), replace(text, title_tokens=fails)):
        with pytest.raises(KeyboardInterrupt):
            merge_parts([part], out, tiny_header(), broken, base=out)
        assert contents(out) == before
        assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["a.h5", name])


def test_names_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    part = write_part(tmp_path / "a.h5", tiny_videos(3))
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("mine")
    (tmp_path / "new.tmp").mkdir()
    (tmp_path / "new.tmp" / "notes.txt").write_text("mine")
    for name, message in (
        ("folder.h5", "{} is a folder; a store whose name ends in .h5 is one file: choose another name"),
        ("file", "{} is a file; a store whose name does not end in .h5 is a folder: choose another name"),
        ("photos", "{} holds files that are not of a feature store, for instance 'me.jpg'; choose another name"),
        ("new", "{}.tmp holds files that are not of a feature store, for instance 'notes.txt'; choose another name"),
    ):
        with pytest.raises(StoreWriteError, match=f"^{re.escape(message.format(tmp_path / name))}$"):
            merge([part], tmp_path / name)
    assert (tmp_path / "photos" / "me.jpg").read_text() == "mine"
    assert (tmp_path / "new.tmp" / "notes.txt").read_text() == "mine"


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


@pytest.fixture(scope="module")
def old_and_new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, ``out``, and one that is to replace it, ``out.tmp``."""
    folder = tmp_path_factory.mktemp("replaced")
    write_tiny_store(folder / "out", tiny_videos(4))
    write_tiny_store(folder / "new", tiny_videos(7)).rename(folder / "out.tmp")
    return folder


@pytest.mark.parametrize("moment", range(12))
def test_a_folder_can_be_replaced_by_a_process_that_is_killed_at_any_moment(
    old_and_new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    out = shutil.copytree(old_and_new, tmp_path, dirs_exist_ok=True) / "out"
    steps = 0

    def killing(function):
        def call(*arguments, **options):
            nonlocal steps
            steps += 1
            if steps > moment:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killing(Path.rename))
        patch.setattr(Path, "unlink", killing(Path.unlink))
        patch.setattr(Path, "rmdir", killing(Path.rmdir))
        patch.setattr(store_files, "fsync", killing(store_files.fsync))
        with contextlib.suppress(Killed):
            publish_folder(tmp_path / "out.tmp", out)
    if not out.exists():
        expected = (
            f"{out} was being replaced when the program was ended; run the same command again, or rename {out}.replaced "
            f"to {out}"
        )
        with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
            open_store(out)
    recover_store(out)
    with open_store(out) as store:
        assert len(store) in (4, 7)
    merge([write_part(tmp_path / "part.h5", tiny_videos(9))], out, out)
    with open_store(out) as store:
        assert len(store) == 9
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "part.h5"]
