"""Calibration, reliability, and the curve of precision by score."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from optsg.data.errors import RunError
from optsg.data.predicted_tag import PredictedTag
from optsg.train.confidence import precision_curve
from optsg.train.confidence.calibration import (
    MIN_TAGS,
    OFFSETS,
    TEMPERATURES,
    UNSCALED,
    Calibration,
    Scaling,
    calibration_error,
    fit_scaling,
    read_calibration,
)
from optsg.train.confidence.precision_curve import STEPS, PrecisionCurve, assured
from optsg.train.confidence.rated_tags import (
    MOST_CANDIDATES,
    RatedTags,
    chance_calibration_error,
    expected_calibration_error,
    rate_tags,
    reliability_bins,
)
from optsg.train.run_files import CALIBRATION
from scipy.optimize import minimize
from sklearn.metrics import precision_recall_curve
from statsmodels.stats.proportion import proportion_confint


def rated(
    scores: object, right: object, novel: object = None, true_tags: int = 100, owners: object = None
) -> RatedTags:
    """Each tag of a video of its own, where nothing else is said."""
    values = np.array(scores, np.float64)
    return RatedTags(
        scores=values,
        novel=np.zeros(len(values), bool) if novel is None else np.array(novel, bool),
        right=np.array(right, bool),
        owners=np.arange(len(values)) if owners is None else np.array(owners, np.int64),
        true_tags=true_tags,
        videos=10,
    )


def drawn(count: int, temperature: float, offset: float, seed: int = 0) -> RatedTags:
    """Tags whose chance of being right is the scaling of their score."""
    dice = np.random.default_rng(seed)
    scores = dice.uniform(0.01, 0.99, count)
    return rated(scores, dice.random(count) < Scaling(temperature=temperature, offset=offset).apply(scores))


def test_only_the_best_tags_of_a_video_are_rated_and_no_pinned_ones() -> None:
    tags = [PredictedTag(text=f"Tag {n}", score=1 - n / 100, novel=n % 2 == 1) for n in range(60)]
    tags[0] = PredictedTag(text="Tag 0", score=1.0, novel=False, pinned=True)
    found = rate_tags([{"tag 1", "tag 59", "none"}, set()], [tags, []])
    assert len(found) == MOST_CANDIDATES - 1
    assert (found.true_tags, found.videos) == (3, 2)
    assert found.right.tolist() == [True] + [False] * (MOST_CANDIDATES - 2)
    assert found.novel[:2].tolist() == [True, False]
    assert len(found.group(novel=True)) + len(found.group(novel=False)) == len(found)
    assert len(rate_tags([{"a"}], [[]])) == 0


@pytest.mark.parametrize(("temperature", "offset"), [(2.0, 0.0), (0.5, -1.0), (1.0, 1.5)])
def test_the_scaling_that_made_the_tags_is_found_again(temperature: float, offset: float) -> None:
    found = drawn(20_000, temperature, offset)
    scaling = fit_scaling(found.scores, found.right)
    assert scaling.temperature == pytest.approx(temperature, rel=0.08)
    assert scaling.offset == pytest.approx(offset, abs=0.08)


def test_the_fit_is_the_least_negative_log_likelihood() -> None:
    """Against a minimiser that uses no gradient; Platt's targets differ from 0 and 1 by one part in thousands."""
    found = drawn(3000, 1.7, -0.4, seed=1)
    logits = np.log(found.scores / (1 - found.scores))

    def loss(parameters: np.ndarray) -> float:
        scaled = logits * parameters[0] + parameters[1]
        return float(np.mean(np.logaddexp(0, scaled) - found.right * scaled))

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead").x
    scaling = fit_scaling(found.scores, found.right)
    assert (1 / scaling.temperature, scaling.offset) == pytest.approx(tuple(best), abs=0.01)


def test_a_temperature_alone_could_not_do_it() -> None:
    """Scores of 0.4 to 0.6 that are seldom right, as the asymmetric loss makes them."""
    dice = np.random.default_rng(0)
    scores = dice.uniform(0.4, 0.6, 5000)
    found = rated(scores, dice.random(5000) < 0.1)
    assert calibration_error(found) > 0.35
    assert Calibration.fit(found).ece_after < 0.02


def test_scaling_keeps_the_order_and_the_range_and_has_an_inverse() -> None:
    scores = np.array([0.0, 1e-9, 0.1, 0.5, 0.9, 1.0])
    for scaling in (Scaling(temperature=3.0, offset=-2.0), Scaling(temperature=0.05, offset=10.0)):
        found = scaling.apply(scores)
        assert bool(((found >= 0) & (found <= 1)).all())
        assert bool((np.diff(found) >= 0).all())
    gentle = Scaling(temperature=1.5, offset=0.3)
    assert gentle.inverse.apply(gentle.apply(scores)) == pytest.approx(scores, abs=2e-6)
    assert UNSCALED.apply(scores) is scores


@pytest.mark.parametrize("right", [True, False])
def test_tags_that_are_all_right_or_all_wrong_do_not_make_certain(right: bool) -> None:
    scaling = fit_scaling(np.full(40, 0.6), np.full(40, right))
    assert TEMPERATURES[0] <= scaling.temperature <= TEMPERATURES[1]
    assert OFFSETS[0] <= scaling.offset <= OFFSETS[1]
    assert float(scaling.apply(np.array([0.6]))[0]) == pytest.approx(41 / 42 if right else 1 / 42, abs=0.005)


def test_bins_and_error_are_those_of_the_definition() -> None:
    dice = np.random.default_rng(0)
    scores, right = dice.random(500), dice.random(500) < 0.5
    error = 0.0
    for number in range(15):
        inside = (scores >= number / 15) & ((scores < (number + 1) / 15) | (number == 14))
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - scores[inside].mean())
    bins = reliability_bins(scores, right)
    assert expected_calibration_error(bins) == pytest.approx(error)
    assert sum(each.tags for each in bins) == 500
    assert reliability_bins(np.array([1.0]), np.array([True]))[0].high == 1.0
    assert expected_calibration_error([]) == 0.0


def test_the_error_by_chance_is_that_of_scores_which_are_chances() -> None:
    dice = np.random.default_rng(0)
    for count in (80, 3000):
        scores = dice.beta(2, 2, count)
        errors = [calibration_error(rated(scores, dice.random(count) < scores)) for _ in range(200)]
        assert chance_calibration_error(scores) == pytest.approx(np.mean(errors), rel=0.1)
    assert chance_calibration_error(scores) == chance_calibration_error(scores)
    assert chance_calibration_error(np.array([0.0, 1.0])) == 0.0
    assert chance_calibration_error(np.empty(0)) == 0.0


def test_the_curve_is_scikit_learn_s() -> None:
    dice = np.random.default_rng(0)
    scores = dice.integers(0, 1000, 400) / 1000
    right = dice.random(400) < scores
    points = PrecisionCurve.of(rated(scores, right, true_tags=int(right.sum()))).points()
    precision, recall, thresholds = precision_recall_curve(right, scores)
    assert [point.threshold for point in points] == pytest.approx(thresholds.tolist())
    assert [point.precision for point in points] == pytest.approx(precision[:-1].tolist())
    assert [point.recall for point in points] == pytest.approx(recall[:-1].tolist())


def test_the_lowest_score_with_a_precision_and_where_there_is_none() -> None:
    curve = PrecisionCurve.of(rated([0.2, 0.4, 0.6, 0.8], [False, True, False, True], true_tags=4))
    found = curve.lowest(0.6)
    assert found is not None
    assert (found.threshold, found.tags, found.recall) == (0.4, 3, 0.5)
    assert found.precision == pytest.approx(2 / 3)
    best = curve.lowest(1.0)
    assert best is not None
    assert best.threshold == 0.8
    assert PrecisionCurve.of(rated([0.9], [False])).lowest(0.5) is None
    assert PrecisionCurve.of(rated([], [])).points() == []


def test_what_tags_vouch_for_is_wilson_s_bound() -> None:
    assert assured(0.9, 60) == pytest.approx(proportion_confint(54, 60, method="wilson")[0], abs=1e-5)


def test_tags_that_stand_and_fall_together_vouch_for_less() -> None:
    """Against the formula, video by video; and copies of one tag say as much as the tag alone."""
    dice = np.random.default_rng(0)
    scores, right, owners = dice.random(600), dice.random(600) < 0.8, dice.integers(0, 90, 600)
    curve = PrecisionCurve.of(rated(scores, right, owners=owners))
    for point in curve.points()[: -60 : len(curve.points()) // 7]:  # of the highest ones all may be right
        inside = scores >= point.threshold
        share = right[inside].mean()
        moved = [(right[inside & (owners == own)] - share).sum() ** 2 for own in range(90)]
        expected = max(1.0, sum(moved) / (share * (1 - share) * inside.sum()))
        assert curve.assured(point) == pytest.approx(assured(point.precision, point.tags / expected), abs=1e-6)
    once = PrecisionCurve.of(rated(scores, right))
    thrice = PrecisionCurve.of(rated(np.repeat(scores, 3), np.repeat(right, 3), owners=np.repeat(np.arange(600), 3)))
    assert once.effect == pytest.approx(np.ones(STEPS))
    some = [round(1000 * point.threshold) for point in thrice.points() if 0 < point.precision < 1]
    assert thrice.effect[some] == pytest.approx(3 * np.ones(len(some)))
    least, same = once.points()[0], thrice.points()[0]
    assert thrice.assured(same) == pytest.approx(once.assured(least))
    assert PrecisionCurve.from_json(json.loads(json.dumps(thrice.to_json()))).effect == pytest.approx(
        thrice.effect, abs=1e-3
    )


def test_many_videos_are_gone_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(0)
    tags = rated(dice.random(300), dice.random(300) < 0.5, owners=dice.integers(0, 50, 300))
    whole = PrecisionCurve.of(tags)
    monkeypatch.setattr(precision_curve, "VIDEOS_AT_ONCE", 7)
    assert PrecisionCurve.of(tags).effect == pytest.approx(whole.effect)


def test_a_curve_of_before_takes_tags_for_independent() -> None:
    values = PrecisionCurve.of(rated([0.5, 0.7], [True, False], owners=[0, 0])).to_json()
    del values["effect"]
    assert PrecisionCurve.from_json(values).effect.tolist() == [1.0] * STEPS


def test_a_wanted_precision_is_vouched_for_where_there_are_enough_tags() -> None:
    dice = np.random.default_rng(0)
    scores = dice.random(4000)
    curve = PrecisionCurve.of(rated(scores, dice.random(4000) < scores, true_tags=2000))
    found = curve.lowest(0.8)
    assert found is not None
    assert curve.assured(found) >= 0.8
    lower = max((point for point in curve.points() if point.threshold < found.threshold), key=lambda p: p.threshold)
    assert curve.assured(lower) < 0.8


def test_known_and_novel_tags_are_scaled_apart_where_there_are_enough() -> None:
    known, novel = drawn(2000, 1.0, 0.0), drawn(2000, 1.0, -3.0, seed=1)
    both = rated(
        np.concatenate([known.scores, novel.scores]),
        np.concatenate([known.right, novel.right]),
        [False] * 2000 + [True] * 2000,
    )
    made = Calibration.fit(both)
    assert made.novel.offset < -2.5
    assert abs(made.known.offset) < 0.3
    assert made.ece_after < 0.03 < made.ece_before
    few = rated(
        both.scores[: 2000 + MIN_TAGS - 1], both.right[: 2000 + MIN_TAGS - 1], both.novel[: 2000 + MIN_TAGS - 1]
    )
    assert Calibration.fit(few).novel == fit_scaling(few.scores, few.right)
    fewer = rated([0.3] * (MIN_TAGS - 1), [True] * (MIN_TAGS - 1))
    assert Calibration.fit(fewer).known == Calibration.fit(fewer).novel == UNSCALED
    assert both.scores == pytest.approx(made.unscale(made.scale(both)).scores, abs=1e-5)


def test_a_tag_is_calibrated_as_its_kind_is() -> None:
    known, novel = Scaling(temperature=2.0, offset=1.0), Scaling(temperature=1.0, offset=-1.0)
    made = Calibration(known=known, novel=novel, curve=PrecisionCurve.of(rated([], [])), ece_before=0, ece_after=0)
    tags = [PredictedTag(text=text, score=score, novel=text == "new") for text, score in (("new", 0.7), ("old", 0.5))]
    found = made.calibrate(tags)
    assert [tag.text for tag in found] == ["old", "new"]
    odds = [np.log(tag.score / (1 - tag.score)) for tag in found]
    assert odds == pytest.approx([1.0, np.log(0.7 / 0.3) - 1.0])


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Calibration.fit(drawn(500, 2.0, -1.0))
    made.save(tmp_path / CALIBRATION)
    read = read_calibration(tmp_path)
    assert read is not None
    assert (read.known, read.novel, read.ece_after) == (made.known, made.novel, made.ece_after)
    assert read.curve.points() == made.curve.points()
    tags = [PredictedTag(text=name, score=score, novel=False) for name, score in (("a", 0.9), ("b", 0.2))]
    assert [tag.score for tag in read.calibrate(tags)] == pytest.approx(read.known.apply(np.array([0.9, 0.2])).tolist())
    assert read.calibrate([]) == []
    assert read_calibration(tmp_path / "other") is None


@pytest.mark.parametrize("damage", ["{", "{}", '{"curve": {"tags": [1]}}'])
def test_a_damaged_calibration_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / CALIBRATION
    path.write_text(damage)
    ending = f"delete it and make it with: optsg-eval --run {tmp_path} --split val"
    with pytest.raises(
        RunError, match=rf"^{re.escape(str(path))} is not a readable calibration \(.*\); {re.escape(ending)}$"
    ):
        read_calibration(tmp_path)
    Calibration.fit(drawn(50, 1.0, 0.0)).save(path)
    values = json.loads(path.read_text())
    values["curve"]["right"] = [1, 2]
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match="expected 1000 counts"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("change", [{"temperature": "inf"}, {"temperature": 0}, {"offset": "nan"}])
def test_a_scaling_is_of_numbers(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / CALIBRATION
    Calibration.fit(drawn(50, 1.0, 0.0)).save(path)
    values = json.loads(path.read_text())
    values["known"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match="is not a readable calibration"):
        read_calibration(tmp_path)
