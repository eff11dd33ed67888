"""``open-book``: retrieve–copy–generate (Zhang et al., CVPR 2021) for tags, written from frequent to rare.

The writer reads the tags of similar training items through a copy gate that lets it take them over. In training the neighbours
are drawn from more of the nearest ones than are read later, or the few training items' neighbours give their tags away. With
``book_entry`` memory, as version 0.1.0 had it, the tags' word pieces also join what the decoder attends to; it then hardly
looks at title and frames, and all nearest neighbours are read in training too.

Legend: B videos, S title tokens, K neighbours, J word pieces of their tags, T target tokens, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....data.batching import Batch
from ....data.store import FeatureStore
from ....data.tag_table import TagTable
from ....data.word_pieces import PAD, TitleTokenizer
from ...config import InputConfig, ModelConfig, RunConfig, TrainingConfig
from ...model.copy_gate import CopyGate, CopySource
from ...model.layers import Dropout, init_weights
from ...model.token_output import CopyingOutput
from ...objective.shares import ALONE, Exchange
from ...objective.step_losses import StepLosses
from ...run_files import RETRIEVAL
from ...writing.greedy import WrittenTokens
from ...writing.tag_control import BatchControl
from .ordered_writer import FrequencyFirst
from .retrieval import RetrievalIndex
from .tag_writer import TagWriter, copying_loss


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
        """Starts the writer, and makes the index while the word embeddings are still the text model's."""
        words = self.model.load_text_encoder(store.title_encoder_weights())
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

    def pages(self, batch: Batch, *, exclude_own: bool, rng: np.random.Generator | None = None) -> OpenPages:
        """Tags of the neighbours of every video.

        Args:
            exclude_own: a video of the index does not find itself.
            rng: draws the neighbours from :data:`DRAWN_FROM` times as many nearest ones; without it the nearest are taken.
        """
        index, count = self._index_on(batch.title_tokens.device), self.config.model.neighbours
        if rng is None:
            return open_pages(index, *index.neighbours(batch, count, exclude_own=exclude_own), self._pieces)
        items, similarity = index.neighbours(batch, DRAWN_FROM * count, exclude_own=exclude_own)
        numbers = rng.random((len(batch.every_tags), items.shape[1]))  # alike in every share of the joint batch
        drawn = np.sort(batch.own_rows(numbers).argsort(axis=1)[:, :count], axis=1)
        places = torch.from_numpy(drawn).to(similarity.device)
        return open_pages(index, np.take_along_axis(items, drawn, 1), similarity.gather(1, places), self._pieces)

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """One part, ``generation``: the decoder's cross-entropy and, where the book is copied from, the loss of the copy gate."""
        draws = self.model.training and self.config.model.book_entry == "copy"
        pages = self.pages(batch, exclude_own=True, rng=rng if draws else None)
        loss = self.model.open_loss(batch, self.sequences(batch, rng), pages, self.config.training, exchange)
        return StepLosses(parts={"generation": loss})

    def sequence_log_probs(self, batch: Batch, sequences: Sequence[Sequence[int]], tags: int) -> Tensor:
        """Mean log-probability of the pieces of each tag, (B, ``tags``); neighbours' tags can be copied."""
        return self.model.open_log_probs(batch, sequences, tags, self.pages(batch, exclude_own=False))

    def write(
        self, batch: Batch, eos_bias: float, *, use_cache: bool = True, control: BatchControl | None = None
    ) -> WrittenTokens:
        """Nothing is excluded: what is tagged is no training item."""
        pages = self.pages(batch, exclude_own=False)
        return self.model.open_write(batch, pages, eos_bias=eos_bias, use_cache=use_cache, control=control)


DRAWN_FROM = 3
"""Times as many neighbours as are read, among which training draws them."""


MAX_TAGS = 32
"""Tags of a video's neighbours that are read; of more, those of the most and the nearest neighbours."""


POSITIONS = 32
"""Places in a tag that have a vector of their own."""


INITIAL_SHARPNESS = 10.0
"""Neighbours are weighed by softmax(sharpness · similarity); the sharpness is learned."""


@dataclass(frozen=True, kw_only=True)
class OpenPages:
    """The neighbours' tags of every video, each tag once.

    Attributes:
        ids: (B, J) decoder ids of the word pieces, PAD where there is nothing.
        positions: (B, J) place of each piece in its tag.
        owners: (B, J, K) which neighbours have the tag.
        similarity: (B, K), -inf where there is no neighbour.
    """

    ids: Tensor
    positions: Tensor
    owners: Tensor
    similarity: Tensor


def open_pages(
    index: RetrievalIndex, items: NDArray[np.int64], similarity: Tensor, pieces: Sequence[Sequence[int]]
) -> OpenPages:
    """Looks up the tags of neighbours.

    Args:
        items, similarity: (B, K), as :meth:`RetrievalIndex.neighbours` gives them.
        pieces: decoder ids of every tag of the tag table; tags without any are left out.
    """
    read = [_read(index, *row, pieces) for row in zip(items.tolist(), similarity.tolist(), strict=True)]
    # A multiple of 8: few different shapes, for which a CPU prepares its matrix kernels one by one.
    longest = -(-max(1, *(len(video) for video in read)) // 8) * 8
    ids, positions = torch.full((len(read), longest), PAD), torch.zeros(len(read), longest, dtype=torch.int64)
    owners = np.zeros((len(read), longest, items.shape[1]), np.bool_)
    for row, video in enumerate(read):
        for place, (piece, position, having) in enumerate(video):
            ids[row, place], positions[row, place] = piece, position
            owners[row, place, having] = True
    device = similarity.device
    return OpenPages(
        ids=ids.to(device),
        positions=positions.to(device),
        owners=torch.from_numpy(owners).to(device),
        similarity=similarity,
    )


def _read(
    index: RetrievalIndex, items: Sequence[int], similarity: Sequence[float], pieces: Sequence[Sequence[int]]
) -> list[tuple[int, int, list[int]]]:
    """One video's pieces: decoder id, place in the tag, and which neighbours have the tag."""
    having: dict[int, list[int]] = {}
    for neighbour, item in enumerate(items):
        for tag in index.tags_of(item) if item >= 0 else []:
            if pieces[tag]:
                having.setdefault(tag, []).append(neighbour)
    closeness = {tag: sum(similarity[neighbour] for neighbour in owners) for tag, owners in having.items()}
    kept = sorted(having, key=lambda tag: (-closeness[tag], tag))[:MAX_TAGS]
    return [(piece, position, having[tag]) for tag in kept for position, piece in enumerate(pieces[tag])]


class OpenBookWriter(TagWriter):
    """A writer with an encoder of retrieved tags and a copy gate over them."""

    def __init__(self, model: ModelConfig, inputs: InputConfig):
        super().__init__(model, inputs)
        width = model.width
        self._book_entry = model.book_entry
        # The pieces' encoder is one projection: a neighbour's tags have no order that layers could read.
        self.page_projection = nn.Linear(width, width)
        self.page_position = nn.Embedding(POSITIONS, width)
        self.page_weight = nn.Linear(1, width)
        self.page_norm = nn.LayerNorm(width)
        self.page_dropout = Dropout(model.dropout)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(INITIAL_SHARPNESS)))
        self.copy_gate = CopyGate(width)
        for part in (self.page_projection, self.page_position, self.page_weight, self.copy_gate):
            part.apply(init_weights)

    def source(self, pages: OpenPages) -> CopySource:
        """Encoded pieces with the logarithm of their neighbours' joint weight."""
        weight = self._weights(pages)
        encoded = self.page_projection(self.decoder.embedding(pages.ids))
        encoded = encoded + self.page_position(pages.positions.clamp(max=POSITIONS - 1))
        encoded = encoded + self.page_weight(weight[..., None].to(encoded.dtype))
        some = (pages.ids != PAD) & (weight > 0)
        log_weight = torch.where(some, torch.where(some, weight, 1.0).log(), float("-inf"))
        return CopySource(ids=pages.ids, keys=self.page_dropout(self.page_norm(encoded)), log_weight=log_weight)

    def _weights(self, pages: OpenPages) -> Tensor:
        """(B, J) summed weights of the neighbours that have the piece's tag, in float32."""
        there = pages.similarity > float("-inf")
        sharp = self.log_sharpness.float().exp() * torch.where(there, pages.similarity, 0.0)
        # No neighbour at all leaves nothing to weigh; the owners are then nobody.
        weights = sharp.masked_fill(~there & there.any(dim=1, keepdim=True), float("-inf")).softmax(dim=1)
        return (pages.owners * weights[:, None]).sum(dim=2)

    def read(self, batch: Batch, pages: OpenPages) -> tuple[Tensor, Tensor, CopySource]:
        """What the decoder attends to, its mask, and what can be copied.

        Returns:
            F (B, S, D), with ``book_entry`` memory F and the pages' encoded pieces (B, S + J, D); mask (B, S or S + J).
        """
        source = self.source(pages)
        features, mask = self.encode(batch)
        if self._book_entry == "copy":
            return features, mask, source
        return torch.cat([features, source.keys], dim=1), torch.cat([mask, source.usable], dim=1), source

    def open_loss(
        self,
        batch: Batch,
        sequences: Sequence[Sequence[int]],
        pages: OpenPages,
        training: TrainingConfig,
        exchange: Exchange,
    ) -> Tensor:
        """Mean cross-entropy of the tokens under the mixture, and in training with ``book_entry`` copy the copy loss."""
        memory, mask, source = self.read(batch, pages)
        weight = training.copy_weight if self.training and self._book_entry == "copy" else 0.0
        token_loss = copying_loss(self.copy_gate, source, weight)
        return self.sequence_loss(memory, mask, sequences, training, exchange, token_loss)

    def open_log_probs(self, batch: Batch, sequences: Sequence[Sequence[int]], tags: int, pages: OpenPages) -> Tensor:
        """:meth:`tag_log_probs` under the mixture."""
        memory, mask, source = self.read(batch, pages)
        return self.tag_log_probs(memory, mask, sequences, tags, copying_loss(self.copy_gate, source))

    @torch.no_grad()
    def open_write(
        self,
        batch: Batch,
        pages: OpenPages,
        *,
        eos_bias: float = 0.0,
        use_cache: bool = True,
        control: BatchControl | None = None,
    ) -> WrittenTokens:
        """Tokens for a batch; ``control`` as in :meth:`write`."""
        memory, mask, source = self.read(batch, pages)
        output = CopyingOutput(self.decoder, self.copy_gate, source)
        return self.write_from(
            memory, mask, eos_bias=eos_bias, repeats=True, use_cache=use_cache, output=output, control=control
        )
