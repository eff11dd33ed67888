"""Batches to frozen summaries: the title's vector of the frozen text model, the title's n-grams, the mean picture.

Nothing in a summary is trained on tags, so that what similar videos and titles are does not change in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ...data.batching import Batch, collate, reading_ahead, sequential_batches
from ...data.store import FeatureStore
from ...data.word_pieces import TitleTokenizer
from ..config import Modality
from .ngrams import Ngrams, title_words
from .pictures import MeanPictures, Pictures
from .sentence_model import SentenceModel
from .source import Floats, Summary

PICTURE_WEIGHT = 0.5
"""Of the picture beside the title's two vectors, each of length 1."""

MOST_FITTED = 20_000
"""Videos to which n-grams and pictures are fitted, drawn at random where there are more."""

BATCH = 256
"""Videos that are read at a time."""


class Summarizer:
    """Makes summaries.

    Args:
        tokenizer: titles' word pieces to words.
        modality: what is read; the rest is as if it were not there.
        sentence_model: ``None`` where the store's text model has not been trained, or titles are not read.
    """

    def __init__(
        self,
        tokenizer: TitleTokenizer,
        modality: Modality,
        sentence_model: SentenceModel | None,
        ngrams: Ngrams,
        pictures: Pictures,
    ):
        self._tokenizer, self._modality = tokenizer, modality
        self._specials = tokenizer.special_ids
        self.sentence_model = sentence_model
        self._ngrams, self._pictures = ngrams, pictures

    @classmethod
    def fit(cls, store: FeatureStore, tokenizer: TitleTokenizer, modality: Modality, *, seed: int = 0) -> Summarizer:
        """From the store's training videos.

        Raises:
            StoreError: its text model's weights do not fit its settings.
        """
        rng = np.random.default_rng(seed)
        rows = store.indices("train")
        if len(rows) > MOST_FITTED:
            rows = np.sort(rng.choice(rows, MOST_FITTED, replace=False))
        titles: list[list[str]] = []
        pictures: list[MeanPictures] = []
        for numbers in reading_ahead(store, list(sequential_batches(rows, BATCH))):
            batch = collate(store, numbers)
            titles += [title_words(tokenizer, pieces) for pieces in _titles(batch, tokenizer.special_ids, modality)]
            pictures.append(MeanPictures.of(batch))
        sentence_model = None if modality == "video" else SentenceModel.from_store(store)
        ngrams = Ngrams.of_corpus(titles, rng)
        return cls(tokenizer, modality, sentence_model, ngrams, Pictures.of_corpus(MeanPictures.joined(pictures), rng))

    def word_frequency(self, word: str) -> float:
        """In the titles of training, as :meth:`Ngrams.frequency`."""
        return self._ngrams.frequency(word)

    def summarize(self, batch: Batch) -> Summary:
        """What is known of every video of a batch."""
        titles = _titles(batch, self._specials, self._modality)
        sentences = self._sentences(batch)
        ngrams = self._ngrams.vectors([title_words(self._tokenizer, pieces) for pieces in titles])
        pictures = self._pictures.vectors(MeanPictures.of(batch))
        weight = 0.0 if self._modality == "title" else PICTURE_WEIGHT
        vectors = np.concatenate([sentences, ngrams, weight * pictures], axis=1, dtype=np.float32)
        return Summary(titles=titles, sentences=sentences, vectors=vectors)

    def texts(self, batch: Batch) -> list[str]:
        """Each title of a batch as the tokenizer spells it; a line ends where it has no piece for something."""
        unknown = self._tokenizer.unknown_id
        titles = _titles(batch, self._specials - {unknown}, self._modality)
        return ["\n".join(map(self._tokenizer.spell, _split(pieces, unknown))) for pieces in titles]

    def _sentences(self, batch: Batch) -> Floats:
        if self.sentence_model is None:
            return np.empty((len(batch), 0), np.float32)
        tokens, mask = batch.title_tokens.cpu(), batch.title_mask.cpu()
        found: Floats = self.sentence_model.embed(tokens, mask, self._specials).numpy()
        return found

    @property
    def width(self) -> int:
        """W, the length of a summary."""
        sentence: int = 0 if self.sentence_model is None else self.sentence_model.width
        ngrams, pictures = self._ngrams.directions.shape[1], self._pictures.directions.shape[1]
        return int(sentence + ngrams + pictures)

    def tensors(self) -> dict[str, Tensor]:
        """Numbers of what :meth:`from_tensors` reads, but for the text model's."""
        return {**self._ngrams.tensors(), **self._pictures.tensors()}

    @property
    def names(self) -> Sequence[str]:
        """Texts of what :meth:`from_tensors` reads."""
        return self._ngrams.names

    @classmethod
    def from_tensors(
        cls,
        tokenizer: TitleTokenizer,
        modality: Modality,
        sentence_model: SentenceModel | None,
        names: Any,
        tensors: Mapping[str, Tensor],
    ) -> Summarizer:
        """Raises KeyError or ValueError where something is missing or does not fit."""
        ngrams, pictures = Ngrams.from_tensors(names, tensors), Pictures.from_tensors(tensors)
        return cls(tokenizer, modality, sentence_model, ngrams, pictures)


def _titles(batch: Batch, specials: frozenset[int], modality: Modality) -> list[list[int]]:
    """The word pieces of every title, without special tokens; none where titles are not read."""
    if modality == "video":
        return [[] for _ in range(len(batch))]
    rows = zip(batch.title_tokens.tolist(), batch.title_mask.tolist(), strict=True)
    return [
        [token for token, some in zip(tokens, mask, strict=True) if some and token not in specials]
        for tokens, mask in rows
    ]


def _split(pieces: Sequence[int], unknown: int | None) -> list[list[int]]:
    """What stands between unknown pieces."""
    parts: list[list[int]] = [[]]
    for piece in pieces:
        if piece == unknown:
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts
