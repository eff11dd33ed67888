"""What is proposed: variants that were put into a store, parents, one-off tags; and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optsg.data.store import open_store
from optsg.data.vocabulary.proposal import Proposal
from optsg.evaluate.vocabulary.parents import parents
from optsg.evaluate.vocabulary.proposals import propose
from optsg.evaluate.vocabulary.usage import TagUsage, company, read_usage
from optsg.train.confidence.precision_curve import assured
from optsg.train.recall.neighbours import directions_of
from scipy.sparse import csr_array
from scipy.stats import binomtest


@pytest.fixture(scope="module")
def usage(feats: Path) -> TagUsage:
    with open_store(feats) as store:
        return read_usage(store)


def pairs(proposals: list[Proposal], *kinds: str) -> set[tuple[str, str]]:
    return {(one.tag, one.into) for one in proposals if one.kind in kinds}


def test_variants_are_found_and_nothing_else_is_merged(usage: TagUsage) -> None:
    proposals = propose(usage)
    assert pairs(proposals, "spelling") == {("gren", "green"), ("blacks", "black")}
    assert pairs(proposals, "alias") == {("Blau", "blue")}
    assert pairs(proposals, "one-off") == {("<b>odd & new</b>", "")}
    slip = next(one for one in proposals if one.tag == "gren")
    assert slip.evidence.startswith("written alike 0.80, meaning ")
    assert 0.9 < slip.score < 1
    assert slip.count_tag < slip.count_into


def test_the_same_store_gives_the_same_proposals(feats: Path, usage: TagUsage) -> None:
    with open_store(feats) as store:
        again = read_usage(store)
    assert propose(again) == propose(usage)


def test_a_higher_score_is_a_part_of_the_proposals(usage: TagUsage) -> None:
    few = propose(usage, least=0.97)
    assert 0 < len(few) < len(propose(usage))
    assert few == [one for one in propose(usage) if one.score >= 0.97]


def crafted(rows: dict[str, str], meaning: dict[str, int]) -> TagUsage:
    """Tags with the videos that have them, a letter each; tags of one number mean the same."""
    videos = sorted(set("".join(rows.values())))
    table = csr_array(np.array([[video in own for video in videos] for own in rows.values()], np.float32))
    embeddings = np.eye(9, dtype=np.float32)[[meaning[tag] for tag in rows]] + 0.01
    names = tuple(rows)
    views = (company(table, np.random.default_rng(0)),)
    return TagUsage(keys=names, spellings=names, table=table, embeddings=directions_of(embeddings), views=views)


def test_parents_stand_where_the_tag_does_and_mean_something_like_it() -> None:
    rows = {"cat": "abcdefg", "animal": "abcdefghijklmn", "lake": "abcdefghijklmn", "pet": "abcdefgh", "few": "ab"}
    usage = crafted(rows, {"cat": 1, "animal": 1, "lake": 2, "pet": 1, "few": 1})
    [(number, proposal)] = list(parents(usage, ()))
    assert (number, proposal.kind, proposal.tag, proposal.into) == (0, "parent", "cat", "animal")
    assert proposal.evidence == "7 of 7 videos have both, meaning 1.00"
    assert proposal.score == pytest.approx(binomtest(7, 7).proportion_ci(method="wilson").low, abs=1e-4)
    assert list(parents(usage, {0})) == []


def test_a_path_has_the_parent_that_it_begins_with() -> None:
    usage = crafted(
        {"animal/cat": "a", "animal": "b", "animal/cat/tabby": "c"},
        {"animal/cat": 1, "animal": 2, "animal/cat/tabby": 3},
    )
    found = {(one.tag, one.into): one.score for _, one in parents(usage, ())}
    assert found == {("animal/cat", "animal"): 1.0, ("animal/cat/tabby", "animal/cat"): 1.0}


def test_the_lower_bound_is_wilsons() -> None:
    some, of = np.array([3.0, 50.0, 9.0]), np.array([10.0, 50.0, 12.0])
    expected = [binomtest(int(k), int(n)).proportion_ci(method="wilson").low for k, n in zip(some, of, strict=True)]
    np.testing.assert_allclose(assured(some / of, of), expected, atol=1e-4)


def test_other_numbers_are_other_tags() -> None:
    usage = crafted(
        {"route 66": "abcdef", "route 67": "ghijkl", "route66": "m"},
        dict.fromkeys(("route 66", "route 67", "route66"), 1),
    )
    assert pairs(propose(usage), "spelling", "alias") == {("route66", "route 66")}


def test_a_vocabulary_of_nothing_has_nothing_to_propose(usage: TagUsage) -> None:
    one = replace(usage, keys=usage.keys[:1], spellings=usage.spellings[:1], table=usage.table[:1])
    assert propose(one) == []
