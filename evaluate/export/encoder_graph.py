"""``encoder.onnx``: a video to what each source says of every training tag, but for what the decoder writes.

Legend: B videos, M frames, Q patches, S title tokens, G n-grams, K training tags, R sources, D width, N prompts, E width of
the text model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...data.batching import Batch
from ...train.model.op_tsg import OPTSG
from ...train.recall.sources import RecallSources
from .source_graphs import (
    LinearGraph,
    MemoryGraph,
    Pictured,
    ScoringPromptsGraph,
    SummaryGraph,
    TextSimilarityGraph,
    directions_of,
    noisy_or,
    sigmoid,
)

OUTPUTS = ("features", "prompts", "logits", "sources")
"""Fused features F (B, S, D), order prompts (B, N, E), the tag head's logits (B, K), the sources' scores (B, R, K)."""


class EncoderGraph(nn.Module):
    """The default system's model and the sources beside it.

    Args:
        model: in float32 on the CPU, with a tag head.
        sources: of the run, as they were trained.
        specials: tokens of titles that are no words.

    Attributes:
        source_names: of ``sources``, in order.
    """

    def __init__(self, model: OPTSG, sources: RecallSources, specials: frozenset[int]):
        super().__init__()
        embeddings = torch.from_numpy(sources.embeddings)
        self.model = model
        self.summary = SummaryGraph(sources.summarizer, specials)
        self.linear = LinearGraph(sources.linear)
        self.memory = MemoryGraph(sources.memory, len(sources.tag_table))
        self.text_similarity = None if sources.text_similarity is None else TextSimilarityGraph(embeddings)
        self.scorers = nn.ModuleList(ScoringPromptsGraph(prompts, embeddings) for prompts in sources.prompts)
        self.nearness = NearnessGraph(embeddings)
        self.source_names = (*(source.name for source in sources.sources), "prompts", "recognised")

    def forward(
        self,
        frames: Tensor,
        frame_mask: Tensor,
        title_tokens: Tensor,
        title_mask: Tensor,
        title_ngrams: Tensor,
        title_match: Tensor,
        patches: Tensor | None = None,
        patch_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames (B, M, dim), tokens (B, S), their masks, n-grams (B, G), which tags stand in the title (B, K) -> :data:`OUTPUTS`.

        Args:
            patches, patch_mask: (B, Q, dim) and (B, Q), of runs that read images too.
        """
        batch = _batch(frames, frame_mask, title_tokens, title_mask, patches, patch_mask)
        features, mask = self.model.encode(batch)
        prompts = self.model.order_prompts(features, mask)
        assert self.model.tag_head is not None
        logits = self.model.tag_head.score(features, mask)
        pictures = [(frames, frame_mask)]
        if patches is not None and patch_mask is not None:
            pictures.append((patches, patch_mask))
        recalled = self._recalled(pictures, title_tokens, title_mask, title_ngrams, title_match)
        near = self.nearness(prompts, self.model.inverse_temperature)
        return features, prompts, logits, torch.stack([*recalled, near, sigmoid(logits)], dim=1)

    def _recalled(
        self, pictures: Sequence[Pictured], tokens: Tensor, mask: Tensor, ngrams: Tensor, match: Tensor
    ) -> list[Tensor]:
        """(B, K) of each source beside the model, in their order."""
        sentences, summaries = self.summary(pictures, tokens, mask, ngrams)
        found = [self.linear(summaries), self.memory(summaries), match]
        if self.text_similarity is not None:
            found.append(self.text_similarity(sentences))
        return [*found, *(scorer(summaries) for scorer in self.scorers)]


class NearnessGraph(nn.Module):
    """How near order prompts are to each tag, as :func:`optsg.train.systems.op_tsg.prompt_nearness`.

    Args:
        embeddings: (K, E) of the tags.
    """

    tags: Tensor

    def __init__(self, embeddings: Tensor):
        super().__init__()
        self.register_buffer("tags", directions_of(embeddings).T.contiguous())

    def forward(self, prompts: Tensor, inverse_temperature: Tensor) -> Tensor:
        """(B, N, E) -> (B, K)."""
        directions = nn.functional.normalize(prompts, dim=-1)
        return noisy_or((inverse_temperature * directions @ self.tags).softmax(-1).clamp(max=1 - 1e-6))


def _batch(
    frames: Tensor,
    frame_mask: Tensor,
    title_tokens: Tensor,
    title_mask: Tensor,
    patches: Tensor | None,
    patch_mask: Tensor | None,
) -> Batch:
    count = title_tokens.shape[0]
    return Batch(
        frames=frames,
        frame_mask=frame_mask,
        patches=frames.new_zeros(count, 0, 0) if patches is None else patches,
        patch_mask=frame_mask.new_zeros(count, 0) if patch_mask is None else patch_mask,
        title_tokens=title_tokens,
        title_mask=title_mask,
    )
