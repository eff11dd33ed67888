"""What makes inputs into features: the processes of this machine or a Ray cluster (:mod:`.engines` opens either)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from ..data.inputs import Inputs
from ..data.media import Failure
from ..data.stop_signals import StopRequest
from ..data.store.schema import VideoFeatures
from .decoding.sampling import Sampling
from .encoders.image_encoder import ImageEncoder
from .options import ExtractionOptions
from .parts import DoneInputs
from .summary import ExtractSummary


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """The features that an image encoder gives, as a store records them.

    Attributes:
        frame_dim, patch_dim: widths of the features of a picture and of a patch.
        encoder: the encoder's own description.
    """

    frame_dim: int
    patch_dim: int
    encoder: Mapping[str, Any]

    @classmethod
    def of(cls, encoder: ImageEncoder) -> Self:
        """The features of an open encoder."""
        return cls(frame_dim=encoder.frame_dim, patch_dim=encoder.patch_dim, encoder=encoder.spec())


class Engine(Protocol):
    """Inputs to features.

    Attributes:
        image: what the features are.
        sampling: which frames are taken.
        options: how it is run.
    """

    image: ImageFeatures
    sampling: Sampling
    options: ExtractionOptions

    def features(
        self, inputs: Inputs, done: DoneInputs, stop: StopRequest, summary: ExtractSummary
    ) -> Generator[VideoFeatures | Failure]:
        """What every input that is not done gives, in the order of the inputs; ends soon after ``stop`` is set.

        Keeps the encoder's times in ``summary``. Closing the iterator ends all that works for it.
        """
        ...
