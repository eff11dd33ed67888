"""Novel tags replaced by the nearest allowed one: by the cosine of tag embeddings, the distance kept.

The embeddings of training tags come from the run folder; those of other texts are made by the run's text encoder, which is
opened when the first is needed. Legend: A allowed tags, n texts, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tag_list import TagList
from ...data.tags import tag_key
from ...extract.encoders.text_encoder import open_text_encoder
from ...train.run.run import Run
from ...train.run.tag_embeddings import load_tag_embeddings
from ..scores.run_store import trained_header

Vectors = NDArray[np.float32]


Embed = Callable[[Sequence[str]], Vectors]
"""n texts -> (n, E)."""


REMEMBERED = 100_000
"""So many novel tags are remembered with their nearest; then all are forgotten."""


class Snapper:
    """Finds the nearest allowed tag of every tag that is not allowed.

    Args:
        tags: what is allowed, a closed list.
        known: embeddings by the keys of training tags.
        embed: makes the embeddings of other texts.
    """

    def __init__(self, tags: TagList, known: dict[str, Vectors], embed: Embed):
        self._tags = tags
        self._known = known
        self._embed = embed
        self._nearest: dict[str, tuple[str, float]] = {}

    def __call__(self, tags: Sequence[PredictedTag]) -> list[PredictedTag]:
        """The tags of one video, best first, those that are not allowed replaced; blocked ones go."""
        if not self._tags.spellings:
            return list(tags)
        foreign = {tag_key(tag.text): tag.text for tag in tags if self._is_foreign(tag)}
        self._find([key for key in foreign if key not in self._nearest])
        return [self._snap(tag) if tag_key(tag.text) in foreign else tag for tag in tags]

    def _is_foreign(self, tag: PredictedTag) -> bool:
        key = tag_key(tag.text)
        return key not in self._tags.spelling_of and key not in self._tags.blocked

    def _snap(self, tag: PredictedTag) -> PredictedTag:
        nearest, distance = self._nearest[tag_key(tag.text)]
        return replace(tag, text=nearest, written=tag.text, distance=distance)

    def _find(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        if len(self._nearest) > REMEMBERED:
            self._nearest.clear()
        cosines = self._vectors(keys) @ self._allowed.T
        for key, row in zip(keys, cosines, strict=True):
            best = int(row.argmax())
            self._nearest[key] = (self._tags.spellings[best], float(np.clip(1.0 - row[best], 0.0, 2.0)))

    @cached_property
    def _allowed(self) -> Vectors:
        """Embeddings of the A allowed tags, (A, E), each of length 1."""
        return self._vectors([tag_key(spelling) for spelling in self._tags.spellings])

    def _vectors(self, keys: Sequence[str]) -> Vectors:
        others = [key for key in keys if key not in self._known]
        made = dict(zip(others, self._embed(others), strict=True)) if others else {}
        vectors = np.stack([self._known[key] if key in self._known else made[key] for key in keys])
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return unit


def open_snapper(run: Run, tags: TagList, *, device: str = "auto") -> Replacement:
    """For a run.

    Raises:
        RunError: the run keeps no tag embeddings.
        EncoderError: its text encoder cannot be had, or is not the one that made them.
    """
    known = dict(zip(run.tag_table.keys, load_tag_embeddings(run.path, run.tag_table), strict=True))
    encoder = open_text_encoder(trained_header(run.config.store).text_encoder, device=device)
    return Snapper(tags, known, encoder.embed)


Replacement = Callable[[Sequence[PredictedTag]], list[PredictedTag]]
"""The tags of one video -> the tags with some of them replaced."""
