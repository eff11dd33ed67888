"""What a system is: how its model is built and started, its loss, how it predicts, and what is tuned on validation.

Everything else, inputs, shared encoder, schedule, budget, choice of the checkpoint, is the same for all and lies in
:mod:`optsg.train.loop.trainer`. Legend: B videos.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.batching import Batch
from ...data.errors import ConfigError
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..model.tag_head import ranked_columns
from ..model.video_title_model import VideoTitleModel
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..recall.sources import RecallSources
from ..writing.tag_control import BatchControl
from .tuned_scalar import TunedScalar


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """What a system makes of a batch, for a ranker to weigh.

    Attributes:
        scores: by the name of what says so, (B, K) of every training tag, each at least 0.
        tags: per video, all tags that the system can be brought to give, novel ones included.
        of_any_tag: which of the scores are of all tags that it is given embeddings of, trained or not; the others are
            of its training tags alone.
    """

    scores: Mapping[str, NDArray[np.float32]]
    tags: Sequence[Sequence[PredictedTag]]
    of_any_tag: AbstractSet[str] = frozenset()


class System(ABC):
    """One system of the paper, around its model.

    Args:
        config: the run's configuration; the model's sizes follow from it and the tag table alone.
        tag_table: the training tags.
        tokenizer: the text encoder's.

    Attributes:
        settings: ``key=value`` settings that make the system what it is; they go into ``config.json``.
        writes: whether it writes tags in word pieces, so that new ones can come out.
        reads_titles: whether words of the title that are no training tags can come out as they stand.
        scalar: what is tuned on validation.
        model: random until :meth:`start` or until a checkpoint is loaded.
    """

    settings: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[bool] = False
    reads_titles: ClassVar[bool] = False
    scalar: TunedScalar
    model: VideoTitleModel

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        self.config = config
        self.tag_table = tag_table
        self.tokenizer = tokenizer

    @property
    def permissive(self) -> float:
        """The value of the scalar that gives the most tags; what they are worth, their scores must say."""
        return self.scalar.candidates[-1]

    @property
    def recognises(self) -> bool:
        """Whether training tags are recognised as what they are: a tag need not be written to come out."""
        return not self.writes

    def with_nil_bias(self, value: float) -> System:
        """The same system, its model shared, whose prompts write a tag instead of [NIL] this much more willingly.

        Raises:
            ConfigError: it has no [NIL] beside its tuned scalar.
        """
        del value
        raise ConfigError(
            f"the system {self.config.system} has no NIL bias; its recall is set by its {self.scalar.label}: "
            "--decision VALUE"
        )

    @property
    def own_sources(self) -> RecallSources | None:
        """The sources that it is made of; ``None`` where it is a model that they stand beside."""
        return None

    @property
    @abstractmethod
    def extent(self) -> str:
        """What beside the size says how large it is, for people: "16 prompts"."""

    @abstractmethod
    def start(self, store: FeatureStore) -> None:
        """Gives the model the weights that training starts from; the shared encoder's are the same in every system.

        PyTorch's random numbers have been seeded with the run's seed just before the model was built.
        """

    @abstractmethod
    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Makes what :meth:`losses` needs of the store: its targets, on the device."""

    def save(self, run: Path) -> None:
        """Writes what the system needs for predictions beside weights, tag table and tokenizer into its run folder."""
        del run

    def load(self, run: Path) -> None:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: it is missing or damaged.
        """
        del run

    def warnings(self, store: FeatureStore, rows: NDArray[np.int64]) -> list[str]:
        """What a person should know about the training videos ``rows`` before a long training; after :meth:`prepare`."""
        del store, rows
        return []

    @abstractmethod
    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """Losses of a batch of the store; after :meth:`prepare`.

        Args:
            rng: draws what is random beside dropout. In the model's evaluation mode orders are the natural ones.
            exchange: with the other shares of the joint batch, where the batch is one of several.
        """

    @abstractmethod
    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags of every video of the batch, best score first, each tag once, with ``value`` for the tuned scalar.

        With a control, decoding is steered by it; :meth:`BatchControl.finish` makes its last word of what comes out.
        """

    def recall(self, batch: Batch, directions: Tensor, control: BatchControl | None = None) -> Recalled:
        """What is known of a batch before any decision.

        Args:
            directions: (K', E) embeddings of length 1 of the training tags, and of tags added since behind them.
        """
        del directions
        tags = self.predict(batch, self.permissive, control)
        return Recalled(scores={"predicted": self.scores_of(tags)}, tags=tags)

    def scores_of(self, tags: Sequence[Sequence[PredictedTag]]) -> NDArray[np.float32]:
        """(B, K) the scores of training tags among some predicted ones, 0 for the others."""
        scores = np.zeros((len(tags), len(self.tag_table)), np.float32)
        for row, video in enumerate(tags):
            for tag in video:
                if (column := self.tag_table.column_of.get(tag_key(tag.text))) is not None:
                    scores[row, column] = tag.score
        return scores

    def tags_above(self, scores: NDArray[np.float32], least: float) -> list[PredictedTag]:
        """The training tags of one video, by their scores (K,), that have at least this one, best first."""
        spellings = self.tag_table.spellings
        return [
            PredictedTag(text=spellings[column], score=float(scores[column]), novel=False)
            for column in ranked_columns(scores, least)
        ]

    @abstractmethod
    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """How sure the model is of given tags, with gradients: the logarithm of what their scores are made of.

        Args:
            tags: per video, tags that :meth:`predict` gave.

        Returns:
            (B, L), L the most tags of a video; 0 where a video has fewer.
        """

    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """:meth:`predict` for several values; a system that can do this at the cost of one overrides it."""
        return [self.predict(batch, value, control) for value in values]


def pad_scores(scores: Sequence[Sequence[Tensor]], device: torch.device) -> Tensor:
    """Scalars per video -> (B, L), 0 where a video has fewer than the longest."""
    longest = max(1, *(len(row) for row in scores))
    zero = torch.zeros((), device=device)
    return torch.stack([torch.stack([*row, *[zero] * (longest - len(row))]) for row in scores])
