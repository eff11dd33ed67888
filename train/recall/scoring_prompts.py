"""Order prompts as scorers: a set of vectors made of a video's frozen summary, which meets every tag through its text.

As in the paper a video becomes a set of prompts that are compared with tag embeddings (Eq. 2–4), but here the prompts are
trained to score tags, with all training tags against each other and no decoder behind. Rare tags share what is learned of
tags of like meaning, and a tag that came after training is scored by its embedding. Two readings of the prompts are
:data:`READINGS`; they err differently, and the ranker is better with both than with either.

Legend: I training videos, B videos, K tags, C tags of a step, N prompts, W width of a summary, E width of the text model,
H hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from .source import Floats, Scores, Summary

Reading = Literal["nearest", "chosen"]
"""``nearest``: a tag is right if some prompt is near to it, each tag for itself. ``chosen``: every prompt that is in use
chooses one of the tags, and a tag is right if some prompt has chosen it (noisy-or)."""

READINGS: tuple[Reading, ...] = get_args(Reading)

PROMPTS, HIDDEN, DROPOUT = 8, 512, 0.4
EPOCHS, MOST_STEPS, WARMUP = 40, 30_000, 50
BATCH, LEARNING_RATE, WEIGHT_DECAY = 64, 1e-3, 1e-2

SAMPLED = 1024
"""Tags drawn for a step beside those that its videos have: all of them would cost more than they teach."""

SCALE: Mapping[Reading, float] = {"nearest": 2.5, "chosen": 3.0}
"""Of log s, where training begins."""

CHUNK = 2**24
"""Cosines that are held at a time."""


class PromptNetwork(nn.Module):
    """Summaries to prompts, and prompts with tags to how likely each tag is.

    Args:
        reading: of the prompts.
        width: W.
        text_width: E.
        priors: (K,) each tag's share of the training videos.
    """

    def __init__(self, reading: Reading, width: int, text_width: int, priors: Tensor):
        super().__init__()
        self.reading = reading
        self.hidden = nn.Linear(width, HIDDEN)
        self.prompts = nn.Linear(HIDDEN, PROMPTS * text_width)
        self.use = nn.Linear(HIDDEN, PROMPTS)
        self.log_scale = nn.Parameter(torch.tensor(SCALE[reading]))
        self.bias = nn.Parameter(prior_bias(reading, priors))

    def forward(self, summaries: Tensor, tags: Tensor, bias: Tensor) -> Tensor:
        """(B, C) log of how likely each tag is not there, at most 0.

        Args:
            summaries: (B, W), centred and scaled.
            tags: (C, E) embeddings of length 1.
            bias: (C,) of these tags.
        """
        hidden = F.dropout(F.gelu(self.hidden(summaries)), DROPOUT, self.training)
        prompts = F.normalize(self.prompts(hidden).unflatten(1, (PROMPTS, -1)), dim=-1)
        closeness = self.log_scale.exp() * (prompts @ tags.T)
        if self.reading == "nearest":
            return -F.softplus(closeness.logsumexp(1) - np.log(PROMPTS) + bias)
        choices = (closeness + bias).softmax(-1) * self.use(hidden).sigmoid().unsqueeze(-1)
        return torch.log1p(-choices.clamp(max=1 - 1e-5)).sum(1)


def prior_bias(reading: Reading, priors: Tensor) -> Tensor:
    """(K,) where a tag's bias begins: what its share of the training videos (K,) says."""
    shares = priors.clamp(1e-4, 1 - 1e-4)
    return shares.logit() if reading == "nearest" else (shares / shares.sum()).log() / 2


class ScoringPrompts:
    """One reading of prompts, as a source.

    Args:
        network: trained.
        centre: (W,) mean summary.
        scale: what makes centred summaries' numbers about as large as 1.
        embeddings: (K, E) of the tags; those that the network was not trained on behind.
        priors: (K,) each tag's share of the training videos.
    """

    def __init__(self, network: PromptNetwork, centre: Floats, scale: float, embeddings: Floats, priors: Floats):
        self._network, self._centre, self._scale = network.eval(), centre, scale
        self._tags = F.normalize(torch.from_numpy(embeddings), dim=-1)
        later = prior_bias(network.reading, torch.from_numpy(priors))[len(network.bias) :]
        self._bias = torch.cat([network.bias.detach(), later])

    @property
    def reading(self) -> Reading:
        """How the prompts are read, of :data:`READINGS`."""
        return self._network.reading

    @property
    def width(self) -> int:
        """W, the width of a summary."""
        return len(self._centre)

    @property
    def name(self) -> str:
        """In the ranker's file, for people."""
        return f"{self._network.reading}-prompts"

    @torch.no_grad()
    def score(self, summary: Summary) -> Scores:
        """(B, K) probability of every tag."""
        inputs = torch.from_numpy((summary.vectors - self._centre) * self._scale)
        few = max(1, CHUNK // (PROMPTS * max(1, len(self._tags))))
        parts = [-torch.expm1(self._network(part, self._tags, self._bias)) for part in inputs.split(few)]
        found: Floats = torch.cat(parts).numpy()
        return found

    def of_tags(self, embeddings: Floats, priors: Floats) -> ScoringPrompts:
        """The same for (K', E) tags of shares (K',), those that it scores now first."""
        return ScoringPrompts(self._network, self._centre, self._scale, embeddings, priors)

    @classmethod
    def fit(
        cls, reading: Reading, vectors: Floats, tags: csr_array, embeddings: Floats, *, seed: int = 0
    ) -> ScoringPrompts:
        """Trained for at most :data:`EPOCHS` epochs and :data:`MOST_STEPS` steps.

        Args:
            reading: of the prompts.
            vectors: (I, W) summaries of the training videos.
            tags: (I, K) 1 where a video has the tag.
            embeddings: (K, E) of the tags.
            seed: of weights, dropout and what is drawn.
        """
        centre: Floats = vectors.mean(0)
        scale = float(1 / max((vectors - centre).std(), 1e-9))
        priors: Floats = np.asarray(tags.sum(0) / len(vectors), np.float32).ravel()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = PromptNetwork(reading, vectors.shape[1], embeddings.shape[1], torch.from_numpy(priors))
            known = F.normalize(torch.from_numpy(embeddings), dim=-1)
            inputs = torch.from_numpy((vectors - centre) * scale)
            _train(network, inputs, tags, known, np.random.default_rng(seed))
        for parameter in network.parameters():  # as they are kept
            parameter.data = parameter.data.half().float()
        return cls(network, centre, scale, embeddings, priors)

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`from_tensors` reads."""
        own = {name: tensor.half() for name, tensor in self._network.state_dict().items()}
        own |= {"centre": torch.from_numpy(self._centre), "scale": torch.tensor(self._scale, dtype=torch.float64)}
        return {f"{self.name}.{name}": tensor for name, tensor in own.items()}

    @classmethod
    def from_tensors(
        cls, reading: Reading, tensors: Mapping[str, Tensor], embeddings: Floats, priors: Floats
    ) -> ScoringPrompts | None:
        """What :meth:`tensors` gave; ``None`` where there is nothing of it.

        Raises KeyError, ValueError or RuntimeError where something is missing or does not fit.
        """
        own = {
            name.partition(".")[2]: value for name, value in tensors.items() if name.startswith(f"{reading}-prompts.")
        }
        if not own:
            return None
        centre, scale = own.pop("centre").float().numpy(), float(own.pop("scale"))
        with torch.device("meta"):  # draws no weights: those that are there follow
            network = PromptNetwork(reading, len(centre), embeddings.shape[1], torch.from_numpy(priors))
        network.load_state_dict({name: value.float() for name, value in own.items()}, assign=True)
        return cls(network, centre, scale, embeddings, priors)


def _train(
    network: PromptNetwork, inputs: Tensor, tags: csr_array, embeddings: Tensor, rng: np.random.Generator
) -> None:
    """Minimises the binary cross-entropy of all tags, estimated on some of them in every step."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    steps = max(1, min(EPOCHS * -(-len(inputs) // BATCH), MOST_STEPS))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARMUP) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
    )
    network.train()
    for rows in _batches(len(inputs), steps, rng):
        own = tags[rows, :]
        columns, weight = _drawn(np.unique(own.indices), tags.shape[1], rng)
        bias = network.bias[columns]
        if network.reading == "chosen":  # a drawn tag stands for others in what a prompt chooses among
            bias = bias + weight.log()
        absent = network(inputs[rows], embeddings[columns], bias)
        right = torch.from_numpy(own[:, columns.numpy()].toarray())
        present = torch.log(-torch.expm1(absent.clamp(max=-1e-6)))
        loss = -torch.where(right > 0, present, weight * absent).sum() / len(rows)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rate.step()


def _batches(videos: int, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """So many batches of rows, every epoch in another order."""
    while True:
        order = rng.permutation(videos)
        for start in range(0, videos, BATCH):
            if steps == 0:
                return
            steps -= 1
            yield order[start : start + BATCH]


def _drawn(own: NDArray[np.int64], tags: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(C,) tags of a step, and (C,) how many each of them stands for: 1 for those that its videos have."""
    others = np.setdiff1d(np.arange(tags), own, assume_unique=True)
    drawn = others if len(others) <= SAMPLED else rng.choice(others, SAMPLED, replace=False)
    weight = np.ones(len(own) + len(drawn), np.float32)
    weight[len(own) :] = len(others) / max(1, len(drawn))
    return torch.from_numpy(np.concatenate([own, drawn]).astype(np.int64)), torch.from_numpy(weight)
