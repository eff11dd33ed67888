"""The digest of what is learned of videos: it is another one where that is corrected, and the same whatever else changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optsg.data.store import digests, open_store
from optsg.data.store.digests import label_digest
from optsg.data.store.schema import VideoFeatures

from tests.tiny_world import tiny_text_tables, tiny_videos, write_tiny_store

VIDEOS = tiny_videos(5)
LEARNED = 4
"""So many are looked at, from the first on."""


@pytest.fixture(params=[1, 1 << 16])
def digest(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the first videos of a store of these, however many are read at once."""
    monkeypatch.setattr(digests, "ROWS_AT_ONCE", request.param)
    tables = tiny_text_tables()

    def of(videos: Sequence[VideoFeatures], name: str = "s.h5") -> str:
        with open_store(write_tiny_store(tmp_path / name, videos, text_tables=tables)) as store:
            return label_digest(store, np.arange(LEARNED))

    return of


def test_every_correction_makes_another_one(digest) -> None:
    first, *_, last, _ = VIDEOS
    assert VIDEOS[1].split == "train"
    corrected = {
        # As many pieces and tags as before: their number alone would tell the others.
        "the first title": {0: replace(first, title=first.title.replace(" at ", " of "))},
        "the last title": {3: replace(last, title=last.title.replace(" at ", " of "))},
        "the last tag": {3: replace(last, tags=(*last.tags[:-1], "Zeppelin"))},
        "a set": {1: replace(VIDEOS[1], split="val")},
        "a tag that the next video has instead": {
            0: replace(first, tags=first.tags[:-1]),
            1: replace(VIDEOS[1], tags=(first.tags[-1], *VIDEOS[1].tags)),
        },
    }
    found = {"": digest(VIDEOS)}
    for what, changes in corrected.items():
        found[what] = digest([changes.get(row, video) for row, video in enumerate(VIDEOS)])
    assert len(set(found.values())) == len(found), found


def test_other_videos_forms_and_spellings_do_not_count(digest) -> None:
    other = [replace(VIDEOS[4], id=f"new-{n}", title="a farm", tags=("ANIMAL", "Zeppelin")) for n in range(9)]
    whole = digest(VIDEOS)
    assert digest(VIDEOS, "folder") == whole
    assert digest([*VIDEOS[:LEARNED], *other]) == whole
