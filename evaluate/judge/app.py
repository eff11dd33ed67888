"""What the addresses of a site answer, each a page, an annotator's questions or a video.

The ``Range`` header (RFC 9110, section 14) is understood as far as players of video use it.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, StreamingResponse

from ...data.errors import RunError
from ...data.foreign.json_reader import parse_json
from ...data.inputs.source_files import MediaBytes
from .results import report_csv
from .results_page import PAGES, results_page
from .site import BadRequestError, JudgingSite

LOG = logging.getLogger(__name__)


MAX_BODY = 4096


BAD_ANSWERS = "the file of answers cannot be used"


CHUNK = 1 << 18


RESULTS_POLICY = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The results page carries the rest of its policy itself, as the report does."""


STATIC = {
    "": ("judge.html", "text/html"),
    "page.css": ("judge.css", "text/css"),
    "page.js": ("judge.js", "text/javascript"),
}
"""The page that asks: it never says which run wrote a tag, how many did, or what others answered."""


READ = ("GET", "HEAD")


def create_app(site: JudgingSite) -> FastAPI:
    """What the addresses of a site answer; who may ask is not checked here."""
    silent: Any = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=silent)
    _add_refusals(app)
    for place, (name, kind) in STATIC.items():
        _add_page(app, place, (PAGES / name).read_text(encoding="utf-8"), kind)
    _add_judging(app, site)
    _add_results(app, site)
    _add_videos(app, site)
    return app


def refuse(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """A sentence instead of what was asked for; the connection ends, so what the request's body holds is not read."""
    return PlainTextResponse(why, status, {"Connection": "close", **(headers or {})})


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)  # a number that is none; bodies are read by `json_object`
    @app.exception_handler(HTTPStatus.NOT_FOUND)
    async def unknown(_request: Request, _error: Exception) -> Response:
        return refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def not_allowed(_: Request, error: HTTPException) -> Response:
        return refuse(error.status_code, "this address is not for such a request", error.headers)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return refuse(error.status_code, error.detail)

    @app.exception_handler(BadRequestError)
    async def bad(_: Request, error: BadRequestError) -> Response:
        return refuse(HTTPStatus.BAD_REQUEST, str(error))

    @app.exception_handler(RunError)
    async def bad_answers(_: Request, error: RunError) -> Response:
        return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{BAD_ANSWERS}: {error.__cause__ or error}")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        LOG.error("%s failed: %s: %s", request.url.path, type(error).__name__, error)
        return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "optsg-judge failed; its terminal says why")


def _add_page(app: FastAPI, place: str, text: str, kind: str) -> None:
    @app.api_route(f"/{place}", methods=[*READ])
    async def page() -> Response:
        return Response(text, media_type=kind)


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body.

    Raises:
        HTTPException: it is of another type.
        BadRequestError: it is too long, or no JSON object.
    """
    # A form of another site cannot send this type without asking first.
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected JSON")
    length = request.headers.get("Content-Length", "")
    if "Transfer-Encoding" in request.headers or not length.isdecimal() or int(length) > MAX_BODY:
        raise BadRequestError(f"expected at most {MAX_BODY} bytes")
    sent = await _read(request)
    try:
        body = parse_json(sent)
    except ValueError as error:
        raise BadRequestError("expected JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError("expected a JSON object")
    return body


async def _read(request: Request) -> bytes:
    body = bytearray()
    while (message := await request.receive())["type"] != "http.disconnect":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
    raise BadRequestError("the request ended early")


JsonObject = Annotated[dict[str, Any], Depends(json_object)]


def _add_judging(app: FastAPI, site: JudgingSite) -> None:
    """Questions of an annotator, an answer, an undo; JSON both ways."""

    @app.post("/questions")
    def questions(body: JsonObject) -> Response:
        return _json(site.queue(body.get("annotator")))

    @app.post("/answer")
    def answer(body: JsonObject) -> Response:
        return _json(site.answer(body))

    @app.post("/undo")
    def undo(body: JsonObject) -> Response:
        return _json(site.undo(body))


def _json(reply: dict[str, Any]) -> Response:
    return Response(json.dumps(reply), media_type="application/json")


def _add_results(app: FastAPI, site: JudgingSite) -> None:
    @app.api_route("/results", methods=[*READ])
    def results() -> Response:
        policy = {"Content-Security-Policy": RESULTS_POLICY}
        return Response(results_page(site.results()), media_type="text/html", headers=policy)

    @app.api_route("/verdicts.csv", methods=[*READ])
    def verdicts() -> Response:
        return Response(report_csv(site.results()).encode("utf-8"), media_type="text/csv")


VideoNumber = Annotated[str, Path(pattern="^[0-9]{1,9}$")]


def _add_videos(app: FastAPI, site: JudgingSite) -> None:
    nothing = "there is no such video"

    @app.api_route("/media/{video}", methods=[*READ])
    def media(video: VideoNumber, request: Request) -> Response:
        found = site.media.get(int(video))
        return refuse(HTTPStatus.NOT_FOUND, nothing) if found is None else _send_media(found, request)

    @app.api_route("/still/{video}", methods=[*READ])
    def still(video: VideoNumber) -> Response:
        jpeg = site.still(int(video)) if site.has_video(int(video)) else b""
        return Response(jpeg, media_type="image/jpeg") if jpeg else refuse(HTTPStatus.NOT_FOUND, nothing)


def _send_media(media: MediaBytes, request: Request) -> Response:
    try:
        chosen = parse_range(request.headers.get("Range"), media.size)
    except UnsatisfiableRangeError:
        headers = {"Content-Range": f"bytes */{media.size}"}
        return PlainTextResponse("", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    first, last = chosen or (0, media.size - 1)
    chunks = _chunks(media, first, last - first + 1)
    try:
        start = next(chunks, b"")  # opens the file
    except OSError as error:
        return refuse(HTTPStatus.NOT_FOUND, f"the video cannot be read: {error.strerror}")
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    if chosen:
        headers["Content-Range"] = f"bytes {first}-{last}/{media.size}"
    status = HTTPStatus.PARTIAL_CONTENT if chosen else HTTPStatus.OK
    if request.method == "HEAD":
        return Response(None, status, headers, media.type)
    return StreamingResponse(itertools.chain([start], chunks), status, headers, media.type)


def _chunks(media: MediaBytes, first: int, left: int) -> Iterator[bytes]:
    with media.path.open("rb") as file:
        file.seek(media.offset + first)
        while left and (chunk := file.read(min(left, CHUNK))):
            yield chunk
            left -= len(chunk)
    if left:  # less was sent than announced, so the connection has to end
        raise OSError(f"{media.path} became shorter")


ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRangeError(ValueError):
    """The range begins behind the end."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that are asked for.

    Args:
        header: the header's value; ``None`` if it was not sent.
        size: of the whole.

    Returns:
        ``None`` where the whole is to be sent: no header, another unit, several ranges, or one that is malformed.

    Raises:
        UnsatisfiableRangeError: nothing of the range is there.
    """
    match = ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        if not size or not int(last):
            raise UnsatisfiableRangeError
        return max(size - int(last), 0), size - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return int(first), min(int(last), size - 1) if last else size - 1
