"""How variants are made and judged, and where segments lie."""

from __future__ import annotations

import numpy as np
import pytest
from optsg.data.vocabulary.proposal import Kind, Proposal
from optsg.evaluate.tag.segments import Segment
from optsg.evaluate.vocabulary.spelling import slips_between

from benchmarks.segments import Placed, placed
from benchmarks.vocabulary_health import TRANSLATIONS, Seeded, judged, misspelt, plural


def test_a_misspelling_is_one_slip_behind_the_first_letter() -> None:
    rng = np.random.default_rng(0)
    found = [misspelt("window", rng) for _ in range(200)]
    assert max(slips_between(found, ["window"] * 200).tolist()) == 1
    assert len(set(found)) > 50
    assert {len(word) for word in found} == {5, 6, 7}


@pytest.mark.parametrize(
    ("tag", "expected"), [("box", "boxes"), ("berry", "berries"), ("boy", "boys"), ("cats", "cats")]
)
def test_plurals(tag: str, expected: str) -> None:
    assert plural(tag, np.random.default_rng(0)) == expected


def test_translations_are_of_words() -> None:
    assert len(TRANSLATIONS) > 60
    assert all(tag != word.casefold() for tag, word in TRANSLATIONS.items())


def proposal(kind: Kind, tag: str, into: str) -> Proposal:
    return Proposal(kind=kind, tag=tag, into=into, score=0.9, evidence="", count_tag=1, count_into=2)


def test_what_joins_a_variant_with_its_tag_is_right_whichever_is_the_more_frequent() -> None:
    variants = {"hund": Seeded(kind="translation", tag="dog"), "boyy": Seeded(kind="misspelling", tag="boy")}
    proposals = [
        proposal("alias", "dog", "hund"),
        proposal("spelling", "boyy", "boys"),
        proposal("spelling", "cats", "cat"),
        proposal("parent", "hund", "animal"),
    ]
    found = judged(proposals, variants, 1.0)
    assert (found.right, found.wrong, found.others) == (frozenset({"hund"}), (proposals[1],), (proposals[2],))


def test_where_segments_lie() -> None:
    segments = [Segment(start=1.0, end=3.0, score=0.5), Segment(start=4.0, end=8.0, score=0.5)]
    assert placed(segments, 0, 4.0, 8.0) == Placed(inside=1 / 3, covered=0.5)
    assert placed(segments, 1, 4.0, 8.0) == Placed(inside=2 / 3, covered=1.0)
