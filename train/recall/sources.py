"""All sources of a run, fitted to the training videos and kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from scipy.sparse import csr_array

from ...data.batching import collate, reading_ahead, sequential_batches
from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, parse_json
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import Modality
from ..model.tag_head import columns_of
from ..run_files import ADDITIONS, RECALL, SENTENCE_MODEL, load_tensors, save_tensors
from .additions import Additions
from .linear import LinearProbe
from .memory import Memory, id_digests
from .scoring_prompts import READINGS, ScoringPrompts
from .sentence_model import SentenceModel
from .source import Floats, Scores, Source, Summary
from .summary import BATCH, Summarizer
from .tag_rows import tag_rows
from .text_similarity import TextSimilarity
from .title_match import TitleMatch, pieces_in_titles


@dataclass(frozen=True, kw_only=True)
class RecallSources:
    """What proposes training tags for a video beside a run's own model.

    Attributes:
        summarizer: what the sources read.
        sources: in the order in which they are shown.
        tag_table: the tags that they score.
        embeddings: (K, E) of these.
    """

    summarizer: Summarizer
    tag_table: TagTable
    linear: LinearProbe
    memory: Memory
    title_match: TitleMatch
    text_similarity: TextSimilarity | None
    prompts: tuple[ScoringPrompts, ...]
    embeddings: NDArray[np.float32]

    @property
    def sources(self) -> tuple[Source, ...]:
        """In the order in which they are shown."""
        similarity = () if self.text_similarity is None else (self.text_similarity,)
        return (self.linear, self.memory, self.title_match, *similarity, *self.prompts)

    @property
    def directions(self) -> torch.Tensor:
        """(K, E) the embeddings in length 1, as systems compare prompts with them."""
        return torch.nn.functional.normalize(torch.from_numpy(self.embeddings), dim=-1)

    @classmethod
    def fit(
        cls,
        store: FeatureStore,
        tag_table: TagTable,
        tokenizer: TitleTokenizer,
        modality: Modality,
        *,
        scoring_prompts: bool = False,
    ) -> RecallSources:
        """Reads the store's training videos twice.

        Args:
            store: its training split is read.
            tag_table: the run's tags.
            tokenizer: the run's.
            modality: what is read of a video.
            scoring_prompts: whether prompts are trained as scorers, which takes a minute or more; the rest takes seconds.

        Raises:
            StoreError: the store's text model cannot be used.
        """
        summarizer = Summarizer.fit(store, tokenizer, modality)
        rows = store.indices("train")
        tags = training_tags(store, tag_table, rows)
        vectors = np.concatenate(
            [
                summarizer.summarize(collate(store, numbers)).vectors
                for numbers in reading_ahead(store, list(sequential_batches(rows, BATCH)))
            ]
        )

        def videos() -> Iterator[tuple[Floats, Floats]]:
            for start in range(0, len(rows), BATCH):
                yield vectors[start : start + BATCH], tags[start : start + BATCH].toarray()

        embeddings = tag_table.embeddings_in(store).astype(np.float16).astype(np.float32)
        readings = READINGS if scoring_prompts else ()
        return cls._of(
            summarizer,
            LinearProbe.fit(videos()),
            Memory.of_videos(vectors, tags, id_digests([store.id(int(row)) for row in rows])),
            [ScoringPrompts.fit(reading, vectors, tags, embeddings) for reading in readings],
            embeddings,
            tag_table,
            tokenizer,
        )

    @classmethod
    def _of(
        cls,
        summarizer: Summarizer,
        linear: LinearProbe,
        memory: Memory,
        prompts: Iterable[ScoringPrompts],
        embeddings: NDArray[np.float32],
        tag_table: TagTable,
        tokenizer: TitleTokenizer,
    ) -> RecallSources:
        has_sentences = summarizer.sentence_model is not None
        shares = shares_of(tag_table, len(memory))
        return cls(
            summarizer=summarizer,
            tag_table=tag_table,
            linear=linear,
            memory=memory,
            title_match=TitleMatch(
                tag_table.tokens,
                tokenizer.continuing_ids,
                tokenizer.letter_ids,
                pieces_in_titles(tag_table, tokenizer),
            ),
            text_similarity=TextSimilarity(embeddings) if has_sentences else None,
            prompts=tuple(each.of_tags(embeddings, shares) for each in prompts),
            embeddings=embeddings,
        )

    def score(self, summary: Summary) -> dict[str, Scores]:
        """By source, (B, K) scores of every training tag."""
        return {source.name: source.score(summary) for source in self.sources}

    def save(self, run: Path) -> None:
        """Writes the sources into a run folder.

        Raises:
            RunError: it cannot be written.
        """
        tensors = {
            **self.summarizer.tensors(),
            **self.linear.tensors(),
            **self.memory.tensors(),
            **{name: tensor for each in self.prompts for name, tensor in each.tensors().items()},
            "embeddings": torch.from_numpy(self.embeddings).half(),
        }
        save_tensors(run / RECALL, tensors, metadata={"ngrams": json.dumps(self.summarizer.names, ensure_ascii=False)})
        if self.summarizer.sentence_model is not None:
            self.summarizer.sentence_model.save(run / SENTENCE_MODEL)

    def with_additions(self, additions: Additions, tokenizer: TitleTokenizer) -> RecallSources:
        """The same with examples and tags that came later.

        Raises:
            ValueError: they were added to other sources.
        """
        if additions.vectors.shape[1] != self.memory.width or (
            len(additions.rows) and additions.embeddings.shape[1:] != self.embeddings.shape[1:]
        ):
            raise ValueError("they were added to a run of other widths")
        table, latest = additions.extended(self.tag_table), additions.latest
        ids = id_digests([additions.ids[place] for place in latest])
        tags = csr_array(additions.tags[latest, :])
        return self._of(
            self.summarizer,
            self.linear.with_examples(additions.vectors, additions.tags, additions.had, additions.fresh),
            self.memory.with_examples(additions.vectors[latest], tags, ids),
            self.prompts,
            np.concatenate([self.embeddings, additions.embeddings]) if len(additions.rows) else self.embeddings,
            table,
            tokenizer,
        )

    @classmethod
    def load(cls, run: Path, tag_table: TagTable, tokenizer: TitleTokenizer, modality: Modality) -> RecallSources:
        """Reads what :meth:`save` wrote, and what was added since.

        Args:
            tag_table: of the run as it was trained.

        Raises:
            RunError: it is missing or damaged.
        """
        trained = cls.load_trained(run, tag_table, tokenizer, modality)
        additions = Additions.load(run)
        try:
            return trained if additions is None else trained.with_additions(additions, tokenizer)
        except ValueError as error:
            raise RunError(f"{run / ADDITIONS} does not fit the run: {error}") from error

    @classmethod
    def load_trained(
        cls, run: Path, tag_table: TagTable, tokenizer: TitleTokenizer, modality: Modality
    ) -> RecallSources:
        """The sources as :meth:`save` wrote them; the rest as :meth:`load`."""
        path = run / RECALL
        sentence_model = SentenceModel.load(run / SENTENCE_MODEL) if (run / SENTENCE_MODEL).exists() else None
        try:
            tensors, texts = load_tensors(path)
            names = parse_json(texts["ngrams"])
            summarizer = Summarizer.from_tensors(tokenizer, modality, sentence_model, names, tensors)
            linear, memory = LinearProbe.from_tensors(tensors), Memory.from_tensors(tensors, len(tag_table))
            embeddings = tensors["embeddings"].float().numpy()
            if embeddings.ndim != 2 or not len(embeddings) == linear.shape[1] == len(tag_table):
                raise ValueError("it is of other tags than the run's")
            shares = shares_of(tag_table, len(memory))
            every = [ScoringPrompts.from_tensors(reading, tensors, embeddings, shares) for reading in READINGS]
            prompts = [each for each in every if each is not None]
            widths = {linear.shape[0], memory.width, *(each.width for each in prompts)}
            text_width = embeddings.shape[1] if sentence_model is None else sentence_model.width
            if widths != {summarizer.width} or text_width != embeddings.shape[1]:
                raise ValueError(f"{SENTENCE_MODEL} is missing beside it, or they are not of one run")
        except (SafetensorError, RuntimeError, *JSON_DAMAGE) as error:
            raise RunError(f"{path} cannot be read ({reason_of(error)}); train the run again") from error
        return cls._of(summarizer, linear, memory, prompts, embeddings, tag_table, tokenizer)


def shares_of(tag_table: TagTable, videos: int) -> Floats:
    """(K,) each tag's share of so many videos, at most 1."""
    return np.minimum(tag_table.counts / max(1, videos), 1.0).astype(np.float32)


def training_tags(store: FeatureStore, tag_table: TagTable, rows: NDArray[np.int64]) -> csr_array:
    """(videos, K) 1 where one of the store's videos ``rows`` has a training tag."""
    column_of = columns_of(tag_table, store)
    own = [(columns := column_of[store.tags(int(row))])[columns >= 0] for row in rows]
    return tag_rows(own, len(tag_table))
