"""What a tag rests on: the frames and the title words that its score depends on most.

Attention alone says little: on videos put together from two, with both titles, the frames that are attended to most lie in
the half that a tag is true of no more often than by chance. Weighted with the gradient of the tag's score (Chefer et al.,
ICCV 2021, Eq. 5) they do. Words are rated by the same gradient at their hybrid features F, times these features.

Legend: B videos, H heads, S title tokens, M frames, Q image patches, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.batching import Batch
from ..data.predicted_tag import PredictedTag
from .model.layers import CrossLayer
from .model.video_title_model import VideoTitleModel
from .systems.system import System


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
    """The evidence of every tag, in the order of ``tags``: per video, tags that the system predicted for it."""
    model = system.model
    with torch.enable_grad(), _in_evaluation_mode(model), _traced(model) as trace:
        scores = system.tag_log_scores(batch, tags)
        assert trace.features is not None
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
