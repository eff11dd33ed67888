"""Writing and recognising together: a tag's score is the mean of what the decoder and the tag head make of it.

The decoder writes rare and unseen tags and those that stand in the title; the head over the training tags recalls more
of the known ones. They err on other tags, so that a tag on which both agree is more often right. Legend: B videos, K training
tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.predicted_tag import PredictedTag
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ..model.tag_head import ranked_columns
from .tag_control import BatchControl

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


def fuse_each(
    written: Sequence[Sequence[PredictedTag]],
    logits: Tensor,
    tag_table: TagTable,
    values: Sequence[float],
    control: BatchControl | None = None,
) -> list[list[list[PredictedTag]]]:
    """:func:`fuse` for several thresholds: per threshold, the tags of every video.

    Args:
        written: per video, what the decoder wrote, each tag once.
        logits: (B, K) of the tag head.
        control: training tags that it does not allow are not recognised.
    """
    probabilities = logits.sigmoid()
    if control is not None:
        probabilities = control.mask_columns(probabilities, 0.0)
    videos = zip(written, probabilities.cpu().numpy(), strict=True)
    fused = [fuse(*video, tag_table, min(values)) for video in videos]
    return [[[tag for tag in tags if tag.score >= value] for tags in fused] for value in values]


def fused_log_scores(
    tags: Sequence[Sequence[PredictedTag]],
    written: Sequence[Sequence[Tensor | None]],
    recognised: Tensor | None,
    tag_table: TagTable,
    nothing: Tensor,
) -> list[list[Tensor]]:
    """The logarithm of what each tag's fused score is made of, with gradients.

    Args:
        written: per tag, the logarithm of its written score, ``None`` where it was not written.
        recognised: (B, K) logarithms of the tag head's probabilities, ``None`` without a head.
        nothing: scalar for a tag that is neither.
    """
    scores: list[list[Tensor]] = []
    for row, (video, log_scores) in enumerate(zip(tags, written, strict=True)):
        scores.append([])
        for tag, log_score in zip(video, log_scores, strict=True):
            parts = [] if log_score is None else [log_score]
            column = tag_table.column_of.get(tag_key(tag.text))
            if recognised is not None and column is not None:
                parts.append(recognised[row, column])
            scores[-1].append(torch.stack(parts).logsumexp(0) if parts else nothing)
    return scores
