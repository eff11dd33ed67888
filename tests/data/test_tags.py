"""Tag identity, the tokenizer's two readings, the tag table and the decoder's vocabulary."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optsg.data.errors import RunError, StoreError
from optsg.data.store import open_store
from optsg.data.tag_table import TagTable
from optsg.data.tags import clean_tag, current_keys, tag_key, unique_tags
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
        ("\u0390", "\u0390", "\u0390"),  # case folding takes its accents from it
        ("\x00", "", ""),
        ("[SEP]", "[SEP]", "[sep]"),
        ("ca\u200bt\ufeff", "cat", "cat"),
        ("soft\u00adhyphen", "softhyphen", "softhyphen"),
        ("\u202bcat\u202c\u200e", "cat", "cat"),
        ("c\u200da\u200ct\u200d", "cat", "cat"),
        ("👩\u200d🚀", "👩\u200d🚀", "👩\u200d🚀"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("می\u200cخواهم", "می\u200cخواهم", "می\u200cخواهم"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
        ("Rock &amp; Roll", "Rock & Roll", "rock & roll"),
        ("Rock &#38;amp; Roll&nbsp;", "Rock & Roll", "rock & roll"),
        ("don&#39;t", "don't", "don't"),
        ("a &lt; b", "a < b", "a < b"),
        ("AT&T; Q&A", "AT&T; Q&A", "at&t; q&a"),
        ("\u200b", "", ""),
    ],
)
def test_spelling_and_key(raw: str, spelling: str, key: str) -> None:
    assert (clean_tag(raw), tag_key(raw)) == (spelling, key)


@given(st.text() | st.text("a&;#x\u200d\u200b🎉م\u00ad38amplt\u0301", max_size=30))
def test_keys_are_stable(text: str) -> None:
    assert tag_key(tag_key(text)) == tag_key(text)
    assert clean_tag(clean_tag(text)) == clean_tag(text)
    assert tag_key(clean_tag(text)) == tag_key(text)


def test_keys_of_an_earlier_version_are_found() -> None:
    assert current_keys(["dog", "ca\u200bt", "rock &amp; roll"]) == ["dog", "cat", "rock & roll"]
    assert current_keys(["cat", "ca\u200bt", "\u200b"]) == ["cat", "ca\u200bt", "\u200b"], (
        "each key once, and none empty"
    )


def test_a_store_of_an_earlier_version_has_the_keys_of_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = [replace(video, tags=("ca\u200bt", "dog")) for video in tiny_videos(16)]
    with monkeypatch.context() as earlier:
        earlier.setattr("optsg.data.store.plan.clean_tag", str)
        earlier.setattr("optsg.data.store.plan.tag_key", str)
        write_tiny_store(tmp_path / "old.h5", videos)
    with open_store(tmp_path / "old.h5") as store:
        assert set(store.tag_spellings) == {"ca\u200bt", "dog"}
        assert set(store.tag_keys) == {"cat", "dog"}
        table = TagTable.from_store(store)
    assert all(table.is_known(tag_key(spelling)) for spelling in table.spellings)


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


def test_few_marks_of_a_letter_are_kept_in_long_texts_and_again_the_same():
    text = "Z" + "\u0301\u0316" * 10 + "a" * 300 + "\u0f73" * 1000
    tag = clean_tag(text)
    assert tag.startswith(clean_tag(text[:21]))
    assert clean_tag(tag) == tag
    assert len(tag) < 400
