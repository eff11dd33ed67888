"""The ranker: its features, its probabilities, its bars, and a run that decides with it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from optsg.data.batching import Batch, collate
from optsg.data.errors import ConfigError, RunError
from optsg.data.metrics import score_predictions
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore
from optsg.data.tag_list import TagList
from optsg.data.tag_table import TagTable
from optsg.evaluate.cli import main as optsg_eval
from optsg.evaluate.options import TaggingOptions
from optsg.evaluate.scores.saved import read_saved
from optsg.evaluate.tag.run_tagger import RunTagger, open_tag_control, open_tagger
from optsg.train.confidence.few_videos import ENOUGH, weight_of_tags
from optsg.train.ranking import fit
from optsg.train.ranking.favour import WEIGHTS, Bar, RankedPairs, choose_bar
from optsg.train.ranking.fit import FEWEST_VIDEOS, Examples, fit_ranker
from optsg.train.ranking.logistic import PENALTY, LogisticModel, cross_fitted
from optsg.train.ranking.novel import FEATURES, WRITTEN_FEATURES, NovelCandidate, NovelTags
from optsg.train.ranking.pairs import PROPOSED, RANKED, Pairs, feature_names, make_pairs
from optsg.train.ranking.ranked_system import RankedSystem
from optsg.train.ranking.ranker import Ranker
from optsg.train.recall.ngrams import Ngrams, title_words
from optsg.train.run.run import Run, load_run
from optsg.train.run_files import CALIBRATION, RANKED_CALIBRATION, RANKER, RANKING, RECALL, SENTENCE_MODEL
from optsg.train.system_names import FAVOURS, Favour
from optsg.train.writing.tag_control import VideoTags
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.tiny_world import TINY_SETTINGS, as_options, tiny_text_tables, tiny_videos, write_tiny_store
from tests.train.command import train


def test_pairs_are_what_some_source_proposes() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.random((3, 200)).astype(np.float32) for name in ("one", "other")}
    scores["other"][:, 5:] = 0.0  # proposes no tag that it gives nothing
    counts = rng.integers(1, 50, 200)
    pairs = make_pairs(scores, counts)
    for video in range(3):
        found = set(pairs.columns[pairs.videos == video].tolist())
        best = np.argsort(-scores["one"][video], kind="stable")[:PROPOSED].tolist()
        assert found == {*best, *range(5)}
    names = feature_names(list(scores))
    assert pairs.features.shape == (len(pairs), len(names))
    video, column = int(pairs.videos[7]), int(pairs.columns[7])
    value = scores["one"][video, column]
    rank = min(int((scores["one"][video] > value).sum()), RANKED)
    expected = [np.log1p(counts[column]), value, value**0.5, np.log1p(rank), value * np.log1p(counts[column])]
    assert pairs.features[7, :5] == pytest.approx(expected, abs=1e-5)


def test_equal_scores_rank_in_the_order_of_the_table() -> None:
    pairs = make_pairs({"one": np.ones((1, 3), np.float32)}, np.array([1, 1, 1]))
    assert np.expm1(pairs.features[:, 3]) == pytest.approx([0, 1, 2])


def test_tags_without_a_score_rank_in_the_order_of_the_table_too() -> None:
    """Few of many tags have a score: which of the others is told apart does not depend on how a machine sorts."""
    scores = {"one": np.zeros((2, 2_000), np.float32), "other": np.ones((2, 2_000), np.float32)}
    scores["one"][:, [7, 1_500]] = 0.5
    pairs = make_pairs(scores, np.ones(2_000, np.int64))
    ranks = dict(zip(pairs.columns.tolist(), np.expm1(pairs.features[:, 3]), strict=True))
    assert ranks == pytest.approx(
        {7: 0, 1_500: 1} | {column: column + 2 - (column > 7) for column in range(30) if column != 7}
    )


def examples(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, 3)).astype(np.float32)
    right = rng.random(count) < 1 / (1 + np.exp(-(features[:, 0] - features[:, 1])))
    return features, right


def test_probabilities_are_those_of_scikit_learn() -> None:
    features, right = examples()
    scaler = StandardScaler().fit(features.astype(np.float64))
    theirs = LogisticRegression(C=PENALTY).fit(scaler.transform(features.astype(np.float64)), right)
    expected = theirs.predict_proba(scaler.transform(features.astype(np.float64)))[:, 1]
    model = LogisticModel.fit(features, right)
    assert model.probabilities(features) == pytest.approx(expected, abs=1e-6)
    kept = LogisticModel.from_json(json.loads(json.dumps(model.to_json())), 3)
    assert kept.probabilities(features).tolist() == model.probabilities(features).tolist()


@pytest.mark.parametrize("right", [True, False])
def test_examples_of_one_kind_give_their_softened_share(right: bool) -> None:
    model = LogisticModel.fit(examples(9)[0], np.full(9, right))
    assert model.probabilities(examples(3)[0]) == pytest.approx(9.5 / 10 if right else 0.5 / 10)


def test_a_feature_that_differs_by_rounding_alone_decides_nothing() -> None:
    """All training videos have one tag, so that every neighbour votes for it; of tags that are added later some do."""
    rng = np.random.default_rng(0)
    features = np.stack([rng.random(200), 1 + 1e-7 * rng.normal(size=200)], axis=1).astype(np.float32)
    model = LogisticModel.fit(features, rng.random(200) < features[:, 0])
    others = features.copy()
    others[:, 1] = 0.3
    assert model.probabilities(others) == pytest.approx(model.probabilities(features), abs=1e-4)


def test_held_out_probabilities_know_nothing_of_their_video() -> None:
    """A video's own examples could only be told by a feature that no other has."""
    videos = np.repeat(np.arange(20), 20)
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.5
    names = np.eye(20, dtype=np.float32)[videos] * right[:, None]  # tells what is right, in its own column
    held_out = cross_fitted(names, right, videos)
    assert LogisticModel.fit(names, right).probabilities(names)[right].mean() > 0.6
    assert abs(held_out[right].mean() - held_out[~right].mean()) < 0.1


def ranked_pairs() -> tuple[RankedPairs, list[list[str]]]:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 12)) < 0.25
    videos, columns = np.nonzero(np.ones((200, 12)))
    right = truth[videos, columns]
    probabilities = np.clip(0.25 + 0.3 * right + 0.2 * rng.normal(size=len(right)), 0.01, 0.99)
    pairs = RankedPairs(
        videos=videos,
        columns=columns,
        probabilities=probabilities,
        counts=np.arange(1, 13)[columns],
        right=right,
        tag_totals=truth.sum(0),
        video_totals=truth.sum(1),
    )
    return pairs, [[f"tag{column}" for column in np.flatnonzero(row)] for row in truth]


def test_what_bars_are_chosen_by_is_what_runs_are_scored_by() -> None:
    pairs, truth = ranked_pairs()
    given = pairs.probabilities > 0.4
    predicted: list[list[str]] = [[] for _ in truth]
    for video, column in zip(pairs.videos[given], pairs.columns[given], strict=True):
        predicted[video].append(f"tag{column}")
    scores = score_predictions(truth, predicted, {f"tag{number}": number + 1 for number in range(12)})
    assert pairs.tag_f1(given) == pytest.approx(scores["label_based"]["full"]["f1"])
    assert pairs.video_f1(given) == pytest.approx(scores["example_based"]["f1"])


def test_each_bar_is_about_best_at_what_it_favours() -> None:
    pairs, _ = ranked_pairs()
    bars = {favour: choose_bar(pairs, favour) for favour in FAVOURS}

    def worth(favour: str, bar: Bar) -> float:
        given, weight = bar.passes(pairs.probabilities, pairs.counts), WEIGHTS[favour]  # type: ignore[index]
        return weight * pairs.tag_f1(given) + (1 - weight) * pairs.video_f1(given)

    for favour in FAVOURS:
        assert worth(favour, bars[favour]) >= max(worth(favour, bar) for bar in bars.values()) - 0.005
    assert bars["precise"].leaning == 0.0


def test_many_videos_decide_by_what_is_favoured_alone() -> None:
    assert weight_of_tags(ENOUGH) == weight_of_tags(100_000) == 1.0
    rising = [weight_of_tags(videos) for videos in range(1, ENOUGH + 1)]
    assert rising == sorted(set(rising))
    assert rising[11] == pytest.approx(0.49, abs=0.005)
    assert rising[39] == pytest.approx(0.8, abs=0.005)


def sampled_pairs(videos: int, seed: int) -> RankedPairs:
    """Some hundred proposals of each video out of 4,000 tags, a few frequent; probabilities are what they say."""
    rng = np.random.default_rng(seed)
    counts = 1 + (400 / np.arange(1, 4001)).astype(np.int64)
    share = counts / counts.sum()
    columns = np.concatenate([rng.choice(4000, 100, replace=False, p=share) for _ in range(videos)])
    rows = np.repeat(np.arange(videos), 100)
    probabilities = rng.beta(0.25, 3.0, len(columns))
    right = rng.random(len(columns)) < probabilities
    return RankedPairs(
        videos=rows,
        columns=columns,
        probabilities=probabilities,
        counts=counts[columns],
        right=right,
        tag_totals=np.bincount(columns[right], minlength=4000),
        video_totals=np.bincount(rows[right], minlength=videos),
    )


@pytest.mark.parametrize("favour", ["rare", "balanced"])
@pytest.mark.parametrize("videos", [8, 20])
def test_bars_that_few_videos_choose_do_not_flood_others_with_tags(favour: Favour, videos: int) -> None:
    """A tag that none of a few videos has costs no F1 over tags, however often it is given; among others it does."""
    others = sampled_pairs(200, seed=99)
    many = choose_bar(sampled_pairs(200, seed=98), favour).passes(others.probabilities, others.counts)
    few = [
        choose_bar(sampled_pairs(videos, seed), favour).passes(others.probabilities, others.counts) for seed in range(4)
    ]
    assert np.mean([given.sum() for given in few]) < 1.5 * many.sum()
    assert np.mean([others.tag_f1(given) for given in few]) > others.tag_f1(many) - 0.05


def test_a_tag_at_the_bar_is_given() -> None:
    bar = Bar(leaning=0.5, least=0.25)
    probabilities, counts = np.array([0.25, 0.5, 0.49, 1.0]), np.array([0, 3, 3, 15])
    assert bar.lifted(probabilities, counts).tolist() == pytest.approx([0.25, 0.25, 0.245, 0.25])
    assert Bar(leaning=0.0, least=0.5).passes(probabilities, counts).tolist() == [False, True, False, True]


class Uneven(RankedPairs):
    """Worth 0.8 where some 300 to 420 of a thousand pairs are given, 0.9 at about a hundred, and else 0.3."""

    def video_f1(self, given: np.ndarray) -> float:
        count = int(given.sum())
        return 0.8 if 300 <= count <= 420 else 0.9 if 96 <= count < 104 else 0.3


def test_a_bar_that_is_best_by_chance_is_passed_over() -> None:
    pairs = Uneven(
        videos=np.arange(1_000),
        columns=np.zeros(1_000, np.int64),
        probabilities=np.linspace(0, 1, 1_000),
        counts=np.ones(1_000, np.int64),
        right=np.arange(1_000) % 3 == 0,
        tag_totals=np.array([334]),
        video_totals=np.ones(1_000, np.int64),
    )
    bars = [Bar(leaning=0.0, least=least) for least in np.linspace(0, 1, 1_000)]
    assert max(pairs.video_f1(bar.passes(pairs.probabilities, pairs.counts)) for bar in bars) == 0.9
    chosen = choose_bar(pairs, "precise").passes(pairs.probabilities, pairs.counts)
    assert pairs.video_f1(chosen) == 0.8


@pytest.mark.parametrize("favour", FAVOURS)
def test_of_a_handful_of_tags_a_video_may_be_given_most(favour: str) -> None:
    """Every source proposes each of four tags for each video: most of the pairs are right."""
    truth = np.ones((30, 4), np.bool_)
    truth[np.arange(30), np.arange(30) % 4] = False
    videos, columns = np.nonzero(np.ones((30, 4)))
    right = truth[videos, columns]
    pairs = RankedPairs(
        videos=videos,
        columns=columns,
        probabilities=np.where(right, 0.8, 0.2) + 0.1 * np.random.default_rng(0).random(120),
        counts=np.full(120, 20),
        right=right,
        tag_totals=truth.sum(0),
        video_totals=truth.sum(1),
    )
    given = choose_bar(pairs, favour).passes(pairs.probabilities, pairs.counts)  # type: ignore[arg-type]
    assert pairs.tag_f1(given) > 0.9
    assert pairs.video_f1(given) > 0.9


def tag_table_of(*keys: str) -> TagTable:
    return TagTable(keys=keys, spellings=keys, counts=np.ones(len(keys), np.int64), tokens=((),) * len(keys))


@pytest.mark.parametrize(
    ("text", "title", "kept"),
    [
        ("cud", ["custard", "pie"], False),
        ("custard", ["custard", "pie"], True),
        ("red custard", ["custard"], True),  # a training tag's word and a title's
        ("sleded", ["sled"], False),
        ("k", ["special", "k"], False),
        ("30 30", ["30"], True),
        ("!", ["!"], False),
        ("thirty : :", ["six", "thirty"], False),
        ("& roll", ["rock", "&", "roll"], False),
        ("rock & roll", ["rock", "&", "roll"], True),
    ],
)
def test_novel_tags_are_of_whole_words(text: str, title: list[str], kept: bool) -> None:
    tags = [[PredictedTag(text=text, score=0.5, novel=True), PredictedTag(text="red", score=0.5, novel=False)]]
    finder = NovelTags(tag_table_of("red", "blue sky"), lambda _: 0.0, from_titles=False)
    assert [each.tag.text for each in finder.candidates(tags, [" ".join(title)])] == [text] * kept
    assert [each.tag.text for each in finder.candidates(tags, [" ".join(title)], any_words=True)] == [text]


def test_a_title_s_new_words_and_phrases_are_proposed_once() -> None:
    finder = NovelTags(tag_table_of("red", "blue sky"), lambda word: 1.5 * (word == "kite"))
    written = [PredictedTag(text="Kite", score=0.5, novel=True), PredictedTag(text="red", score=0.9, novel=False)]
    found = finder.candidates([written, []], ["a red kite", "blue sky sky"])
    assert [(each.video, each.tag.text, each.tag.score) for each in found] == [
        (0, "Kite", 0.5),  # as it was written, though the title has it too
        (0, "a red", 0.0),
        (0, "red kite", 0.0),
        (0, "a red kite", 0.0),
        (1, "blue", 0.0),
        (1, "sky", 0.0),
        (1, "sky sky", 0.0),  # "blue sky" is known
        (1, "blue sky sky", 0.0),
    ]
    named = [dict(zip(FEATURES, each.features, strict=True)) for each in found]
    assert [values["from the title alone"] for values in named] == [0.0, *[1.0] * 7]
    assert [values["whole title"] for values in named] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert [values["frequency in titles"] for values in named] == [1.5, 0, 1.5, 1.5, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("title", "phrases"),
    [
        ("cartoon _ dog _ # 2", ["cartoon", "dog", "cartoon_dog"]),
        ("t - shirt, new", ["shirt", "new", "t-shirt"]),  # nothing across a comma, and nothing like "t new"
        ("dog ' s hat", ["dog", "hat", "dog's", "dog's hat"]),
        ("教你做猫咪,超级简单~", ["教你做猫咪", "超级简单"]),
        ("我的blue猫", ["我的", "blue", "我的blue", "blue猫", "我的blue猫"]),
        ("2024年的", ["2024", "年的", "2024年的"]),
        ("one\ntwo", ["one", "two"]),  # there is something unknown between them
        ("जीवन ☺️", ["जीवन"]),
        ("!", []),
        ("", []),
        ("café", []),  # a training tag, by its pieces
    ],
)
def test_phrases_are_as_they_stand_in_the_title(title: str, phrases: list[str]) -> None:
    table = replace(tag_table_of("cafe", "red"), tokens=((0,), (1,)))
    finder = NovelTags(table, lambda _: 0.0, pieces_of=lambda texts: [[0 if text == "café" else 9] for text in texts])
    assert [each.tag.text for each in finder.candidates([[]], [title])] == phrases


def test_how_frequent_a_word_is_in_titles() -> None:
    titles = [["cat", "one"], ["cat", "dog"], ["cat", "dog"], ["cat"], ["owl"]]
    ngrams = Ngrams.of_corpus(titles, np.random.default_rng(0))
    assert ngrams.frequency("owl") == ngrams.frequency("emu") == 0
    assert ngrams.frequency("dog") == 0  # as rare as any that is kept
    assert ngrams.frequency("cat") == pytest.approx(np.log((1 + 4) / (1 + 2)), rel=1e-5)


def novel_candidate(video: int, text: str) -> NovelCandidate:
    return NovelCandidate(
        video, PredictedTag(text=text, score=0.5, novel=True), (float(video), *[0.5] * (len(FEATURES) - 1))
    )


def test_examples_of_many_batches_are_numbered_through() -> None:
    table = replace(tag_table_of("red", "blue", "owl"), counts=np.array([9, 4, 1]))
    made = Examples(table)
    first = Pairs(videos=np.array([0, 0, 1]), columns=np.array([0, 1, 0]), features=np.zeros((3, 2), np.float32))
    second = Pairs(videos=np.array([0, 1, 1]), columns=np.array([0, 1, 2]), features=np.ones((3, 2), np.float32))
    made.add(first, [novel_candidate(1, "New")], [frozenset({"blue"}), frozenset({"red", "new"})])
    made.add(
        second, [novel_candidate(0, "New"), novel_candidate(1, "Emu")], [frozenset(), frozenset({"owl", "red", "emu"})]
    )
    pairs = made.pairs()
    assert pairs.videos.tolist() == [0, 0, 1, 2, 3, 3]
    right = made.right(pairs)
    assert right.tolist() == [False, True, True, False, False, True]
    assert [each.video for each in made.novel] == [1, 2, 3]
    assert made.novel_right().tolist() == [True, False, True]
    ranked = made.ranked(pairs, right, np.full(6, 0.5))
    assert ranked.counts.tolist() == [9, 4, 9, 9, 4, 1]
    assert ranked.tag_totals.tolist() == [2, 1, 1]  # found or not, and training tags alone
    assert ranked.video_totals.tolist() == [1, 1, 0, 2]


def test_of_every_video_the_most_probable_tags_are_rated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MOST_CANDIDATES", 2)
    made = Examples(tag_table_of("red", "blue", "owl"))
    pairs = Pairs(videos=np.array([0, 0, 0, 1]), columns=np.array([0, 1, 2, 0]), features=np.zeros((4, 2), np.float32))
    made.add(pairs, [], [frozenset({"red", "owl", "emu", "cow"}), frozenset({"red"})])
    novel = np.array([0, 1]), np.array([True, False]), np.array([0.6, 0.1])
    rated = made.rated(pairs, made.right(pairs), np.array([0.2, 0.7, 0.5, 0.9]), *novel)
    found = zip(rated.owners, rated.scores, rated.novel, rated.right, strict=True)
    assert list(found) == [(0, 0.7, False, False), (0, 0.6, True, True), (1, 0.9, False, True), (1, 0.1, True, False)]
    assert (rated.true_tags, rated.videos) == (5, 2)


def test_what_a_ranking_is_worth_is_judged_by_rankers_that_have_not_seen_the_video() -> None:
    """A feature tells what is right of every video, but in a way of its own: it is of use where the video has been seen."""
    rng = np.random.default_rng(0)
    videos, columns = np.divmod(np.arange(20 * 12), 12)
    right = rng.random(240) < 0.5
    features = np.eye(20, dtype=np.float32)[videos] * right[:, None]
    keys = [f"tag{column}" for column in range(12)]
    made = Examples(tag_table_of(*keys))
    truth = [frozenset(np.array(keys)[right[videos == video]].tolist()) for video in range(20)]
    names = [novel_candidate(video, f"new {video}") for video in range(20)]
    made.add(Pairs(videos=videos, columns=columns, features=features), names, truth)
    ranker, rated = fit_ranker(made, ("one",), ("one",))
    seen = ranker.known.probabilities(features)
    assert seen[right].mean() - seen[~right].mean() > 0.1
    known = rated.group(novel=False)
    assert abs(known.scores[known.right].mean() - known.scores[~known.right].mean()) < 0.05
    held_out = made.ranked(made.pairs(), right, cross_fitted(features, right, videos))
    assert ranker.bars == {favour: choose_bar(held_out, favour) for favour in FAVOURS}


# A run with a ranker.


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(260), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def run_folder(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ranked"
    result = train(
        "--feats",
        feats,
        "--run",
        folder,
        *as_options([*TINY_SETTINGS, "epochs=4", "tag_head=true", "ranking=true"]),
        "--quiet",
    )
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return load_run(run_folder, device="cpu")


@pytest.fixture
def batch(store: FeatureStore) -> Batch:
    return collate(store, store.indices("test"))


def test_a_run_has_what_its_ranker_needs(run_folder: Path, run: Run) -> None:
    assert all((run_folder / name).is_file() for name in RANKING)
    assert isinstance(run.system, RankedSystem)
    values = json.loads((run_folder / RANKER).read_text())
    assert values["sources"] == [
        "linear", "memory", "title-match", "text-similarity", "nearest-prompts", "chosen-prompts",
        "written", "prompts", "recognised",
    ]  # fmt: skip


def test_titles_give_new_tags_where_the_ranker_can_judge_them(
    run: Run, run_folder: Path, batch: Batch, tmp_path: Path
) -> None:
    """Rankers of before know written tags alone; theirs are read, and propose no more than they did."""
    path = tmp_path / RANKER
    values = json.loads((run_folder / RANKER).read_text())
    assert isinstance(run.system, RankedSystem)
    assert len(values["novel"]["weights"]) == len(FEATURES)
    for name in ("mean", "scale", "weights"):
        values["novel"][name] = values["novel"][name][: len(WRITTEN_FEATURES)]
    path.write_text(json.dumps(values))
    earlier = RankedSystem(run.system.plain, run.system.sources, Ranker.load(path))
    pieces = run.system.sources.summarizer.summarize(batch).titles
    titles = [{*title_words(run.system.tokenizer, some)} for some in pieces]
    found, before = (each.predict(batch, 0.0) for each in (run.system, earlier))
    new = [{tag.text for tag in tags} - {tag.text for tag in own} for tags, own in zip(found, before, strict=True)]
    assert any(new)
    assert all({*text.split(" ")} <= title for texts, title in zip(new, titles, strict=True) for text in texts)
    assert not any(
        {tag.text for tag in own} - {tag.text for tag in tags} for tags, own in zip(found, before, strict=True)
    )


def test_scores_are_probabilities_best_first(run: Run, batch: Batch) -> None:
    for tags in RunTagger(run).predict(batch):
        scores = [tag.score for tag in tags]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert len({tag.text for tag in tags}) == len(tags)


def test_a_ranker_finds_more_than_the_system_alone(run: Run, store: FeatureStore, batch: Batch) -> None:
    truth = [[store.tag_keys[tag] for tag in store.tags(int(row))] for row in store.indices("test")]

    def full_f1(found: list[list[PredictedTag]]) -> float:
        predicted = [[tag.text.lower() for tag in tags] for tags in found]
        return score_predictions(truth, predicted, run.tag_table.count_of)["label_based"]["full"]["f1"]

    ranked, alone = (RunTagger(each).predict(batch) for each in (run, run.decided_by_scalar()))
    assert full_f1(ranked) > full_f1(alone)


def test_the_plain_scalar_decides_as_without_a_ranker(run_folder: Path, run: Run, batch: Batch, tmp_path: Path) -> None:
    import shutil

    bare = Path(shutil.copytree(run_folder, tmp_path / "bare", ignore=shutil.ignore_patterns(*RANKING)))
    alone = RunTagger(load_run(bare, device="cpu")).predict(batch)
    for decision in ("scalar", run.decided_by_scalar().decision.value):
        tagger = open_tagger(run, TaggingOptions(decision=decision), device="cpu")
        assert tagger.predict(batch) == alone
    with pytest.raises(ConfigError, match=f"^{re.escape(str(bare))} has no ranker, so that nothing can be favoured"):
        open_tagger(load_run(bare, device="cpu"), TaggingOptions(favour="rare"), device="cpu")


def test_precise_gives_fewer_and_surer_tags_than_rare(run: Run, batch: Batch) -> None:
    found = {
        favour: [
            tag for tags in open_tagger(run, TaggingOptions(favour=favour), device="cpu").predict(batch) for tag in tags
        ]
        for favour in FAVOURS
    }
    assert len(found["precise"]) <= len(found["balanced"]) <= len(found["rare"])
    mean = {favour: np.mean([tag.score for tag in tags]) for favour, tags in found.items()}
    assert mean["precise"] >= mean["rare"]


def test_a_closed_list_and_forbidden_tags_hold(run: Run, batch: Batch) -> None:
    control = open_tag_control(run, TagList.of(["cat", "dog", "red", "green"]))
    tagger = RunTagger(run, control=control)
    videos = [VideoTags(forbidden=("red",), pinned=("owl",))] * len(batch)
    for tags in tagger.predict(batch, videos):
        assert tags[0].text == "owl"
        assert tags[0].pinned
        assert {tag.text for tag in tags[1:]} <= {"cat", "dog", "green"}


def test_a_video_is_ranked_alike_whatever_it_is_ranked_with(run: Run, store: FeatureStore) -> None:
    rows = store.indices("test")
    together = RunTagger(run).predict(collate(store, rows))
    for place in (0, len(rows) - 1):
        alone = RunTagger(run).predict(collate(store, rows[place : place + 1]))[0]
        assert [tag.text for tag in alone] == [tag.text for tag in together[place]]
        assert [tag.score for tag in alone] == pytest.approx([tag.score for tag in together[place]], abs=1e-4)


def test_the_precision_curve_is_the_ranker_s(run_folder: Path, run: Run) -> None:
    assert run.calibration is not None
    ranked, plain = (json.loads((run_folder / name).read_text()) for name in (RANKED_CALIBRATION, CALIBRATION))
    assert ranked != plain
    assert run.calibration.curve.to_json() == ranked["curve"]


def test_a_ranker_s_calibration_is_not_made_of_what_it_was_fitted_to(run_folder: Path, tmp_path: Path) -> None:
    """Nor is that of the system alone replaced by one of the ranker's scores."""
    folder = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (folder / RANKED_CALIBRATION).unlink()
    before = (folder / CALIBRATION).read_bytes()
    options = ["--run", str(folder), "--device", "cpu", "-q", "--split", "val"]
    result = CliRunner().invoke(optsg_eval, options)
    assert result.exit_code == 0, result.output
    assert (folder / CALIBRATION).read_bytes() == before
    refused = CliRunner().invoke(optsg_eval, [*options, "--min-precision", "0.5"])
    assert (
        "run has no ranked_calibration.json, which training makes of its ranker; train the run again" in refused.output
    )
    (folder / RANKED_CALIBRATION).write_text("{}")
    with pytest.raises(RunError, match=r"ranked_calibration\.json is not a readable .*; train the run again$"):
        load_run(folder, device="cpu")


def test_a_saved_evaluation_knows_the_ranker_s_scores(run_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_folder, tmp_path / "run"))
    for name, more in (("test", []), ("test-decision-scalar", ["--decision", "scalar"])):
        result = CliRunner().invoke(optsg_eval, ["--run", str(folder), "--device", "cpu", "-q", *more])
        assert result.exit_code == 0, result.output
        made = json.loads((folder / "eval" / name / "metrics.json").read_text())["confidence"]["ece"]
        saved = read_saved(folder, name).evaluation.confidence
        assert saved is not None
        assert saved.document()["ece"] == pytest.approx(made, abs=1e-6)


def test_few_videos_to_fit_on_leave_the_system_alone(tmp_path: Path) -> None:
    feats = write_tiny_store(tmp_path / "few.h5", tiny_videos(120))
    for videos in (FEWEST_VIDEOS - 1, FEWEST_VIDEOS):
        run = tmp_path / f"{videos}"
        settings = as_options([*TINY_SETTINGS, "epochs=1", "ranking=true", f"validation_videos={videos}"])
        result = train("--feats", feats, "--run", run, *settings, "--quiet")
        assert result.exit_code == 0, result.output
        ranked = load_run(run, device="cpu").ranked
        assert (ranked is not None) == (videos == FEWEST_VIDEOS)


def test_a_run_can_be_told_to_have_none(feats: Path, tmp_path: Path) -> None:
    options = as_options([*TINY_SETTINGS, "epochs=1", "ranking=false"])
    result = train("--feats", feats, "--run", tmp_path / "plain", *options, "--quiet")
    assert result.exit_code == 0, result.output
    assert not any((tmp_path / "plain" / name).exists() for name in RANKING)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ["linear"]},
        {"sources": [1]},
        {"bars": {}},
        {"known": {"mean": [], "scale": [], "weights": [], "bias": 0}},
        {"novel_bars": {"rare": "x"}},
        {"novel_bars": dict.fromkeys(FAVOURS, "nan")},
        {"bars": {favour: {"leaning": 0.0, "least": "nan"} for favour in FAVOURS}},
    ],
)
def test_a_damaged_ranker_is_refused_in_a_line(run_folder: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / RANKER
    path.write_text(json.dumps({**json.loads((run_folder / RANKER).read_text()), **change}))
    with pytest.raises(RunError, match=r"ranker\.json is not a readable ranker \(.*\); train the run again$"):
        Ranker.load(path)


def drop_sentence_model(run: Path) -> None:
    (run / SENTENCE_MODEL).unlink()


def drop_prompts(run: Path) -> None:
    with safe_open(run / RECALL, framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys() if "prompts." not in name}  # noqa: SIM118 - no dict
        notes = file.metadata()
    save_file(kept, run / RECALL, metadata=notes)


def turn_sources_round(run: Path) -> None:
    values = json.loads((run / RANKER).read_text())
    values["sources"].reverse()
    (run / RANKER).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            drop_sentence_model,
            r"cannot be read \(sentence_model\.safetensors is missing beside it, .*\); train the run",
        ),
        (drop_prompts, r"ranker\.json was fitted to linear, .*: its files are not of one run$"),
        (turn_sources_round, r"ranker\.json was fitted to .*, linear, the run has .*: its files are not of one run$"),
    ],
)
def test_files_that_are_not_of_one_run_are_refused_in_a_line(
    run_folder: Path, tmp_path: Path, batch: Batch, damage: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    damage(folder)
    with pytest.raises(RunError, match=message):
        RunTagger(load_run(folder, device="cpu")).predict(batch)
