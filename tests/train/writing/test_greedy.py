"""From written tokens to tags (paper §3.3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR, TitleTokenizer, Vocabulary
from optsg.extract.encoders.character_text_encoder import character_tokenizer
from optsg.train.config import NO_PROMPTS
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.tag_sequence import MAX_TARGET_TOKENS
from optsg.train.writing import greedy
from optsg.train.writing.greedy import WrittenTokens, greedy_decode, likeliest
from optsg.train.writing.reading import TagReader, join_punctuation, split_tags
from optsg.train.writing.steering import Allowance, Steering, TagTrie
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

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


def test_of_a_tag_that_was_written_twice_the_better_score_counts() -> None:
    reader, vocabulary, tokenizer = reader_and_vocabulary()
    cat, dog = (vocabulary.encode(tokenizer.encode_tags([text])[0]) for text in ("cat", "fox"))
    assert len(cat) == len(dog) == 1
    tokens = torch.tensor([[*cat, SEPARATOR, *dog, SEPARATOR, *cat, EOS]])
    log_probs = torch.tensor([[0.2, 1, 0.5, 1, 0.9, 1]]).log()
    tags = reader.read(WrittenTokens(tokens=tokens, log_probs=log_probs, nil_probs=torch.zeros(1, 6)))[0]
    assert [(tag.text, tag.prompt) for tag in tags] == [("CAT", 2), ("fox", 1)]
    assert [tag.score for tag in tags] == pytest.approx([0.9, 0.5])


def test_novel_tags_have_no_piece_marks() -> None:
    assert read(["##s", "cow"]) == [("s cow", True, 0)]


def test_characters_of_chinese_have_no_spaces_between_them() -> None:
    """A BERT splits them, and its decoder puts a space between any two pieces."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "春", "天", "vlog", "cat", "##s"]
    tokenizer = Tokenizer(WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    title_tokenizer = TitleTokenizer(tokenizer)
    [ids] = title_tokenizer.encode_tags(["春天vlog cats"])
    assert title_tokenizer.decode(ids) == "春 天 vlog cats"
    assert title_tokenizer.spell(ids) == "春天 vlog cats"
    table = TagTable(keys=("cat",), spellings=("cat",), counts=np.array([1]), tokens=((6,),))
    reader = TagReader(Vocabulary(range(3, len(pieces))), table, title_tokenizer)
    written = WrittenTokens(
        tokens=torch.tensor([[MARKS, MARKS + 1, EOS]]), log_probs=torch.zeros(1, 3), nil_probs=torch.zeros(1, 3)
    )
    assert [[(tag.text, tag.novel) for tag in tags] for tags in reader.read(written)] == [[("春天", True)]]


def test_characters_keep_the_spaces_that_a_text_has() -> None:
    tokenizer = TitleTokenizer(character_tokenizer(["春天 夏天"]))
    assert tokenizer.spell(tokenizer.encode_tags(["春天 夏天"])[0]) == "春天 夏天"


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
        assert int((alone.tokens != PAD).sum()) == length
        for name in ("tokens", "log_probs", "nil_probs"):
            of_one, of_all = getattr(alone, name)[0, :length], getattr(together, name)[row, :length]
            torch.testing.assert_close(of_one, of_all, rtol=0, atol=1e-5)


SLOTS, TOKENS = 4, 30


def wild_decoder(entry: str, seed: int, *, separator: float = 2.0) -> TagDecoder:
    """Large random weights, or all videos write the same."""
    torch.manual_seed(seed)
    prompts = 0 if entry == NO_PROMPTS else SLOTS
    decoder = TagDecoder(
        vocabulary=TOKENS, prompts=prompts, tag_dim=12, width=16, heads=2, layers=2, dropout=0.0, prompt_entry=entry
    )
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4)
        decoder.output_bias[[EOS, SEPARATOR, NIL]] = torch.tensor([3.0, separator, 3.0])
    return decoder.eval()


def steering(kind: str, videos: int) -> Steering | None:
    """What may be written: anything, only a few tags, a tag that is given first in some videos, no tag twice."""
    if kind == "free":
        return None
    trie = TagTrie([(10,), (10, 11), (12, 13, 14), (15,)]) if kind == "closed" else None
    forced = [[20, 21, SEPARATOR, 22] if kind == "pinned" and row % 2 else [] for row in range(videos)]
    return Steering([Allowance(trie) for _ in range(videos)], forced, repeats=kind != "once")


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", ["free", "closed", "pinned", "once"])
@pytest.mark.parametrize("entry", ["slot", "prefix", "memory", "prefix+slot", NO_PROMPTS])
@pytest.mark.parametrize("seed", [0, 1])
def test_guesses_and_cache_change_nothing(entry: str, kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = wild_decoder(entry, seed)
    videos = 12
    prompts = None if entry == NO_PROMPTS else torch.randn(videos, SLOTS, 12)
    features, mask = torch.randn(videos, 5, 16), torch.arange(5) < torch.randint(1, 6, (videos, 1))
    found, steps = [], []
    for guesses, use_cache in ((0, False), (0, True), (1, True), (3, True)):
        monkeypatch.setattr(greedy, "GUESSES", guesses)
        output = Counting(decoder)
        found.append(
            greedy_decode(
                decoder,
                prompts,
                features,
                mask,
                nil_bias=0.3,
                eos_bias=0.2,
                output=output,
                steering=steering(kind, videos),
                use_cache=use_cache,
            )
        )
        steps.append(output.steps[0])
    for other in found[1:]:
        assert torch.equal(other.tokens, found[0].tokens)
        for name in ("log_probs", "nil_probs"):
            torch.testing.assert_close(getattr(other, name), getattr(found[0], name), rtol=0, atol=1e-5)
    lengths = (found[0].tokens != PAD).sum(dim=1)
    assert len(set(lengths.tolist())) > 1, "videos of several lengths, or this shows little"
    assert steps[0] == steps[1] >= steps[2] >= steps[3]


@pytest.mark.parametrize(("guesses", "expected"), [(0, 8), (1, 4), (3, 2)])
def test_guesses_that_come_true_save_steps(guesses: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greedy, "GUESSES", guesses)
    decoder = wild_decoder("slot", 0)
    nothing = [NIL, SEPARATOR] * (SLOTS - 1) + [NIL]
    held = Steering([Allowance(TagTrie([(10,)]))] * 2, [nothing] * 2)
    prompts, features, mask = torch.randn(2, SLOTS, 12), torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    output = Counting(decoder)
    written = greedy_decode(decoder, prompts, features, mask, output=output, steering=held)
    assert written.tokens.tolist() == [[*nothing, EOS]] * 2
    assert output.steps[0] == expected


class Counting:
    """The decoder's output, and how often it was asked."""

    def __init__(self, decoder: TagDecoder):
        self.decoder, self.steps = decoder, [0]

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        self.steps[0] += 1
        return self.decoder.logits(hidden)

    def keep(self, rows: torch.Tensor) -> Counting:
        del rows
        return self


class Prescribed(Counting):
    """Prefers one token everywhere."""

    def __init__(self, decoder: TagDecoder, token: int):
        super().__init__(decoder)
        self.token = token

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        scores = super().__call__(hidden)
        scores[..., self.token] += 100.0
        return scores


def test_there_are_no_more_slots_than_prompts() -> None:
    decoder = wild_decoder("slot", 0)
    prompts, features, mask = torch.randn(3, SLOTS, 12), torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool)
    eager = Prescribed(decoder, SEPARATOR)
    written = greedy_decode(decoder, prompts, features, mask, output=eager)
    assert (written.tokens == SEPARATOR).sum(dim=1).max() == SLOTS - 1


@pytest.mark.usefixtures("short_texts")
def test_probabilities_are_the_decoder_s_own_whatever_is_preferred() -> None:
    decoder = wild_decoder("slot", 0)
    prompts, features, mask = torch.randn(6, SLOTS, 12), torch.randn(6, 5, 16), torch.ones(6, 5, dtype=torch.bool)
    written = greedy_decode(decoder, prompts, features, mask, nil_bias=-1.5, eos_bias=0.5)
    some = written.tokens != PAD
    assert bool((written.tokens == NIL).any())
    inputs = torch.cat([torch.full((6, 1), BOS), written.tokens[:, :-1]], dim=1)
    log_probs = decoder.logits(decoder(prompts, inputs, features, mask)).log_softmax(-1)
    expected = log_probs.gather(2, written.tokens[..., None])[..., 0]
    torch.testing.assert_close(written.log_probs[some], expected[some], rtol=0, atol=1e-5)
    torch.testing.assert_close(written.nil_probs[some], log_probs[..., NIL].exp()[some], rtol=0, atol=1e-5)


@pytest.mark.parametrize("entry", ["slot", NO_PROMPTS])
def test_a_tag_that_runs_on_is_dropped(entry: str) -> None:
    decoder = wild_decoder(entry, 0)
    prompts = None if entry == NO_PROMPTS else torch.randn(3, SLOTS, 12)
    features, mask = torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool)
    written = greedy_decode(decoder, prompts, features, mask, output=Prescribed(decoder, 20))
    assert written.tokens.tolist() == [[PAD] * MAX_TARGET_TOKENS] * 3


@pytest.mark.parametrize("shape", [(3, 40), (2, 5, 40)])
def test_likeliest_is_the_first_of_the_largest(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    scores = torch.randint(0, 6, shape).float()
    scores[0] = float("-inf")
    rows = scores.flatten(0, -2).tolist()
    assert likeliest(scores).flatten().tolist() == [row.index(max(row)) for row in rows]
