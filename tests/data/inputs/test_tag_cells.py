"""Cells of a tags column: every way in which programs print a list, and what is refused."""

from __future__ import annotations

import csv
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.data.errors import InputError
from optsg.data.inputs import open_inputs, tables_of
from optsg.data.inputs.metadata.tag_cells import tag_texts

from tests.data.inputs.test_folder import read, touch


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("['cat' 'pet']", ["cat", "pet"]),
        ("['cat'\n 'pet']", ["cat", "pet"]),
        ("['it\\'s' \"it's\"]", ["it's", "it's"]),
        ("[np.str_('a'), np.str_('b c')]", ["a", "b c"]),
        ("array(['a', 'b'], dtype='<U3')", ["a", "b"]),
        ("array(['a', 'b'], dtype=object)", ["a", "b"]),
        ("('a', 'b')", ["a", "b"]),
        ("('a',)", ["a"]),
        ("{'a', 'b'}", ["a", "b"]),
        ("frozenset({'a', 'b'})", ["a", "b"]),
        ("set()", []),
        ("[]", []),
        ("{}", []),
        ('["cat", 2020]', ["cat", "2020"]),
        ("['cat' 2020]", ["cat", "2020"]),
        ("[1. 2.5]", ["1", "2.5"]),
        ('["cat", null, NaN]', ["cat"]),
        ("['cat', None, nan]", ["cat"]),
        ("nan", []),
        ("None", []),
        ("(official)", ["(official)"]),
        ('("Weird Al" Yankovic)', ['("Weird Al" Yankovic)']),
        ("[SEP],[MASK]", ["[SEP]", "[MASK]"]),
        ("N/A", []),
        ("#N/A", []),
        ("#NAME?", []),
        ('"New York, NY", cat', ["New York, NY", " cat"]),
        ('cat,"dog"', ["cat", "dog"]),
        ('cat, "the ""big"" one" ,', ["cat", 'the "big" one', ""]),
        ('12" vinyl, "x" y, 7"', ['12" vinyl', ' "x" y', ' 7"']),
        ('"open, cat', ['"open', " cat"]),
        ("'Paris, FR', 'dog'", ["Paris, FR", "dog"]),
        ("'n sync, rock 'n' roll", ["'n sync", " rock 'n' roll"]),
        ("cat\ndog\r\nfox", ["cat", "dog", "", "fox"]),
        ("猫，狗、鸟،فيل", ["猫", "狗", "鸟", "فيل"]),
        (["a", 2020, 2.0, 1.5, None, float("nan")], ["a", "2020", "2", "1.5"]),
        ([{"tag": "cat", "score": 0.9}], ["cat"]),
    ],
)
def test_lists_as_programs_print_them(cell: object, expected: list[str]) -> None:
    assert tag_texts("tags", cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        "[cat, dog]",
        "[cat",
        "{cat,dog}",
        "(cat, dog)",
        "['cat' ... 'dog']",
        "['a''b']",
        "['a', 'b",
        "[True]",
        "['a', b]",
    ],
)
def test_what_begins_like_a_list_and_is_none_is_refused(cell: str) -> None:
    message = (
        f'tags is text that begins like a list and is none ({cell!r}), expected a list such as ["cat", "dog"], or one text '
        "with commas"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        tag_texts("tags", cell)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('{"a": 1}', "tags is an object, expected a list of texts, or one text with commas"),
        ("{'a': 'b'}", "tags is an object, expected a list of texts, or one text with commas"),
        ('[["a"]]', "tags holds a list, expected texts only"),
        ('["a", {"b": 1}]', "tags holds an object, expected texts only"),
        ("[true]", "tags holds true, expected texts only"),
        ([float("inf")], "tags holds a number (inf), expected texts only"),
    ],
)
def test_lists_of_other_things_are_refused_as_in_json(cell: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        tag_texts("tags", cell)


TEXTS = st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"])), min_size=1, max_size=4)


@given(TEXTS)
def test_what_python_and_numpy_print_comes_back(tags: list[str]) -> None:
    with np.printoptions(threshold=10_000, linewidth=40):
        for cell in (str(tags), str(tuple(tags)), str(np.array(tags, object)), repr(np.array(tags, object))):
            assert tag_texts("tags", cell) == tags


@pytest.mark.parametrize("text", ['"a"",""', "'a'\n\n\n ", '"x,', "' ,' ", '"" ""', "\\"])
def test_a_long_cell_of_odd_quotes_takes_no_time(text: str) -> None:
    begun = time.process_time()
    for end in ("", "x", '"', "'"):
        tag_texts("tags", text * (400_000 // len(text)) + end)
    assert time.process_time() - begun < 8


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("list(['", ",dtype=", "'])x)"),
        ("[", "1", ".e]"),
        ("[", "1.", "x]"),
        ("", "a\u200c", ""),
        ("a", "\u0301\u0316", ""),
        ("a", "&#769;&#790;", ""),
        ("a", "\uff9e\u0301", ""),
        ("a", "\u0f73", ""),
        ("", "a_", ""),
        ("", "_", ""),
    ],
)
def test_a_long_cell_takes_time_in_proportion(tmp_path: Path, start: str, text: str, end: str) -> None:
    touch(tmp_path, "a.mp4")
    cell = start + text * (200_000 // len(text)) + end
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.mp4", "tags": cell}))
    inputs = open_inputs(tmp_path)
    begun = time.process_time()
    folder = tables_of(inputs)
    assert folder is not None
    folder.notes()
    assert len(list(inputs)) == 1
    assert time.process_time() - begun < 8


@given(st.text(alphabet="ab\"', \n"))
def test_cutting_loses_no_letter(cell: str) -> None:
    found = tag_texts("tags", cell)
    assert [char for tag in found for char in tag if char in "ab"] == [char for char in cell if char in "ab"]


@given(st.text())
def test_any_text_gives_tags_or_one_sentence(cell: str) -> None:
    try:
        found: list[str] | str = tag_texts("tags", cell)
    except InputError as error:
        found = str(error)
    assert "\n" not in found if isinstance(found, str) else all(isinstance(tag, str) for tag in found)


@pytest.mark.parametrize(
    ("separator", "cell", "expected"),
    [
        (";", "cat; dog；a, b", ["cat", " dog", "a, b"]),
        ("|", "cat|dog｜fox", ["cat", "dog", "fox"]),
        ("#", "#cat #dog", ["", "cat ", "dog"]),
        (" ", "long_hair  blue_eyes", ["long_hair", "blue_eyes"]),
        (" / ", "a / b/c", ["a", "b/c"]),
        (";", '"a;b"; c;"d""e";"f" g', ["a;b", " c", 'd"e', '"f" g']),
        (";", '["a;b", "c"]', ["a;b", "c"]),
    ],
)
def test_another_separator(separator: str, cell: str, expected: list[str]) -> None:
    assert tag_texts("tags", cell, separator) == expected


def test_a_csv_that_pandas_wrote_of_lists(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    with (tmp_path / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "tags"], ["a.mp4", "['cat' 'pet']"], ["b.mp4", "[cat]"]])
    items, failures = read(tmp_path)
    assert [item.tags for item in items] == [("cat", "pet")]
    assert [failure.error for failure in failures] == [
        (
            "metadata.csv, line 3: tags is text that begins like a list and is none ('[cat]'), expected a list such as "
            '["cat", "dog"], or one text with commas'
        )
    ]
