"""Tags for files without a run: what frozen encoders know of the names of a list (:mod:`optsg.evaluate.untrained`)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....data.errors import ConfigError, DecodeError
from ....data.media import Failure
from ....data.predicted_tag import PredictedTag
from ....data.store.schema import VideoFeatures
from ....data.tag_hierarchy import FLAT, FOUND, TagHierarchy, find_separator
from ....data.tag_list import OPEN, TagList, read_tag_list
from ....data.tags import tag_key, unique_tags
from ....extract.decoding.sampling import Sampling
from ....extract.encoders.image_encoder import open_image_encoder
from ....train.writing.tag_control import VideoTags
from ...options import TaggingOptions
from ...untrained.scorer import UntrainedScorer, open_scorer
from ..file_encoder import FileEncoder, Work, one_file
from ..file_tagger import error_of, own_wishes
from ..requests import TagRequest
from ..tagged_file import TaggedFile
from ..with_parents import with_parents

SYSTEM = "untrained"

FRAMES = Sampling(fps=1.0, max_frames=60)
"""As many as extraction takes by default."""


class UntrainedTagger:
    """A list of tags with encoders that know their names.

    Args:
        files: makes features of the frames; an image is a video of one, for names are known of whole pictures.
        scorer: what gives tags.
        tags: the person's list, whose blocked tags cannot be pinned.
        name: what outputs call it.
        hierarchy: what separates the parts of tags that are paths, whose parents are given too.
    """

    system = SYSTEM
    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        files: FileEncoder,
        scorer: UntrainedScorer,
        *,
        tags: TagList = OPEN,
        name: str = SYSTEM,
        hierarchy: TagHierarchy = FLAT,
    ):
        self.name, self.files, self.hierarchy = name, files, hierarchy
        self._scorer, self._list = scorer, tags

    @classmethod
    def open(
        cls,
        image_encoder: Mapping[str, Any],
        options: TaggingOptions,
        *,
        name: str,
        device: str,
        work: Work,
        hierarchy: str = FOUND,
    ) -> UntrainedTagger:
        """Opens the encoders; ``hierarchy`` as in :func:`optsg.data.tag_hierarchy.find_separator`: paths are looked for by their last part.

        Raises:
            ConfigError: an option is of runs alone, or the list cannot be read.
            EncoderError: the encoder knows no names, or cannot be had.
        """
        tags = list_of(options)
        paths = TagHierarchy(separator=find_separator(tags.spellings, hierarchy))
        scorer = open_scorer(tags, image_encoder, device=device, threshold=options.threshold, hierarchy=paths)
        encoder = open_image_encoder(image_encoder, device=device)
        files = FileEncoder(encoder, FRAMES, work, name=name, widths=(encoder.frame_dim, encoder.patch_dim))
        implied = TagHierarchy(separator=find_separator(scorer.names.tags, hierarchy))
        return cls(files, scorer, tags=tags, name=name, hierarchy=implied)

    def check(self, wishes: VideoTags) -> None:
        """Raises ConfigError: a tag is pinned that is forbidden or blocked."""
        wishes = self._spelled(wishes)
        forbidden = {tag_key(tag) for tag in wishes.forbidden}
        for pin in wishes.pinned:
            if tag_key(pin) in forbidden | self._list.blocked:
                raise ConfigError(
                    f"“{pin}” is both pinned and {'forbidden' if tag_key(pin) in forbidden else 'blocked'}"
                )

    def _spelled(self, wishes: VideoTags) -> VideoTags:
        """Each tag once, as the list spells it, an alias as its tag."""

        def spelled(tags: Iterable[str]) -> tuple[str, ...]:
            return unique_tags(self._list.spelling_of.get(tag_key(tag), tag) for tag in tags)

        return VideoTags(pinned=spelled(wishes.pinned), forbidden=spelled(wishes.forbidden))

    def tag_one(self, path: Path, title: str | None = None, wishes: VideoTags | None = None) -> TaggedFile:
        """One video or image, decoded in a process that stays for the next; arguments and errors as those of ``FileTagger.tag_one``."""
        wishes = wishes or VideoTags()
        self.check(wishes)
        request = one_file(path, title)
        (features,) = self.files.encode([self.files.read(request)])
        (tagged,) = self._outcomes([(request, features)], wishes)
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
        """Groups of outcomes, in the order of the requests, as those of ``FileTagger.tag_many``."""
        wishes = wishes or VideoTags()
        self.check(wishes)
        for group in self.files.groups_of(requests, stop):
            yield self._outcomes(group, wishes)

    def _outcomes(
        self, group: Sequence[tuple[TagRequest, VideoFeatures | Failure]], wishes: VideoTags
    ) -> list[TaggedFile]:
        good = [features for _, features in group if isinstance(features, VideoFeatures)]
        scored = iter(self._scorer.tags([one.frames for one in good], [one.title for one in good]))
        outcomes = []
        for request, features in group:
            if isinstance(features, Failure):
                error = error_of(request.path, features)
                outcomes.append(TaggedFile(path=request.path, error=error, sidecar=request.sidecar))
                continue
            tags, own = next(scored), own_wishes(request.item, wishes)
            try:
                self.check(own)
            except ConfigError as error:
                outcomes.append(TaggedFile(path=request.path, error=f"{request.path}: {error}"))
                continue
            own = self._spelled(own)
            finished = _finished(tags, own)
            tagged = TaggedFile(path=request.path, title=features.title, tags=finished, sidecar=request.sidecar)
            outcomes.append(with_parents(tagged, self.hierarchy, own, self._list.blocked))
        return outcomes


def list_of(options: TaggingOptions) -> TagList:
    """The tags that options of a command allow where there is no run.

    Raises:
        ConfigError: an option is of runs alone, or the list cannot be read.
    """
    for name in ("decision", "favour", "min_precision", "nil_bias"):
        if getattr(options, name) is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')} rests on what a run learned; --untrained has none: give --threshold, or train"
            )
    if options.vocabulary in ("known", "snap") or (options.list_file and options.vocabulary != str(options.list_file)):
        raise ConfigError(
            f"--vocabulary {options.vocabulary} rests on the tags of a run; --untrained has none: name a list of tags"
        )
    return OPEN if options.list_file is None else read_tag_list(options.list_file)


def _finished(tags: Sequence[PredictedTag], wishes: VideoTags) -> list[PredictedTag]:
    """Pinned tags first, then the others without forbidden ones."""
    given = [PredictedTag(text=pin, score=1.0, novel=True, pinned=True) for pin in wishes.pinned]
    gone = {tag_key(tag) for tag in (*wishes.pinned, *wishes.forbidden)}
    return [*given, *(tag for tag in tags if tag_key(tag.text) not in gone)]
