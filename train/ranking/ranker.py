"""The ranker of a run: how likely each proposed tag is right, and where the bar lies; ``ranker.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, number_of, read_json
from ..run_files import write_json
from ..system_names import FAVOURS, Favour
from .favour import Bar
from .logistic import LogisticModel
from .novel import FEATURES, WRITTEN_FEATURES
from .pairs import Pairs, feature_columns, feature_names


@dataclass(frozen=True, kw_only=True)
class OfAddedTags:
    """What the ranker reads of a tag that the system was not trained on.

    Attributes:
        sources: names of those that can score it.
        model: of their features alone.
    """

    sources: tuple[str, ...]
    model: LogisticModel

    def to_json(self) -> dict[str, Any]:
        """JSON types, for :meth:`from_json`."""
        return {"sources": list(self.sources), "model": self.model.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], sources: Sequence[str]) -> OfAddedTags:
        """Raises KeyError, TypeError or ValueError for anything else; ``sources`` are all that the ranker reads."""
        some = tuple(values["sources"])
        if not set(some) <= set(sources):
            raise ValueError("a source that it does not read")
        return cls(sources=some, model=LogisticModel.from_json(values["model"], len(feature_names(some))))


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """What is fitted on validation.

    Attributes:
        sources: names of the sources whose scores it reads, in order.
        known: of pairs with a training tag.
        added: of pairs with a tag that was added after training, which the system itself cannot score; ``None`` in runs
            of systems whose sources can all score it, and in older ones.
        novel: of novel tags; ``None`` where none was proposed on validation: then none is given.
        bars: by what is favoured.
        novel_bars: the least probability of a novel tag, likewise.
    """

    sources: tuple[str, ...]
    known: LogisticModel
    added: OfAddedTags | None = None
    novel: LogisticModel | None
    bars: Mapping[Favour, Bar]
    novel_bars: Mapping[Favour, float]

    @property
    def reads_titles(self) -> bool:
        """Whether it can judge novel tags that stand in titles alone; those of earlier versions cannot."""
        return self.novel is not None and len(self.novel.weights) == len(FEATURES)

    def probabilities(self, pairs: Pairs, trained: int) -> NDArray[np.float64]:
        """(T,) how likely each pair is right.

        Args:
            trained: tags that the system was trained on; those behind them were added.
        """
        found = self.known.probabilities(pairs.features)
        added = pairs.columns >= trained
        if self.added is not None and added.any():
            columns = feature_columns(self.sources, self.added.sources)
            found[added] = self.added.model.probabilities(pairs.features[added][:, columns])
        return found

    def save(self, path: Path) -> None:
        """Writes ``ranker.json``; errors as :func:`write_json`."""
        values = {
            "fitted_on": "val",
            "sources": list(self.sources),
            "features": feature_names(self.sources),
            "known": self.known.to_json(),
            "added": None if self.added is None else self.added.to_json(),
            "novel": None if self.novel is None else self.novel.to_json(),
            "bars": {favour: bar.to_json() for favour, bar in self.bars.items()},
            "novel_bars": dict(self.novel_bars),
        }
        write_json(path, values)

    @classmethod
    def load(cls, path: Path) -> Ranker:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: the file is damaged.
        """
        try:
            values = read_json(path)
            sources = tuple(values["sources"])
            if not all(isinstance(name, str) for name in sources):
                raise ValueError("a source's name is no text")
            novel, added = values["novel"], values.get("added")
            return cls(
                sources=sources,
                known=LogisticModel.from_json(values["known"], len(feature_names(sources))),
                added=None if added is None else OfAddedTags.from_json(added, sources),
                novel=None if novel is None else _novel_from_json(novel),
                bars={favour: Bar.from_json(values["bars"][favour]) for favour in FAVOURS},
                novel_bars={favour: number_of(values["novel_bars"][favour]) for favour in FAVOURS},
            )
        except JSON_DAMAGE as error:
            raise RunError(f"{path} is not a readable ranker ({reason_of(error)}); train the run again") from error


def _novel_from_json(values: Mapping[str, Any]) -> LogisticModel:
    """Raises as :meth:`LogisticModel.from_json`; rankers of earlier versions have fewer features."""
    is_earlier = len(values["weights"]) == len(WRITTEN_FEATURES)
    return LogisticModel.from_json(values, len(WRITTEN_FEATURES if is_earlier else FEATURES))
