"""What goes into the graphs: a batch's arrays, and the two things that are made of a title's text beforehand.

Legend: B videos, G n-grams, K training tags.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...data.batching import Batch
from ...data.errors import RunError
from ...data.word_pieces import MAX_TITLE_CHARACTERS, MAX_TITLE_TOKENS, TitleTokenizer
from ...train.recall.ngrams import EAST_ASIAN, LONGEST, SHORTEST, Ngrams, title_words
from ...train.recall.source import Summary
from ...train.recall.sources import RecallSources

SAMPLED_TITLES, SAMPLED_PIECES = 200, 12
"""Random titles, and pieces of each, on which the spelling of single pieces is tried."""


class TitleTexts:
    """Titles' n-grams, and the training tags that stand in them.

    Args:
        sources: of the run.
        tokenizer: of the run.
    """

    def __init__(self, sources: RecallSources, tokenizer: TitleTokenizer):
        self._tokenizer, self._match = tokenizer, sources.title_match
        self._ngrams = Ngrams.from_tensors(list(sources.summarizer.names), sources.summarizer.tensors())

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """``title_ngrams`` (B, G) and ``title_match`` (B, K)."""
        specials = self._tokenizer.special_ids
        rows = zip(batch.title_tokens.tolist(), batch.title_mask.tolist(), strict=True)
        titles = [[piece for piece, some in zip(*row, strict=True) if some and piece not in specials] for row in rows]
        words = [title_words(self._tokenizer, pieces) for pieces in titles]
        nothing = np.empty((len(titles), 0), np.float32)
        match = self._match.score(Summary(titles=titles, sentences=nothing, vectors=nothing))
        ngrams = self._ngrams.weigh(words).toarray()
        return {"title_ngrams": torch.from_numpy(ngrams), "title_match": torch.from_numpy(match)}

    def to_json(self) -> dict[str, Any]:
        """What software without a tokenizer makes the same inputs from.

        Raises:
            RunError: the tokenizer does not spell a text piece by piece.
        """
        pieces = spelled_pieces(self._tokenizer)
        return {
            "most_tokens": MAX_TITLE_TOKENS,
            "most_characters": MAX_TITLE_CHARACTERS,
            "specials": sorted(self._tokenizer.special_ids),
            "continuing": sorted(self._tokenizer.continuing_ids),
            "letters": sorted(self._tokenizer.letter_ids),
            "pieces": pieces,
            **ngram_settings(self._ngrams),
        }


def ngram_settings(ngrams: Ngrams) -> dict[str, Any]:
    """Which n-grams there are, what they weigh, and how a title's are found, in JSON types."""
    return {
        "ngram_lengths": [SHORTEST, LONGEST],
        "single_from": EAST_ASIAN,
        "ngrams": ngrams.names,
        "idf": ngrams.idf.tolist(),
    }


def spelled_pieces(tokenizer: TitleTokenizer) -> list[str]:
    """By id, what each word piece adds to a text that it stands in: " cat", "ing"; "" for ids without a piece.

    Raises:
        RunError: texts are not their pieces one after another.
    """
    ids = sorted(set(tokenizer.pieces.values()) - tokenizer.special_ids)
    first = next(number for number in ids if tokenizer.decode([number]).isalnum())
    start = tokenizer.decode([first])
    spelled = [""] * (max(tokenizer.pieces.values()) + 1)
    for number in ids:
        spelled[number] = tokenizer.decode([first, number]).removeprefix(start)
    rng = np.random.default_rng(0)
    for sample in rng.choice(ids, (SAMPLED_TITLES, SAMPLED_PIECES)).tolist():
        joined = "".join(spelled[number] for number in sample)
        if words_of(joined) != title_words(tokenizer, sample):
            raise RunError(
                "the run's tokenizer does not spell texts piece by piece, which the export needs for n-grams"
            )
    return spelled


def words_of(text: str) -> Sequence[str]:
    """As :func:`optsg.train.recall.ngrams.title_words` finds them in a text."""
    return re.findall(r"\w+", text)


def graph_inputs(batch: Batch, texts: TitleTexts, *, patches: bool) -> dict[str, Tensor]:
    """The inputs of ``encoder.onnx`` by name.

    Args:
        patches: whether the run reads images too.
    """
    found = {
        **_at_least_one("frames", "frame_mask", batch.frames, batch.frame_mask),
        "title_tokens": batch.title_tokens,
        "title_mask": batch.title_mask,
        **texts.inputs(batch),
    }
    if patches:
        found |= _at_least_one("patches", "patch_mask", batch.patches, batch.patch_mask)
    return found


def _at_least_one(name: str, mask_name: str, values: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Graphs are made for at least one frame or patch; where no video has any, one that is masked."""
    missing = 0 if values.shape[1] else 1
    return {
        name: functional.pad(values.float(), (0, 0, 0, missing)),
        mask_name: functional.pad(mask, (0, missing)),
    }
