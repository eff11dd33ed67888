"""Files of many callers, decoded side by side and tagged together.

Every file goes the same way: it is admitted or refused at once, read by a decoding process, and tagged with whatever else
is ready. The batch is begun when it is full, or when its first file has waited long enough; while one is computed the next
one gathers. What a file shares its batch with changes nothing of its tags.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Self

from ...data.store.schema import VideoFeatures
from ...extract.workers.worker_pool import MEMORY_BUDGET, Decoded
from ...train.writing.tag_control import VideoTags
from ..tag.file_tagger import FileTagger
from ..tag.requests import TagRequest
from ..tag.run_tagger import RunTagger
from ..tag.tagged_file import TaggedFile
from .metrics import Metrics
from .refusals import too_busy

LOG = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Job:
    """One file of a request.

    Attributes:
        request: the file.
        tagger: how it is to be tagged.
        wishes: tags that it has and has not.
        evidence, segments: whether tags come with what they rest on, and when they hold.
        outcome: what became of it.
        left: whether nobody waits for it any more.
    """

    request: TagRequest
    tagger: RunTagger
    wishes: VideoTags
    evidence: bool = False
    segments: bool = False
    outcome: Future[TaggedFile] = field(default_factory=Future)
    left: bool = False

    def settle(self, outcome: TaggedFile | BaseException) -> None:
        """Answers it, unless it is answered or nobody waits any more."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.outcome.set_exception(outcome)
            else:
                self.outcome.set_result(outcome)


Read = tuple[Job, Decoded | VideoFeatures]


class Batcher:
    """Works for one run. Use as a context manager.

    Args:
        name: of the run, for metrics.
        files: the run.
        most: files that may be under way.
        wait: seconds that the first file of a batch waits for others.
        metrics: told what happens.
    """

    def __init__(self, name: str, files: FileTagger, *, most: int, wait: float, metrics: Metrics):
        self._name, self._files, self._metrics = name, files, metrics
        self._most, self._wait = most, wait
        self._lock = threading.Lock()
        self._under_way = 0
        self._closing = False
        self._to_read: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Read | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._ready_bytes = 0
        workers = files.files.workers
        self._readers = [threading.Thread(target=self._read_all, name=f"read-{n}", daemon=True) for n in range(workers)]
        self._tagging = threading.Thread(target=self._tag_all, name="tag", daemon=True)

    @property
    def is_full(self) -> bool:
        """Whether no file more is admitted."""
        return self._under_way >= self._most

    def submit(self, jobs: Sequence[Job]) -> None:
        """Admits all files of a request, or none.

        Raises:
            RefusedError: there is no room for them.
        """
        with self._lock:
            if self._under_way + len(jobs) > self._most:
                raise too_busy()
            self._under_way += len(jobs)
        self._metrics.under_way.inc(len(jobs))
        for job in jobs:
            job.outcome.add_done_callback(self._done)
            self._to_read.put(job)

    def _done(self, _: object) -> None:
        with self._lock:
            self._under_way -= 1
        self._metrics.under_way.dec()

    def _read_all(self) -> None:
        while (job := self._to_read.get()) is not None:
            if job.left or self._closing:
                job.settle(_gone())
                continue
            self._wait_for_room()
            try:
                read = self._files.files.read(job.request)
            except BaseException as error:  # noqa: BLE001 (the caller is answered, and the next file read)
                job.settle(error)
                continue
            with self._room:
                self._ready_bytes += _nbytes(read)
            self._ready.put((job, read))

    def _wait_for_room(self) -> None:
        with self._room:
            while self._ready_bytes > MEMORY_BUDGET:
                self._room.wait()

    def _tag_all(self) -> None:
        ended = False
        while not ended:
            group, ended = self._gather()
            with self._room:
                self._ready_bytes -= sum(_nbytes(read) for _, read in group)
                self._room.notify_all()
            wanted = [one for one in group if not one[0].left]
            for job, _ in group:
                if job.left:
                    job.settle(_gone())
            if wanted:
                self._tag(wanted)

    def _gather(self) -> tuple[list[Read], bool]:
        """The next batch, and whether it is the last."""
        first = self._ready.get()
        if first is None:
            return [], True
        group, until = [first], time.monotonic() + self._wait
        while len(group) < self._files.files.work.group:
            try:
                one = self._ready.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if one is None:
                return group, True
            group.append(one)
        return group, False

    def _tag(self, group: Sequence[Read]) -> None:
        started = time.perf_counter()
        try:
            outcomes = self._outcomes(group)
        except Exception as error:  # noqa: BLE001 (settled below; the service goes on)
            if len(group) == 1:
                LOG.error("%s failed: %s: %s", group[0][0].request.path, type(error).__name__, error)
                group[0][0].settle(error)
                return
            for one in group:  # whichever it is that cannot be tagged, the others can
                self._tag([one])
            return
        self._metrics.batches.labels(self._name).observe(len(group))
        self._metrics.batch_seconds.labels(self._name).observe(time.perf_counter() - started)
        for (job, _), outcome in zip(group, outcomes, strict=True):
            self._metrics.files.labels(self._name, "tagged" if outcome.error is None else "failed").inc()
            job.settle(outcome)

    def _outcomes(self, group: Sequence[Read]) -> list[TaggedFile]:
        """Encoded together, and tagged together as far as the same is asked of them."""
        features = self._files.files.encode([read for _, read in group])
        alike: dict[tuple[RunTagger, VideoTags, bool, bool], list[int]] = {}
        for place, (job, _) in enumerate(group):
            alike.setdefault((job.tagger, job.wishes, job.evidence, job.segments), []).append(place)
        outcomes: dict[int, TaggedFile] = {}
        for (tagger, wishes, evidence, segments), places in alike.items():
            some = [(group[place][0].request, features[place]) for place in places]
            tagged = self._files.outcomes(some, wishes, tagger=tagger, evidence=evidence, segments=segments)
            outcomes.update(zip(places, tagged, strict=True))
        return [outcomes[place] for place in range(len(group))]

    def __enter__(self) -> Self:
        for thread in (*self._readers, self._tagging):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends once what is ready has been tagged; what still waits is answered that nobody reads it any more."""
        self._closing = True
        for _reader in self._readers:
            self._to_read.put(None)
        self._files.close()
        for thread in self._readers:
            thread.join()
        self._ready.put(None)
        self._tagging.join()


def _gone() -> TaggedFile:
    return TaggedFile(path="", error="nobody waits for it any more")


def _nbytes(read: Decoded | VideoFeatures) -> int:
    return read.nbytes if isinstance(read, Decoded) else 0
