"""``--text-encoder characters``: its vocabulary, its embeddings, and stores that grow."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import EncoderError
from optsg.data.store import open_store
from optsg.data.store.corpus import StoredTexts
from optsg.data.store.merging.merge import merge_parts
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import StoreHeader, VideoFeatures
from optsg.data.word_pieces import TitleTokenizer
from optsg.extract.encoders.character_text_encoder import CharacterTextEncoder, character_grams
from optsg.extract.encoders.text_encoder import open_text_encoder, parse_text_encoder

from tests.tiny_world import tiny_header

CORPUS = ["你好，李焕英", "Ｔ恤", "how to", "café", "👩‍🚀", "[SEP]"]


def test_every_character_of_the_corpus_is_a_piece_and_text_comes_back() -> None:
    tables = CharacterTextEncoder(32).tables(CORPUS)
    tokenizer = TitleTokenizer.from_json(tables.tokenizer_json)
    pieces = tokenizer.pieces
    assert [pieces[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", " ", "!")] == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert {"你", "焕", "，", "恤", "é", "👩", "\u200d", "🚀"} - pieces.keys() == {"，"}  # NFKC makes it a comma
    assert "Ｔ" not in pieces
    for text, read in (("你好,李焕英", "你好,李焕英"), ("T恤", "t恤"), ("How to", "how to"), ("[SEP]", "[sep]")):
        [tokens] = tables.tag_tokens([text])
        assert tokenizer.decode(tokens) == read
        assert len(tokens) == len(read)
        assert not tokenizer.special_ids & set(tokens)
    [tokens] = tables.tag_tokens(["猫"])
    assert tokens == [tokenizer.unknown_id] == [1]
    [title] = tables.title_tokens(["李" * 100])
    assert (len(title), title[0], title[-1]) == (40, 2, 3)


def test_the_same_corpus_gives_the_same_tables_in_any_order_and_another_one_others() -> None:
    encoder = CharacterTextEncoder(32)
    one, two, other = encoder.tables(CORPUS), encoder.tables(reversed(CORPUS)), encoder.tables([*CORPUS, "猫"])
    assert (one.tokenizer_json, one.config_json, one.corpus_digest) == (
        two.tokenizer_json,
        two.config_json,
        two.corpus_digest,
    )
    assert all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert one.corpus_digest != other.corpus_digest
    settings = json.loads(one.config_json)
    assert (settings["model_type"], settings["num_hidden_layers"], settings["hidden_size"]) == ("bert", 6, 32)
    words = one.weights["embeddings.word_embeddings.weight"]
    assert words.shape == (settings["vocab_size"], 32)
    assert 0.015 < words[1:].std() < 0.025


def test_tag_embeddings_have_unit_length_and_follow_the_spelling() -> None:
    encoder = CharacterTextEncoder(384)
    cat, kitten, dog, again = encoder.embed(["猫", "小猫", "狗", "猫"])
    assert np.linalg.norm([cat, kitten, dog], axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(cat, again)
    assert cat @ kitten > 0.3 > 0.1 > abs(cat @ dog)
    tables = encoder.tables()
    assert np.array_equal(tables.nil_embedding, encoder.embed(["[PAD]"])[0])
    assert character_grams("ab") == ["a", "b", "\x02a", "ab", "b\x03", "\x02ab", "ab\x03"]
    assert encoder.embed(["a"])[0, :4].tolist() == pytest.approx(FIRST_OF_A, abs=1e-6)


FIRST_OF_A = [0.0978232, -0.0978232, -0.0489116, -0.0489116]
"""The same on every machine and in every version: another embedding would not fit the stores that there are."""


def test_how_it_is_named_and_described() -> None:
    encoder = open_text_encoder(parse_text_encoder("characters"))
    assert encoder.tag_dim == 384
    wide = open_text_encoder(parse_text_encoder("characters:768"))
    assert wide.spec() == open_text_encoder(wide.spec()).spec()
    assert wide.spec() == {
        "library": "optsg",
        "name": "characters",
        "width": 768,
        "tag_embeddings": "SHAKE-256 signs of character 1- to 3-grams",
        "seed": 0,
        "made_from": "corpus",
        "title_encoder": "untrained",
    }
    message = "--text-encoder characters:wide has no width; expected characters, or characters:384 for instance"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        parse_text_encoder("characters:wide")
    message = "--text-encoder characters:100 is out of range; expected a width of 32 to 4096 that is a multiple of 32"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        open_text_encoder(parse_text_encoder("characters:100"))


def header() -> StoreHeader:
    return tiny_header(text_encoder=CharacterTextEncoder(32).spec())


def video(name: str, title: str, *tags: str) -> VideoFeatures:
    return VideoFeatures(
        id=name,
        title=title,
        tags=tags,
        split="train",
        source=name,
        kind="video",
        duration=1.0,
        frames=np.ones((1, 12), np.float16),
        times=np.zeros(1, np.float32),
        patches=np.zeros((0, 6), np.float16),
    )


def merged(folder: Path, name: str, parts: Sequence[Sequence[VideoFeatures]], base: Path | None = None) -> Path:
    paths = []
    for number, videos in enumerate(parts):
        paths.append(folder / f"{name}-{number}.part")
        with Hdf5StoreWriter(paths[-1], header()) as writer:
            for features in videos:
                writer.append(features)
            writer.finish()
    out = folder / name
    merge_parts(paths, out, header(), CharacterTextEncoder(32).tables(StoredTexts(paths, base=base)), base=base)
    return out


OLD = [video("a", "你好", "猫"), video("b", "zebra", "马")]
NEW = [video("c", "ABC 中", "狗")]


@pytest.mark.parametrize("suffix", [".h5", ""])
def test_adding_to_a_store_equals_making_it_at_once(tmp_path: Path, suffix: str) -> None:
    first = merged(tmp_path, f"first{suffix}", [OLD])
    grown = merged(tmp_path, f"grown{suffix}", [NEW], base=first)
    whole = merged(tmp_path, f"whole{suffix}", [OLD, NEW])
    with open_store(first) as before, open_store(grown) as a, open_store(whole) as b:
        assert a.header == b.header
        assert a.header.text_encoder["digest"] != before.header.text_encoder["digest"]
        assert a.tokenizer_json == b.tokenizer_json != before.tokenizer_json
        assert a.title_tokens(0).tolist() != before.title_tokens(0).tolist()
        for row in range(3):
            assert a.title_tokens(row).tolist() == b.title_tokens(row).tolist()
        assert a.tag_keys == b.tag_keys == ["猫", "马", "狗"]
        assert np.array_equal(a.tag_embeddings, b.tag_embeddings)
        assert [a.tag_tokens(tag).tolist() for tag in range(3)] == [b.tag_tokens(tag).tolist() for tag in range(3)]
        assert a.header.before_corpus() == before.header.before_corpus() == header()


def test_nothing_with_new_characters_leaves_the_vocabulary_as_it_was(tmp_path: Path) -> None:
    first = merged(tmp_path, "first.h5", [OLD])
    grown = merged(tmp_path, "grown.h5", [[video("d", "好你", "猫")]], base=first)
    with open_store(first) as before, open_store(grown) as after:
        assert after.header == before.header
        assert after.tokenizer_json == before.tokenizer_json
