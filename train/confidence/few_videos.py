"""By which F1 something is chosen, and how far that depends on the number of validation videos.

Mean F1 over tags is a mean over the tags that some video of the split has. A tag that none has costs nothing, however often it
is given, and the fewer the videos, the more tags are of that kind: on twenty videos that F1 is highest with some fifty tags a
video, where eight are right. F1 over videos counts every tag that is given. So the fewer videos validate, the more it decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...data.metrics import Scores

ENOUGH = 150
"""Videos from which F1 over tags is believed as it is."""

FEW = 15
"""Videos with which it would be believed half, were :data:`ENOUGH` endless."""


@dataclass(frozen=True)
class F1Pair:
    """Both kinds of F1 of the same predictions, 0 to 1.

    Attributes:
        tags: label-based full F1, the mean over the tags that some video has.
        videos: example-based F1.
    """

    tags: float
    videos: float

    @classmethod
    def of(cls, scores: Scores) -> F1Pair:
        """Both from the metrics of one split."""
        return cls(tags=scores["label_based"]["full"]["f1"], videos=scores["example_based"]["f1"])

    def mean(self, weight: float) -> float:
        """``weight`` of F1 over tags, the rest of F1 over videos."""
        return weight * self.tags + (1 - weight) * self.videos


def weight_of_tags(videos: int) -> float:
    """How far F1 over tags on so many validation videos decides: 0.5 of 12 videos, 0.8 of 40, 1 from :data:`ENOUGH` on."""
    return min(1.0, videos * (ENOUGH + FEW) / ((videos + FEW) * ENOUGH))
