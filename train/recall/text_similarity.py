"""How close a tag's text is to the title's, by the frozen text model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .neighbours import directions_of
from .source import Floats, Scores, Summary, product


class TextSimilarity:
    """max(0, cosine) of the title's vector and each tag's embedding. The one source that knows nothing of the training tags' use.

    Args:
        embeddings: (K, E) of the training tags.
    """

    name: ClassVar[str] = "text-similarity"

    def __init__(self, embeddings: NDArray[np.float32]):
        self._embeddings = directions_of(embeddings)

    def score(self, summary: Summary) -> Scores:
        """(B, K) cosines, those below 0 as 0."""
        similarity: Floats = np.maximum(product(summary.sentences, self._embeddings.T), 0.0)
        return similarity
