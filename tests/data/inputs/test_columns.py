"""Which column is what, several tables, rows of one file, and what is said before hours of decoding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from optsg.data.errors import ConfigError, InputError
from optsg.data.inputs import MetadataOptions, open_inputs, tables_of
from optsg.data.inputs.metadata.columns import parse_columns

from tests.data.inputs.test_folder import read, touch, write_rows


def notes(folder: Path, **options: object) -> list[str]:
    tables = tables_of(open_inputs(folder, limit=1, options=MetadataOptions(**options)))  # type: ignore[arg-type]
    assert tables is not None
    return tables.notes()


def table(folder: Path, text: str, name: str = "metadata.csv") -> Path:
    touch(folder, "a.mp4", "b.mp4")
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_names_that_others_use_are_taken_with_a_note(tmp_path: Path) -> None:
    table(tmp_path, "Filename,Keywords,Caption\na.mp4,cat,A cat\nb.mp4,dog,A dog\n")
    assert [(item.title, item.tags) for item in read(tmp_path)[0]] == [("A cat", ("cat",)), ("A dog", ("dog",))]
    assert notes(tmp_path) == [
        "metadata.csv: column filename is read as file_name",
        "metadata.csv: column caption is read as title",
        "metadata.csv: column keywords is read as tags",
    ]


def test_exact_names_go_first(tmp_path: Path) -> None:
    table(tmp_path, "file_name,tags,keywords,title,caption\na.mp4,cat,dog,Cat,Dog\n")
    item = read(tmp_path)[0][0]
    assert (item.title, item.tags) == ("Cat", ("cat",))
    assert notes(tmp_path) == []


def test_columns_can_be_named(tmp_path: Path) -> None:
    table(tmp_path, "file,Topics,title,tags\na.mp4,cat,T,dog\n")
    options = MetadataOptions(columns=parse_columns("tags=Topics, file_name=file"))
    assert read(tmp_path, options=options)[0][0].tags == ("cat",)
    message = f"{tmp_path / 'metadata.csv'}: no column 'topic', which --columns reads as tags (found: file, topics, title, tags)"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        open_inputs(tmp_path, options=MetadataOptions(columns={"tags": "topic"}))


@pytest.mark.parametrize("text", ["tags", "tags=", "tagz=x", "tags=a,tags=b"])
def test_columns_in_another_form_are_refused(text: str) -> None:
    message = f"--columns {text} is not understood at '{text.split(',')[-1]}'; expected NAME=COLUMN, NAME once and one of file_name"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        parse_columns(text)


def test_a_table_without_titles_or_tags_is_said_with_its_columns(tmp_path: Path) -> None:
    table(tmp_path, "file_name,titel,topic\na.mp4,T,x\n")
    assert notes(tmp_path) == [
        "metadata.csv has no column title (found: file_name, titel, topic); if another one is meant, say --columns title=titel",
        "metadata.csv has no column tags (found: file_name, titel, topic); if another one is meant, say --columns tags=COLUMN",
    ]
    table(tmp_path, "file_name,title,tags\na.mp4,T,\n")
    assert notes(tmp_path) == ["metadata.csv: column tags is empty in all rows"]


@pytest.mark.parametrize(
    ("cell", "mark"), [("cat;dog", ";"), ("cat|dog", "|"), ("#cat #dog", "#"), ("long_hair blue_eyes", " ")]
)
def test_a_separator_that_is_not_read_is_said(tmp_path: Path, cell: str, mark: str) -> None:
    table(tmp_path, f"file_name,title,tags\na.mp4,T,{cell}\nb.mp4,T,{cell}\nc.mp4,T,fox\n")
    assert notes(tmp_path) == [
        (
            f"metadata.csv: 2 of 3 rows with tags have one tag with {mark!r} in it, such as {cell!r}; if it separates tags, say "
            f"--tag-separator '{mark}'"
        )
    ]
    assert notes(tmp_path, tag_separator=mark) == []


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--tag-separator is empty; expected a text such as ';'$"):
        MetadataOptions(tag_separator="")


def test_nested_tables_are_read_and_the_nearest_counts(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "sub/b.mp4", "sub/c.mp4")
    write_rows(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.mp4", "tags": ["root"]},
        {"file_name": "sub/b.mp4", "tags": ["root"]},
        {"file_name": "sub/c.mp4", "tags": ["root"]},
    )
    write_rows(tmp_path / "sub/metadata.jsonl", {"file_name": "b.mp4", "tags": ["sub"]})
    items, failures = read(tmp_path)
    assert [(item.source, item.tags) for item in items] == [
        ("sub/b.mp4", ("sub",)),
        ("a.mp4", ("root",)),
        ("sub/c.mp4", ("root",)),
    ]
    assert failures == []


LONG = "file_name,title,tags,split\na.mp4,Cat,cat,train\nb.mp4,Dog,dog,\na.mp4,,pet,\na.mp4,Cat,cat,train\na.mp4,Cat,cute,train\n"


def test_a_table_with_a_row_for_each_tag_is_refused_or_joined(tmp_path: Path) -> None:
    table(tmp_path, LONG)
    items, failures = read(tmp_path)
    assert [item.id for item in items] == ["b"]
    assert [(failure.id, failure.error) for failure in failures] == [
        (
            "a",
            (
                "metadata.csv: 4 rows are about 'a.mp4' (line 2, line 4, line 5 and 1 more); give it one row with all its "
                "tags, or add --group-rows to join them"
            ),
        )
    ]
    items, failures = read(tmp_path, options=MetadataOptions(group_rows=True))
    assert [(item.id, item.title, item.tags) for item in items] == [
        ("a", "Cat", ("cat", "pet", "cute")),
        ("b", "Dog", ("dog",)),
    ]
    assert failures == []


def test_rows_that_contradict_each_other_are_not_joined(tmp_path: Path) -> None:
    table(tmp_path, "file_name,id,tags\na.mp4,one,cat\na.mp4,two,dog\n")
    items, failures = read(tmp_path, options=MetadataOptions(group_rows=True))
    assert [item.id for item in items] == ["b"]
    assert [failure.error for failure in failures] == [
        "metadata.csv: the 2 rows about 'a.mp4' have different values of id ('one', 'two')"
    ]


def test_what_metadata_speaks_of_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "test/b.mp4", "c.mp4", "d.mp4")
    write_rows(
        tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "tags": []}, {"file_name": "test/b.mp4", "title": ""}
    )
    write_rows(tmp_path / "c.info.json", {"title": "C"})
    given = {item.id: set(item.given) for item in read(tmp_path)[0]}
    assert given == {"a": {"tags"}, "b": {"title", "split"}, "c": {"title"}, "d": set()}


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("training", "train"),
        ("validate", "val"),
        ("Validation", "val"),
        ("eval", "val"),
        ("testing", "test"),
        ("nan", None),
    ],
)
def test_names_of_splits(tmp_path: Path, text: str, split: str | None) -> None:
    table(tmp_path, f"file_name,tags,split\na.mp4,cat,{text}\n")
    item = read(tmp_path)[0][0]
    assert item.split == (split or "train")  # the hash puts "a" there


def test_ids_that_became_numbers_with_a_point(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    write_rows(tmp_path / "metadata.jsonl", {"file_name": "a.mp4", "id": 1.0}, {"file_name": "b.mp4", "id": None})
    assert [item.id for item in read(tmp_path)[0]] == ["1", "b"]


def test_paths_from_where_the_command_runs_are_found_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``optsg-tag`` writes them."""
    touch(tmp_path, "holiday/a.mp4", "holiday/sub/b.mp4", "c.mp4")
    monkeypatch.chdir(tmp_path)
    rows = f'path,tags,error\nholiday/a.mp4,"[""cat""]",\n{tmp_path}/holiday/sub/b.mp4,dog,\nholiday/../c.mp4,fox,\n'
    (tmp_path / "tags.csv").write_text(rows)
    items, failures = read(Path("holiday"), metadata=Path("tags.csv"))
    assert [(item.source, item.tags) for item in items] == [("a.mp4", ("cat",)), ("sub/b.mp4", ("dog",))]
    assert [failure.error for failure in failures] == ["tags.csv, line 4: 'c.mp4' is not in the folder holiday"]


def test_options_of_tables_are_refused_where_there_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    message = f"{tmp_path}: there is no metadata table that --columns and --group-rows could be about"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        open_inputs(tmp_path, options=MetadataOptions(columns={"tags": "x"}, group_rows=True))


def test_shards_have_columns_and_separators_too(tmp_path: Path) -> None:
    from tests.data.inputs.test_shards import sample, write_tar

    write_tar(tmp_path / "0.tar", sample("000", Topics="cat;dog", title="T"))
    options = MetadataOptions(columns={"tags": "topics"}, tag_separator=";")
    assert [(item.id, item.tags) for item in read(tmp_path, options=options)[0]] == [("000", ("cat", "dog"))]
    message = f"{tmp_path}: --group-rows is for metadata tables, shards have one record for each video"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        open_inputs(tmp_path, options=MetadataOptions(group_rows=True))
