"""Pictures as vectors, against scikit-learn's scaling and cosines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from optsg.train.recall.pictures import MeanPictures, Pictures
from sklearn.preprocessing import StandardScaler, normalize

VIDEOS, FRAME, PATCH = 60, 5, 3


def pictures(seed: int = 0) -> MeanPictures:
    """A third has frames alone, a third patches alone, a third both but for the last two, which have nothing; all far from 0."""
    rng = np.random.default_rng(seed)
    number = np.arange(VIDEOS)
    has_frames, has_patches = number % 3 != 1, number % 3 != 0
    has_frames[-2:] = has_patches[-2:] = False
    frames, patches = (3 + rng.normal(size=(VIDEOS, width)) * np.arange(1, width + 1) for width in (FRAME, PATCH))
    frames[~has_frames] = patches[~has_patches] = 0
    return MeanPictures(*map(torch.from_numpy, (frames, has_frames, patches, has_patches)))


def scaled_by_hand(values: torch.Tensor, some: torch.Tensor) -> NDArray[np.float64]:
    """Standardised over those that have any, each of length 1; 0 for the others."""
    found = np.zeros(values.shape)
    kept = some.numpy()
    found[kept] = normalize(StandardScaler().fit_transform(values.numpy()[kept]))
    return found


def as_float(made: MeanPictures) -> MeanPictures:
    return MeanPictures(made.frames.float(), made.has_frames, made.patches.float(), made.has_patches)


def test_pictures_are_compared_by_what_sets_them_apart() -> None:
    """So few numbers are all kept: products of two vectors are those of what they were made of."""
    made = pictures()
    expected = np.concatenate(
        [scaled_by_hand(made.frames, made.has_frames), scaled_by_hand(made.patches, made.has_patches)], axis=1
    )
    vectors = Pictures.of_corpus(as_float(made), np.random.default_rng(0)).vectors(as_float(made))
    assert vectors @ vectors.T == pytest.approx(expected @ expected.T, abs=5e-3)
    assert not vectors[-2:].any()


def test_where_no_training_video_has_patches_they_say_nothing() -> None:
    made = as_float(pictures())
    none = made._replace(patches=torch.zeros(VIDEOS, PATCH), has_patches=torch.zeros(VIDEOS, dtype=torch.bool))
    fitted = Pictures.of_corpus(none, np.random.default_rng(0))
    assert fitted.vectors(made).tolist() == fitted.vectors(none).tolist()
