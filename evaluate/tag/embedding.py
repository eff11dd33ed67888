"""Vectors of videos, images and titles, for search and clustering: what a run makes of them on the way to its tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.errors import RunError
from ...extract.encoders.text_encoder import TextEncoder, open_text_encoder
from ...train.model.tag_head import mean_over_valid
from ...train.run.run import Run
from ...train.systems.source_systems import NoNetwork
from ..scores.run_store import trained_header
from .group_tagger import GroupTagger, TaggerInput

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Vectors of one video or image. Compare those of one kind, by their cosine.

    Attributes:
        fused: (D,) the run's hybrid features of pictures and title, their mean; ``None`` in a system without a network.
        frames: (frame_dim,) mean of the frames, or (patch_dim,) of an image's patches, as the frozen encoder gives them.
        title: (E,) of the title, by the run's text encoder: beside the embeddings of its tags.
    """

    fused: Vector | None
    frames: Vector
    title: Vector


class Embedder:
    """Embeds what a run tags. The text encoder is opened when it is first needed.

    Args:
        run: the trained run.
        groups: in whose batches it is computed.
        device: for the text encoder.
    """

    def __init__(self, run: Run, groups: GroupTagger, *, device: str = "auto"):
        self._run, self._groups, self._device = run, groups, device

    @cached_property
    def _text(self) -> TextEncoder:
        return open_text_encoder(trained_header(self._run.config.store).text_encoder, device=self._device)

    def embed(self, group: Sequence[TaggerInput]) -> list[Embedding]:
        """The vectors of each of a group of any size, which does not depend on what else is in it but for the title's rounding.

        Raises:
            EncoderError: the text encoder cannot be had.
            RunError: a feature is not finite.
        """
        if not group:
            return []
        titles = np.asarray(self._text.embed([one.title for one in group]), np.float32)
        fused: dict[int, Vector] = {}
        if not isinstance(self._run.model, NoNetwork):
            for alike in self._groups.batches(group):
                with torch.no_grad():
                    features, mask = self._run.model.encode(alike.batch.to(self._run.device))
                    means = mean_over_valid(features, mask).float().cpu().numpy()
                fused.update(zip(alike.places, means, strict=False))  # further rows only fill the batch
        made = [
            Embedding(fused=fused.get(place), frames=_mean(one), title=titles[place]) for place, one in enumerate(group)
        ]
        if not all(np.isfinite(one.frames).all() for one in made):
            raise RunError("an embedding is not finite")
        return made


def _mean(one: TaggerInput) -> Vector:
    values = one.frames if len(one.frames) else one.patches
    mean: Vector = values.astype(np.float32).mean(axis=0)
    return mean
