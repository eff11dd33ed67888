"""The kinds of vectors that there are of a video."""

from __future__ import annotations

from collections.abc import Mapping

FUSED, TITLE, FRAMES, PATCHES = "fused", "title", "frames", "patches"

KINDS: Mapping[str, str] = {
    FUSED: "the run's hybrid features of pictures and title, their mean",
    TITLE: "of the title, by the run's text encoder",
    FRAMES: "mean of a video's frames, as the frozen encoder gives them",
    PATCHES: "mean of an image's patches, likewise",
}
