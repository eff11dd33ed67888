"""The ranker of a run: how likely each proposed tag is right, and where the bar lies; ``ranker.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, read_json
from ..run_files import write_json
from ..system_names import FAVOURS, Favour
from .favour import Bar
from .logistic import LogisticModel
from .novel import FEATURES
from .pairs import feature_names


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """What is fitted on validation.

    Attributes:
        sources: names of the sources whose scores it reads, in order.
        known: of pairs with a training tag.
        novel: of novel tags; ``None`` where the system wrote none on validation: then none is given.
        bars: by what is favoured.
        novel_bars: the least probability of a novel tag, likewise.
    """

    sources: tuple[str, ...]
    known: LogisticModel
    novel: LogisticModel | None
    bars: Mapping[Favour, Bar]
    novel_bars: Mapping[Favour, float]

    def save(self, path: Path) -> None:
        """Writes ``ranker.json``; errors as :func:`write_json`."""
        values = {
            "fitted_on": "val",
            "sources": list(self.sources),
            "features": feature_names(self.sources),
            "known": self.known.to_json(),
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
            novel = values["novel"]
            return cls(
                sources=sources,
                known=LogisticModel.from_json(values["known"], len(feature_names(sources))),
                novel=None if novel is None else LogisticModel.from_json(novel, len(FEATURES)),
                bars={favour: Bar.from_json(values["bars"][favour]) for favour in FAVOURS},
                novel_bars={favour: float(values["novel_bars"][favour]) for favour in FAVOURS},
            )
        except JSON_DAMAGE as error:
            raise RunError(f"{path} is not a readable ranker ({reason_of(error)}); train the run again") from error
