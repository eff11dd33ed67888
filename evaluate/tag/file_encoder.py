"""From files, bytes and pictures to the features that a run was trained on, through the run's own image encoder, or any other.

Files are decoded in processes of their own, within limits of time and memory; pictures are encoded in batches that reach
across files, every batch of one size unless the size changes nothing, so that a file's features are the same to the bit
whatever is encoded with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from ...data.errors import ConfigError, DecodeError, EncoderError
from ...data.inputs.media_folder import media_kind
from ...data.media import Failure, MediaItem
from ...data.store.schema import IMPORTED_FROM, VideoFeatures
from ...extract.decoding.sampling import Sampling
from ...extract.encoders.image_encoder import ImageEncoder, open_image_encoder
from ...extract.options import DEFAULT_TIMEOUT, available_processors
from ...extract.ordered_encoding import OrderedEncoding
from ...extract.workers.decoding_pool import DecodingPool
from ...extract.workers.preparation import Preparation, Prepared, Unreadable
from ...extract.workers.worker_pool import Decoded, WorkerPool
from ...extract.workers.worker_process import ProcessSettings
from ...train.run.run import Run
from ..scores.run_store import trained_header
from .requests import NO_MEDIA, TagRequest, TagRequests

PICTURES_AT_A_TIME = {"cpu": 16, "cuda": 128}
"""Pictures of a call of the image encoder, by the kind of device; 64 on others."""


GROUP = 16
"""Files that tags are predicted for, and written, at a time."""


UNKNOWN = "unknown"
"""Library of the image encoder of features that were imported without a word on what made them."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """How files are worked through: nothing here changes their tags, ``group`` not beyond rounding.

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


class FileEncoder:
    """An image encoder with the processes that decode for it. They stay until :meth:`close`.

    Args:
        encoder: the encoder that features come from; ``None`` where nobody knows it and only features can be used.
        sampling: which frames are taken.
        work: how many files are worked through.
        name: of what the features are for, for messages.
        widths: of the features of a frame and of a patch.
        reads_patches: whether images have patches; if not, an image is a video of one frame.
        device: its kind, which decides how many pictures the encoder is called with.
        imported: what features were imported from whose encoder nobody knows.

    Attributes:
        frame_dim, patch_dim: the widths.
    """

    def __init__(
        self,
        encoder: ImageEncoder | None,
        sampling: Sampling,
        work: Work,
        *,
        name: str,
        widths: tuple[int, int],
        reads_patches: bool = False,
        device: str = "cpu",
        imported: object = None,
    ):
        self.sampling, self.work, self.name = sampling, work, name
        self._encoder, self._imported = encoder, imported
        self._pictures = PICTURES_AT_A_TIME.get(device, 64)
        self.reads_patches = reads_patches
        self.frame_dim, self.patch_dim = widths
        self._pool: DecodingPool | None = None
        self._opening = threading.Lock()

    @classmethod
    def of_run(cls, run: Run, work: Work, *, device: str = "auto") -> Self:
        """Opens the encoder that a run records.

        Raises:
            EncoderError: it or its weights cannot be had.
        """
        header = trained_header(run.config.store)
        spec = header.image_encoder
        imported = spec.get(IMPORTED_FROM)
        is_unknown = bool(imported) and spec.get("library") == UNKNOWN
        return cls(
            None if is_unknown else open_image_encoder(spec, device=device),
            Sampling.from_spec(header.sampling),
            work,
            name=str(run.path),
            widths=(header.frame_dim, header.patch_dim),
            reads_patches=run.config.inputs.patch_dim > 0,
            device=run.device.type,
            imported=imported,
        )

    @property
    def encoder(self) -> ImageEncoder:
        """The image encoder.

        Raises:
            EncoderError: nobody knows which it was: the run's features were imported.
        """
        if self._encoder is None:
            raise self._no_encoder()
        return self._encoder

    def _no_encoder(self) -> EncoderError:
        return EncoderError(
            f"{self.name} was trained on features imported from {self._imported}, and nothing says what made them: tag "
            "features in place of files (optsg.Features, POST /v1/tag-features), or import them again with "
            "--image-encoder NAME and train again"
        )

    @cached_property
    def preparation(self) -> Preparation:
        """How files are made ready; errors as :attr:`encoder`."""
        return Preparation(plan=self.encoder.plan, sampling=self.sampling, thumbnails=False)

    @property
    def pool(self) -> DecodingPool:
        """The decoding processes that stay; errors as :attr:`encoder`."""
        with self._opening:
            if self._pool is None:
                self._pool = DecodingPool(self._settings, workers=self.workers)
            return self._pool

    @property
    def knows_encoder(self) -> bool:
        """Whether files can be read, and not features alone."""
        return self._encoder is not None

    @property
    def restarts(self) -> int:
        """How often a decoding process that stays was replaced before its time."""
        return 0 if self._pool is None else self._pool.restarts

    @property
    def workers(self) -> int:
        """Decoding processes at most."""
        return self.work.workers or available_processors()

    @property
    def _settings(self) -> ProcessSettings:
        return ProcessSettings(how=self.preparation, seconds=self.work.timeout)

    def features_of(
        self, requests: Iterable[TagRequest], stop: threading.Event | None = None
    ) -> Iterator[tuple[TagRequest, VideoFeatures | Failure]]:
        """Every request with its features, or why there are none, in order; of many files only some hundred are under way.

        Once ``stop`` is set the rest is left.

        Raises:
            EncoderError: as :attr:`encoder`.
        """
        if self._encoder is None:
            yield from ((request, self._ready(request)) for request in requests)
            return
        taken: deque[TagRequest] = deque()
        pictures: dict[int, Decoded] = {}

        def items() -> Iterator[MediaItem | Failure]:
            for number, request in enumerate(requests):
                taken.append(request)
                if request.in_memory is None:
                    yield request.item
                    continue
                if not isinstance(request.in_memory, VideoFeatures):
                    pictures[number] = Decoded.of(number, request.item, request.in_memory)
                yield _PASSED

        encoding = self._encoding()
        with WorkerPool(items(), self._settings, workers=self.workers, may_go_on=encoding.may_go_on) as pool:
            decoded = (self._as_read(pictures.pop(one.number, one)) for one in pool.results(stop))
            for features in encoding.results(decoded, stop):
                request = taken.popleft()
                yield request, request.in_memory if isinstance(request.in_memory, VideoFeatures) else features

    def groups_of(
        self, requests: Iterable[TagRequest], stop: threading.Event | None = None
    ) -> Iterator[list[tuple[TagRequest, VideoFeatures | Failure]]]:
        """As :meth:`features_of`, so many at a time as are worked through together."""
        group: list[tuple[TagRequest, VideoFeatures | Failure]] = []
        for one in self.features_of(requests, stop):
            group.append(one)
            if len(group) == self.work.group:
                yield group
                group = []
        if group and not (stop is not None and stop.is_set()):
            yield group

    def _ready(self, request: TagRequest) -> VideoFeatures | Failure:
        """What needs no encoder."""
        found = request.in_memory or request.item
        if isinstance(found, VideoFeatures | Failure):
            return found
        raise self._no_encoder()

    def read(self, request: TagRequest) -> Decoded | VideoFeatures:
        """One request as :meth:`encode` takes it; may be called from several threads.

        Raises:
            EncoderError: as :attr:`encoder`.
            WorkerStartError: no decoding process can be started.
        """
        if isinstance(request.in_memory, VideoFeatures):
            return request.in_memory
        item: MediaItem | Failure = request.item
        result: Prepared | Unreadable | None = request.in_memory
        if isinstance(item, MediaItem) and result is None:
            result = self.pool.prepare(item.kind, item.payload)
        return Decoded.of(0, item, result)

    def encode(self, decoded: Sequence[Decoded | VideoFeatures]) -> list[VideoFeatures | Failure]:
        """Features of what :meth:`read` gave, pictures of all of them together; from one thread at a time."""
        outcomes: dict[int, VideoFeatures | Failure] = {}
        waiting: dict[int, Decoded] = {}
        for place, one in enumerate(decoded):
            if isinstance(one, VideoFeatures):
                outcomes[place] = one
            else:
                waiting[place] = self._as_read(replace(one, number=len(waiting)))
        if waiting:
            encoding = self._encoding()
            outcomes.update(zip(waiting, encoding.results(iter(waiting.values())), strict=True))
        return [outcomes[place] for place in range(len(decoded))]

    def _encoding(self) -> OrderedEncoding:
        return OrderedEncoding(self.encoder, self._pictures, whole=not self._is_even)

    @cached_property
    def _is_even(self) -> bool:
        return self.encoder.is_even(self._pictures, patches=self.reads_patches)

    def _as_read(self, decoded: Decoded) -> Decoded:
        if self.reads_patches or isinstance(decoded.item, Failure) or decoded.item.kind == "video":
            return decoded
        return replace(decoded, item=replace(decoded.item, kind="video"))

    def close(self) -> None:
        """Ends the decoding processes; another file starts them again."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


_PASSED = Failure(id="", source="", stage="read", error="")
"""Stands for what is not to be decoded in the row of what is."""


def one_file(path: Path, title: str | None = None) -> TagRequest:
    """The request for one video or image; ``title`` ``None`` takes that of the files beside it.

    Raises:
        DecodeError: the file is not there, or not a video or image by its name.
    """
    if path.is_file() and media_kind(path.name) is None:
        raise DecodeError(f"{path}: {NO_MEDIA}")
    if not path.is_file():
        raise DecodeError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'there is no such file'}")
    return next(iter(TagRequests([path], title=title)))
