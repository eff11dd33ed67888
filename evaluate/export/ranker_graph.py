"""``ranker.onnx``: what the sources say of every training tag to how likely it is right, and whether it is given.

Features are those of :mod:`optsg.train.ranking.pairs`, but a score of 0 has the last rank: the order of the tag table,
in which the run's own ranker takes equal ones, says nothing. Legend: B videos, K training tags, R sources, F features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...train.confidence.calibration import EDGE, Scaling
from ...train.ranking.favour import Bar
from ...train.ranking.logistic import LogisticModel
from ...train.ranking.pairs import PROPOSED, RANKED, Pairs
from .source_graphs import sigmoid

OUTPUTS = ("scores", "given")
"""How likely each tag is right (B, K), 0 where no source proposes it, and whether it is one of the video's tags (B, K)."""

MOST_LOGIT = float(np.log((1 - EDGE) / EDGE))
"""Logits are kept this far from infinity before they are calibrated."""


class PairFeatures(nn.Module):
    """The features of all pairs of a video and a training tag.

    Args:
        counts: (K,) occurrences in training.
    """

    log_counts: Tensor

    def __init__(self, counts: NDArray[np.int64]):
        super().__init__()
        self.register_buffer("log_counts", torch.from_numpy(np.log1p(counts).astype(np.float32)))

    def forward(self, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, R, K) -> features (B, K, F), and which pairs some source proposes (B, K)."""
        ranks = _ranks(sources)
        proposed = ((ranks < PROPOSED) & (sources > 0)).any(1)
        kinds = [sources, sources.sqrt(), (1 + ranks).log(), sources * self.log_counts]
        by_source = torch.stack(kinds, dim=2).flatten(1, 2).transpose(1, 2)
        counts = self.log_counts[None, :, None].expand(sources.shape[0], -1, 1)
        return torch.cat([counts, by_source], dim=2), proposed

    @torch.no_grad()
    def pairs(self, sources: Tensor) -> Pairs:
        """The proposed pairs, for a ranker to be fitted on."""
        features, proposed = self(sources)
        videos, columns = proposed.nonzero(as_tuple=True)
        return Pairs(videos=videos.numpy(), columns=columns.numpy(), features=features[proposed].numpy())


def _ranks(sources: Tensor) -> Tensor:
    """(B, R, K) place of each tag in a source's order, from 0; :data:`RANKED` where it is further behind, or has nothing."""
    most = min(RANKED, sources.shape[2])
    if torch.compiler.is_exporting():
        best = sources.topk(most, dim=2).indices  # in ONNX the first of equal ones comes first
    else:
        best = sources.sort(dim=2, descending=True, stable=True).indices[:, :, :most]
    places = torch.arange(most, dtype=sources.dtype).expand(best.shape)
    ranks = torch.full_like(sources, RANKED).scatter(2, best, places)
    return torch.where(sources > 0, ranks, float(RANKED))


class RankerGraph(nn.Module):
    """The ranker's decision.

    Args:
        counts: (K,) occurrences in training.
        model: of pairs with training tags.
        bar: which of them are given.
        scaling: of their probabilities.
    """

    weights: Tensor
    lift: Tensor

    def __init__(self, counts: NDArray[np.int64], model: LogisticModel, bar: Bar, scaling: Scaling):
        super().__init__()
        self.features = PairFeatures(counts)
        weights = model.weights / model.scale
        self.register_buffer("weights", torch.from_numpy(weights.astype(np.float32)))
        self.bias = model.bias - float(weights @ model.mean)
        self.register_buffer("lift", torch.from_numpy((bar.lifted(np.ones(len(counts)), counts)).astype(np.float32)))
        self.least, self.scaling = bar.least, scaling

    def forward(self, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the sources (B, R, K) -> :data:`OUTPUTS`."""
        features, proposed = self.features(sources)
        logits = features @ self.weights + self.bias
        given = proposed & (sigmoid(logits) * self.lift >= self.least)
        bounded = logits.clamp(-MOST_LOGIT, MOST_LOGIT)
        scores = sigmoid(bounded / self.scaling.temperature + self.scaling.offset)
        return torch.where(proposed, scores, 0.0), given
