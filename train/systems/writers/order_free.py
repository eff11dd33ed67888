"""``order-free``: the model chooses the order of the tags itself, in a rollout over the true tags (Chen et al., AAAI 2018).

At every tag boundary the remaining tag that the model scores highest comes next (§3.3 there, where a label is one token).
Here a tag has several word pieces and is scored by its first one. To score all of its pieces would need a decoding of every
remaining tag at every boundary, L²/2 of them beside one, and would prefer short tags to long ones; the first piece is also
what greedy decoding chooses by.

Legend: B videos, L tags, S title tokens, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....data.batching import Batch
from ....data.word_pieces import BOS, PAD, SEPARATOR
from ...model.tag_decoder import TagDecoder
from ...model.tag_sequence import MAX_TARGET_TOKENS, tag_sequence
from ...objective.shares import ALONE, Exchange
from ...objective.step_losses import StepLosses
from .ordered_writer import OrderedWriter


class OrderFree(OrderedWriter):
    """A rollout without gradient finds the order, one teacher-forced pass learns it; a tag is never written twice."""

    order_name = "in the model's own order"
    repeats = False

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """From frequent to rare: what decides between tags that the model scores alike."""
        del rng
        return tags[np.argsort(self.ranks[tags])]

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """One part, ``generation``; the video is encoded once for both passes."""
        tags = [self.order(usable, rng).tolist() for usable in self.usable_tags(batch, rng)]
        (features, mask), pieces = self.model.encode(batch), self.targets.pieces
        ordered = exchange.decide(lambda: model_order(self.model.decoder, features, mask, tags, pieces))
        sequences = [tag_sequence(chosen, pieces, MAX_TARGET_TOKENS) for chosen in ordered]
        loss = self.model.sequence_loss(features, mask, sequences, self.config.training, exchange)
        return StepLosses(parts={"generation": loss})


@torch.no_grad()
def model_order(
    decoder: TagDecoder,
    features: Tensor,
    mask: Tensor,
    tags: Sequence[Sequence[int]],
    pieces: Mapping[int, Sequence[int]],
) -> list[list[int]]:
    """The tags of every video in the decoder's own order, without dropout.

    All videos are decoded together, a token a step, and only remaining tags' first pieces are scored, never the whole
    vocabulary: the rollout costs about a forward pass of the decoder without its output.

    Args:
        features: F (B, S, D) with mask (B, S).
        tags: of every video; of tags that are scored alike the earlier one comes first.
        pieces: decoder ids of every tag.

    Returns:
        as ``tags``. Tags behind the longest target are in the given order: they are not written.
    """
    was_training = decoder.training
    decoder.eval()
    try:
        return _roll_out(decoder, features, mask, tags, pieces)
    finally:
        decoder.train(was_training)


def _roll_out(
    decoder: TagDecoder,
    features: Tensor,
    mask: Tensor,
    tags: Sequence[Sequence[int]],
    pieces: Mapping[int, Sequence[int]],
) -> list[list[int]]:
    remaining, chosen = [list(video) for video in tags], [list[int]() for _ in tags]
    # The tokens that each video still reads before its next boundary, the next one last.
    waiting = [[BOS] for _ in tags]
    state = decoder.begin(None, features, mask)
    for _ in range(MAX_TARGET_TOKENS):
        if all(len(video) <= 1 for video in remaining):
            break
        tokens = [video.pop() if video else PAD for video in waiting]
        hidden = decoder.step(state, torch.tensor(tokens, device=features.device))[:, 0]
        rows = [row for row, video in enumerate(remaining) if not waiting[row] and len(video) > 1]
        if not rows:
            continue
        best = _best(decoder, hidden, [[pieces[tag][0] for tag in remaining[row]] for row in rows], rows)
        for row, place in zip(rows, best, strict=True):
            tag = remaining[row].pop(place)
            chosen[row].append(tag)
            waiting[row] = [SEPARATOR, *reversed(pieces[tag])]
    return [[*first, *rest] for first, rest in zip(chosen, remaining, strict=True)]


def _best(decoder: TagDecoder, hidden: Tensor, first: Sequence[Sequence[int]], rows: Sequence[int]) -> list[int]:
    """Place of the best-scored of each row's pieces; the logits of one place differ from log-probabilities by a constant."""
    longest = max(len(video) for video in first)
    ids = torch.tensor([[*video, *[PAD] * (longest - len(video))] for video in first], device=hidden.device)
    vectors, bias = decoder.embedding.weight[ids].float(), decoder.output_bias[ids].float()
    scores = (vectors @ hidden[torch.tensor(rows, device=hidden.device)].float()[..., None])[..., 0] + bias
    return scores.masked_fill(ids == PAD, float("-inf")).argmax(dim=1).tolist()
