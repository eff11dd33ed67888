"""Tags for files without a run: what frozen encoders know of the names of a list (:mod:`optsg.evaluate.untrained`)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....data.errors import ConfigError, DecodeError
from ....data.media import Failure, MediaItem
from ....data.predicted_tag import PredictedTag
from ....data.store.schema import VideoFeatures
from ....data.tag_hierarchy import FOUND, TagHierarchy, find_separator
from ....data.tag_list import OPEN, TagList, read_tag_list
from ....data.tags import tag_key
from ....extract.decoding.sampling import Sampling
from ....extract.encoders.image_encoder import ImageEncoder, open_image_encoder
from ....extract.options import available_processors
from ....extract.ordered_encoding import OrderedEncoding
from ....extract.workers.preparation import Preparation, prepare
from ....extract.workers.worker_pool import Decoded, WorkerPool
from ....extract.workers.worker_process import ProcessSettings
from ....train.writing.tag_control import VideoTags
from ...options import TaggingOptions
from ...untrained.scorer import UntrainedScorer, open_scorer
from ..file_encoder import PICTURES_AT_A_TIME, Work, one_file
from ..file_tagger import error_of, own_wishes
from ..requests import TagRequest
from ..tagged_file import TaggedFile

SYSTEM = "untrained"

FRAMES = Sampling(fps=1.0, max_frames=60)
"""As many as extraction takes by default."""


class UntrainedTagger:
    """A list of tags with encoders that know their names.

    Args:
        encoder: of the pictures.
        scorer: what gives tags.
        tags: the person's list, whose blocked tags cannot be pinned.
        name: what outputs call it.
        work: how many files are worked through.
    """

    system = SYSTEM
    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        encoder: ImageEncoder,
        scorer: UntrainedScorer,
        *,
        tags: TagList = OPEN,
        name: str = SYSTEM,
        work: Work | None = None,
    ):
        self.name = name
        self._encoder, self._scorer, self._list = encoder, scorer, tags
        self._preparation = Preparation(plan=encoder.plan, sampling=FRAMES, thumbnails=False)
        self._work = work or Work()

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
        return cls(open_image_encoder(image_encoder, device=device), scorer, tags=tags, name=name, work=work)

    @property
    def listed(self) -> Sequence[str]:
        """The tags of the list."""
        return self._scorer.names.tags

    def check(self, wishes: VideoTags) -> None:
        """Raises ConfigError: a tag is pinned that is forbidden or blocked."""
        forbidden = {tag_key(tag) for tag in wishes.forbidden}
        for pin in wishes.pinned:
            if tag_key(pin) in forbidden | self._list.blocked:
                raise ConfigError(
                    f"“{pin}” is both pinned and {'forbidden' if tag_key(pin) in forbidden else 'blocked'}"
                )

    def tag_one(self, path: Path, title: str | None = None, wishes: VideoTags | None = None) -> TaggedFile:
        """One video or image, decoded in this process; arguments and errors as those of ``FileTagger.tag_one``."""
        wishes = wishes or VideoTags()
        self.check(wishes)
        request = one_file(path, title)
        (tagged,) = self._outcomes([(request, self._features_of(request.item))], wishes)
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
        taken: deque[TagRequest] = deque()

        def items() -> Iterator[MediaItem | Failure]:
            for request in requests:
                taken.append(request)
                yield request.item

        encoding = OrderedEncoding(self._encoder, PICTURES_AT_A_TIME["cpu"])
        settings = ProcessSettings(how=self._preparation, seconds=self._work.timeout)
        workers = self._work.workers or available_processors()
        group: list[tuple[TagRequest, VideoFeatures | Failure]] = []
        with WorkerPool(items(), settings, workers=workers, may_go_on=encoding.may_go_on) as pool:
            for features in encoding.results(map(_as_video, pool.results(stop)), stop):
                group.append((taken.popleft(), features))
                if len(group) == self._work.group:
                    yield self._outcomes(group, wishes)
                    group = []
        if group and not (stop is not None and stop.is_set()):
            yield self._outcomes(group, wishes)

    def _features_of(self, item: MediaItem | Failure) -> VideoFeatures | Failure:
        encoding = OrderedEncoding(self._encoder, PICTURES_AT_A_TIME["cpu"])
        result = None
        if isinstance(item, MediaItem):
            assert isinstance(item.payload, Path)
            result = prepare(item.kind, item.payload, self._preparation)
        (features,) = encoding.results(iter([_as_video(Decoded.of(0, item, result))]))
        return features

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
            finished = _finished(tags, own)
            outcomes.append(TaggedFile(path=request.path, title=features.title, tags=finished, sidecar=request.sidecar))
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


def _as_video(decoded: Decoded) -> Decoded:
    """An image is a video of one frame: names are known of whole pictures."""
    if isinstance(decoded.item, Failure) or decoded.item.kind == "video":
        return decoded
    return replace(decoded, item=replace(decoded.item, kind="video"))


def _finished(tags: Sequence[PredictedTag], wishes: VideoTags) -> list[PredictedTag]:
    """Pinned tags first, then the others without forbidden ones."""
    given = [PredictedTag(text=pin, score=1.0, novel=True, pinned=True) for pin in wishes.pinned]
    gone = {tag_key(tag) for tag in (*wishes.pinned, *wishes.forbidden)}
    return [*given, *(tag for tag in tags if tag_key(tag.text) not in gone)]
