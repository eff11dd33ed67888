"""Systems without a network: sources of tags that need no gradient, one alone or several together.

What one would pick instead of a network, on the same store and with the same tuned scalar. Fitting takes seconds. Legend: B
videos, K training tags, L the most tags of a video.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...data.batching import Batch
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ...data.word_pieces import TitleTokenizer
from ..config import InputConfig, ModelConfig, RunConfig
from ..model.video_title_model import VideoTitleModel
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..recall.memory import NEIGHBOURS
from ..recall.source import Scores, Source
from ..recall.sources import RecallSources
from ..writing.tag_control import BatchControl
from .system import Recalled, System
from .tuned_scalar import TunedScalar

LEAST_SCORE = TunedScalar(
    name="threshold",
    label="threshold",
    untuned=0.2,
    # Scores are small where they are shares of votes: close to 0 the values lie closer together.
    candidates=(
        *(round(0.95 - 0.05 * step, 2) for step in range(10)),
        *(round(0.48 - 0.02 * step, 2) for step in range(19)),
        *(round(0.11 - 0.01 * step, 2) for step in range(11)),
    ),
    during_training=(0.2,),
)
"""The least score of a tag; nothing is validated during training, for there is none."""


class NoNetwork(VideoTitleModel):
    """The model of a system that has none: no weights, no encoder."""

    def __init__(self, model: ModelConfig, inputs: InputConfig):
        nn.Module.__init__(self)
        self.config, self.inputs = model, inputs
        self.title_encoder = None


class SourceSystem(System):
    """Training tags by what sources say of them; their score is the tag's."""

    scalar = LEAST_SCORE
    model: NoNetwork

    def __init__(self, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer):
        super().__init__(config, tag_table, tokenizer)
        self.model = NoNetwork(config.model, config.inputs)
        self._sources: RecallSources | None = None

    @property
    def own_sources(self) -> RecallSources:
        """All sources of the store, fitted; after :meth:`start` or :meth:`load`."""
        assert self._sources is not None
        return self._sources

    def start(self, store: FeatureStore) -> None:
        """Fits the sources: there is nothing else to learn.

        Raises:
            StoreError: the store's text model cannot be used.
        """
        self._sources = RecallSources.fit(store, self.tag_table, self.tokenizer, self.config.model.modality)

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """Does nothing: there are no targets to make."""

    def save(self, run: Path) -> None:
        """Writes the sources; errors as theirs."""
        self.own_sources.save(run)

    def load(self, run: Path) -> None:
        """Reads the sources, with what was added since; errors as theirs."""
        self._sources = RecallSources.load(run, self.tag_table, self.tokenizer, self.config.model.modality)
        self.tag_table = self._sources.tag_table

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """None: no weight is left to learn."""
        del batch, rng, exchange
        return StepLosses(parts={})

    @abstractmethod
    def chosen(self, sources: RecallSources) -> Sequence[Source]:
        """Those whose mean is a tag's score."""

    def scores(self, batch: Batch) -> Scores:
        """(B, K) in [0, 1]."""
        sources = self.own_sources
        summary = sources.summarizer.summarize(batch)
        every = [source.score(summary) for source in self.chosen(sources)]
        return np.minimum(np.mean(every, axis=0, dtype=np.float32), np.float32(1.0))

    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Training tags with at least this score, and more than 0."""
        return self.predict_each(batch, [value], control)[0]

    def predict_each(
        self, batch: Batch, values: Sequence[float], control: BatchControl | None = None
    ) -> list[list[list[PredictedTag]]]:
        """The sources are asked once for all thresholds; tags that may not be predicted have no score."""
        scores = self.scores(batch)
        if control is not None:
            scores = control.mask_columns(torch.from_numpy(scores), 0.0).numpy()
        least = max(min(values), float(np.finfo(np.float32).tiny))
        ranked = [self.tags_above(row, least) for row in scores]
        return [[[tag for tag in tags if tag.score >= value] for tags in ranked] for value in values]

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """(B, L) logarithms of the scores; no gradient leads from them to what a network would look at."""
        found = torch.zeros(len(tags), max(1, *map(len, tags)))
        for row, (video, scores) in enumerate(zip(tags, self.scores(batch), strict=True)):
            columns = [self.tag_table.column_of[tag_key(tag.text)] for tag in video]
            found[row, : len(columns)] = torch.from_numpy(np.log(np.maximum(scores[columns], 1e-12)))
        return found


class LinearSystem(SourceSystem):
    """The linear probe alone. A ranker would bring the other sources in."""

    settings: ClassVar[tuple[str, ...]] = ("ranking=false",)

    @property
    def extent(self) -> str:
        """What it is, with the number of tags that the probe knows."""
        return f"no network, a linear probe for {len(self.tag_table):,} tags"

    def chosen(self, sources: RecallSources) -> Sequence[Source]:
        """The linear probe."""
        return (sources.linear,)


class MemorySystem(SourceSystem):
    """The tags of similar training videos alone."""

    settings: ClassVar[tuple[str, ...]] = ("ranking=false",)

    @property
    def extent(self) -> str:
        """What it is, with the number of neighbours that vote."""
        return f"no network, {NEIGHBOURS} neighbours"

    def chosen(self, sources: RecallSources) -> Sequence[Source]:
        """The memory of training videos."""
        return (sources.memory,)


class TitleMatchSystem(SourceSystem):
    """Training tags that stand in the title, and no others; nothing without titles."""

    settings: ClassVar[tuple[str, ...]] = ("ranking=false",)

    @property
    def extent(self) -> str:
        """What it is, with the number of tags that are looked for."""
        return f"no network, {len(self.tag_table):,} tags to look for"

    def chosen(self, sources: RecallSources) -> Sequence[Source]:
        """The match with the title's words."""
        return (sources.title_match,)


class AllSources(SourceSystem):
    """All sources, weighed by the ranker; where there is none, the mean of those that know how tags are used.

    How close a tag's text is to the title's has no zero: its cosines are above it for most tags. A ranker knows what they are
    worth, a mean does not.
    """

    @property
    def extent(self) -> str:
        """What it is, with the number of sources."""
        return f"no network, {len(self.own_sources.sources)} sources"

    def chosen(self, sources: RecallSources) -> Sequence[Source]:
        """Those that know the training tags' use."""
        return (sources.linear, sources.memory, sources.title_match)

    def recall(self, batch: Batch, directions: Tensor, control: BatchControl | None = None) -> Recalled:
        """None of its own: a ranker asks the sources themselves."""
        del directions, control
        return Recalled(scores={}, tags=[[] for _ in range(len(batch))])
