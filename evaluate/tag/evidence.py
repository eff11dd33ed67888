"""What a tag rests on: the frames and the title words that its score depends on most.

Attention alone says little: on videos put together from two, with both titles, the frames that are attended to most lie in
the half that a tag is true of no more often than by chance. Weighted with the gradient of the tag's score (Chefer et al.,
ICCV 2021, Eq. 5) they do. Words are rated by the same gradient at their hybrid features F, times these features. People are
given seconds of the video and words of the title in place of numbers of frames and tokens.

Legend: B videos, H heads, S title tokens, M frames, Q image patches, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.word_pieces import TitleTokenizer
from ...train.model.layers import CrossLayer
from ...train.model.video_title_model import VideoTitleModel
from ...train.systems.source_systems import NoNetwork
from ...train.systems.system import System


@dataclass(frozen=True, kw_only=True)
class TagEvidence:
    """Shares of a tag's evidence; those of frames and patches sum to 1, those of title tokens too, unless all are 0.

    Attributes:
        visual: of each frame, then of each image patch; empty where the model does not look.
        tokens: of each title token; empty where the model does not read.
    """

    visual: tuple[float, ...]
    tokens: tuple[float, ...]


@dataclass
class _Trace:
    """What one pass of the encoder went through.

    Attributes:
        attention: (B, H, S, M + Q) of every layer's cross-attention to the visual features.
        features: F (B, S, D).
    """

    attention: list[Tensor]
    features: Tensor | None = None


def explain(system: System, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> list[list[TagEvidence]]:
    """The evidence of every tag, in the order of ``tags``: per video, tags that the system predicted for it.

    Without a network there is none (:func:`without_evidence`).
    """
    model = system.model
    if isinstance(model, NoNetwork):
        return [[TagEvidence(visual=(), tokens=()) for _ in video] for video in tags]
    with torch.enable_grad(), _in_evaluation_mode(model), _traced(model) as trace:
        scores = system.tag_log_scores(batch, tags)
        assert trace.features is not None
        if not scores.requires_grad:  # no tag rests on the model: all come from titles and from what is remembered
            scores = scores + 0.0 * trace.features.sum()
        evidence: list[list[TagEvidence]] = [[] for _ in tags]
        for number in range(max((len(video) for video in tags), default=0)):
            # Videos do not influence each other: one pass back serves a tag of each of them.
            gradients = torch.autograd.grad(
                scores[:, number].sum(), [trace.features, *trace.attention], retain_graph=True, materialize_grads=True
            )
            of_features = (trace.features * gradients[0]).sum(dim=-1)
            of_attention = sum(
                (
                    (weights * gradient).clamp(min=0.0).sum(dim=(1, 2))
                    for weights, gradient in zip(trace.attention, gradients[1:], strict=True)
                ),
                start=scores.new_zeros(()),
            )
            for row, video in enumerate(tags):
                if number < len(video):
                    evidence[row].append(_evidence(model, batch, row, of_features, of_attention))
    return evidence


def without_evidence(system: System) -> str | None:
    """One sentence on why no tag of this system has evidence; ``None`` where they have."""
    if not isinstance(system.model, NoNetwork):
        return None
    return f"the system {system.config.system} has no network, so what its tags rest on in a video cannot be shown"


def _evidence(model: VideoTitleModel, batch: Batch, row: int, of_features: Tensor, of_attention: Tensor) -> TagEvidence:
    modality = model.config.modality
    tokens = () if modality == "video" else _shares(of_features[row], batch.title_mask[row])
    if modality == "title":
        return TagEvidence(visual=(), tokens=tokens)
    of_visual = (of_features if modality == "video" else of_attention)[row]
    # Patches are not looked at by a model that was trained without images.
    visual_mask = torch.cat([batch.frame_mask[row], batch.patch_mask[row]])[: len(of_visual)]
    return TagEvidence(visual=_shares(of_visual, visual_mask), tokens=tokens)


def _shares(relevance: Tensor, mask: Tensor) -> tuple[float, ...]:
    positive = relevance.detach().float().clamp(min=0.0)[mask]
    shares = positive / positive.sum().clamp(min=torch.finfo(torch.float32).tiny)
    return tuple(shares.tolist())


@contextmanager
def _in_evaluation_mode(model: VideoTitleModel) -> Iterator[None]:
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in was_training.items():
            module.training = mode  # each its own: a frozen part may stay in evaluation mode while the rest is trained


@contextmanager
def _traced(model: VideoTitleModel) -> Iterator[_Trace]:
    trace = _Trace(attention=[])

    def keep_features(_: object, __: object, output: tuple[Tensor, Tensor]) -> None:
        trace.features = output[0]

    hook = model.hybrid_encoder.register_forward_hook(keep_features)
    attentions = [
        layer.cross_attention
        for layer in model.hybrid_encoder.layers
        if isinstance(layer, CrossLayer) and layer.cross_attention is not None
    ]
    for attention in attentions:
        attention.listener = trace.attention.append
    try:
        yield trace
    finally:
        hook.remove()
        for attention in attentions:
            attention.listener = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a tag rests on.

    Attributes:
        frames: (seconds from the start, share of the evidence) of every frame that the model saw, in their order; the
            shares sum to 1, or are all 0. Empty for an image, and where the model does not look.
        words: (word, share) of every word of the title that the model read, likewise.
    """

    frames: tuple[tuple[float, float], ...]
    words: tuple[tuple[str, float], ...]

    @property
    def second(self) -> float | None:
        """Time of the frame with the largest share; ``None`` where no frame has any."""
        best = max(self.frames, key=lambda frame: frame[1], default=(0.0, 0.0))
        return best[0] if best[1] > 0 else None

    @property
    def word(self) -> str | None:
        """The word with the largest share; ``None`` where no word has any."""
        best = max(self.words, key=lambda word: word[1], default=("", 0.0))
        return best[0] if best[1] > 0 else None

    def to_json(self) -> dict[str, Any]:
        """``{"frames": [[second, share], …], "words": [[word, share], …]}``, shares rounded to a thousandth."""
        return {
            "frames": [[round(second, 3), round(share, 3)] for second, share in self.frames],
            "words": [[word, round(share, 3)] for word, share in self.words],
        }


def evidence_for_people(
    found: TagEvidence, *, times: Sequence[float], title: str, tokenizer: TitleTokenizer
) -> Evidence:
    """Puts times to frames and words to tokens; a word has the shares of its pieces together, special tokens none.

    Args:
        times: seconds of the video's frames; none for an image, whose evidence is of patches.
    """
    words: dict[tuple[int, int], float] = {}
    for span, share in zip(tokenizer.title_words(title), found.tokens, strict=False):
        if span is not None:
            words[span] = words.get(span, 0.0) + share
    total = sum(words.values()) or 1.0
    return Evidence(
        frames=tuple(zip(times, found.visual, strict=True)) if len(times) and found.visual else (),
        words=tuple((title[start:end], share / total) for (start, end), share in words.items()),
    )
