"""What encoders and titles say of names, with encoders whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from optsg.data.errors import EncoderError
from optsg.data.tag_list import OPEN, parse_tag_list
from optsg.evaluate.untrained.picture_scores import CarriedOver, Prompted, prompt_features
from optsg.evaluate.untrained.scorer import UntrainedScorer, open_scorer
from optsg.evaluate.untrained.tag_names import TagNames, general_list, imagenet_classes
from optsg.evaluate.untrained.title_scores import STANDS_IN_TITLE, TitleScores

AXES = np.eye(4, dtype=np.float32)


def names_of(*lines: str) -> TagNames:
    return TagNames.of(parse_tag_list(lines, "tags.txt"))


def carried(named: np.ndarray) -> CarriedOver:
    """A classifier of three classes that reads them off three features, sure of itself."""
    return CarriedOver(20 * AXES[:3], np.zeros(3, np.float32), meant=AXES[:3], named=named)


def test_a_class_gives_its_score_to_names_of_its_meaning_and_none_to_others():
    near = (AXES[0] + AXES[3]) / np.sqrt(2)
    scores = carried(np.stack([AXES[0], near, AXES[3]])).scores(AXES[:1])
    assert scores[0] == pytest.approx(1, abs=1e-3)
    assert 0.6 < scores[1] < 0.9
    assert scores[2] == pytest.approx(0, abs=1e-6)


def test_a_classifier_without_an_idea_gives_low_scores_to_all():
    scores = carried(AXES[:3]).scores(np.zeros((1, 4), np.float32))
    np.testing.assert_allclose(scores, 1 / 3, atol=1e-6)


def test_what_shows_for_a_moment_counts_more_than_its_share_of_frames():
    frames = np.stack([AXES[0]] * 9 + [AXES[1]])
    scores = carried(AXES[:3]).scores(frames)
    assert scores[0] > scores[1] > 0.5
    assert scores[2] < 0.01


def test_scores_stay_within_bounds_where_many_frames_show_different_things():
    scores = carried(np.ones((1, 4), np.float32)).scores(AXES[:3])
    assert 0 <= scores[0] <= 1


def test_prompts_of_clip_share_out_and_those_of_siglip_do_not():
    clip = Prompted(AXES[:2], scale=10.0).scores(AXES[:1])
    assert clip.sum() == pytest.approx(1)
    assert clip[0] > 0.99
    siglip = Prompted(AXES[:2], scale=10.0, bias=-5.0).scores(AXES[:1])
    np.testing.assert_allclose(siglip, [1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))], rtol=1e-4)


def test_both_the_mean_and_the_best_frame_count():
    frames = np.stack([AXES[0], AXES[1]])
    scores = Prompted(AXES[:3], scale=10.0).scores(frames)
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] > 0.45 > 0.05 > scores[2]


def test_prompts_are_averaged_over_templates_as_unit_vectors():
    sentences: list[str] = []

    def embed(texts):
        sentences.extend(texts)
        return np.stack([AXES[0] * 3 if text.startswith("a ") else AXES[1] * 7 for text in texts])

    features = prompt_features(embed, ["cat"], ("a {}.", "{}"))
    assert sentences == ["a cat.", "cat"]
    np.testing.assert_allclose(features, [[0.5, 0.5, 0, 0]])


def test_names_that_stand_in_a_title_are_found_whole():
    titles = TitleScores(["cat", "red panda", "art", "t-shirt", "猫", "c++"])
    found = titles.scores(["Our CAT and a Red  Panda in a T-shirt: cartoons", "窗边的猫 c++", ""])
    assert [[round(float(value), 2) for value in row] for row in found] == [
        [STANDS_IN_TITLE, STANDS_IN_TITLE, 0, STANDS_IN_TITLE, 0, 0],
        [0, 0, 0, 0, STANDS_IN_TITLE, STANDS_IN_TITLE],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_title_that_means_a_name_scores_by_its_likeness():
    def embed(texts):
        return np.stack([AXES[0] if text in ("kitten", "cat") else AXES[1] for text in texts])

    found = TitleScores(["cat", "lake"], embed).scores(["Kitten"])
    np.testing.assert_allclose(found, [[1, 0]], atol=1e-6)


def test_aliases_are_looked_for_and_the_tag_is_given():
    names = names_of("kitty, pussy cat -> Cat", "Dog", "!spam")
    assert names.tags == ("Cat", "Dog")
    assert set(names.names) == {"cat", "kitty", "pussy cat", "dog"}
    scorer = UntrainedScorer(names, carried(np.stack([AXES[3]] * 4)), TitleScores(names.names))
    (tags,) = scorer.tags([np.zeros((0, 4), np.float32)], ["a kitty"])
    assert [(tag.text, round(tag.score, 2), tag.novel) for tag in tags] == [("Cat", 0.9, False)]


def test_either_picture_or_title_is_enough_and_both_are_more():
    names = names_of("a", "b", "c")
    scorer = UntrainedScorer(names, carried(AXES[:3]), TitleScores(names.names), least=0.3)
    by_picture, by_title, by_both, unknown = scorer.tags(
        [AXES[:1], np.zeros((1, 4), np.float32), AXES[:1], np.zeros((1, 4), np.float32)], ["", "b", "a", ""]
    )
    assert [tag.text for tag in by_picture] == ["a"]
    assert by_title[0].text == "b"
    assert by_both[0].score >= by_picture[0].score
    assert len(unknown) == 3, "a third each, above the least score of this test"


def test_no_more_tags_than_people_look_through_best_first():
    names = names_of(*"abcdefghijkl")
    pictures = carried(np.stack([AXES[0] + AXES[3]] * 12))
    (tags,) = UntrainedScorer(names, pictures, TitleScores(names.names), most=5).tags([AXES[:1]], ["k"])
    assert len(tags) == 5
    assert tags[0].text == "k"


def test_without_a_list_the_general_one_is_used_less_what_is_blocked():
    assert len(general_list().spellings) > 300
    assert TagNames.of(OPEN).tags == general_list().spellings
    names = TagNames.of(parse_tag_list(["*", "!dog", "puss -> cat", "Zamboni"], "tags.txt"))
    assert "dog" not in names.tags
    assert {"Zamboni", "cat", "horse"} <= set(names.tags)
    assert list(names.tags).count("cat") == 1


def test_classes_of_imagenet_are_named_and_defined():
    names, definitions = imagenet_classes()
    assert len(names) == len(definitions) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby cat", "toilet paper")
    assert all(names)
    assert all(definitions)
    assert "motorbike" in definitions[665]


def test_an_encoder_that_knows_no_names_is_refused():
    with pytest.raises(EncoderError, match="resnet18 has neither"):
        open_scorer(OPEN, {"library": "timm", "name": "resnet18"})
