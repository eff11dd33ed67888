"""Metadata tables in their three formats: the same items from each, one bad row, and a table that is bad as a whole."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optsg.data.errors import InputError
from optsg.data.foreign.csv_cells import TAG_COLUMNS, as_cell
from optsg.data.inputs import open_inputs, skipped_files
from optsg.data.media import Failure, MediaItem

ROWS: list[dict[str, Any]] = [
    {
        "file_name": "a.mp4",
        "id": "A 1",
        "title": "One, with a comma",
        "tags": ["x", "y"],
        "split": "train",
        "width": 640,
    },
    {
        "file_name": "sub/b.mp4",
        "id": None,
        "title": 'Quotes "here"\nand a line',
        "tags": ["你好"],
        "split": "dev",
        "width": 1,
    },
    {"file_name": "c.png", "id": None, "title": None, "tags": [], "split": None, "width": None},
]
ITEMS = [
    ("A 1", "One, with a comma", ("x", "y"), "train"),
    ("b", 'Quotes "here" and a line', ("你好",), "val"),
    ("c", "", (), "none"),
]


def write_jsonl(path: Path) -> None:
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")


def write_csv(path: Path, *, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows({**row, "tags": ",".join(row["tags"])} for row in ROWS)


def write_csv_as_pandas_does(path: Path) -> None:
    """An index column without a name, and lists as Python writes them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *ROWS[0]])
        for number, row in enumerate(ROWS):
            writer.writerow([number, *("" if value is None else str(value) for value in row.values())])


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of ``ROWS``."""
    (tmp_path / "sub").mkdir()
    for row in ROWS:
        (tmp_path / row["file_name"]).write_bytes(b"x")
    return tmp_path


def read(root: Path, **options: Any) -> tuple[list[MediaItem], list[Failure]]:
    everything = list(open_inputs(root, **options))
    items = [item for item in everything if isinstance(item, MediaItem)]
    return items, [item for item in everything if isinstance(item, Failure)]


def expect_unusable(folder: Path, content: bytes, name: str, message: str) -> None:
    """The table is refused on opening, with its path and ``message``."""
    path = folder / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}{message}')}"):
        open_inputs(folder)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("metadata.jsonl", write_jsonl),
        ("metadata.csv", write_csv),
        ("metadata.csv", lambda path: write_csv(path, encoding="utf-8-sig")),
        ("metadata.csv", write_csv_as_pandas_does),
        ("metadata.parquet", write_parquet),
    ],
)
def test_every_format_gives_the_same_items(folder, name, write):
    write(folder / name)
    items, failures = read(folder)
    assert [(item.id, item.title, item.tags, item.split) for item in items] == ITEMS
    assert failures == []
    assert open_inputs(folder).description == f"folder {folder} with {name}: 2 videos, 1 image"


def test_two_tables_in_one_folder_are_refused_and_one_can_be_named(folder):
    (folder / "Metadata.csv").write_text("file_name,title\na.mp4,from csv\n")
    assert read(folder)[0][0].title == "from csv"
    (folder / "metadata.jsonl").write_text('{"file_name": "a.mp4", "title": "from jsonl"}\n')
    message = f"{folder}: holds 2 metadata tables (Metadata.csv, metadata.jsonl); keep one of them there, or name it with --metadata"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        open_inputs(folder)
    assert read(folder, metadata=folder / "metadata.jsonl")[0][0].title == "from jsonl"


def test_tab_separated_values_and_a_json_list_in_the_folder(folder):
    (folder / "metadata.tsv").write_text('file_name\ttitle\ttags\na.mp4\tOne, two\t"x, y"\nc.png\ta\tb\tc\n')
    items, failures = read(folder)
    assert (items[0].title, items[0].tags) == ("One, two", ("x", "y"))
    assert [failure.error for failure in failures] == [
        "metadata.tsv, line 3: 4 fields under 3 columns, text with tabs needs double quotes around it"
    ]
    (folder / "metadata.tsv").rename(folder / "old.tsv")
    (folder / "metadata.json").write_text(json.dumps(ROWS))
    assert [(item.id, item.title, item.tags, item.split) for item in read(folder)[0]] == ITEMS


def test_a_table_that_is_a_link_to_nowhere_is_an_error(folder):
    (folder / "metadata.csv").symlink_to("gone.csv")
    with pytest.raises(InputError, match=f"^{re.escape(str(folder))}/metadata.csv: there is no such metadata file$"):
        open_inputs(folder)


def test_a_description_of_an_album_is_no_table_and_counted_as_skipped(folder):
    (folder / "metadata.json").write_text('{"title": "Summer"}')
    (folder / "sub" / "metadata.csv").write_text("file_name\nb.mp4\n")
    assert len(read(folder)[0]) == 3
    assert skipped_files(open_inputs(folder)) == {".json": 1}


def test_jsonl_with_a_byte_order_mark_windows_line_ends_and_empty_lines(folder):
    (folder / "metadata.jsonl").write_bytes(
        b'\xef\xbb\xbf{"file_name": "a.mp4", "title": "t"}\r\n\r\n{"file_name": 5}\r\n'
    )
    items, failures = read(folder)
    assert items[0].title == "t"
    assert failures[0].error.startswith("metadata.jsonl, line 3: no file_name")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"file_name": "a.mp4"', "not JSON (Expecting ',' delimiter: line 2 column 1 (char 22))"),
        (b"[1]", "not a JSON object"),
        (b'"a.mp4"', "not a JSON object"),
        (b"[" * 100_000, "not JSON ("),
    ],
)
def test_a_bad_json_line_is_recorded_with_its_number(folder, line, why):
    (folder / "metadata.jsonl").write_bytes(b'{"file_name": "a.mp4"}\n' + line + b'\n{"file_name": "c.png"}\n')
    items, failures = read(folder)
    assert [item.id for item in items] == ["a", "c", "b"]
    assert len(failures) == 1
    assert (failures[0].id, failures[0].stage) == ("metadata.jsonl, line 2", "read")
    assert failures[0].error.startswith(f"metadata.jsonl, line 2: {why}")


def test_a_csv_row_with_unquoted_commas_is_recorded_and_its_file_not_taken_without_tags(folder):
    (folder / "metadata.csv").write_text('file_name,title,tags\nc.png,"a\nb",x\na.mp4,Title,x,y,z\nsub/b.mp4\n')
    items, failures = read(folder)
    assert [(item.id, item.title) for item in items] == [("c", "a b"), ("b", "")]
    assert [(failure.id, failure.source, failure.error) for failure in failures] == [
        (
            "a",
            "a.mp4",
            "metadata.csv, line 4: 5 fields under 3 columns, text with commas needs double quotes around it",
        )
    ]


def test_a_csv_field_longer_than_the_modules_default_limit(folder):
    (folder / "metadata.csv").write_text(f"file_name,title\na.mp4,{'x' * 200_000}\n")
    assert len(read(folder)[0][0].title) == 200_000


def test_a_wrong_type_in_parquet_is_recorded_with_its_row(folder):
    rows: list[dict[str, Any]] = [{"file_name": "a.mp4", "tags": [b"x"]}, {"file_name": "c.png", "tags": []}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    items, failures = read(folder)
    assert [item.id for item in items] == ["c", "b"]
    assert [failure.error for failure in failures] == [
        "metadata.parquet, row 1: tags holds bytes (b'x'), expected texts only"
    ]


def test_parquet_rows_are_counted_over_batches_and_other_columns_are_not_read(tmp_path, monkeypatch):
    from optsg.data.inputs.metadata import metadata_table

    monkeypatch.setattr(metadata_table, "ROWS_AT_ONCE", 2)
    names = [f"{number}.mp4" for number in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    table = pa.table({"File_Name": names, "id": [10, 11, 12, 13, 14], "tags": ["t"] * 5, "video": [b"bytes"] * 5})
    pq.write_table(table, tmp_path / "metadata.parquet")
    rows = list(metadata_table.open_metadata_table(tmp_path / "metadata.parquet").rows())
    assert [row.where for row in rows] == [f"row {number}" for number in range(1, 6)]
    assert rows[4].values == {"file_name": "4.mp4", "id": 14, "tags": "t"}
    assert [item.id for item in read(tmp_path)[0]] == ["10", "11", "12", "13", "14"]


# --- a table that is bad as a whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": holds no rows"),
        (b"\n\n", ": holds no rows"),
        (b'{\n  "file_name": "a.mp4"\n}', ", line 1: not JSON ("),
        (b'[{"file_name": "a.mp4"}]', ", line 1: not a JSON object; expected one JSON object per line"),
        (b'{"video": "a.mp4", "tags": []}', ": no column 'file_name' (found: video, tags)"),
        (b'{"file_name": "a.mp4"}\n{"title": "caf\xe9"}\n', ", line 2: not UTF-8 (byte 0xe9); save the file as UTF-8"),
        (b'{"file_name": "a.mp4"}\n{"title": "cut \xf0\x9f', ", line 2: not UTF-8 (byte 0xf0); save the file as UTF-8"),
    ],
)
def test_unusable_jsonl(folder, content, message):
    expect_unusable(folder, content, "metadata.jsonl", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": no column 'file_name' (found: nothing)"),
        (b"file_name,title\n", ": holds no rows"),
        (b"name,title\na.mp4,t\n", ": no column 'file_name' (found: name, title)"),
        (b"name;title\na.mp4;t\n", ": no column 'file_name' (found: name, title)"),
        (b"file_name,Title,title\na.mp4,t,u\n", ": 2 columns are called 'title'"),
        (b'file_name,title\na.mp4,t\n\nc.png,"never closed\nb.mp4,t\n', ", row that begins on line 4: not CSV ("),
        (
            "file_name,title\na.mp4,t\nc.png,é\n".encode("utf-16"),
            ", line 1: not UTF-8 (byte 0xff); save the file as UTF-8",
        ),
        (
            "file_name,title\na.mp4,t\nc.png,中\n".encode("gbk"),
            ", line 3: not UTF-8 (byte 0xd6); save the file as UTF-8",
        ),
    ],
)
def test_unusable_csv(folder, content, message):
    expect_unusable(folder, content, "metadata.csv", message)


def test_a_wrong_byte_far_into_a_large_file_is_found_with_its_line(folder):
    content = b'{"file_name": "a.mp4"}\n' * 100_000 + b'{"title": "\xff"}\n'
    expect_unusable(folder, content, "metadata.jsonl", ", line 100001: not UTF-8 (byte 0xff)")


def test_unusable_parquet(folder):
    expect_unusable(folder, b"no parquet", "metadata.parquet", ": not a Parquet file (")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"name": ["a.mp4"]}), sink)
    expect_unusable(folder, sink.getvalue().to_pybytes(), "metadata.parquet", ": no column 'file_name' (found: name)")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"file_name": pa.array([], pa.string())}), sink)
    expect_unusable(folder, sink.getvalue().to_pybytes(), "metadata.parquet", ": holds no rows")


def test_damaged_parquet_pages_are_an_input_error(folder):
    path = folder / "metadata.parquet"
    pq.write_table(pa.table({"file_name": [f"{number}.mp4" for number in range(5000)]}), path, compression="gzip")
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: damaged Parquet file (')}"):
        list(open_inputs(folder))


def test_the_table_given_is_missing_or_of_an_unknown_kind(folder):
    missing = folder / "none.jsonl"
    with pytest.raises(InputError, match=f"^{re.escape(f'{missing}: there is no such metadata file')}$"):
        open_inputs(folder, metadata=missing)
    (folder / "table.xlsx").write_bytes(b"x")
    message = f"{folder / 'table.xlsx'}: unknown kind of metadata file, expected .jsonl, .json, .csv, .tsv or .parquet"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        open_inputs(folder, metadata=folder / "table.xlsx")


@pytest.mark.parametrize("mark", [";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_what_spreadsheets_call_csv_where_a_comma_is_part_of_numbers(folder, mark, start):
    rows = [
        ["file_name", "views", "title", "tags"],
        ["a.mp4", "1,5", "A, B", "cat, dog"],
        ["sub/b.mp4", "", '"B"', "fox"],
    ]
    (folder / "metadata.csv").write_text(start + "\r\n".join(mark.join(row) for row in rows), encoding="utf-8")
    assert [(item.id, item.title, item.tags) for item in read(folder)[0]] == [
        ("a", "A, B", ("cat", "dog")),
        ("b", "B", ("fox",)),
        ("c", "", ()),
    ]


def test_rows_that_are_all_empty_are_none(folder):
    (folder / "metadata.csv").write_text('file_name,title,tags\n,,\na.mp4,A,cat\n,, \n" ",,\n')
    items, failures = read(folder)
    assert [item.id for item in items] == ["a", "c", "b"]
    assert failures == []


def test_words_for_nothing_and_entities_in_titles_and_ids(folder):
    (folder / "metadata.csv").write_text(
        "file_name,id,title,tags\na.mp4,nan,Rock &amp; Roll&#39;s &lt;3,cat\nsub/b.mp4,None,#N/A,dog\nc.png,1.23457E+18,x,fox\n"
    )
    items, failures = read(folder)
    assert [(item.id, item.title) for item in items] == [("a", "Rock & Roll's <3"), ("b", "")]
    assert [failure.error for failure in failures] == [
        "metadata.csv, line 4: id is '1.23457E+18', a number that a spreadsheet has shortened; export the column as text"
    ]


def test_a_column_that_begins_after_a_thousand_rows_is_read_as_those_before(folder):
    late = {"file_name": "a.mp4", "id": "A", "keywords": ["cat"], "split": "test"}
    objects = [json.dumps({"file_name": f"{n}.mp4", "title": "x"}) for n in range(1500)] + [json.dumps(late)]
    for name, text in (("late.jsonl", "\n".join(objects)), ("late.json", f"[{','.join(objects)}]")):
        (folder / name).write_text(text)
        items, _ = read(folder, metadata=folder / name)
        assert [(item.id, item.tags, item.split) for item in items][:1] == [("A", ("cat",), "test")], name


def test_two_names_of_an_object_that_are_one_column_make_a_bad_row(folder):
    objects = ['{"file_name":"a.mp4","Tags":["cat"],"tags":null}', '{"file_name":"c.png","tags":["dog"],"X":1,"x":2}']
    for name, text in (("case.jsonl", "\n".join(objects)), ("case.json", f"[{','.join(objects)}]")):
        (folder / name).write_text(text)
        items, failures = read(folder, metadata=folder / name)
        assert [(item.id, item.tags) for item in items] == [("c", ("dog",)), ("b", ())]
        assert [failure.error.partition(": ")[2] for failure in failures] == ["2 columns are called 'tags'"]


def test_a_json_list_with_a_name_twice_in_an_object_is_refused(folder):
    content = b'[{"file_name": "c.png"}, {"file_name": "a.mp4", "tags": ["cat"], "tags": ["dog"]}]'
    message = ", after item 1: not JSON (the name 'tags' occurs twice in one object)"
    expect_unusable(folder, content, "metadata.json", message)
    fine = [{"file_name": "a.mp4", "tags": ["cat"], "more": [{"x": {"x": 1}}, {"x": 2}]}, {"file_name": "c.png"}]
    (folder / "metadata.json").write_text(json.dumps(fine))
    assert [item.id for item in read(folder)[0]] == ["a", "c", "b"]


def test_cells_that_optsg_tag_kept_from_being_formulas_are_what_they_were(folder):
    (folder / "-d.mp4").write_bytes(b"x")
    rows = [TAG_COLUMNS, ("-d.mp4", "=1+1", '["-x"]'), ("a.mp4", "'quoted'", "[]"), ("sub/b.mp4", "'-", "[]")]
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([as_cell(text) for text in row] for row in rows)
    items, failures = read(folder)
    assert [(item.source, item.title, item.tags) for item in items] == [
        ("-d.mp4", "=1+1", ("-x",)),
        ("a.mp4", "'quoted'", ()),
        ("sub/b.mp4", "'-", ()),
        ("c.png", "", ()),
    ]
    assert failures == []
    (folder / "metadata.csv").write_text("path,title\na.mp4,'-x\n")
    assert [item.title for item in read(folder)[0] if item.id == "a"] == ["'-x"]


def test_an_id_that_has_lost_digits_in_a_column_with_a_missing_value_is_refused(folder):
    table = pa.table({"file_name": ["a.mp4", "sub/b.mp4", "c.png"], "id": [2.0**53, 2.0**53 - 1, None]})
    pq.write_table(table, folder / "metadata.parquet")
    items, failures = read(folder)
    assert [item.id for item in items] == ["9007199254740991", "c"]
    lost = "id is 9007199254740992.0, a number of so many digits that some are lost; export the column as text"
    assert [(failure.id, failure.error) for failure in failures] == [("a", f"metadata.parquet, row 1: {lost}")]
