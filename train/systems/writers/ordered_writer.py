"""Generators without prompts: tags as one sequence, joined by the separator, in an order that each system chooses.

``frequency-first`` goes from frequent to rare (Table 7, B), ``rare-first`` the other way, ``random`` draws the order anew in
every step: what an order does to a writer, beside B.

Legend: B videos, U tags of the store's tag table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....data.batching import Batch
from ....data.predicted_tag import PredictedTag
from ....data.store import FeatureStore
from ....data.tag_table import TagTable
from ....data.tags import tag_key
from ....data.word_pieces import SEPARATOR, TitleTokenizer, Vocabulary
from ...config import RunConfig
from ...model.tag_sequence import MAX_TARGET_TOKENS, tag_sequence
from ...objective.shares import ALONE, Exchange
from ...objective.step_losses import StepLosses
from ...objective.tag_targets import TagTargets, tag_targets
from ...writing.greedy import WrittenTokens
from ...writing.reading import TagReader
from ...writing.tag_control import BatchControl
from ..system import System, pad_scores
from ..tuned_scalar import TunedScalar
from .tag_writer import TagWriter

EOS_BIAS = TunedScalar(
    name="eos_bias",
    label="end bias",
    untuned=0.0,
    candidates=(-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
    # Each candidate is a decoding of the whole split, as for the NIL bias.
    during_training=(0.0, 2.0),
)
"""What is taken off the end mark's logit; more of it, more tags."""


class OrderedWriter(System):
    """Token cross-entropy of the tags in :meth:`order`.

    Attributes:
        order_name: the order, for people.
        repeats: whether a tag may be written twice; it is read once either way.
        follows_pins: whether pinned tags are written first, so that the others follow from them. Where the order means
            something they are not: a rare tag in front says that all frequent ones have been, or that there are none.
    """

    scalar = EOS_BIAS
    writes = True
    order_name: ClassVar[str]
    repeats: ClassVar[bool] = True
    follows_pins: ClassVar[bool] = False
    model: TagWriter

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = self.build_model()
        self.vocabulary = Vocabulary(config.inputs.pieces)
        self._reader = TagReader(self.vocabulary, tag_table, tokenizer, prompts=False)
        self._targets: TagTargets | None = None
        self.ranks: NDArray[np.int64] = np.empty(0, np.int64)
        """(U,) after :meth:`prepare`: a tag's place when all tags are sorted from frequent to rare in training."""

    def build_model(self) -> TagWriter:
        """The model, its weights random."""
        return TagWriter(self.config.model, self.config.inputs)

    @property
    def extent(self) -> str:
        """The order that the tags are written in, for people."""
        return f"no prompts, tags {self.order_name}"

    def start(self, store: FeatureStore) -> None:
        """The title encoder and the decoder's word embeddings come from the store's text model."""
        self.model.load_text_encoder(store.title_encoder_weights())

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Takes word pieces and training ranks of the store's tags."""
        self._targets = tag_targets(store, self.vocabulary, self.config.training.max_tag_pieces, device)
        place_of = {key: place for place, key in enumerate(self.tag_table.keys)}  # sorted, ties by the key
        unseen = len(place_of)
        self.ranks = np.array([place_of.get(key, unseen + tag) for tag, key in enumerate(store.tag_keys)], np.int64)

    @property
    def targets(self) -> TagTargets:
        """The store's tags, after :meth:`prepare`."""
        assert self._targets is not None
        return self._targets

    def warnings(self, store: FeatureStore, rows: NDArray[np.int64]) -> list[str]:
        """A line about training tags that cannot be written, if there are any."""
        return self.targets.left_out(store, rows, self.config.training.max_tag_pieces, recognised=self.recognises)

    @abstractmethod
    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A video's tags in the order in which they are written."""

    def usable_tags(self, batch: Batch, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Per video the tags that can be written, all of them: the sequence is cut where it gets too long."""
        return [self.targets.choose(tags, len(tags), rng) for tags in batch.tags]

    def sequences(self, batch: Batch, rng: np.random.Generator) -> list[list[int]]:
        """Target tokens of every video, its tags in the system's order."""
        every = [self.targets.choose(tags, len(tags), rng) for tags in batch.every_tags]
        ordered = batch.own([self.order(tags, rng) for tags in every])
        return [tag_sequence(tags.tolist(), self.targets.pieces, MAX_TARGET_TOKENS) for tags in ordered]

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """The cross-entropy of the sequences' tokens, as the one part ``generation``."""
        encoded, sequences = self.model.encode(batch), self.sequences(batch, rng)
        loss = self.model.sequence_loss(*encoded, sequences, self.config.training, exchange)
        return StepLosses(parts={"generation": loss})

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """Mean log-probabilities of the tags' pieces, written from frequent to rare in training, novel ones last."""
        sequences, places = self.given_sequences(tags)
        found = self.sequence_log_probs(batch, sequences, max(1, *map(len, tags)))
        nothing = found.new_zeros(())
        written = [[nothing if one is None else one for one in video] for video in at_places(found, places)]
        return pad_scores(written, found.device)

    def given_sequences(self, tags: Sequence[Sequence[PredictedTag]]) -> tuple[list[list[int]], list[list[int]]]:
        """Target tokens of given tags, from frequent to rare in training, novel ones last.

        Returns:
            per video its tokens, and the place of each of its tags in them, -1 where it is not among them: it cannot be
            spelled, or stands behind the longest target.
        """
        columns, last = self.tag_table.column_of, len(self.tag_table)
        sequences: list[list[int]] = []
        places: list[list[int]] = []
        for video in tags:
            pieces = dict(enumerate(map(self._reader.pieces, video)))
            order = sorted(
                (number for number, ids in pieces.items() if ids),
                key=lambda number: columns.get(tag_key(video[number].text), last),
            )
            sequence = tag_sequence(order, pieces, MAX_TARGET_TOKENS)
            order = order[: sequence.count(SEPARATOR) + 1] if sequence else []
            sequences.append(sequence)
            places.append([order.index(number) if number in order else -1 for number in pieces])
        return sequences, places

    def sequence_log_probs(self, batch: Batch, sequences: Sequence[Sequence[int]], tags: int) -> Tensor:
        """Mean log-probability of the pieces of each tag of a sequence per video, (B, ``tags``)."""
        return self.model.tag_log_probs(*self.model.encode(batch), sequences, tags)

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags that the decoder writes with this bias on the end."""
        return self._reader.read(self.write(batch, value, control=control), control.names if control else None)

    def write(
        self, batch: Batch, eos_bias: float, *, use_cache: bool = True, control: BatchControl | None = None
    ) -> WrittenTokens:
        """Tokens that the decoder writes for a batch with this bias on the end."""
        return self.model.write(
            batch,
            eos_bias=eos_bias,
            repeats=self.repeats,
            use_cache=use_cache,
            control=control,
            follow_pins=self.follows_pins,
        )


def at_places(log_probs: Tensor, places: Sequence[Sequence[int]]) -> list[list[Tensor | None]]:
    """Of log-probabilities by place (B, L), those at some places of each video; ``None`` at -1."""
    return [
        [row[place] if place >= 0 else None for place in video] for row, video in zip(log_probs, places, strict=True)
    ]


class FrequencyFirst(OrderedWriter):
    """By training occurrences, ties in the order of the tag table."""

    order_name = "from frequent to rare"

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """From the most frequent tag in training to the rarest."""
        del rng
        return tags[np.argsort(self.ranks[tags])]


class RareFirst(OrderedWriter):
    """The order of ``frequency-first``, backwards."""

    order_name = "from rare to frequent"

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """From the rarest tag in training to the most frequent."""
        del rng
        return tags[np.argsort(-self.ranks[tags])]


class RandomOrder(OrderedWriter):
    """There is no natural order to evaluate with, so that validation draws one too, from its own fixed seed."""

    order_name = "in random order"
    follows_pins: ClassVar[bool] = True

    def order(self, tags: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A permutation of the tags, drawn anew at each call."""
        return rng.permutation(tags)
