"""Tags of pictures and titles without training: what the encoders of a preset know of the names of a list.

A tag's score is 1 − (1 − picture)(1 − title): what either says counts. It is no probability that the tag is right; nothing has
been calibrated. Of a classifier or of CLIP it says how much of what the model sees is this tag. No tag is novel: all are of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...data.errors import EncoderError
from ...data.predicted_tag import PredictedTag
from ...data.tag_hierarchy import FLAT, TagHierarchy
from ...data.tag_list import TagList
from ...extract.encoders.efficientnet_lite0 import PACKAGE, load_classifier
from ...extract.encoders.presets import MINI_LM
from ...extract.encoders.text_encoder import open_text_encoder
from .picture_scores import CarriedOver, Features, PictureScores, Prompted, prompt_features, unit
from .tag_names import TagNames, imagenet_classes
from .title_scores import TitleScores

MOST = 8
"""Tags of a file that are given, at most."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class TextTower(Protocol):
    """The text tower that belongs to an image tower.

    Attributes:
        scale, bias: how the checkpoint reads cosines (:class:`optsg.evaluate.untrained.picture_scores.Prompted`).
    """

    scale: float
    bias: float | None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, D) features of sentences."""
        ...


class UntrainedScorer:
    """Tags of a list for frames and a title.

    Attributes:
        names, pictures, titles: as given.

    Args:
        names: the tags.
        pictures: what is said of frames.
        titles: what is said of titles.
        least: the least score; ``None`` is that of ``pictures``.
        most: so many tags of a file at most.
    """

    def __init__(
        self,
        names: TagNames,
        pictures: PictureScores,
        titles: TitleScores,
        *,
        least: float | None = None,
        most: int = MOST,
    ):
        self.names = names
        self.pictures, self.titles = pictures, titles
        self._least, self._most = pictures.least if least is None else least, most

    def tags(self, frames: Sequence[Features], titles: Sequence[str]) -> list[list[PredictedTag]]:
        """Of every file the tags, best first.

        Args:
            frames: of every file (M, D) features.
            titles: of every file its title, ``""`` where it has none.
        """
        by_title = self.titles.scores(titles)
        found = []
        for features, said in zip(frames, by_title, strict=True):
            seen = self.pictures.scores(features) if len(features) else np.zeros_like(said)
            found.append(self._best(self.names.best(1 - (1 - seen) * (1 - said))))
        return found

    def _best(self, scores: NDArray[np.float32]) -> list[PredictedTag]:
        order = np.argsort(-scores, kind="stable")[: self._most]
        return [
            PredictedTag(text=self.names.tags[place], score=float(scores[place]), novel=False)
            for place in order
            if scores[place] >= self._least
        ]


def open_scorer(
    tags: TagList,
    image_encoder: Mapping[str, Any],
    *,
    device: str = "auto",
    threshold: float | None = None,
    hierarchy: TagHierarchy = FLAT,
) -> UntrainedScorer:
    """The scorer that an image encoder allows.

    Args:
        tags: the list; where it allows every tag, the general list is beside it.
        image_encoder: as in :data:`optsg.extract.encoders.presets.PRESETS`, or what a person named.
        threshold: the least score.
        hierarchy: what separates the parts of tags that are paths.

    Raises:
        EncoderError: the encoder knows no names: it has neither a text tower nor the classes of ImageNet; or its weights
            cannot be had.
    """
    names = TagNames.of(tags, hierarchy)
    if image_encoder.get("library") == "open_clip":
        from ...extract.encoders.open_clip_encoder import open_text_tower

        pictures: PictureScores = _prompted(names, open_text_tower(image_encoder, device=device))
        return UntrainedScorer(names, pictures, TitleScores(names.names), least=threshold)
    if image_encoder.get("package") != PACKAGE:
        raise EncoderError(
            f"--untrained needs an image encoder that knows names, with a text tower (--preset clip, or an open_clip model) or "
            f"with the classes of ImageNet (--preset small); {image_encoder.get('name') or image_encoder.get('folder')} has neither"
        )
    embed = open_text_encoder(MINI_LM, device=device).embed
    return UntrainedScorer(names, _carried_over(names, embed), TitleScores(names.names, embed), least=threshold)


def _prompted(names: TagNames, tower: TextTower) -> Prompted:
    return Prompted(prompt_features(tower.embed, names.names), scale=tower.scale, bias=tower.bias)


def _carried_over(names: TagNames, embed: Embed) -> CarriedOver:
    """A class means what its name and its definition say: a moped is a motorbike, which its name alone does not tell."""
    classes, definitions = imagenet_classes()
    weight, bias = load_classifier()
    meant = unit(embed(classes)) + unit(embed(definitions))
    return CarriedOver(weight, bias, meant=meant, named=embed(names.names))
