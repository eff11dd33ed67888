"""Tags for video and image files never seen before: their features (:mod:`.file_encoder`), then tags for a group at a time.

What else is in a group changes the tags of a file by no digit (:mod:`.group_tagger`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from ...data.errors import ConfigError, DecodeError
from ...data.media import Failure, MediaItem
from ...data.predicted_tag import PredictedTag
from ...data.store.schema import VideoFeatures
from ...data.tag_hierarchy import FOUND, TagHierarchy
from ...train.run.run import load_run
from ...train.writing.tag_control import VideoTags
from ..options import TaggingOptions
from .evidence import without_evidence
from .file_encoder import FileEncoder, Work, one_file
from .group_tagger import Embedder, Features, GroupTagger, TaggerInput, TaggerOutput
from .requests import TagRequest
from .run_tagger import RunTagger, open_tagger
from .segments import segments_of
from .tagged_file import TaggedFile
from .with_parents import with_parents


class FileTagger:
    """A run with its image encoder. Use as a context manager, or :meth:`close` it: decoding processes stay until then.

    Args:
        tagger: what predicts.
        files: makes features.
        evidence: whether tags come with what they rest on.
        segments: whether tags of videos come with when they hold.
    """

    def __init__(self, tagger: RunTagger, files: FileEncoder, *, evidence: bool = False, segments: bool = False):
        self.tagger, self.run, self.files = tagger, tagger.run, files
        self._groups = GroupTagger(tagger.run, files.work.group)
        lacking = without_evidence(tagger.run.system) if evidence or segments else None
        self.warnings = tagger.warnings if lacking is None else (*tagger.warnings, lacking)
        self._evidence, self._segments = evidence, segments
        self._no_frames = np.empty((0, files.frame_dim), np.float16)
        self._no_patches = np.empty((0, files.patch_dim), np.float16)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str = "auto",
        options: TaggingOptions | None = None,
        evidence: bool = False,
        segments: bool = False,
        work: Work | None = None,
        hierarchy: str = FOUND,
        allow_systems: Collection[str] = (),
    ) -> Self:
        """Loads a run folder and opens its image encoder.

        Args:
            hierarchy: what separates the parts of tags that are paths, whose parents are given too
                (:func:`optsg.data.tag_hierarchy.find_separator`).
            allow_systems: as in :func:`optsg.train.run.run.load_run`.

        Raises:
            RunError: the run folder cannot be used.
            EncoderError: the encoder or its weights cannot be had.
            OptsgError: as :func:`open_tagger`, for the options.
        """
        run = load_run(path, device=device, allow_systems=allow_systems)
        tagger = open_tagger(run, options or TaggingOptions(), device=device, hierarchy=hierarchy)
        files = FileEncoder.of_run(run, work or Work(), device=device)
        return cls(tagger, files, evidence=evidence, segments=segments)

    @property
    def system(self) -> str:
        """The system that writes the tags (:mod:`optsg.train.system_names`)."""
        return self.run.config.system

    @property
    def name(self) -> str:
        """The run folder's name; ``runs/latest`` has that of the run it stands for."""
        return self.run.path.resolve().name

    @property
    def hierarchy(self) -> TagHierarchy:
        """What separates the parts of tags whose parents are given too."""
        return self.tagger.hierarchy

    def check(self, wishes: VideoTags) -> None:
        """Raises ConfigError: a tag is pinned that is forbidden or blocked."""
        self.tagger.check(wishes)

    def tag(self, path: Path, title: str | None = None, wishes: VideoTags | None = None) -> list[PredictedTag]:
        """Tags of one video or image file; errors as :meth:`tag_one` and :func:`one_file`."""
        return list(self.tag_one(one_file(path, title), wishes).tags)

    def tag_one(self, request: TagRequest, wishes: VideoTags | None = None) -> TaggedFile:
        """One video or image, decoded in a process that stays for the next.

        Args:
            wishes: tags that it has and tags that it has not.

        Raises:
            DecodeError: it cannot be decoded.
            EncoderError: there is no encoder for it.
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        wishes = wishes or VideoTags()
        self.check(wishes)
        (features,) = self.files.encode([self.files.read(request)])
        (tagged,) = self.outcomes([(request, features)], wishes)
        if tagged.error is not None:
            raise DecodeError(tagged.error)
        return tagged

    def tag_many(
        self,
        requests: Iterable[TagRequest],
        *,
        wishes: VideoTags | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[list[TaggedFile]]:
        """Groups of outcomes, in the order of the requests; a bad file is one of them.

        Only some hundred files are under way at a time, however many there are. Once ``stop`` is set the rest is left.

        Args:
            wishes: tags that all of them have or have not, beside their own.

        Raises:
            ConfigError: a tag is pinned for all that is forbidden for all, or blocked.
            EncoderError: there is no encoder for them.
        """
        wishes = wishes or VideoTags()
        self.check(wishes)
        for group in self.files.groups_of(requests, stop):
            yield self.outcomes(group, wishes)

    def encode(self, path: Path) -> tuple[Features, Features]:
        """Frame features (M, frame_dim) and patch features (Q, patch_dim), as a feature store would hold them.

        A video has no patches and an image no frames. Where the run was trained without images and so knows no
        patches, an image is read as a video of one frame.

        Raises:
            DecodeError, EncoderError: as :meth:`tag_one`.
        """
        request = one_file(path)
        (features,) = self.files.encode([self.files.read(request)])
        one = self.input_of_good(request, features)
        return one.frames, one.patches

    def input_of(self, features: VideoFeatures, wishes: VideoTags | None = None) -> TaggerInput:
        """What tags are predicted from."""
        is_video = features.kind == "video"
        return TaggerInput(
            frames=features.frames if is_video else self._no_frames,
            patches=self._no_patches if is_video else features.patches,
            title=features.title,
            times=features.times.tolist(),
            duration=features.duration,
            wishes=wishes or VideoTags(),
        )

    def input_of_good(self, request: TagRequest, features: VideoFeatures | Failure) -> TaggerInput:
        """As :meth:`input_of`.

        Raises:
            DecodeError: there are no features, and why.
        """
        if isinstance(features, Failure):
            raise DecodeError(error_of(request.path, features))
        return self.input_of(features)

    def tag_inputs(self, group: Sequence[TaggerInput]) -> list[TaggerOutput]:
        """Tags of features that are at hand."""
        return self._groups.tag(self.tagger, group, evidence=self._evidence)

    def embedder(self) -> Embedder:
        """What gives the run's vectors."""
        return Embedder(self.run, self._groups, device=str(self.run.device))

    def outcomes(
        self,
        group: Sequence[tuple[TagRequest, VideoFeatures | Failure]],
        wishes: VideoTags,
        *,
        tagger: RunTagger | None = None,
        evidence: bool | None = None,
        segments: bool | None = None,
    ) -> list[TaggedFile]:
        """What became of a group of files.

        Args:
            wishes: tags that all of them have or have not, beside their own.
            tagger: another one of the same run.
            evidence, segments: whether tags come with what they rest on, and when they hold, where that differs from the
                tagger's own way.
        """
        tagger = tagger or self.tagger
        outcomes: dict[int, TaggedFile] = {}
        good: dict[int, TaggerInput] = {}
        for place, (request, features) in enumerate(group):
            if isinstance(features, Failure):
                error = error_of(request.path, features)
                outcomes[place] = TaggedFile(path=request.path, error=error, sidecar=request.sidecar)
                continue
            own = own_wishes(request.item, wishes)
            try:
                tagger.check(own)
            except ConfigError as error:
                outcomes[place] = TaggedFile(path=request.path, error=f"{request.path}: {error}")
                continue
            good[place] = self.input_of(features, own)
        explains = self._evidence if evidence is None else evidence
        places = self._segments if segments is None else segments
        found = self._groups.tag(tagger, list(good.values()), evidence=explains or places)
        for (place, one), output in zip(good.items(), found, strict=True):
            request = group[place][0]
            tagged = TaggedFile(
                path=request.path,
                title=one.title,
                tags=output.tags,
                evidence=output.evidence if explains else (),
                segments=[segments_of(rest, duration=one.duration) for rest in output.evidence] if places else (),
                sidecar=request.sidecar,
            )
            blocked = () if tagger.control is None else tagger.control.tags.blocked
            outcomes[place] = with_parents(tagged, tagger.hierarchy, one.wishes, blocked)
        return [outcomes[place] for place in range(len(group))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the decoding processes; another file starts them again."""
        self.files.close()


def own_wishes(item: MediaItem | Failure, wishes: VideoTags) -> VideoTags:
    """What is said of a file, and of all of them."""
    if isinstance(item, Failure):
        return wishes
    return VideoTags(pinned=(*wishes.pinned, *item.pinned), forbidden=(*wishes.forbidden, *item.forbidden))


def error_of(path: str, failure: Failure) -> str:
    """One sentence that begins with the path, or with the place in the metadata that is wrong."""
    return failure.error if failure.stage == "read" else f"{path}: {failure.error}"
