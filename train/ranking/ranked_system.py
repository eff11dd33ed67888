"""A system whose tags are decided by the ranker: several sources propose, one learned model says how sure it is.

It predicts as any system does. Its scalar is the bar, and a tag's score is the probability that it is right. Legend: B
videos, K tags, those of training first and those that were added since behind, T pairs of a video and a proposed tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.batching import Batch
from ...data.errors import RunError
from ...data.predicted_tag import PredictedTag
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ..objective.shares import ALONE, Exchange
from ..objective.step_losses import StepLosses
from ..recall.source import Scores
from ..recall.sources import RecallSources
from ..run_files import RANKER
from ..system_names import DEFAULT_FAVOUR, Favour
from ..systems.system import Recalled, System
from ..systems.tuned_scalar import TunedScalar
from ..writing.tag_control import BatchControl
from .novel import NovelCandidate, NovelTags, features_of
from .pairs import Pairs, make_pairs
from .ranker import Ranker

BAR = TunedScalar(name="bar", label="bar", untuned=0.0, candidates=(0.0,), during_training=(0.0,))
"""The least p · (1 + count)⁻ᵍ of a tag; the ranker knows its value."""


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What is proposed for the videos of a batch.

    Attributes:
        sources: names of those whose scores the pairs have, in order.
        of_any_tag: those of them that also score tags which the system was not trained on.
        pairs: with training tags, and with tags added since.
        novel: with others.
        tags: by video and key, what the system itself predicted.
    """

    sources: tuple[str, ...]
    of_any_tag: tuple[str, ...]
    pairs: Pairs
    novel: Sequence[NovelCandidate]
    tags: Sequence[Mapping[str, PredictedTag]]


class Proposer:
    """Asks a system and the sources beside it.

    Args:
        system: the run's own.
        sources: beside it.
        from_titles: whether titles propose novel tags.
    """

    def __init__(self, system: System, sources: RecallSources, *, from_titles: bool = True):
        self._system, self._sources = system, sources
        self._table = sources.tag_table
        self._novel = NovelTags(
            self._table,
            sources.summarizer.word_frequency,
            pieces_of=system.tokenizer.encode_tags,
            from_titles=from_titles,
        )
        self._directions = sources.directions

    def propose(self, batch: Batch, control: BatchControl | None = None) -> Proposals:
        """All that any of them proposes; a tag that the vocabulary does not allow has no score."""
        summary = self._sources.summarizer.summarize(batch)
        own = self._system.recall(batch, self._directions, control)
        recalled = self._sources.score(summary)
        of_any_tag = {*recalled, *own.of_any_tag}
        tags = [[self._named(tag) for tag in video] for video in own.tags]
        scores = {**recalled, **self._widened(own, tags)}
        if control is not None:
            scores = {name: control.mask_columns(torch.from_numpy(each), 0.0).numpy() for name, each in scores.items()}
        any_words = control is not None and control.is_closed
        return Proposals(
            sources=tuple(scores),
            of_any_tag=tuple(name for name in scores if name in of_any_tag),
            pairs=make_pairs(scores, self._table.counts),
            novel=self._novel.candidates(tags, self._sources.summarizer.texts(batch), any_words=any_words),
            tags=[{tag_key(tag.text): tag for tag in video} for video in tags],
        )

    def _named(self, tag: PredictedTag) -> PredictedTag:
        """A tag that the system took for a novel one, where it has been added since."""
        spelling = self._table.spelling_of.get(tag_key(tag.text)) if tag.novel else None
        return tag if spelling is None else replace(tag, text=spelling, novel=False)

    def _widened(self, recalled: Recalled, tags: Sequence[Sequence[PredictedTag]]) -> dict[str, Scores]:
        """The system's scores, of added tags too: what it wrote of them counts as its first."""
        trained, more = len(self._system.tag_table), len(self._table) - len(self._system.tag_table)
        if not more:
            return dict(recalled.scores)
        scores = {
            name: own if name in recalled.of_any_tag else np.pad(own, ((0, 0), (0, more)))
            for name, own in recalled.scores.items()
        }
        own = next((values for name, values in scores.items() if name not in recalled.of_any_tag), None)
        for row, video in enumerate(tags if own is not None else ()):
            for tag in video:
                column = self._table.column_of.get(tag_key(tag.text), -1)
                if own is not None and column >= trained:
                    own[row, column] = tag.score
        return scores


class RankedSystem(System):
    """A run's system with its ranker.

    Args:
        system: as it was trained; its model is this one's.
        sources: beside it.
        ranker: of both.
        favour: which of the ranker's bars.
    """

    def __init__(self, system: System, sources: RecallSources, ranker: Ranker, favour: Favour = DEFAULT_FAVOUR):
        super().__init__(system.config, sources.tag_table, system.tokenizer)
        self.plain, self.sources, self.ranker, self.favour = system, sources, ranker, favour
        self.model = system.model
        self.scalar = BAR
        self._proposer = Proposer(system, sources, from_titles=ranker.reads_titles)

    @property
    def writes(self) -> bool:  # type: ignore[override]
        """As the system alone."""
        return self.plain.writes

    @property
    def reads_titles(self) -> bool:  # type: ignore[override]
        """As the ranker can judge them, and where titles are read."""
        return self.ranker.reads_titles and self.config.model.modality != "video"

    @property
    def recognises(self) -> bool:
        """Some source proposes training tags."""
        return True

    @property
    def extent(self) -> str:
        """What the system alone says of its size."""
        return self.plain.extent

    @property
    def tuned(self) -> float:
        """The bar of what is favoured: its t."""
        return self.ranker.bars[self.favour].least

    def favouring(self, favour: Favour) -> RankedSystem:
        """The same system with the bar of another favour."""
        return RankedSystem(self.plain, self.sources, self.ranker, favour)

    def with_nil_bias(self, value: float) -> RankedSystem:
        """The same around a system that writes more or less willingly; errors as the system's own."""
        return RankedSystem(self.plain.with_nil_bias(value), self.sources, self.ranker, self.favour)

    def start(self, store: FeatureStore) -> None:
        """As the system alone."""
        self.plain.start(store)

    def prepare(self, store: FeatureStore, device: torch.device) -> None:
        """As the system alone."""
        self.plain.prepare(store, device)

    def save(self, run: Path) -> None:
        """The system's own files."""
        self.plain.save(run)

    def losses(self, batch: Batch, rng: np.random.Generator, exchange: Exchange = ALONE) -> StepLosses:
        """The system's own."""
        return self.plain.losses(batch, rng, exchange)

    def tag_log_scores(self, batch: Batch, tags: Sequence[Sequence[PredictedTag]]) -> Tensor:
        """The system's own: what of a video its model looks at for a tag; 0 for tags that it cannot score."""
        own = self.plain.tag_table
        scored = [[self.plain.writes or own.is_known(tag_key(tag.text)) for tag in video] for video in tags]
        kept = [[tag for tag, some in zip(*row, strict=True) if some] for row in zip(tags, scored, strict=True)]
        found = self.plain.tag_log_scores(batch, kept)
        if kept == [[*video] for video in tags]:
            return found
        wide = found.new_zeros(len(tags), max(1, *map(len, tags)))
        for row, some in enumerate(scored):
            places = [place for place, is_scored in enumerate(some) if is_scored]
            wide[row, places] = found[row, : len(places)]
        return wide

    @torch.no_grad()
    def predict(self, batch: Batch, value: float, control: BatchControl | None = None) -> list[list[PredictedTag]]:
        """Tags above the bar ``value``, most probable first. At 0 all that is proposed."""
        proposals = self._proposer.propose(batch, control)
        found: list[list[PredictedTag]] = [[] for _ in range(len(batch))]
        for video, tag in (*self._known(proposals, value), *self._unseen(proposals, value)):
            found[video].append(tag)
        return [sorted(tags, key=lambda tag: -tag.score) for tags in found]

    def _known(self, proposals: Proposals, value: float) -> list[tuple[int, PredictedTag]]:
        pairs, table = proposals.pairs, self.tag_table
        if proposals.sources != self.ranker.sources:
            raise RunError(
                f"the run's {RANKER} was fitted to {', '.join(self.ranker.sources)}, the run has "
                f"{', '.join(proposals.sources)}: its files are not of one run"
            )
        probabilities = self.ranker.probabilities(pairs, len(self.plain.tag_table))
        bar = replace(self.ranker.bars[self.favour], least=value)
        given = np.flatnonzero(bar.passes(probabilities, table.counts[pairs.columns]))
        found = []
        for place in given.tolist():
            video, column = int(pairs.videos[place]), int(pairs.columns[place])
            tag = proposals.tags[video].get(table.keys[column])
            tag = tag or PredictedTag(text=table.spellings[column], score=0.0, novel=False)
            found.append((video, replace(tag, score=float(probabilities[place]))))
        return found

    def _unseen(self, proposals: Proposals, value: float) -> list[tuple[int, PredictedTag]]:
        if self.ranker.novel is None or not proposals.novel:
            return []
        features = features_of(proposals.novel)[:, : len(self.ranker.novel.weights)]
        probabilities = self.ranker.novel.probabilities(features)
        # The bar of novel tags goes along with that of the others.
        least = self.ranker.novel_bars[self.favour] if value >= self.tuned else 0.0
        return _passing(proposals.novel, probabilities, least)


def _passing(
    candidates: Sequence[NovelCandidate], probabilities: NDArray[np.float64], least: float
) -> list[tuple[int, PredictedTag]]:
    return [
        (each.video, replace(each.tag, score=score))
        for each, score in zip(candidates, probabilities.tolist(), strict=True)
        if score >= least
    ]
