"""What counts as written alike, and how far texts are apart, by values by hand and by brute force."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from optsg.evaluate.vocabulary.spelling import (
    SAME_LETTERS,
    SAME_WORD,
    allowed_slips,
    plain_form,
    similarly_written,
    singular_form,
    slips_between,
)


def by_definition(one: str, other: str) -> int:
    """Optimal string alignment by its recursion."""

    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        ways = [distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])]
        if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
            ways.append(distance(i - 2, j - 2) + 1)
        return min(ways)

    return distance(len(one), len(other))


def random_words(count: int, letters: str, *, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list(letters), rng.integers(1, 12))) for _ in range(count)]
    return list(dict.fromkeys(words))


def test_slips_are_counted_as_by_definition() -> None:
    words = [*random_words(60, "abcé", seed=0), "a", "水水"]
    pairs = list(combinations(words, 2))
    found = slips_between([one for one, _ in pairs], [other for _, other in pairs])
    assert found.tolist() == [by_definition(*pair) for pair in pairs]
    assert slips_between(["ca", "heart"], ["ac", "haert"]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("key", "form"),
    [
        *(("t-shirt", "tshirt"), ("t shirt", "tshirt"), ("café", "cafe"), ("#cat", "cat"), ("women’s", "womens")),
        *((":'(", ":'("), ("c++", "c++"), ("c#", "c#"), ("-", "-"), ("猫", "猫")),
    ],
)
def test_plain_forms(key: str, form: str) -> None:
    assert plain_form(key) == form


@pytest.mark.parametrize(
    ("form", "singular"),
    [
        *(("cats", "cat"), ("berries", "berry"), ("boxes", "box"), ("beaches", "beach"), ("heroes", "hero")),
        *(("glass", "glass"), ("glasses", "glass"), ("bus", "bus"), ("ties", "tie"), ("cat", "cat")),
    ],
)
def test_singulars(form: str, singular: str) -> None:
    assert singular_form(form) == singular


def test_pairs_are_those_of_all_pairs_that_are_near_enough() -> None:
    words = random_words(400, "abcdefgs1", seed=1)
    pairs, likeness = similarly_written(words)
    found = {tuple(pair): value for pair, value in zip(pairs.tolist(), likeness.tolist(), strict=True)}
    expected = {}
    for one, other in combinations(range(len(words)), 2):
        a, b = words[one], words[other]
        digits = [[char for char in word if char.isdigit()] for word in (a, b)]
        slips, most = by_definition(a, b), allowed_slips(min(len(a), len(b)))
        if singular_form(a) == singular_form(b):
            expected[one, other] = SAME_WORD
        elif slips <= most and digits[0] == digits[1]:
            expected[one, other] = 1 - slips / (min(len(a), len(b)) + 1)
    assert found.keys() == expected.keys()
    assert len(found) > 5
    assert all(found[pair] == pytest.approx(value) for pair, value in expected.items())


def test_the_same_letters_are_more_alike_than_a_plural_and_that_more_than_a_slip() -> None:
    keys = ["t-shirt", "tshirt", "tshirts", "cat", "catt", "road 66", "road 67", "boat", "xboat"]
    pairs, likeness = similarly_written(keys)
    found = {
        (keys[a], keys[b]): round(value, 2) for (a, b), value in zip(pairs.tolist(), likeness.tolist(), strict=True)
    }
    assert found == {
        ("t-shirt", "tshirt"): SAME_LETTERS,
        ("t-shirt", "tshirts"): SAME_WORD,
        ("tshirt", "tshirts"): SAME_WORD,
        ("boat", "xboat"): 0.8,
    }


def test_no_tags_have_no_pairs() -> None:
    pairs, likeness = similarly_written([])
    assert (pairs.shape, likeness.shape) == ((0, 2), (0,))
