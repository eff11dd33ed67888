"""From a request to its answer: files found or taken in, admitted, waited for, put into JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
from fastapi import Request

from ...data.errors import DecodeError, OptsgError
from ...data.inputs.media_folder import media_kind
from ...data.inputs.relative_paths import printable
from ...data.media import Failure, MediaItem
from ...extract.decoding.file_kinds import media_kind_of
from ...extract.workers.worker_process import WorkerStartError
from ..tag.file_encoder import one_file
from ..tag.media_inputs import request_of
from ..tag.requests import NO_MEDIA, TagRequest, files_beside
from ..tag.tagged_file import TaggedFile
from .batcher import Job
from .fields import Ask, read_fields
from .metrics import Metrics
from .models import Model
from .named_files import find_under
from .ready_features import MOST_BYTES, parse_features, receive_body
from .refusals import RefusedError, too_busy, unusable
from .settings import ServeSettings
from .uploads import Form, Upload, UploadFolder, receive_form, removed_at_the_end

Result = TypeVar("Result")


class Service:
    """Answers requests.

    Args:
        settings: how it is run.
        folder: for uploads; nobody else may read it.
        metrics: told what happens.

    Attributes:
        models: by name, the first is the default; empty until they are loaded.
        is_draining: whether it takes nothing more.
    """

    def __init__(self, settings: ServeSettings, folder: Path, metrics: Metrics):
        self.settings, self.metrics = settings, metrics
        self.models: dict[str, Model] = {}
        self.is_draining = False
        self._folder = UploadFolder(folder)
        self._arriving = 0

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken."""
        return bool(self.models) and not self.is_draining

    def model(self, name: str | None) -> Model:
        """The run that a caller chose.

        Raises:
            RefusedError: there is none of that name.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise unusable(f"there is no run {printable(name)[:200]!r}; there is {', '.join(self.models)}")
        return self.models[name]

    async def tag(self, request: Request) -> tuple[HTTPStatus, dict[str, Any]]:
        """Tags the files of a form.

        Raises:
            RefusedError: it cannot be, and why.
            OptsgError: a field does not fit the run.
        """
        with removed_at_the_end() as made, self._arrival():
            form = await self._in_time(receive_form(request, self._folder, made, most=self.settings.upload))
            self.metrics.received.inc(sum(path.stat().st_size for path in made))
            if not form.media:
                raise unusable("there is nothing to tag: expected parts called file, or path")
            model, ask, jobs = await _in_thread(lambda: self._jobs_of_form(form))
            return await self._answer(request, model, ask, jobs, private=made)

    async def tag_features(self, request: Request) -> tuple[HTTPStatus, dict[str, Any]]:
        """Tags features; errors as :meth:`tag`."""
        with self._arrival():
            body = await self._in_time(receive_body(request, min(MOST_BYTES, self.settings.upload)))
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        query: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            query.setdefault(name, []).append(value)
        model, ask, jobs = await _in_thread(lambda: self._job_of_features(kind, body, query))
        return await self._answer(request, model, ask, jobs, private=[])

    @contextlib.contextmanager
    def _arrival(self) -> Any:
        """While a request is under way it counts: no more are taken in than can wait."""
        if self._arriving >= self.settings.queue or all(model.batcher.is_full for model in self.models.values()):
            raise too_busy()
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def _in_time(self, receiving: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self.settings.upload_seconds):
                return await receiving
        except TimeoutError as error:
            seconds = self.settings.upload_seconds
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT, f"the request took longer than {seconds:g} s to arrive"
            ) from error

    def _jobs_of_form(self, form: Form) -> tuple[Model, Ask, list[Job]]:
        ask = read_fields(form.fields)
        model, count = self.model(ask.run), len(form.media)
        if count > self.settings.queue:
            raise unusable(f"{count} files at once; expected at most {self.settings.queue}")
        model.files.files.encoder  # noqa: B018 (raises where no file can be read)
        requests = [self._request(media, ask.title_of(place, count)) for place, media in enumerate(form.media)]
        return model, ask, self._jobs(model, ask, requests)

    def _job_of_features(self, kind: str, body: bytes, query: dict[str, list[str]]) -> tuple[Model, Ask, list[Job]]:
        features, fields = parse_features(kind, body, query)
        ask = read_fields(fields)
        model = self.model(ask.run)
        return (
            model,
            ask,
            self._jobs(model, ask, [request_of(features, ask.title_of(0, 1), model.files.files, "features")]),
        )

    def _jobs(self, model: Model, ask: Ask, requests: Sequence[TagRequest]) -> list[Job]:
        tagger = model.tagger(ask.wanted)
        tagger.check(ask.wishes)
        return [
            Job(request=request, tagger=tagger, wishes=ask.wishes, evidence=ask.evidence, segments=ask.segments)
            for request in requests
        ]

    def _request(self, media: Upload | str, title: str | None) -> TagRequest:
        if isinstance(media, Upload):
            return request_of_upload(media, title)
        path, name = find_under(self.settings.root, media), printable(media)
        if title is None:
            title = self._title_beside(path)
        try:
            return replace(one_file(path, title), path=name)
        except DecodeError as error:
            return _failed(name, str(error).replace(str(path), name))

    def _title_beside(self, path: Path) -> str | None:
        """``""`` where a file beside a file leads elsewhere: none is read; ``None`` lets them be read."""
        assert self.settings.root is not None
        root = self.settings.root.resolve()
        return None if all(one.resolve().is_relative_to(root) for one in files_beside(path)) else ""

    async def _answer(
        self, request: Request, model: Model, ask: Ask, jobs: Sequence[Job], *, private: Sequence[Path]
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        model.batcher.submit(jobs)
        try:
            outcomes = await _unless_left(request, [asyncio.wrap_future(job.outcome) for job in jobs])
        finally:
            for job in jobs:
                job.left = True  # of what is answered, nothing waits any more
        if outcomes is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the caller left")
        results = [self._result(one, ask) for one in map(_known, outcomes)]
        errors = [result["error"] for result in results if "error" in result]
        for result in results:
            if "error" in result:
                result["error"] = _without(result["error"], private)
        if len(errors) == len(results) == 1:
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": results[0]["error"]}
        status = HTTPStatus.UNPROCESSABLE_ENTITY if len(errors) == len(results) else HTTPStatus.OK
        return status, {"run": model.name, "system": model.files.system, "results": results}

    def _result(self, outcome: TaggedFile, ask: Ask) -> dict[str, Any]:
        row = outcome.to_json()
        if self.settings.root is not None and "error" in row:
            row["error"] = row["error"].replace(f"{self.settings.root.resolve()}/", "")
        if ask.max_tags is not None and "tags" in row:
            row["tags"] = row["tags"][: ask.max_tags]
        return row


def _failed(name: str, error: str) -> TagRequest:
    return TagRequest(path=name, item=Failure(id=name, source=name, stage="read", error=error))


def request_of_upload(upload: Upload, title: str | None) -> TagRequest:
    """As ``optsg-tag`` would read a file with the caller's name for it; one whose name says nothing is read by its content."""
    kind = media_kind(upload.name) or media_kind_of(upload.path)
    if kind is None:
        return _failed(upload.name, f"{upload.name}: {NO_MEDIA}")
    item = MediaItem(
        id=upload.name,
        source=upload.name,
        kind=kind,
        title=printable(title or ""),
        tags=(),
        split="none",
        payload=upload.path,
    )
    return TagRequest(path=upload.name, item=item)


async def _in_thread(work: Callable[[], Result]) -> Result:
    return await anyio.to_thread.run_sync(work)


async def _unless_left(
    request: Request, waited: Sequence[asyncio.Future[TaggedFile]]
) -> list[TaggedFile | BaseException] | None:
    """What was waited for; ``None`` where the caller hangs up before."""

    async def hang_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(hang_up())
    everything = asyncio.ensure_future(asyncio.wait(waited))
    try:
        await asyncio.wait({everything, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            return None
        return [one.exception() or one.result() for one in waited]
    finally:
        leaving.cancel()
        everything.cancel()
        for one in waited:
            one.cancel()


def _known(outcome: TaggedFile | BaseException) -> TaggedFile:
    if isinstance(outcome, WorkerStartError):
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(outcome)) from outcome
    if isinstance(outcome, DecodeError):
        return TaggedFile(path="", error=str(outcome))
    if isinstance(outcome, OptsgError):
        raise unusable(str(outcome)) from outcome
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _without(error: str, private: Sequence[Path]) -> str:
    """The sentence without names of ours, which say nothing to a caller."""
    for path in private:
        error = error.replace(str(path), "the file").replace(path.name, "the file")
    return error
