"""Each source against its definition, and all of them kept in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import collate
from optsg.data.errors import RunError
from optsg.data.store import FeatureStore
from optsg.data.tag_table import TagTable
from optsg.data.word_pieces import TitleTokenizer
from optsg.extract.encoders.character_text_encoder import character_tokenizer
from optsg.train.config import Modality
from optsg.train.recall.linear import RIDGE, LinearProbe
from optsg.train.recall.memory import NEIGHBOURS, TEMPERATURE, Memory
from optsg.train.recall.neighbours import directions_of
from optsg.train.recall.ngrams import Ngrams, ngrams_of, title_words
from optsg.train.recall.source import Summary
from optsg.train.recall.sources import RecallSources, shares_of, training_tags
from optsg.train.recall.text_similarity import TextSimilarity
from optsg.train.recall.title_match import TitleMatch, pieces_in_titles
from optsg.train.run_files import RECALL, load_tensors, save_tensors
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from tests.tiny_world import tiny_text_tables, tiny_tokenizer, tiny_videos, write_tiny_store


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(120), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def tag_table(store: FeatureStore) -> TagTable:
    return TagTable.from_store(store)


@pytest.fixture(scope="module")
def tokenizer(store: FeatureStore) -> TitleTokenizer:
    return TitleTokenizer.from_json(store.tokenizer_json)


@pytest.fixture(scope="module")
def sources(store: FeatureStore, tag_table: TagTable, tokenizer: TitleTokenizer) -> RecallSources:
    return RecallSources.fit(store, tag_table, tokenizer, "both", scoring_prompts=True)


def summary_of(vectors: np.ndarray, titles: list[list[int]] | None = None) -> Summary:
    empty = np.empty((len(vectors), 0), np.float32)
    return Summary(titles=titles or [[]] * len(vectors), sentences=empty, vectors=vectors.astype(np.float32))


def test_ngrams_are_weighed_as_scikit_learn_does() -> None:
    titles = [
        ["red", "fox", "at", "lake"],
        ["red", "owl"],
        ["fox", "fox", "farm"],
        ["lake"],
        [],
        ["red", "fox", "farm"],
    ]
    found = Ngrams.of_corpus(titles, np.random.default_rng(0))
    theirs = TfidfVectorizer(analyzer=lambda words: list(ngrams_of(words)), sublinear_tf=True, min_df=2)
    expected = theirs.fit_transform(titles).toarray()
    order = [theirs.vocabulary_[name] for name in found.names]
    assert set(found.names) == set(theirs.vocabulary_)
    assert len(set(found.idf.tolist())) > 1
    assert found.weigh(titles).toarray() == pytest.approx(expected[:, order], abs=1e-6)


def test_ngrams_are_words_pairs_and_what_words_are_made_of() -> None:
    assert list(ngrams_of(["a", "bc"])) == [
        "a", "bc", "a bc", "#<a", "#a>", "#<a>", "#<b", "#bc", "#c>", "#<bc", "#bc>", "#<bc>",
    ]  # fmt: skip


def test_one_character_of_a_script_without_spaces_is_an_ngram() -> None:
    assert set(ngrams_of(["黒猫b"])) - set(ngrams_of(["黒猫"])) == {
        "黒猫b",
        "#猫b",
        "#b>",
        "#黒猫b",
        "#猫b>",
        "#<黒猫b",
        "#黒猫b>",
    }
    assert {"#黒", "#猫"} <= set(ngrams_of(["黒猫"]))
    shared = Ngrams.of_corpus([["黒猫"], ["大猫舎"], ["犬"]], np.random.default_rng(0))
    assert shared.names == ("#猫",)


def test_words_come_back_from_their_pieces() -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    pieces = tokenizer.encode_tags(["The foxes at lake-side"])[0]
    assert title_words(tokenizer, pieces) == ["the", "foxes", "at", "lake", "side"]
    assert title_words(tokenizer, []) == []


def test_the_linear_probe_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 7)).astype(np.float32)
    tags = (rng.random((60, 5)) < 0.3).astype(np.float32)
    probe = LinearProbe.fit((vectors[start : start + 16], tags[start : start + 16]) for start in range(0, 60, 16))
    new = rng.normal(size=(9, 7)).astype(np.float32)
    expected = np.maximum(Ridge(alpha=RIDGE).fit(vectors, tags).predict(new), 0)
    assert probe.score(summary_of(new)) == pytest.approx(expected, abs=2e-3)  # weights are kept in half precision


def test_memory_counts_the_votes_of_the_nearest() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 6)).astype(np.float32)
    tags = (rng.random((80, 5)) < 0.3).astype(np.float32)
    memory = Memory.of_videos(vectors, csr_array(tags))
    new = rng.normal(size=(4, 6)).astype(np.float32)
    centre = vectors.mean(0)
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(vectors - centre)
    distance, found = neighbours.kneighbors(new - centre)
    votes = np.exp((1 - distance) / TEMPERATURE)
    votes /= votes.sum(1, keepdims=True)
    expected = (votes[..., None] * tags[found]).sum(1)
    assert memory.score(summary_of(new)) == pytest.approx(expected, abs=5e-3)


def test_memory_of_fewer_videos_than_neighbours_asks_all() -> None:
    vectors, tags = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    found = Memory.of_videos(vectors, csr_array(tags)).score(summary_of(vectors))
    assert found.sum(1) == pytest.approx(1.0)
    assert found.argmax(1).tolist() == [0, 1, 2]


def test_a_title_match_is_of_whole_words() -> None:
    tokenizer = TitleTokenizer(tiny_tokenizer())
    tags = ["fox", "t-shirt", "red fox", "s"]
    match = TitleMatch(tokenizer.encode_tags(tags), tokenizer.continuing_ids, tokenizer.letter_ids)
    titles = tokenizer.encode_tags(["the red fox", "foxs at lake", "a t-shirt", "fox"])
    found = match.score(summary_of(np.zeros((4, 1)), titles))
    assert [[tags[column] for column in np.flatnonzero(row)] for row in found] == [
        ["fox", "red fox"],
        [],
        ["t-shirt"],
        ["fox"],
    ]


def test_a_title_match_in_characters_is_of_whole_words_where_there_are_spaces() -> None:
    """Of Chinese any characters are matched, and Latin words in between are whole; "▁" is a character like any other."""
    tags = ["art", "猫咪", "t-shirt", "a", "vlog", "σκύλοσ", "वन", "แมว", "#话题#"]
    titles = [
        "可爱猫咪cartoon",
        "我的art猫咪vlog｜",
        "a t-shirt, smart",
        "ένα σκύλοσ",
        "जीवन",
        "รักแมวมาก",
        "▁▂▃ art#话题#",
    ]
    tokenizer = TitleTokenizer(character_tokenizer([*tags, *titles]))
    match = TitleMatch(tokenizer.encode_tags(tags), tokenizer.continuing_ids, tokenizer.letter_ids)
    found = match.score(summary_of(np.zeros((len(titles), 1)), tokenizer.encode_tags(titles)))
    assert [[tags[column] for column in np.flatnonzero(row)] for row in found] == [
        ["猫咪"],
        ["art", "猫咪", "vlog"],
        ["t-shirt", "a"],
        ["σκύλοσ"],
        [],
        ["แมว"],
        ["art", "#话题#"],
    ]


def test_a_title_match_reads_what_folding_of_case_writes_in_another_way() -> None:
    keys, spellings = ("strasse", "σκύλοσ", "vlog"), ("Straße", "σκύλος", "VLOG")
    titles = ["auf der Straße", "ΣΚΎΛΟΣ", "ένας σκύλος", "strasse", "vlog"]
    tokenizer = TitleTokenizer(character_tokenizer([*keys, *spellings, *titles]))
    tokens = tuple(map(tuple, tokenizer.encode_tags(keys)))
    table = TagTable(keys=keys, spellings=spellings, counts=np.ones(3, np.int64), tokens=tokens)
    also = pieces_in_titles(table, tokenizer)
    assert [*also] == [0, 1]
    match = TitleMatch(tokens, tokenizer.continuing_ids, tokenizer.letter_ids, also)
    found = match.score(summary_of(np.zeros((len(titles), 1)), tokenizer.encode_tags(titles)))
    matched = [[keys[column] for column in np.flatnonzero(row)] for row in found]
    assert matched == [["strasse"], ["σκύλοσ"], ["σκύλοσ"], ["strasse"], ["vlog"]]


def test_a_title_that_is_a_tag_alone_is_embedded_as_the_tag(
    store: FeatureStore, tag_table: TagTable, tokenizer: TitleTokenizer, sources: RecallSources
) -> None:
    """The text encoder's mean is over word pieces, not over the marks around them, and never over padding."""
    titles = tokenizer.encode_titles([*tag_table.keys, ""])
    longest = max(map(len, titles))
    tokens = torch.tensor([[*title, *[0] * (longest - len(title))] for title in titles])
    mask = torch.arange(longest) < torch.tensor([[len(title)] for title in titles])
    assert not mask.all()
    model = sources.summarizer.sentence_model
    assert model is not None
    found = model.embed(tokens, mask, tokenizer.special_ids).numpy()
    assert found[:-1] == pytest.approx(
        directions_of(tag_table.embeddings_in(store)), abs=5e-3
    )  # kept in half precision
    assert not found[-1].any()


def test_summaries_have_the_word_pieces_of_titles_alone(
    store: FeatureStore, tokenizer: TitleTokenizer, sources: RecallSources
) -> None:
    rows = store.indices("val")
    expected = tokenizer.encode_tags([store.title(int(row)) for row in rows])
    assert sources.summarizer.summarize(collate(store, rows)).titles == expected


def test_text_similarity_is_a_cosine_and_never_below_0() -> None:
    asked = Summary(
        titles=[[]] * 2, sentences=np.array([[1, 0], [0, 0]], np.float32), vectors=np.empty((2, 0), np.float32)
    )
    found = TextSimilarity(np.array([[3, 0], [-1, 0], [0.6, 0.8], [0, 0]], np.float32)).score(asked)
    assert found == pytest.approx(np.array([[1, 0, 0.6, 0], [0, 0, 0, 0]]), abs=1e-6)


def test_a_tag_s_share_is_of_the_videos_and_at_most_all() -> None:
    table = TagTable(keys=("a", "b", "c"), spellings=("a", "b", "c"), counts=np.array([3, 2, 1]), tokens=((),) * 3)
    assert shares_of(table, 2).tolist() == [1.0, 1.0, 0.5]
    assert shares_of(table, 4).tolist() == [0.75, 0.5, 0.25]


def test_text_similarity_is_the_cosine_with_the_title(
    store: FeatureStore, tag_table: TagTable, sources: RecallSources
) -> None:
    summary = sources.summarizer.summarize(collate(store, store.indices("val")))
    lengths = np.linalg.norm(summary.sentences, axis=1)
    assert lengths == pytest.approx(1.0, abs=1e-5)
    own = TextSimilarity(summary.sentences).score(summary)
    assert np.diag(own) == pytest.approx(1.0, abs=1e-5)
    assert own.min() >= 0
    assert sources.text_similarity is not None
    assert sources.text_similarity.score(summary).shape == (len(summary), len(tag_table))


def test_sources_are_the_same_in_a_run_folder(
    store: FeatureStore, tag_table: TagTable, tokenizer: TitleTokenizer, sources: RecallSources, tmp_path: Path
) -> None:
    sources.save(tmp_path)
    opened = RecallSources.load(tmp_path, tag_table, tokenizer, "both")
    batch = collate(store, store.indices("test"))
    before, after = (each.score(each.summarizer.summarize(batch)) for each in (sources, opened))
    assert list(before) == list(after)
    assert list(before) == ["linear", "memory", "title-match", "text-similarity", "nearest-prompts", "chosen-prompts"]
    for name, scores in before.items():
        assert after[name] == pytest.approx(scores, abs=1e-6)


def test_sources_know_the_tags_of_training_videos(
    store: FeatureStore, tag_table: TagTable, sources: RecallSources
) -> None:
    rows = store.indices("train")
    own = training_tags(store, tag_table, rows).toarray() > 0
    scores = sources.score(sources.summarizer.summarize(collate(store, rows)))
    for name in ("linear", "memory", "title-match", "nearest-prompts", "chosen-prompts"):
        assert scores[name][own].mean() > 2 * scores[name][~own].mean(), name


@pytest.mark.parametrize(("modality", "silent"), [("title", "pictures"), ("video", "titles")])
def test_what_is_not_read_changes_nothing(
    store: FeatureStore, tag_table: TagTable, tokenizer: TitleTokenizer, modality: Modality, silent: str
) -> None:
    import dataclasses

    sources = RecallSources.fit(store, tag_table, tokenizer, modality)
    batch = collate(store, store.indices("val"))
    order = np.arange(len(batch))[::-1].copy()
    names = (
        ("frames", "frame_mask", "patches", "patch_mask") if silent == "pictures" else ("title_tokens", "title_mask")
    )
    other = dataclasses.replace(batch, **{name: getattr(batch, name)[order] for name in names})
    before, after = (sources.score(sources.summarizer.summarize(each)) for each in (batch, other))
    assert ("text-similarity" in before) == (silent == "pictures")
    for name, scores in before.items():
        assert after[name] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_sources_are_refused_in_a_line(
    tag_table: TagTable, tokenizer: TitleTokenizer, sources: RecallSources, tmp_path: Path, damage: str
) -> None:
    sources.save(tmp_path)
    path = tmp_path / RECALL
    path.write_bytes(path.read_bytes()[:-10] if damage == "cut" else b"{}")
    with pytest.raises(RunError, match=r"recall\.safetensors cannot be read \(.*\); train the run again$") as refused:
        RecallSources.load(tmp_path, tag_table, tokenizer, "both")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("linear.priors", lambda value: value[:-1]),
        ("memory.vectors", lambda value: value[:0]),
        ("ngrams.directions", lambda value: value[:, 0]),
        ("ngrams.idf", lambda value: value[:, None]),
        ("pictures.directions", lambda value: value[:, :-1]),
        ("embeddings", lambda value: value[:, :-1]),
        ("embeddings", lambda value: value[:, 0]),
    ],
)
def test_sources_that_do_not_fit_each_other_are_refused_in_a_line(
    tag_table: TagTable,
    tokenizer: TitleTokenizer,
    sources: RecallSources,
    tmp_path: Path,
    name: str,
    cut: Callable[[Tensor], Tensor],
) -> None:
    sources.save(tmp_path)
    tensors, notes = load_tensors(tmp_path / RECALL)
    partners = {
        "linear.priors": {"linear.weights": tensors["linear.weights"][:, :-1]},
        "memory.vectors": {name: tensors[name][:0] for name in ("memory.ends", "memory.tags", "memory.ids")},
    }
    save_tensors(tmp_path / RECALL, {**tensors, name: cut(tensors[name]), **partners.get(name, {})}, metadata={**notes})
    with pytest.raises(RunError, match=r"recall\.safetensors cannot be read \(.*\); train the run again$"):
        RecallSources.load(tmp_path, tag_table, tokenizer, "both")
