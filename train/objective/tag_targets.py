"""What training needs to know of a store's tags: embeddings to match and contrast with, word pieces to write.

Legend: U tags of the store's tag table, N prompts, E tag-embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.batching import Batch
from ...data.store import FeatureStore
from ...data.word_pieces import Vocabulary
from ..model.piece_table import PieceTable


def tag_targets(store: FeatureStore, vocabulary: Vocabulary, max_pieces: int, device: torch.device) -> TagTargets:
    """Embeddings of all tags, and the pieces of those that can be targets."""
    tokens = {tag: store.tag_tokens(tag).tolist() for tag in range(len(store.tag_keys))}
    embeddings, nil = store.finite_embeddings()
    return TagTargets(
        embeddings=torch.from_numpy(embeddings).to(device),
        nil=torch.from_numpy(nil).to(device),
        pieces=PieceTable(
            {
                tag: vocabulary.encode(pieces)
                for tag, pieces in tokens.items()
                if 0 < len(pieces) <= max_pieces and vocabulary.can_spell(pieces)
            }
        ),
    )


@dataclass(frozen=True, kw_only=True)
class TagTargets:
    """What training needs to know of the store's tags.

    Attributes:
        embeddings: (U, E), frozen.
        nil: (E,) embedding of "[PAD]".
        pieces: decoder ids of every tag that can be a target; others are left out of training.
        columns: (U,) number of every tag among the training tags, -1 for others; a tag head needs it.
    """

    embeddings: Tensor
    nil: Tensor
    pieces: Mapping[int, Sequence[int]]
    columns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @cached_property
    def table(self) -> PieceTable:
        """``pieces``, to look up those of many tags at once."""
        return PieceTable.of(self.pieces)

    def choose(self, tags: NDArray[np.int32], prompts: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The tags of a video that are targets in this step; N drawn at random where there are more than prompts."""
        return self._choose_each([tags], prompts, rng)[0]

    def choose_all(self, batch: Batch, prompts: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """:meth:`choose` for every video of a batch."""
        return batch.own(self._choose_each(batch.every_tags, prompts, rng))

    def _choose_each(
        self, videos: Sequence[NDArray[np.int32]], prompts: int, rng: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        every = np.concatenate(videos).astype(np.int64)
        known = self.table.knows(every)
        before = np.concatenate([[0], np.cumsum(known)])
        ends = np.cumsum([len(video) for video in videos])
        usable, cuts = every[known], before[ends].tolist()
        chosen = [usable[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]
        return [tags if len(tags) <= prompts else np.sort(rng.choice(tags, prompts, replace=False)) for tags in chosen]

    def left_out(self, store: FeatureStore, rows: NDArray[np.int64], max_pieces: int, *, recognised: bool) -> list[str]:
        """A line for people about the tags of the videos ``rows`` that are no targets, if there are any.

        Args:
            recognised: whether a tag head learns them all the same.
        """
        used = set(np.flatnonzero(store.tag_counts(rows)).tolist())
        missing = len(used - self.pieces.keys())
        if not missing:
            return []
        line = f"{missing:,} of {len(used):,} training tags cannot be written in at most {max_pieces} known word pieces"
        learnt = ", the tag head learns to recognise them" if recognised else ""
        return [f"{line}; the decoder does not learn to write them{learnt}"]
