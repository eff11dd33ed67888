"""Tags that are paths: separators are found or told, parents implied, scores of parents never below those of children."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optsg.data.errors import ConfigError
from optsg.data.predicted_tag import PredictedTag
from optsg.data.tag_hierarchy import FLAT, TagHierarchy, find_separator

SLASH = TagHierarchy(separator="/")


def tag(text: str, score: float, *, pinned: bool = False) -> PredictedTag:
    return PredictedTag(text=text, score=score, novel=False, pinned=pinned)


@pytest.mark.parametrize(
    ("tags", "separator"),
    [
        (["animal/cat", "animal/dog", "lake"], "/"),
        (["animal|cat", "animal", "lake"], "|"),
        (["Animal > Cat", "Animal > Dog"], ">"),
        (["a::b", "a::c"], "::"),
        (["AC/DC", "24/7", "lake"], None),
        (["AC/DC", "animal|cat", "animal|dog"], "|"),
        (["cat", "dog"], None),
        ([], None),
    ],
)
def test_the_separator_is_found_among_the_tags(tags, separator):
    assert find_separator(tags) == separator


def test_the_separator_is_told():
    assert find_separator(["a/b", "a/c"], "|") == "|"
    assert find_separator(["a/b", "a/c"], "none") is None
    with pytest.raises(ConfigError, match="--hierarchy is empty"):
        find_separator([], " ")


def test_parents_come_before_the_tags_that_imply_them():
    assert SLASH.parents("animal/cat/tabby") == ["animal", "animal/cat"]
    assert SLASH.parents("cat") == SLASH.parents("a//b") == SLASH.parents("/a") == []
    assert SLASH.with_parents(["animal/cat", "lake", "animal/dog"]) == ["animal", "animal/cat", "lake", "animal/dog"]
    spaced = TagHierarchy(separator=">")
    assert spaced.parents("Animal > Cat > Tabby") == ["Animal", "Animal > Cat"]
    assert spaced.key("Animal > Cat") == spaced.key("animal>cat")
    assert FLAT.parents("animal/cat") == []


def test_scores_of_parents_are_never_below_those_of_children():
    found = SLASH.implied([tag("animal/cat", 0.9), tag("lake", 0.8), tag("animal", 0.3), tag("animal/dog", 0.2)])
    assert [(one.text, one.score) for one in found] == [
        ("animal", 0.9),
        ("animal/cat", 0.9),
        ("lake", 0.8),
        ("animal/dog", 0.2),
    ]


def test_a_pinned_child_makes_its_parents_given():
    found = SLASH.implied([tag("animal/cat", 1.0, pinned=True), tag("lake", 0.8)])
    assert [(one.text, one.pinned) for one in found] == [("animal", True), ("animal/cat", True), ("lake", False)]


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(PATHS, st.floats(0, 1), max_size=8))
def test_whatever_the_tags_every_parent_is_there_and_scores_as_much(scores):
    tags = [tag(text, score) for text, score in sorted(scores.items(), key=lambda item: -item[1])]
    found = SLASH.implied(tags)
    by_text = {one.text: one.score for one in found}
    assert len(by_text) == len(found)
    assert set(scores) <= set(by_text)
    for text, score in by_text.items():
        assert score >= scores.get(text, 0)
        for parent in SLASH.parents(text):
            assert by_text[parent] >= score
    assert [one.score for one in found] == sorted(by_text.values(), reverse=True)
    assert SLASH.implied(found) == found
