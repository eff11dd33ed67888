from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from optsg.data.errors import ConfigError
from optsg.data.tag_list import OPEN, TagList, parse_tag_list, read_tag_list
from optsg.data.tags import clean_tag, tag_key


def test_a_tag_a_line_with_aliases_blocks_comments_and_escapes(tmp_path: Path) -> None:
    path = tmp_path / "tags.txt"
    lines = ["# animals", "#", "", "#funny", "Cat", 'kitty, "cat, small" ->cat', "new york, ny", r"\!wow", "!Spam"]
    path.write_text("\n".join([*lines, "  你好，李焕英  "]), encoding="utf-8-sig")
    tags = read_tag_list(path)
    assert tags.closed
    assert tags.spellings == ("#funny", "Cat", "new york, ny", "!wow", "你好,李焕英")
    assert tags.spelling_of["kitty"] == tags.spelling_of["cat, small"] == "Cat"
    assert tags.blocked == {"spam"}
    assert [tags.resolve(tag) for tag in ("KITTY", "cat", "!wow", "spam", "dog")] == ["Cat", "Cat", "!wow", None, None]


@pytest.mark.parametrize(
    ("listed", "meant"),
    [
        ("Cat", "cAT"),
        ("Ｃａｔ", "cat"),
        ("caf\u00e9", "CAFE\u0301"),
        ("ﬁlm", "Film"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("Straße", "STRASSE"),
        ("ℌ²", "H2"),
        ("new\u3000york", " New\t york\xa0"),
        ("new\x0byork", "new york"),
        ("new\u2028york", "new\x00york"),
        ("你好，李焕英", "你好,李焕英"),
    ],
)
def test_texts_are_one_tag_as_in_the_store(tmp_path: Path, listed: str, meant: str) -> None:
    """In either direction, as a tag, an alias, a blocked tag."""
    assert tag_key(listed) == tag_key(meant)
    for text, other in ((listed, meant), (meant, listed)):
        path = tmp_path / "tags.txt"
        path.write_text(f'{text}\n*\n"{text} 2" -> one\n!{text} 3\n', encoding="utf-8")
        tags = read_tag_list(path)
        assert tags.spellings == (clean_tag(text), "one")
        assert [tags.resolve(f"{other}{end}") for end in ("", " 2", " 3")] == [clean_tag(text), "one", None]


def test_other_spellings_are_other_tags() -> None:
    tags = parse_tag_list(["cat"], "list")
    assert [tags.resolve(text) for text in ("cats", "ca t", "cat.", "c-at", "кat")] == [None] * 5
    assert tags.resolve("cat\u200b") == "cat"  # what nobody sees makes no other tag


def test_marks_are_ascii() -> None:
    tags = parse_tag_list(["！spam", "＃ fun", "＊", "#\u3000a comment", "kitty，kitten -> cat"], "list")
    assert tags.spellings == ("!spam", "# fun", "*", "cat")
    assert tags.resolve("kitty,kitten") == "cat"
    assert (tags.closed, tags.blocked, tags.resolve("kitten")) == (True, frozenset(), None)


def test_a_star_leaves_the_vocabulary_open() -> None:
    tags = parse_tag_list(["kitty -> cat", "!spam", "*"], "list")
    assert [tags.resolve(tag) for tag in ("Kitty", "cat", "SPAM", "Dog")] == ["cat", "cat", None, "Dog"]
    assert OPEN.resolve("anything") == "anything"
    assert TagList.of(["Cat"]).resolve("cat") == "Cat"
    assert TagList.of(["Cat"]).resolve("dog") is None


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["cat", "!cat"], "list, line 2: “cat” is blocked here and allowed in line 1; keep one of them"),
        (["!Cat", "", "kitty -> cat"], "list, line 3: “cat” is allowed here and blocked in line 1; keep one of them"),
        (["a -> cat", "A -> dog"], "list, line 2: “a” is “dog” here and “cat” in line 1; keep one of them"),
        (["a -> b", "b -> c"], "list, line 2: “b” is “c” here and “b” in line 1; keep one of them"),
        (["a ->  "], "list, line 1: there is no tag in it"),
        (["cat", "!"], "list, line 2: there is no tag in it"),
        (["a,, b -> cat"], "list, line 1: there is no tag in it"),
        (["!cat"], "the vocabulary list allows no tag; write one a line, or * to allow all others"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(lines: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        parse_tag_list(lines, "list")


def test_an_endless_alias_is_one_sentence() -> None:
    before = csv.field_size_limit(1000)  # of the whole process; reading of metadata raises it
    try:
        with pytest.raises(
            ConfigError, match=r"^list, line 2: its aliases cannot be read: field larger than .* \(1000\)$"
        ):
            parse_tag_list(["a", "b" * 2000 + " -> c"], "list")
    finally:
        csv.field_size_limit(before)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^the vocabulary .*none\.txt cannot be read: No such file or directory$"):
        read_tag_list(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^the vocabulary .*latin\.txt cannot be read: it is not UTF-8 text$"):
        read_tag_list(tmp_path / "latin.txt")
