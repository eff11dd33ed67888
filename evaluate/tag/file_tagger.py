"""Tags for video and image files never seen before, from their pixels, through the run's own encoders.

Files are decoded in processes of their own, within limits of time and memory; pictures are encoded in batches that reach
across files, tags predicted for a group of files at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.batching import Batch
from ...data.errors import ConfigError, DecodeError
from ...data.inputs.media_folder import media_kind
from ...data.media import Failure, MediaItem
from ...data.predicted_tag import PredictedTag
from ...data.store.schema import VideoFeatures
from ...extract.decoding.sampling import Sampling
from ...extract.encoders.image_encoder import ImageEncoder, open_image_encoder
from ...extract.options import DEFAULT_TIMEOUT, available_processors
from ...extract.ordered_encoding import OrderedEncoding
from ...extract.workers.preparation import Preparation, prepare
from ...extract.workers.worker_pool import Decoded, WorkerPool
from ...extract.workers.worker_process import ProcessSettings
from ...train.run.run import load_run
from ...train.writing.tag_control import VideoTags
from ..options import TaggingOptions
from ..scores.run_store import trained_header
from .evidence import Evidence, evidence_for_people, explain, without_evidence
from .requests import NO_MEDIA, TagRequest, TagRequests
from .run_tagger import RunTagger, open_tag_control, open_tagger
from .tagged_file import TaggedFile

PICTURES_AT_A_TIME = {"cpu": 16, "cuda": 128}
"""Pictures of a call of the image encoder, by the kind of device; 64 on others."""


GROUP = 16
"""Files that tags are predicted for, and written, at a time."""


Features = NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class Work:
    """How files are worked through: nothing here changes their tags beyond rounding.

    Attributes:
        group: files at a time.
        workers: decoding processes; ``None`` is one for each processor.
        timeout: seconds that reading one file may take.
    """

    group: int = GROUP
    workers: int | None = None
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        if self.group < 1:
            raise ConfigError(f"--batch-size {self.group} is out of range; expected 1 or more")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers {self.workers} is out of range; expected 1 or more")
        if not 0 < self.timeout <= 1e6:
            raise ConfigError(f"--timeout {self.timeout:g} is out of range; expected seconds above 0, at most 1000000")


class FileTagger:
    """A run with its image encoder.

    Args:
        tagger: what predicts.
        encoder: the encoder that the run's features came from.
        sampling: which frames the run was trained on.
        evidence: whether tags come with what they rest on.
        work: how many files are worked through.
    """

    def __init__(
        self,
        tagger: RunTagger,
        encoder: ImageEncoder,
        sampling: Sampling,
        *,
        evidence: bool = False,
        work: Work | None = None,
    ):
        self._tagger, self.run = tagger, tagger.run
        self._control = tagger.control or open_tag_control(tagger.run)
        lacking = without_evidence(tagger.run.system) if evidence else None
        self.warnings = tagger.warnings if lacking is None else (*tagger.warnings, lacking)
        self._encoder = encoder
        self._preparation = Preparation(plan=encoder.plan, sampling=sampling, thumbnails=False)
        self._pictures = PICTURES_AT_A_TIME.get(self.run.device.type, 64)
        self._reads_patches = self.run.config.inputs.patch_dim > 0
        self._evidence = evidence
        self._work = work or Work()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str = "auto",
        options: TaggingOptions | None = None,
        evidence: bool = False,
        work: Work | None = None,
    ) -> FileTagger:
        """Loads a run folder and opens its image encoder.

        Raises:
            RunError: the run folder cannot be used.
            EncoderError: the encoder or its weights cannot be had.
            OptsgError: as :func:`open_tagger`, for the options.
        """
        run = load_run(path, device=device)
        tagger = open_tagger(run, options or TaggingOptions(), device=device)
        header = trained_header(run.config.store)
        sampling = Sampling.from_spec(header.sampling)
        encoder = open_image_encoder(header.image_encoder, device=device)
        return cls(tagger, encoder, sampling, evidence=evidence, work=work)

    @property
    def system(self) -> str:
        """The system that writes the tags (:mod:`optsg.train.system_names`)."""
        return self.run.config.system

    @property
    def name(self) -> str:
        """The run folder's name; ``runs/latest`` has that of the run it stands for."""
        return self.run.path.resolve().name

    @property
    def listed(self) -> Sequence[str]:
        """The tags that are known beforehand: of the vocabulary, or else of training."""
        return self._control.tags.spellings or self.run.tag_table.spellings

    def check(self, wishes: VideoTags) -> None:
        """Raises ConfigError: a tag is pinned that is forbidden or blocked."""
        self._control.batch([wishes])

    def tag(self, path: Path, title: str | None = None, wishes: VideoTags | None = None) -> list[PredictedTag]:
        """Tags of one video or image file; errors as :meth:`tag_one`."""
        return list(self.tag_one(path, title, wishes).tags)

    def tag_one(self, path: Path, title: str | None = None, wishes: VideoTags | None = None) -> TaggedFile:
        """One video or image file, decoded in this process.

        Args:
            title: its title; ``None`` takes that of the ``.info.json`` beside it.
            wishes: tags that it has and tags that it has not.

        Raises:
            DecodeError: the file is not there, not a video or image, or cannot be decoded.
            ConfigError: a tag is pinned that is forbidden or blocked.
        """
        wishes = wishes or VideoTags()
        self.check(wishes)
        request = one_request(path, title)
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
        """Groups of outcomes, in the order of the requests; a bad file is one of them.

        Only some hundred files are under way at a time, however many there are. Once ``stop`` is set the rest is left.

        Args:
            wishes: tags that all of them have or have not, beside their own.

        Raises:
            ConfigError: a tag is pinned for all that is forbidden for all, or blocked.
        """
        wishes = wishes or VideoTags()
        self.check(wishes)
        taken: deque[TagRequest] = deque()

        def items() -> Iterator[MediaItem | Failure]:
            for request in requests:
                taken.append(request)
                yield request.item

        encoding = OrderedEncoding(self._encoder, self._pictures)
        settings = ProcessSettings(how=self._preparation, seconds=self._work.timeout)
        workers = self._work.workers or available_processors()
        group: list[tuple[TagRequest, VideoFeatures | Failure]] = []
        with WorkerPool(items(), settings, workers=workers, may_go_on=encoding.may_go_on) as pool:
            for features in encoding.results(map(self._as_read, pool.results(stop)), stop):
                group.append((taken.popleft(), features))
                if len(group) == self._work.group:
                    yield self._outcomes(group, wishes)
                    group = []
        # A group that was cut short would be padded otherwise than when the work goes on, and its scores rounded so.
        if group and not (stop is not None and stop.is_set()):
            yield self._outcomes(group, wishes)

    def encode(self, path: Path) -> tuple[Features, Features]:
        """Frame features (M, frame_dim) and patch features (Q, patch_dim), as a feature store would hold them.

        A video has no patches and an image no frames. Where the run was trained without images and so knows no
        patches, an image is read as a video of one frame.

        Raises:
            DecodeError: as :meth:`tag_one`.
        """
        features = self._features_of(one_request(path).item)
        if isinstance(features, Failure):
            raise DecodeError(error_of(str(path), features))
        return self._arrays(features)

    def _features_of(self, item: MediaItem | Failure) -> VideoFeatures | Failure:
        encoding = OrderedEncoding(self._encoder, self._pictures)
        result = None
        if isinstance(item, MediaItem):
            assert isinstance(item.payload, Path)
            result = prepare(item.kind, item.payload, self._preparation)
        (features,) = encoding.results(iter([self._as_read(Decoded.of(0, item, result))]))
        return features

    def _as_read(self, decoded: Decoded) -> Decoded:
        if self._reads_patches or isinstance(decoded.item, Failure) or decoded.item.kind == "video":
            return decoded
        return replace(decoded, item=replace(decoded.item, kind="video"))

    def _arrays(self, features: VideoFeatures) -> tuple[Features, Features]:
        is_video = features.kind == "video"
        no_frames = np.empty((0, self._encoder.frame_dim), np.float16)
        no_patches = np.empty((0, self._encoder.patch_dim), np.float16)
        return (features.frames, no_patches) if is_video else (no_frames, features.patches)

    def _outcomes(
        self, group: Sequence[tuple[TagRequest, VideoFeatures | Failure]], wishes: VideoTags
    ) -> list[TaggedFile]:
        outcomes: dict[int, TaggedFile] = {}
        good: dict[int, tuple[TagRequest, VideoFeatures, VideoTags]] = {}
        for place, (request, features) in enumerate(group):
            if isinstance(features, Failure):
                outcomes[place] = TaggedFile(
                    path=request.path, error=error_of(request.path, features), sidecar=request.sidecar
                )
                continue
            own = own_wishes(request.item, wishes)
            try:
                self.check(own)
            except ConfigError as error:
                outcomes[place] = TaggedFile(path=request.path, error=f"{request.path}: {error}")
                continue
            good[place] = (request, features, own)
        outcomes.update(zip(good, self._tag_group(list(good.values())), strict=True))
        return [outcomes[place] for place in range(len(group))]

    def _tag_group(self, group: Sequence[tuple[TagRequest, VideoFeatures, VideoTags]]) -> list[TaggedFile]:
        if not group:
            return []
        frames, patches = zip(*(self._arrays(features) for _, features, _ in group), strict=True)
        titles = [features.title for _, features, _ in group]
        batch = Batch.from_features(frames, patches, self.run.tokenizer.encode_titles(titles))
        wishes = [own for _, _, own in group]
        has_wishes = any(own.pinned or own.forbidden for own in wishes)
        tags = self._tagger.predict(batch, wishes if has_wishes else None)
        evidence = self._explain(batch, tags, group) if self._evidence else [()] * len(group)
        return [
            TaggedFile(path=request.path, title=features.title, tags=own_tags, evidence=found, sidecar=request.sidecar)
            for (request, features, _), own_tags, found in zip(group, tags, evidence, strict=True)
        ]

    def _explain(
        self,
        batch: Batch,
        tags: Sequence[Sequence[PredictedTag]],
        group: Sequence[tuple[TagRequest, VideoFeatures, VideoTags]],
    ) -> list[tuple[Evidence | None, ...]]:
        # A tag under another name is explained as the model wrote it; a pinned one was given, not written.
        predicted = [
            [replace(tag, text=tag.written or tag.text) for tag in own_tags if not tag.pinned] for own_tags in tags
        ]
        explained = explain(self.run.system, batch.to(self.run.device), predicted)
        found: list[tuple[Evidence | None, ...]] = []
        for own_tags, rest, (_, features, _) in zip(tags, explained, group, strict=True):
            rests = iter(rest)
            found.append(
                tuple(
                    None
                    if tag.pinned
                    else evidence_for_people(
                        next(rests), times=features.times.tolist(), title=features.title, tokenizer=self.run.tokenizer
                    )
                    for tag in own_tags
                )
            )
        return found


def one_request(path: Path, title: str | None = None) -> TagRequest:
    """The request that one file is; DecodeError where it is not there, or neither video nor image."""
    if path.is_file() and media_kind(path.name) is None:
        raise DecodeError(f"{path}: {NO_MEDIA}")
    if not path.is_file():
        raise DecodeError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'there is no such file'}")
    return next(iter(TagRequests([path], title=title)))


def own_wishes(item: MediaItem | Failure, wishes: VideoTags) -> VideoTags:
    """What is said of a file, and of all of them."""
    if isinstance(item, Failure):
        return wishes
    return VideoTags(pinned=(*wishes.pinned, *item.pinned), forbidden=(*wishes.forbidden, *item.forbidden))


def error_of(path: str, failure: Failure) -> str:
    """One sentence that begins with the path, or with the place in the metadata that is wrong."""
    return failure.error if failure.stage == "read" else f"{path}: {failure.error}"
