"""The benchmark of evidence: videos put together from two, and where the shares of a tag lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optsg.data.store import open_store
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.tag.evidence import TagEvidence

from benchmarks.evidence import Composed, Tally, compose, count
from tests.tiny_world import tiny_tokenizer, tiny_videos, write_tiny_store


def store_of_colours(folder: Path) -> Path:
    """Videos whose only tag is their colour, so that many pairs share none."""
    videos = [replace(video, tags=video.tags[1:2]) for video in tiny_videos(80)]
    return write_tiny_store(folder / "feats.h5", videos)


def test_halves_are_as_long_and_share_no_tag(tmp_path: Path) -> None:
    with open_store(store_of_colours(tmp_path)) as store:
        videos = list(compose(store, 8, seed=0))
        test = {store.title(int(row)) for row in store.indices("test")}
    assert len(videos) == 8
    for video in videos:
        assert len(video.frames) % 2 == 0
        assert len(video.frames)
        assert not video.tags[0] & video.tags[1]
        assert set(video.titles) <= test


def test_the_same_seed_gives_the_same_videos(tmp_path: Path) -> None:
    with open_store(store_of_colours(tmp_path)) as store:
        first, again, other = (list(compose(store, 8, seed)) for seed in (0, 0, 1))
    assert [video.title for video in first] == [video.title for video in again]
    assert [video.title for video in first] != [video.title for video in other]


@pytest.mark.parametrize(("tag", "frames", "words"), [("Cat", 0, 1), ("lake", 1, 0)])
def test_shares_count_for_the_half_that_has_the_tag(tag: str, frames: int, words: int) -> None:
    """Frames speak for the second half, words for the first; "and", which is no half's, for neither."""
    video = Composed(
        frames=np.zeros((4, 2), np.float16),
        titles=("a cat", "the dog"),
        tags=(frozenset({"cat"}), frozenset({"lake"})),
    )
    tokenizer = TitleTokenizer(tiny_tokenizer())
    spans = tokenizer.title_words(video.title)
    shares = {(0, 1): 0.2, (2, 5): 0.2, (10, 13): 0.1, (14, 17): 0.1}
    and_pieces = [span for span in spans if span == (6, 9)]
    tokens = tuple(0.0 if span is None else shares.get(span, 0.4 / len(and_pieces)) for span in spans)
    tally = Tally()
    count(video, tag, TagEvidence(visual=(0.1, 0.2, 0.3, 0.4), tokens=tokens), tokenizer, tally)
    kind = "in the title" if tag == "Cat" else "not in the title"
    assert tally.right == {f"frames, {kind}": frames, f"words, {kind}": words}
    assert tally.asked == {f"frames, {kind}": 1, f"words, {kind}": 1}


def test_a_tag_without_evidence_is_not_asked() -> None:
    tally = Tally()
    tally.add("frames", [0.0, 0.0], [0.0])
    assert tally.percent("frames") == "–"
    tally.add("frames", [0.5, 0.5], [0.5])
    tally.add("frames", [0.4, 0.6], [0.6])
    assert tally.percent("frames") == "50 % of 2"
