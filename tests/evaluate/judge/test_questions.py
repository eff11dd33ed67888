from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from optsg.data.errors import RunError
from optsg.evaluate.judge.questions import Questions, Sample, order_for, read_questions

from tests.evaluate.judge.conftest import write_run


def test_a_tag_of_two_runs_is_asked_once_and_counts_for_both(questions: Questions):
    asked = [(questions.videos[item.video].id, item.tag, item.runs, item.novel_in) for item in questions.asked]

    assert asked == [
        ("a", "fluff", (0,), (0,)),
        ("a", "Kitten", (0, 1), (0, 1)),
        ("b", "lawn", (1,), (1,)),
        ("b", "puppy", (0,), (0,)),
        ("d", "moon", (0,), (0,)),
    ]
    assert questions.runs == ("first", "second")
    assert [video.true for video in questions.videos] == [2, 4, 1, 0]  # "dog" and "Dog" are one tag


def test_all_tags_asks_for_known_tags_too(two_runs: tuple[Path, Path]):
    questions = read_questions(two_runs, "test", all_tags=True)

    assert {(item.tag, item.novel_in) for item in questions.asked if not item.novel_in} == {
        ("cat", ()),
        ("dog", ()),
        ("x", ()),
    }


def test_the_order_is_the_annotators_own_and_keeps_a_videos_tags_together(questions: Questions):
    orders = {name: order_for(questions, name, 0) for name in ("Ann", "Bo", "Cy", "Di", "Ed")}

    assert orders["Ann"] == order_for(questions, "Ann", 0)
    assert len({tuple(order) for order in orders.values()}) > 1
    assert len({tuple(order_for(questions, "Ann", seed)) for seed in range(5)}) > 1
    for order in orders.values():
        videos = [questions.asked[number].video for number in order]
        assert sorted(order) == list(range(5))
        assert sum(one != other for one, other in pairwise(videos)) == len(set(videos)) - 1


def test_neither_order_nor_numbers_depend_on_the_order_of_the_runs(two_runs: tuple[Path, Path]):
    def tags(runs: tuple[Path, Path]) -> list[tuple[int, int, str]]:
        questions = read_questions(runs, "test")
        return [(n, questions.asked[n].video, questions.asked[n].key) for n in order_for(questions, "Ann", 0)]

    assert tags(two_runs) == tags((two_runs[1], two_runs[0]))


def test_a_sample_is_of_videos_and_grows_without_losing_any(two_runs: tuple[Path, Path]):
    def ids(count: int, seed: int = 0) -> list[str]:
        questions = read_questions(two_runs, "test", sample=Sample(videos=count, seed=seed))
        assert all(question.video < len(questions.videos) for question in questions.asked)
        return [video.id for video in questions.videos]

    samples = [ids(count) for count in range(1, 6)]

    assert [len(sample) for sample in samples] == [1, 2, 3, 4, 4]
    assert all(set(one) < set(more) for one, more in pairwise(samples[:4]))
    assert samples[3] == samples[4] == ["a", "b", "c", "d"]
    assert len({tuple(ids(1, seed)) for seed in range(8)}) > 1


def test_the_questions_of_a_sample_are_those_of_its_videos(two_runs: tuple[Path, Path]):
    expected: dict[str, set[str]] = {"a": {"Kitten", "fluff"}, "b": {"puppy", "lawn"}, "c": set(), "d": {"moon"}}

    sampled = read_questions(two_runs, "test", sample=Sample(videos=2, seed=3))

    assert {question.tag for question in sampled.asked} == set().union(
        *(expected[video.id] for video in sampled.videos)
    )


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path):
    runs = [write_run(tmp_path / place / "run", {"a": {}}, {"a": ("x",)}) for place in ("one", "two")]

    assert read_questions(runs, "test").runs == (str(runs[0]), str(runs[1]))


def test_missing_predictions(tmp_path: Path):
    (tmp_path / "run").mkdir()

    with pytest.raises(RunError) as error:
        read_questions([tmp_path / "run"], "val")

    run = tmp_path / "run"
    assert str(error.value) == f"{run} has no evaluation 'val'; make it with: optsg-eval --run {run} --split val"


def test_runs_on_different_videos_are_refused(two_runs: tuple[Path, Path], tmp_path: Path):
    other = write_run(tmp_path / "other", {"a": {}}, {"a": ("cat", "pet")})

    expected = (
        r"other and .*first were not evaluated on the same videos and true tags; evaluate both on one store: "
        r"optsg-eval --run DIR --split test --feats PATH$"
    )
    with pytest.raises(RunError, match=expected):
        read_questions([two_runs[0], other], "test")
