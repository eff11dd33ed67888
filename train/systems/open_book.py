"""``open-book``: retrieve–copy–generate (Zhang et al., CVPR 2021; ``method.md`` §6), tags from frequent to rare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...data.batching import Batch
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.title_tokenizer import TitleTokenizer
from ..build import start_encoder
from ..config import RunConfig
from ..constraints.tag_control import BatchControl
from ..generation import WrittenTokens
from ..open_book import OpenBookWriter, OpenPages, open_pages
from ..retrieval import RETRIEVAL, RetrievalIndex
from .frequency_first import FrequencyFirst
from .system import StepLosses


class OpenBook(FrequencyFirst):
    """The training items themselves, as an index, belong to the run."""

    model: OpenBookWriter

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        most = config.training.max_tag_pieces
        self._pieces = [
            self.vocabulary.encode(pieces) if len(pieces) <= most and self.vocabulary.can_spell(pieces) else []
            for pieces in tag_table.tokens
        ]
        self._index: RetrievalIndex | None = None

    def build_model(self) -> OpenBookWriter:
        """The writer with its book's encoder and copy gate."""
        return OpenBookWriter(self.config.model, self.config.inputs)

    @property
    def extent(self) -> str:
        """Order of the tags and number of neighbours."""
        return f"{super().extent}, {self.config.model.neighbours} neighbours"

    def start(self, store: FeatureStore) -> None:
        """As without a book; the index is made while the word embeddings are still the text model's."""
        words = start_encoder(self.model, store, self.config)
        self._index = RetrievalIndex.from_store(store, words, self.tag_table, self.config.model.modality)

    def save(self, run: Path) -> None:
        """Writes the index into the run folder."""
        self._index_on(torch.device("cpu")).save(run / RETRIEVAL)

    def load(self, run: Path) -> None:
        """Reads the index from the run folder."""
        self._index = RetrievalIndex.load(run / RETRIEVAL)

    def _index_on(self, device: torch.device) -> RetrievalIndex:
        assert self._index is not None
        self._index = self._index.to(device)
        return self._index

    def pages(self, batch: Batch, *, exclude_own: bool) -> OpenPages:
        """Tags of the neighbours of every video."""
        index = self._index_on(batch.title_tokens.device)
        items, similarity = index.neighbours(batch, self.config.model.neighbours, exclude_own=exclude_own)
        return open_pages(index, items, similarity, self._pieces)

    def losses(self, batch: Batch, rng: np.random.Generator) -> StepLosses:
        """One part, ``generation``; a video of the index does not find itself."""
        pages = self.pages(batch, exclude_own=True)
        loss = self.model.open_loss(batch, self.sequences(batch, rng), pages, self.config.training)
        return StepLosses(parts={"generation": loss})

    def sequence_log_probs(self, batch: Batch, sequences: Sequence[Sequence[int]], tags: int) -> Tensor:
        """The neighbours' tags can be copied."""
        return self.model.open_log_probs(batch, sequences, tags, self.pages(batch, exclude_own=False))

    def write(
        self, batch: Batch, eos_bias: float, *, use_cache: bool = True, control: BatchControl | None = None
    ) -> WrittenTokens:
        """Nothing is excluded: what is tagged is no training item."""
        pages = self.pages(batch, exclude_own=False)
        return self.model.open_write(batch, pages, eos_bias=eos_bias, use_cache=use_cache, control=control)
