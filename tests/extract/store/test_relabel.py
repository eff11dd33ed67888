"""``optsg-store relabel``: other titles, tags and splits for a finished store, without its videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from optsg.data.inputs.splits import split_by_hash
from optsg.data.store import open_store, row_blocks
from optsg.data.store.conversion import convert_store
from optsg.data.store.relabeling import Labels, relabel_store
from optsg.data.store.schema import VideoFeatures
from optsg.data.store.verification import verify_store
from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder
from optsg.extract.store.cli import main

from tests.data.inputs.odd_videos import all_arrays
from tests.tiny_world import tiny_videos, write_tiny_store


@pytest.fixture(params=["feats.h5", "feats"])
def store(request: pytest.FixtureRequest, tmp_path: Path, tiny_bert_folder: Path) -> Path:
    """Three videos with imported features, in both forms."""
    folder = tmp_path / "features"
    folder.mkdir()
    for name in "abc":
        np.save(folder / f"{name}.npy", np.full((2, 4), ord(name), np.float16))
    table = tmp_path / "old.csv"
    table.write_text('id,title,tags,split\na,Cat,"cat,pet",train\nb,Dog,"dog,pet",train\nc,Fox,fox,val\n')
    out = tmp_path / "feats.h5"
    result = run("import-features", folder, "--metadata", table, "--out", out, "--text-encoder", tiny_bert_folder)
    assert result.exit_code == 0, result.output
    if request.param != out.name:
        convert_store(out, tmp_path / request.param)
    return tmp_path / str(request.param)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def relabel(store: Path, text: str, *options: str) -> Result:
    table = store.parent / "new.csv"
    table.write_text(text)
    return run("relabel", store, "--metadata", table, *options)


def keeping(count: int) -> str:
    """What is said of videos without a row."""
    what = (
        "video of the store has no row and keeps its"
        if count == 1
        else "videos of the store have no row and keep their"
    )
    return f"warning: {count} {what} title and tags; --clear-missing takes them away\n"


def labels(store: Path) -> list[tuple[str, str, tuple[str, ...], str]]:
    with open_store(store) as opened:
        rows = [opened.features(row) for row in range(len(opened))]
    return [(row.id, row.title, row.tags, row.split) for row in rows]


def test_titles_tags_and_splits_move_and_features_stay(store: Path) -> None:
    with open_store(store) as opened:
        before = {key: opened.tag_embeddings[number].copy() for number, key in enumerate(opened.tag_keys)}
    result = relabel(
        store, 'file_name,title,tags,split\na.mp4,Lynx,"lynx,pet",test\nc.mp4,Fox,,train\nb.mp4,Dog,"dog,pet",val\n'
    )
    assert (result.exit_code, result.output) == (
        0,
        f"{store}: 3 of 3 videos changed (titles 1, tags 2, splits 3), 1 new tags embedded\n",
    )
    assert labels(store) == [
        ("a", "Lynx", ("lynx", "pet"), "test"),
        ("b", "Dog", ("dog", "pet"), "val"),
        ("c", "Fox", (), "none"),
    ]
    with open_store(store) as opened:
        assert opened.tag_keys == ["lynx", "pet", "dog"]
        for number, key in enumerate(opened.tag_keys):
            if key in before:
                assert opened.tag_embeddings[number].tobytes() == before[key].tobytes()
        assert opened.frames(2).tolist() == np.full((2, 4), ord("c")).tolist()
        assert opened.title_tokens(0).tolist() != opened.title_tokens(1).tolist()
    assert verify_store(store, None).problems == []


def test_however_many_videos_and_tags_are_written_at_once_the_store_is_the_same(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    convert_store(store, store.parent / "again.h5")
    for path, at_once in ((store, 1000), (store.parent / "again.h5", 1)):
        monkeypatch.setattr(row_blocks, "BLOCK_ROWS", at_once)
        monkeypatch.setattr("optsg.data.store.relabeling.TEXT_BATCH", at_once)
        relabel(path, 'id,title,tags,split\nb,A dog,"pet,lynx,owl",test\nc,The red fox,"bee,fox",train\n')
        with open_store(path) as opened:
            rows, tags = range(len(opened)), range(len(opened.tag_keys))
            titles = [opened.title_tokens(row).tolist() for row in rows]
            pieces = [opened.tag_tokens(tag).tolist() for tag in tags]
            found.append((labels(path), opened.tag_keys, titles, pieces, np.array(opened.tag_embeddings)))
    np.testing.assert_allclose(found[1][-1], found[0][-1], atol=1e-6)
    assert found[1][:-1] == found[0][:-1]


def test_known_tags_in_another_order_keep_their_embeddings_and_of_a_new_one_the_usual_spelling_counts(
    store: Path,
) -> None:
    with open_store(store) as opened:
        before = dict(zip(opened.tag_keys, opened.tag_embeddings.tolist(), strict=True))
    relabel(store, 'id,tags\na,"Lynx,pet,cat"\nb,"lynx,dog"\nc,"lynx,fox"\n')
    with open_store(store) as opened:
        assert opened.tag_keys == ["lynx", "pet", "cat", "dog", "fox"]
        assert opened.tag_spellings[0] == "lynx"
        after = dict(zip(opened.tag_keys, opened.tag_embeddings.tolist(), strict=True))
        assert {key: after[key] for key in before} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"video-1": Labels(title="a öwl", tags=("öwl",), split="train")},
        {"video-1": Labels(title="ä owl", tags=(), split="none")},
    ],
    ids=["new characters", "characters that go"],
)
def test_a_vocabulary_of_characters_is_that_of_the_texts_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Labels]
) -> None:
    """Pieces have other numbers then, also those of titles and tags that nobody changed."""
    encoder = CharacterTextEncoder(32)

    def write(name: str, videos: list[VideoFeatures]) -> Path:
        texts = [text for video in videos for text in (video.title, *video.tags)]
        return write_tiny_store(tmp_path / name, videos, text_tables=encoder.tables(texts), text_encoder=encoder.spec())

    texts = [("a bee", ("bée",)), ("ä owl", ("å",)), ("a ünicorn", ("bée",))]
    videos = [
        replace(video, title=title, tags=tags, split="train")
        for video, (title, tags) in zip(tiny_videos(3), texts, strict=True)
    ]
    path = write("s.h5", videos)
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 1)
    relabel_store(path, changes, make_text=lambda _, corpus: encoder.tables(corpus))
    anew = write(
        "anew.h5", [replace(video, **vars(changes[video.id])) if video.id in changes else video for video in videos]
    )
    assert all_arrays(path) == all_arrays(anew)


def test_columns_that_are_not_there_change_nothing(store: Path) -> None:
    before = labels(store)
    result = relabel(store, "id,split\na,val\n")
    assert result.stdout == f"{store}: 1 of 3 videos changed (splits 1), 0 new tags embedded\n"
    assert labels(store) == [(*before[0][:3], "val"), *before[1:]]
    assert result.stderr == keeping(2)
    assert relabel(store, "id,split\na,val\n").stdout == f"{store}: nothing to change, left as it was\n"


def test_tags_that_come_late_are_learned_from(store: Path) -> None:
    """A video without tags is in no set; its first ones put it into the one that it would have been in."""
    relabel(store, "id,tags\na,\n")
    assert labels(store)[0] == ("a", "Cat", (), "none")
    relabel(store, "id,tags\na,lynx\n")
    assert labels(store)[0] == ("a", "Cat", ("lynx",), split_by_hash("a"))


def test_a_spelling_stays_while_a_video_that_the_table_says_nothing_of_has_it(store: Path) -> None:
    relabel(store, 'id,tags\na,"CAT,PET"\n')
    assert labels(store)[0][2] == ("CAT", "pet")
    relabel(store, 'id,tags\na,"cat,PET"\nb,"dog,PET"\n')
    assert [row[2] for row in labels(store)[:2]] == [("cat", "PET"), ("dog", "PET")]


def test_unknown_videos_and_bad_rows_are_named(store: Path) -> None:
    result = relabel(store, 'id,tags\na,cat\nx,cat\ny,cat\nb,"[cat"\n')
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: 2 rows are about videos that the store does not have: 'x', 'y'\n"
        f"{keeping(2)}"
        "warning: new.csv, line 5: tags is text that begins like a list and is none ('[cat'), expected a list such as "
        '["cat", "dog"], or one text with commas\n'
    )
    result = relabel(store, "id,tags\nx,cat\n")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {store.parent / 'new.csv'}: no row is about a video of {store}; the first: 'x'\n",
    )


def test_names_that_are_no_files_are_about_no_video(store: Path) -> None:
    result = relabel(store, "file_name,split\n.,val\n/,val\n..,val\na.mp4,val\n")
    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: 3 rows are about videos that the store does not have: '.', '/', '..'\n{keeping(2)}"
    )


def test_a_file_name_that_several_videos_have_is_refused(tmp_path: Path) -> None:
    videos = [replace(video, source="x.mp4") for video in tiny_videos(2)] + tiny_videos(3)[2:]
    path = write_tiny_store(tmp_path / "feats.h5", videos)
    before = labels(path)
    result = relabel(path, "file_name,split\nx.mp4,test\nvideo-2.mp4,test\n")
    assert result.stderr == (
        f"{keeping(2)}warning: new.csv, line 2: several videos of the store are from 'x.mp4', such as 'video-0' and 'video-1'; "
        "give their ids\n"
    )
    assert labels(path) == [*before[:2], (*before[2][:3], "test")]


def test_rows_of_one_video_are_refused_or_joined(store: Path) -> None:
    before = labels(store)
    table = "id,tags\na,lion\na,tiger\nb,dog\n"
    assert relabel(store, table).stderr == (
        f"{keeping(2)}warning: new.csv: 2 rows are about 'a' (line 2, line 3); give it one row with all its tags, or add --group-rows to "
        "join them\n"
    )
    assert labels(store)[0] == before[0]
    relabel(store, table, "--group-rows")
    assert labels(store)[0][2] == ("lion", "tiger")


def test_other_columns_and_separators(store: Path) -> None:
    relabel(store, "id,topics\na,lion;tiger\n", "--columns", "tags=topics", "--tag-separator", ";")
    assert labels(store)[0][2] == ("lion", "tiger")


def test_how_the_table_is_read_is_said(store: Path) -> None:
    result = relabel(store, "id,keywords\na,lion;tiger\n")
    assert result.stderr.splitlines() == [
        "note: new.csv: column keywords is read as tags",
        (
            "note: new.csv: 1 of 1 rows with tags have one tag with ';' in it, such as 'lion;tiger'; if it separates tags, say "
            "--tag-separator ';'"
        ),
        keeping(2).strip(),
    ]


def test_videos_without_a_row_lose_their_labels_where_that_is_asked_for(store: Path) -> None:
    before = labels(store)
    result = relabel(store, 'id,tags\na,"cat,pet"\nb,"[dog"\n', "--clear-missing")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: new.csv, line 3: tags is text that begins like a list and is none ('[dog'), expected a list such as "
        '["cat", "dog"], or one text with commas; --clear-missing would take the labels of such rows\' videos away: mend the '
        "1 bad rows first\n"
    )
    result = relabel(store, "id,split\na,val\n", "--clear-missing")
    assert result.stderr == (
        "error: --clear-missing takes titles and tags away, and the table has a column for neither\n"
    )
    assert labels(store) == before
    result = relabel(store, 'id,tags\na,"cat,pet"\n', "--clear-missing")
    assert (result.stderr, result.stdout) == (
        "",
        f"{store}: 2 of 3 videos changed (tags 2, splits 2), 0 new tags embedded\n",
    )
    assert labels(store) == [before[0], ("b", "Dog", (), "none"), ("c", "Fox", (), "none")]
    relabel(store, "id,title,tags\nc,Fox,fox\n", "--clear-missing")
    assert labels(store)[0] == ("a", "", (), "none")
    assert labels(store)[2][:3] == ("c", "Fox", ("fox",))
    assert verify_store(store, None).problems == []


def test_nobody_else_may_be_writing(store: Path) -> None:
    with FileLock(store.with_name(store.name + ".lock")):
        result = relabel(store, "id,tags\na,lion\n")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {store} is being written by another process; wait until it has finished, or choose another --out\n",
    )


def test_the_old_store_stays_where_the_new_one_cannot_be_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = labels(store)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optsg.data.store.writing.publish_file", fail)
    monkeypatch.setattr("optsg.data.store.writing.publish_folder", fail)
    result = relabel(store, "id,tags\na,lion\n")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {store} cannot be written: No space left on device")
    assert labels(store) == before
    assert not store.with_name(store.name + ".tmp").exists()
