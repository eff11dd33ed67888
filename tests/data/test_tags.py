"""Tag identity, the tokenizer's two readings, the tag table and the decoder's vocabulary."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.data.errors import RunError, StoreError
from optsg.data.store import open_store
from optsg.data.tag_table import TagTable
from optsg.data.tags import clean_tag, tag_key, unique_tags
from optsg.data.word_pieces import MARKS, MAX_TITLE_TOKENS, TitleTokenizer, Vocabulary, build_vocabulary

from tests.tiny_world import tiny_tokenizer, tiny_videos, write_tiny_store


@pytest.mark.parametrize(
    ("raw", "spelling", "key"),
    [
        ("  How\tto\n ", "How to", "how to"),
        ("Ｆｕｌｌ", "Full", "full"),
        ("Straße", "Straße", "strasse"),
        ("a,b;c", "a,b;c", "a,b;c"),
        ("🎉", "🎉", "🎉"),
        ("\x00", "", ""),
        ("[SEP]", "[SEP]", "[sep]"),
    ],
)
def test_spelling_and_key(raw: str, spelling: str, key: str) -> None:
    assert (clean_tag(raw), tag_key(raw)) == (spelling, key)


@given(st.text())
def test_keys_are_stable(text: str) -> None:
    assert tag_key(tag_key(text)) == tag_key(text)
    assert clean_tag(clean_tag(text)) == clean_tag(text)
    assert tag_key(clean_tag(text)) == tag_key(text)


def test_unique_tags_keeps_the_first_spelling_and_the_order() -> None:
    assert unique_tags(["b", "", "A", "a", " B ", "c\n"]) == ("b", "A", "c")


def test_text_is_never_a_special_token() -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    (ids,) = tokenizer.encode_tags(["[SEP]"])
    assert not set(ids) & tokenizer.special_ids
    assert TitleTokenizer.from_json(tokenizer.to_json()).encode_tags(["[SEP]"]) == [ids]


@pytest.mark.parametrize("title", ["", "cat", "cat dog " * 40, "x" * 10_000, "[SEP] [CLS]"])
def test_titles_have_their_two_marks_and_fit(title: str) -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    (ids,) = tokenizer.encode_titles([title])
    pieces = tokenizer.pieces
    assert ids[0] == pieces["[CLS]"]
    assert ids[-1] == pieces["[SEP]"]
    assert 2 <= len(ids) <= MAX_TITLE_TOKENS
    assert pieces["[SEP]"] not in ids[:-1]


def test_what_is_no_tokenizer_says_so() -> None:
    with pytest.raises(StoreError, match=re.escape("the tokenizer cannot be read")):
        TitleTokenizer.from_json("{}")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[TagTable, Vocabulary, TitleTokenizer]:
    with open_store(write_tiny_store(tmp_path_factory.mktemp("s") / "s.h5", tiny_videos(60))) as store:
        table = TagTable.from_store(store)
        tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
        return table, build_vocabulary(store, table, tokenizer, "corpus"), tokenizer


def test_tag_table_counts_the_training_split_only(table: tuple[TagTable, Vocabulary, TitleTokenizer]) -> None:
    tags, _, _ = table
    training = [video for video in tiny_videos(60) if video.split == "train"]
    assert tags.keys[0] == "animal"
    assert tags.counts[0] == len(training)
    assert list(tags.counts) == sorted(tags.counts, reverse=True)
    assert tags.spelling_of["t-shirt"] == "T-shirt"
    assert tags.is_known("bird")
    assert not tags.is_known("zebra")


def test_known_tags_come_back_in_their_own_spelling(table: tuple[TagTable, Vocabulary, TitleTokenizer]) -> None:
    tags, vocabulary, _ = table
    for number, pieces in enumerate(tags.tokens):
        assert tags.find(vocabulary.decode(vocabulary.encode(pieces))) == number


def test_of_tags_with_the_same_pieces_the_most_frequent_wins() -> None:
    tags = TagTable(keys=("cafe", "café"), spellings=("cafe", "café"), counts=np.array([5, 2]), tokens=((7,), (7,)))
    assert tags.find([7]) == 0


def test_tag_table_round_trip(tmp_path: Path, table: tuple[TagTable, Vocabulary, TitleTokenizer]) -> None:
    tags, _, _ = table
    tags.save(tmp_path / "t.json")
    loaded = TagTable.load(tmp_path / "t.json")
    assert (loaded.keys, loaded.spellings, loaded.tokens) == (tags.keys, tags.spellings, tags.tokens)
    assert np.array_equal(loaded.counts, tags.counts)
    (tmp_path / "t.json").write_text('{"tags": [{}]}')
    with pytest.raises(RunError, match=re.escape(f"{tmp_path / 't.json'} is not a readable tag table")):
        TagTable.load(tmp_path / "t.json")


def test_corpus_vocabulary_can_spell_anything_but_holds_few_pieces(
    table: tuple[TagTable, Vocabulary, TitleTokenizer],
) -> None:
    tags, vocabulary, tokenizer = table
    assert all(vocabulary.can_spell(pieces) for pieces in tags.tokens)
    assert vocabulary.can_spell(tokenizer.encode_tags(["zebra x9"])[0])
    assert not set(vocabulary.pieces) & (tokenizer.special_ids | {tokenizer.unknown_id})
    assert tokenizer.pieces["the"] in vocabulary.pieces  # "at the lake" is in every title
    assert tokenizer.pieces["of"] not in vocabulary.pieces  # two letters, in no title and no tag


def test_marks_have_no_pieces() -> None:
    vocabulary = Vocabulary([40, 50])
    assert len(vocabulary) == MARKS + 2
    assert vocabulary.decode([0, 1, MARKS + 1, 4, MARKS]) == [50, 40]
