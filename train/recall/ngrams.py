"""TF-IDF of a title's words, pairs of words and character n-grams.

As scikit-learn's ``TfidfVectorizer(sublinear_tf=True)`` computes it, whose import alone takes longer than tagging a video.
Words come from word pieces, so that a title is read from what the store and every batch have of it. Legend: B titles, G n-grams, A directions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ...data.word_pieces import TitleTokenizer

MOST_NGRAMS = 1 << 15
"""The n-grams that most titles have; more of them teach a linear probe little."""

DIMENSIONS = 384
"""A: most of them."""

SHORTEST, LONGEST = 2, 4
"""Characters of a character n-gram, marks of a word's beginning and end included."""

EAST_ASIAN = "\u2e80"
"""The first character of the blocks of Chinese, Japanese and Korean, of which a single one is often a word."""

_WORD = re.compile(r"\w+")


def title_words(tokenizer: TitleTokenizer, pieces: Sequence[int]) -> list[str]:
    """Words of a title as the tokenizer spells them, lower case where it knows no other."""
    return _WORD.findall(tokenizer.decode(pieces)) if len(pieces) else []


def ngrams_of(words: Sequence[str]) -> Iterator[str]:
    """Words, pairs of neighbouring words, and character n-grams inside words; a word's are marked by its borders.

    Of East Asian scripts single characters count too.
    """
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"
    for word in words:
        marked = f"<{word}>"
        for length in range(SHORTEST, LONGEST + 1):
            for start in range(len(marked) - length + 1):
                yield f"#{marked[start : start + length]}"
        yield from (f"#{character}" for character in word if character >= EAST_ASIAN)


@dataclass(frozen=True, kw_only=True)
class Ngrams:
    """The n-grams of a corpus of titles.

    Attributes:
        names: of the G n-grams, in order.
        idf: (G,) ln((1 + titles) / (1 + titles with it)) + 1.
        directions: (G, A) the A directions that carry most of the corpus' titles.
    """

    names: tuple[str, ...]
    idf: NDArray[np.float32]
    directions: NDArray[np.float32]

    @classmethod
    def of_corpus(cls, titles: Sequence[Sequence[str]], rng: np.random.Generator) -> Ngrams:
        """The n-grams that occur in at least two titles, at most :data:`MOST_NGRAMS`, the most frequent ones.

        Args:
            titles: the words of each.
            rng: for the search of directions.
        """
        counts = Counter(gram for words in titles for gram in set(ngrams_of(words)))
        kept = sorted((-count, gram) for gram, count in counts.items() if count > 1)[:MOST_NGRAMS]
        frequency = np.array([-count for count, _ in kept], np.float64)
        idf = (np.log((1 + len(titles)) / (1 + frequency)) + 1).astype(np.float32)
        names = tuple(gram for _, gram in kept)
        plain = cls(names=names, idf=idf, directions=np.empty((len(names), 0), np.float32))
        return replace(plain, directions=main_directions(plain.weigh(titles), DIMENSIONS, rng))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _column_of(self) -> dict[str, int]:
        return {gram: column for column, gram in enumerate(self.names)}

    def frequency(self, gram: str) -> float:
        """Natural logarithm of how many times as many titles have an n-gram as have the rarest kept ones; 0 for one that was not kept."""
        column = self._column_of.get(gram)
        return 0.0 if column is None else float(self._rarest - self.idf[column])

    @cached_property
    def _rarest(self) -> np.float32:
        """The idf of those that the fewest titles have."""
        return np.max(self.idf)

    def weigh(self, titles: Sequence[Sequence[str]]) -> csr_array:
        """(B, G) rows of length 1, or 0 for a title with none of the n-grams."""
        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for words in titles:
            counts = Counter(self._column_of[gram] for gram in ngrams_of(words) if gram in self._column_of)
            found = sorted(counts)
            weights = (1 + np.log([counts[column] for column in found])) * self.idf[found]
            columns += found
            values += (weights / max(float(np.linalg.norm(weights)), 1e-12)).tolist()
            ends.append(len(columns))
        entries = (np.array(values, np.float32), np.array(columns, np.int64), np.array(ends, np.int64))
        return csr_array(entries, shape=(len(titles), len(self)))

    def vectors(self, titles: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """(B, A) of the words of B titles: their weights along the A directions."""
        found: NDArray[np.float32] = self.weigh(titles) @ self.directions
        return found

    def tensors(self) -> dict[str, Tensor]:
        """The numbers of what :meth:`from_tensors` reads; the names are texts and lie elsewhere."""
        return {"ngrams.idf": torch.from_numpy(self.idf), "ngrams.directions": torch.from_numpy(self.directions).half()}

    @classmethod
    def from_tensors(cls, names: Any, tensors: Mapping[str, Tensor]) -> Ngrams:
        """Raises KeyError or ValueError where names and numbers are missing or do not fit each other."""
        idf, directions = (tensors[f"ngrams.{name}"].float().numpy() for name in ("idf", "directions"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its n-grams are no list of texts")
        if idf.shape != (len(names),) or directions.ndim != 2 or len(directions) != len(names):
            raise ValueError("its n-grams and their weights do not fit each other")
        return cls(names=tuple(names), idf=idf, directions=directions)


def main_directions(rows: NDArray[np.float32] | csr_array, most: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(dimensions, at most ``most``) orthonormal directions that carry most of some rows' lengths (truncated SVD), in half precision."""
    count = min(most, *rows.shape)
    if not count or not (rows.nnz if isinstance(rows, csr_array) else np.count_nonzero(rows)):
        return np.empty((rows.shape[1], 0), np.float32)
    from sklearn.utils.extmath import randomized_svd

    found: NDArray[np.float32] = randomized_svd(rows, count, random_state=int(rng.integers(1 << 31)))[2].T
    return found.astype(np.float16).astype(np.float32)
