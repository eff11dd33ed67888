"""Tags for video and image files never seen before, from their pixels, through the run's own encoders.

Legend: M frames, Q patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.batching import Batch
from ..data.errors import DecodeError
from ..data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaKind
from ..extract.decoding.sampling import Sampling
from ..extract.encoders.image_encoder import ImageEncoder, open_image_encoder
from ..extract.workers.preparation import Preparation, Unreadable, prepare
from ..train.constraints.tag_control import VideoTags
from ..train.generation import PredictedTag
from ..train.run_folder import Run, load_run
from ..train.run_tagger import RunTagger
from .open_tagger import OpenedTagger, open_tagger
from .run_store import trained_header
from .tagging_options import TaggingOptions

FRAMES_AT_A_TIME = 16

Features = NDArray[np.float16]


class FileTagger:
    """A run with its image encoder.

    Args:
        run: the trained run.
        encoder: the encoder that the run's features came from.
        sampling: which frames the run was trained on.
        opened: what predicts; the run as it was tuned by default.
    """

    def __init__(self, run: Run, encoder: ImageEncoder, sampling: Sampling, opened: OpenedTagger | None = None):
        self._run = run
        self._tagger = opened.tagger if opened else RunTagger(run)
        self.warnings = opened.warnings if opened else ()
        self._encoder = encoder
        self._preparation = Preparation(plan=encoder.plan, sampling=sampling, thumbnails=False)
        self._reads_patches = run.config.inputs.patch_dim > 0

    @classmethod
    def open(cls, path: Path, *, device: str = "auto", options: TaggingOptions | None = None) -> FileTagger:
        """Loads a run folder and opens its image encoder.

        Raises:
            RunError: the run folder cannot be used.
            EncoderError: the encoder or its weights cannot be had.
            OptsgError: as :func:`open_tagger`, for the options.
        """
        run = load_run(path, device=device)
        opened = open_tagger(run, options or TaggingOptions(), device=device)
        header = trained_header(run.config.store)
        sampling = Sampling.from_spec(header.sampling)
        encoder = open_image_encoder(header.image_encoder, device=device)
        return cls(run, encoder, sampling, opened)

    @property
    def system(self) -> str:
        """The system that writes the tags (:mod:`optsg.train.systems.names`)."""
        return self._run.config.system

    def tag(self, path: Path, title: str = "", wishes: VideoTags | None = None) -> list[PredictedTag]:
        """Tags of one video or image file, pinned ones first, then best score first.

        Raises:
            DecodeError: the file is not there, not a video or image, or cannot be decoded.
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        frames, patches = self.encode(path)
        batch = Batch.from_features([frames], [patches], self._run.tokenizer.encode_titles([title]))
        return self._tagger.predict(batch, None if wishes is None else [wishes])[0]

    def encode(self, path: Path) -> tuple[Features, Features]:
        """Frame features (M, frame_dim) and patch features (Q, patch_dim), as a feature store would hold them.

        A video has no patches and an image no frames. Where the run was trained without images and so knows no
        patches, an image is read as a video of one frame. Errors as :meth:`tag`.
        """
        kind = _kind(path)
        prepared = prepare(kind, path, self._preparation)
        if isinstance(prepared, Unreadable):
            raise DecodeError(f"{path}: {prepared.error}")
        pixels = torch.from_numpy(prepared.pixels)
        if kind == "image" and self._reads_patches:
            no_frames = np.empty((0, self._encoder.frame_dim), np.float16)
            return no_frames, _features(self._encoder.encode_patches(pixels))[0]
        chunks = [_features(self._encoder.encode_frames(part)) for part in pixels.split(FRAMES_AT_A_TIME)]
        return np.concatenate(chunks), np.empty((0, self._encoder.patch_dim), np.float16)


def _kind(path: Path) -> MediaKind:
    if not path.is_file():
        raise DecodeError(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        raise DecodeError(f"{path}: neither a video nor an image by its name; expected a suffix such as .mp4 or .jpg")
    return "image" if suffix in IMAGE_SUFFIXES else "video"


def _features(values: Tensor) -> Features:
    """In the precision of a feature store, so that a file is tagged as it would be from one."""
    return values.numpy().astype(np.float16)


def media_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The given paths, folders replaced by the videos and images in them and their sub-folders, sorted.

    A folder without any stands for itself, so that the caller can say so.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if _is_media(file.relative_to(path)) and file.is_file())
        yield from inside or [path]


def _is_media(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES
