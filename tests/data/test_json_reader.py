"""JSON from anybody: every oddity is a ValueError of one line, soon."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.data.foreign.json_reader import DEEPEST, parse_json, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json("\ufeff" + json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8-sig")) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 1000 + "]" * 1000, "nested more than 64 deep"),
        ('{"a":' * 100_000, "nested more than 64 deep"),
        (b'{"a": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 7: invalid start byte"),
        ("9" * 400, "the number 99999999999999999999 is too large"),
        (str(2**64), "the number 18446744073709551616 is too large"),
        ("[1e999]", "the number 1e999 is too large"),
        ("[NaN]", "NaN is no number of JSON"),
        ('{"a": 1, "a": 2}', "the name 'a' occurs twice in one object"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_what_is_odd_is_one_line(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_json(text)
    assert str(refused.value) == message


def test_brackets_in_texts_are_no_depth() -> None:
    assert parse_json(json.dumps(["[{" * 100, '"[' * 100])) == ["[{" * 100, '"[' * 100]
    deepest = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deepest)) == deepest


NAMES = ", ".join(f'"{number}": 0' for number in range(100_000))


@pytest.mark.parametrize(
    "text",
    [
        '["' + '\\"' * 1_000_000 + "[" * 100,
        '"' * 2_000_000 + "[" * 100,
        "[" * 3_000_000,
        f'{{{NAMES}, "99999": 1}}',
    ],
)
def test_time_is_linear(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"nested|Unterminated|Extra data|the name '99999' occurs twice"):
        parse_json(text)
    assert time.monotonic() - begun < 5


def test_a_file_is_bounded_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert read_json(tmp_path / "a.json") == [1, 2, 3]
    with pytest.raises(ValueError, match="more than 8 bytes"):
        read_json(tmp_path / "a.json", most_bytes=8)
    with pytest.raises(OSError, match="it is a folder"):
        read_json(tmp_path)


def test_long_numbers_of_other_programs_are_kept_where_that_is_said() -> None:
    assert parse_json("[123456789012345678901]", finite=False) == [123456789012345678901]
    with pytest.raises(ValueError, match=r"^the number 12345678901234567890 is too large$"):
        parse_json("[123456789012345678901]")
    with pytest.raises(ValueError, match=r"^the number 9{20} is too large$"):
        parse_json("9" * 400, finite=False)
