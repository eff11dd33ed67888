"""A store in which the colour of some videos is misspelt, or in another language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from optsg.data.store.schema import VideoFeatures

from tests.tiny_world import tiny_videos, write_tiny_store

VARIANTS: Mapping[str, str] = {"green": "gren", "black": "blacks", "blue": "Blau"}
"""What every third video with a colour says instead: a slip, a plural, a translation."""


def with_variants(videos: Sequence[VideoFeatures]) -> list[VideoFeatures]:
    """Videos whose titles name the colour, of which every third one has another tag for it; the first one has a tag of its own.

    What is blue has the tag "sky" beside it, whatever it is called.
    """
    found = []
    for number, video in enumerate(videos):
        colour = video.tags[1]
        tags = [VARIANTS.get(tag, tag) if number % 3 == 0 else tag for tag in video.tags] + ["sky"] * (colour == "blue")
        found.append(replace(video, title=f"{video.title} {colour}", tags=tuple(tags)))
    return [replace(found[0], tags=(*found[0].tags, "<b>odd & new</b>")), *found[1:]]


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("store") / "feats.h5", with_variants(tiny_videos(240)))
