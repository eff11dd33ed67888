"""From written tokens to tags (paper §3.3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import EOS, NIL, PAD, SEPARATOR, TitleTokenizer, Vocabulary
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.writing.greedy import WrittenTokens, greedy_decode, likeliest
from optsg.train.writing.reading import TagReader, join_punctuation, split_tags

from tests.tiny_world import tiny_tokenizer


def test_tags_are_split_at_separators_and_nil_is_dropped() -> None:
    tokens = [10, 11, SEPARATOR, NIL, SEPARATOR, 12, EOS, PAD]
    log_probs = [math.log(0.5), math.log(0.125), 0.0, 0.0, 0.0, math.log(0.9), 0.0, 0.0]
    nil_probs = [0.2, 0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0]
    tags = split_tags(tokens, log_probs, nil_probs)
    assert [(tag.ids, tag.slot) for tag in tags] == [((10, 11), 0), ((12,), 2)]
    # Geometric mean of 0.5 and 0.125, times 1 - p(NIL) at the first token.
    assert [tag.score for tag in tags] == pytest.approx([0.25 * 0.8, 0.9])


@pytest.mark.parametrize("tokens", [[EOS], [SEPARATOR, SEPARATOR, EOS], [NIL], [], [PAD]])
def test_nothing_written_is_no_tag(tokens: list[int]) -> None:
    assert split_tags(tokens, [0.0] * len(tokens), [0.0] * len(tokens)) == []


@pytest.mark.parametrize(
    ("text", "joined"),
    [("hip - hop", "hip-hop"), ("o ’ clock", "o’clock"), ("4 : 30", "4:30"), ("a b", "a b"), ("- 1", "- 1")],
)
def test_punctuation_inside_words_is_joined(text: str, joined: str) -> None:
    assert join_punctuation(text) == joined


def reader_and_vocabulary() -> tuple[TagReader, Vocabulary, TitleTokenizer]:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    keys = ("cat", "t-shirt")
    table = TagTable(
        keys=keys,
        spellings=("CAT", "T-Shirt"),
        counts=np.array([3, 1]),
        tokens=tuple(tuple(ids) for ids in tokenizer.encode_tags(keys)),
    )
    vocabulary = Vocabulary(sorted(set(tokenizer.pieces.values()) - tokenizer.special_ids))
    return TagReader(vocabulary, table, tokenizer), vocabulary, tokenizer


def read(*slots: list[str], probability: float = 0.5) -> list[tuple[str, bool, int | None]]:
    """Tags of one video whose slots were written with these word pieces."""
    reader, vocabulary, tokenizer = reader_and_vocabulary()
    tokens: list[int] = []
    for slot in slots:
        tokens += [*vocabulary.encode(tokenizer.pieces[piece] for piece in slot), SEPARATOR]
    written = torch.tensor([[*tokens[:-1], EOS]])
    values = torch.full(written.shape, math.log(probability))
    tags = reader.read(WrittenTokens(tokens=written, log_probs=values, nil_probs=torch.zeros(written.shape)))[0]
    return [(tag.text, tag.novel, tag.prompt) for tag in tags]


def test_known_tags_have_their_own_spelling_and_others_are_novel() -> None:
    assert read(["t", "-", "shirt"], ["cat"], ["dog", "##s"]) == [
        ("T-Shirt", False, 0),
        ("CAT", False, 1),
        ("dogs", True, 2),
    ]


def test_a_known_tag_spelled_with_other_pieces_is_still_that_tag() -> None:
    assert read(["c", "##a", "##t"]) == [("CAT", False, 0)]


def test_repeats_are_written_once() -> None:
    assert read(["cat"], ["c", "##a", "##t"], ["cat"]) == [("CAT", False, 0)]


def test_novel_tags_have_no_piece_marks() -> None:
    assert read(["##s", "cow"]) == [("s cow", True, 0)]


@pytest.mark.parametrize("use_cache", [True, False])
def test_videos_that_have_ended_are_left_behind_and_the_others_are_written_as_alone(use_cache: bool) -> None:
    torch.manual_seed(1)
    decoder = TagDecoder(
        vocabulary=30, prompts=4, tag_dim=12, width=16, heads=2, layers=2, dropout=0.0, prompt_entry="slot"
    )
    with torch.no_grad():  # large weights, or all videos write the same
        for parameter in decoder.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4)
        decoder.output_bias[[EOS, SEPARATOR]] = torch.tensor([4.0, 2.0])
    decoder.eval()
    prompts, features, mask = torch.randn(12, 4, 12), torch.randn(12, 3, 16), torch.ones(12, 3, dtype=torch.bool)
    together = greedy_decode(decoder, prompts, features, mask, use_cache=use_cache)
    lengths = (together.tokens != PAD).sum(dim=1).tolist()
    assert sum(length < max(lengths) for length in lengths) > 6, "half have ended before the last step"
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone = greedy_decode(decoder, prompts[one], features[one], mask[one], use_cache=use_cache)
        assert alone.tokens[0].tolist() == together.tokens[row, :length].tolist()
        assert torch.allclose(alone.log_probs[0], together.log_probs[row, :length], atol=1e-5)
        assert torch.allclose(alone.nil_probs[0], together.nil_probs[row, :length], atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 40), (2, 5, 40)])
def test_likeliest_is_the_first_of_the_largest(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    scores = torch.randint(0, 6, shape).float()
    scores[0] = float("-inf")
    rows = scores.flatten(0, -2).tolist()
    assert likeliest(scores).flatten().tolist() == [row.index(max(row)) for row in rows]
