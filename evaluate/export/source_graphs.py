"""The sources beside a model as networks: what :mod:`optsg.train.recall` computes with NumPy, in operations that can be exported.

Strings cannot be: a title's n-grams, and the tags that stand in it, are inputs. Legend: B videos, M frames, Q patches, S title
tokens, G n-grams, K training tags, I training videos, L tags of a video, W width of a summary, E width of the text model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...train.model.tag_head import mean_over_valid
from ...train.recall.linear import LinearProbe
from ...train.recall.memory import NEIGHBOURS, TEMPERATURE, Memory
from ...train.recall.pictures import Pictures
from ...train.recall.scoring_prompts import PROMPTS, PromptNetwork, ScoringPrompts
from ...train.recall.sentence_model import SentenceModel
from ...train.recall.summary import PICTURE_WEIGHT, Summarizer

Pictured = tuple[Tensor, Tensor]
"""Frames or patches (B, M, dim) and their mask (B, M)."""

SMALL = 0.02
"""Below it a series is used: 1 − x in float32 knows little of a small x, and the ranker reads the order of small scores."""


def sigmoid(x: Tensor) -> Tensor:
    """σ(x), to all digits of small values too: the runtime's own operation is a rational approximation."""
    return (1 + (-x).exp()).reciprocal()


def noisy_or(chances: Tensor) -> Tensor:
    """1 − Π (1 − p) over dimension 1 of chances (B, N, K) below 1."""
    small = chances.clamp(max=SMALL)
    series = small * (1 + small * (1 / 2 + small * (1 / 3 + small * (1 / 4 + small / 5))))
    surprise = torch.where(chances < SMALL, series, -(1 - chances).log()).sum(1)
    little = surprise.clamp(max=SMALL)
    series = little * (1 - little * (1 / 2 - little * (1 / 6 - little * (1 / 24 - little / 120))))
    return torch.where(surprise < SMALL, series, 1 - (-surprise).exp())


def directions_of(vectors: Tensor) -> Tensor:
    """Rows of length 1, or 0."""
    return functional.normalize(vectors, dim=1)


class SentenceGraph(nn.Module):
    """Titles to vectors of the frozen text model, as :class:`optsg.train.recall.sentence_model.SentenceModel`.

    Args:
        specials: tokens that are no words.
    """

    specials: Tensor

    def __init__(self, model: SentenceModel, specials: frozenset[int]):
        super().__init__()
        self.encoder, self.pooling = model.encoder, model.pooling
        self.register_buffer("specials", torch.tensor(sorted(specials)))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, S) tokens and mask -> (B, E)."""
        words = mask & ~(tokens[..., None] == self.specials).any(-1)
        hidden = self.encoder(tokens, mask)
        pooled = hidden[:, 0] if self.pooling == "cls" else mean_over_valid(hidden, words)
        return directions_of(pooled) * words.any(1, keepdim=True)


class PictureGraph(nn.Module):
    """Mean frames and patches, standardised, in few dimensions, as :class:`optsg.train.recall.pictures.Pictures`."""

    mean: Tensor
    scale: Tensor
    directions: Tensor

    def __init__(self, pictures: Pictures):
        super().__init__()
        for name in ("mean", "scale", "directions"):
            self.register_buffer(name, getattr(pictures, name))

    def forward(self, pictures: Sequence[Pictured]) -> Tensor:
        """(B, P); of runs that read no patches those of the training videos are all alike, and carry nothing."""
        parts: list[Tensor] = []
        start = 0
        for values, mask in pictures:
            place = slice(start, start + values.shape[2])
            standard = (mean_over_valid(values, mask) - self.mean[place]) * self.scale[place]
            parts.append(directions_of(standard) * mask.any(1, keepdim=True))
            start = place.stop
        return torch.cat(parts, dim=1) @ self.directions[:start]


class SummaryGraph(nn.Module):
    """Frozen summaries of videos, as :class:`optsg.train.recall.summary.Summarizer` makes them."""

    ngram_directions: Tensor

    def __init__(self, summarizer: Summarizer, specials: frozenset[int]):
        super().__init__()
        tensors, model = summarizer.tensors(), summarizer.sentence_model
        self.sentences = None if model is None else SentenceGraph(model, specials)
        self.pictures = PictureGraph(Pictures.from_tensors(tensors))
        self.register_buffer("ngram_directions", tensors["ngrams.directions"].float())

    def forward(
        self, pictures: Sequence[Pictured], tokens: Tensor, mask: Tensor, ngrams: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """Vectors of titles (B, E), where there is a text model, and summaries (B, W)."""
        parts = [ngrams @ self.ngram_directions, PICTURE_WEIGHT * self.pictures(pictures)]
        if self.sentences is None:
            return None, torch.cat(parts, dim=1)
        sentences = self.sentences(tokens, mask)
        return sentences, torch.cat([sentences, *parts], dim=1)


class LinearGraph(nn.Module):
    """:class:`optsg.train.recall.linear.LinearProbe`."""

    mean: Tensor
    priors: Tensor
    weights: Tensor

    def __init__(self, linear: LinearProbe):
        super().__init__()
        tensors = linear.tensors()
        for name in ("mean", "priors", "weights"):
            self.register_buffer(name, tensors[f"linear.{name}"].float())

    def forward(self, summaries: Tensor) -> Tensor:
        """(B, W) -> (B, K)."""
        return ((summaries - self.mean) @ self.weights + self.priors).relu()


class MemoryGraph(nn.Module):
    """:class:`optsg.train.recall.memory.Memory`, with the tags of every video in a padded row.

    Args:
        tags: K.
    """

    centre: Tensor
    vectors: Tensor
    columns: Tensor

    def __init__(self, memory: Memory, tags: int):
        super().__init__()
        tensors = memory.tensors()
        self.tags = tags
        self.register_buffer("centre", tensors["memory.centre"].float())
        self.register_buffer("vectors", tensors["memory.vectors"].float().T.contiguous())
        ends, columns = tensors["memory.ends"].numpy(), tensors["memory.tags"].numpy()
        self.register_buffer("columns", _padded_rows(ends, columns, fill=tags))

    def forward(self, summaries: Tensor) -> Tensor:
        """(B, W) -> (B, K); what fills a row goes into a column that is cut off."""
        similarity = directions_of(summaries - self.centre) @ self.vectors
        nearest = similarity.topk(min(NEIGHBOURS, self.vectors.shape[1]), dim=1)
        votes = (nearest.values / TEMPERATURE).softmax(1)
        columns = self.columns[nearest.indices]
        wide = votes[..., None].expand(columns.shape)
        empty = votes.new_zeros(votes.shape[0], self.tags + 1)
        return empty.scatter_add(1, columns.flatten(1), wide.flatten(1))[:, : self.tags]


def _padded_rows(ends: NDArray[np.int64], columns: NDArray[np.int32], fill: int) -> Tensor:
    """(I, L) the columns of every video, as :func:`optsg.train.recall.tag_rows.row_tensors` gives them."""
    lengths = np.diff(ends, prepend=0)
    rows = np.full((len(ends), max(1, int(lengths.max(initial=0)))), fill, np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = columns
    return torch.from_numpy(rows)


class TextSimilarityGraph(nn.Module):
    """:class:`optsg.train.recall.text_similarity.TextSimilarity`.

    Args:
        embeddings: (K, E) of the tags.
    """

    tags: Tensor

    def __init__(self, embeddings: Tensor):
        super().__init__()
        self.register_buffer("tags", directions_of(embeddings).T.contiguous())

    def forward(self, sentences: Tensor) -> Tensor:
        """(B, E) -> (B, K)."""
        return (sentences @ self.tags).relu()


class ScoringPromptsGraph(nn.Module):
    """One reading of :class:`optsg.train.recall.scoring_prompts.ScoringPrompts`.

    Args:
        embeddings: (K, E) of the tags.
    """

    centre: Tensor
    tags: Tensor

    def __init__(self, prompts: ScoringPrompts, embeddings: Tensor):
        super().__init__()
        tensors = {name.removeprefix(f"{prompts.name}."): value for name, value in prompts.tensors().items()}
        self.register_buffer("centre", tensors.pop("centre").float())
        self.scale = float(tensors.pop("scale"))
        self.register_buffer("tags", directions_of(embeddings).T.contiguous())
        reading = prompts.reading
        self.network = PromptNetwork(reading, len(self.centre), embeddings.shape[1], torch.zeros(len(embeddings)))
        self.network.load_state_dict({name: value.float() for name, value in tensors.items()})

    def forward(self, summaries: Tensor) -> Tensor:
        """(B, W) -> (B, K)."""
        network = self.network
        hidden = functional.gelu(network.hidden((summaries - self.centre) * self.scale))
        prompts = functional.normalize(network.prompts(hidden).unflatten(1, (PROMPTS, -1)), dim=-1)
        closeness = network.log_scale.exp() * (prompts @ self.tags)
        if network.reading == "nearest":
            return sigmoid(closeness.logsumexp(1) - math.log(PROMPTS) + network.bias)
        choices = (closeness + network.bias).softmax(-1) * network.use(hidden).sigmoid()[..., None]
        return noisy_or(choices.clamp(max=1 - 1e-5))
