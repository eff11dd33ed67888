from __future__ import annotations

import pytest
from optsg.evaluate.judge.answers import Answer, Verdict
from optsg.evaluate.judge.questions import JudgedVideo, Question, Questions
from optsg.evaluate.judge.statistics import TagVerdict, agreements, tag_gains, tag_verdicts


def said(video: str, tag: str, *verdicts: Verdict) -> list[Answer]:
    names = ("Ann", "Bo", "Cy")
    return [Answer(video=video, tag=tag, annotator=name, verdict=v) for name, v in zip(names, verdicts, strict=False)]


def test_tag_gain_by_hand(questions: Questions):
    verdicts = tag_verdicts(
        questions,
        [
            *said("a", "kitten", "relevant", "relevant", "not"),
            *said("a", "fluff", "relevant", "not"),  # a tie
            *said("b", "puppy", "unsure", "relevant", "unsure"),
            *said("d", "moon", "relevant"),  # d has no true tags
            *said("elsewhere", "kitten", "relevant"),
        ],
    )

    assert [item.outcome for item in verdicts] == ["not relevant", "relevant", "not judged", "not relevant", "relevant"]
    first, second = tag_gains(questions, verdicts)
    # Three videos have true tags (2, 4 and 1); the first run has one relevant novel tag, of a: (1/2 + 0 + 0) / 3.
    assert (first.videos, first.asked, first.judged) == (3, 3, 3)
    assert first.gain == pytest.approx(1 / 6)
    assert first.matched == pytest.approx(1 / 3)
    assert first.highest == first.gain
    # "lawn" of b is not judged: if it were relevant, (1/2 + 1/4 + 0) / 3.
    assert (second.asked, second.judged) == (2, 1)
    assert second.gain == pytest.approx(1 / 6)
    assert second.highest == pytest.approx(1 / 4)


def test_the_difference_of_two_runs_is_paired_by_video(questions: Questions):
    same, other = tag_gains(questions, tag_verdicts(questions, said("a", "kitten", "relevant")))

    # Both runs gain from one and the same tag: each interval is wide, that of the difference has no width.
    assert same.interval == other.interval
    assert same.interval[1] > same.interval[0]
    assert same.over_first is None
    assert other.over_first is not None
    assert (other.over_first.gain, other.over_first.interval) == (0.0, (0.0, 0.0))

    _, better = tag_gains(questions, tag_verdicts(questions, said("b", "lawn", "relevant")))
    assert better.over_first is not None
    assert better.over_first.gain == better.gain == pytest.approx(1 / 12)
    assert better.over_first.interval == better.interval


def many(gains: list[int]) -> Questions:
    """Videos of one true tag; as many novel tags as ``gains`` says, from one run."""
    return Questions(
        runs=("run",),
        videos=tuple(JudgedVideo(id=str(number), title="", true=1) for number in range(len(gains))),
        asked=tuple(
            Question(video=video, key=f"{tag}", tag=f"{tag}", runs=(0,), novel_in=(0,))
            for video, count in enumerate(gains)
            for tag in range(count)
        ),
    )


def test_the_interval_is_that_of_a_mean_over_videos():
    questions = many([0, 1] * 200)
    verdicts = tag_verdicts(questions, [answer for n in range(400) for answer in said(str(n), "0", "relevant")])

    (gain,) = tag_gains(questions, verdicts)

    # The standard error of a mean of 400 fair coins is 0.5 / 20; the interval is ± 1.96 of it.
    assert gain.gain == 0.5
    assert gain.interval == pytest.approx((0.5 - 0.049, 0.5 + 0.049), abs=0.006)


def test_nothing_to_resample_and_nothing_at_all():
    (same,) = tag_gains(
        many([1, 1]), tag_verdicts(many([1, 1]), [*said("0", "0", "relevant"), *said("1", "0", "relevant")])
    )
    (empty,) = tag_gains(many([]), [])

    assert same.interval == (1.0, 1.0)
    assert (empty.gain, empty.interval, empty.matched) == (0.0, (0.0, 0.0), 0.0)


def counted(*rows: tuple[int, int, int]) -> list[TagVerdict]:
    question = Question(video=0, key="t", tag="t", runs=(0,), novel_in=(0,))
    return [TagVerdict(question=question, relevant=r, not_relevant=n, unsure=u) for r, n, u in rows]


def test_kappa_by_hand_and_by_number_of_annotators():
    groups = agreements(counted((2, 0, 0), (0, 2, 0), (1, 1, 0), (2, 0, 0), (3, 0, 0), (0, 3, 0), (1, 0, 0), (0, 0, 0)))

    # Two annotators, four tags: they agree on 3 of 4; shares are 5/8 and 3/8, so by chance 34/64.
    assert [(group.annotators, group.tags) for group in groups] == [(2, 4), (3, 2)]
    assert groups[0].kappa == pytest.approx((3 / 4 - 34 / 64) / (1 - 34 / 64))
    assert groups[1].kappa == pytest.approx(1.0)


def test_unsure_is_an_answer_like_the_others_in_kappa():
    (group,) = agreements(counted((1, 0, 1), (1, 1, 0)))

    # No pair agrees; shares are 1/2, 1/4, 1/4, so by chance 3/8.
    assert group.kappa == pytest.approx((0 - 3 / 8) / (1 - 3 / 8))


def test_kappa_of_one_and_the_same_answer_is_not_defined():
    (group,) = agreements(counted((2, 0, 0), (2, 0, 0)))

    assert group.kappa is None
