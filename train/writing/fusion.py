"""Writing and recognising together: a tag's score is the mean of what the decoder and the tag head make of it.

The decoder writes rare and unseen tags and those that stand in the title; the head over the training tags recalls more
of the known ones. They err on other tags, so that a tag on which both agree is more often right. Legend: K training tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ..model.tag_head import ranked_columns

WRITING_BIAS = 3.0
"""The NIL bias with which tags are written for the fusion: freely, for the threshold on the fused score decides."""


def fuse(
    written: Sequence[PredictedTag], probabilities: NDArray[np.float32], tag_table: TagTable, least: float
) -> list[PredictedTag]:
    """Tags of one video whose fused score is at least ``least``, best first.

    Args:
        written: what the decoder wrote, each tag once.
        probabilities: (K,) of the tag head. For a novel tag it is 0; so is the written score of a tag not written.
    """
    by_key = {tag_key(tag.text): tag for tag in written}
    recognised = [tag_table.keys[column] for column in ranked_columns(probabilities, 2 * least)]
    fused = []
    for key in dict.fromkeys([*by_key, *recognised]):
        column, tag = tag_table.column_of.get(key), by_key.get(key)
        score = (0.0 if column is None else float(probabilities[column])) + (tag.score if tag else 0.0)
        tag = tag or PredictedTag(text=tag_table.spelling_of[key], score=0.0, novel=False)
        fused.append(replace(tag, score=score / 2))
    return sorted((tag for tag in fused if tag.score >= least), key=lambda tag: -tag.score)
