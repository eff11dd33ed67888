"""The page over HTTP, for this machine alone: loopback, a token in every address, and no other site's requests.

The ``Range`` header (RFC 9110, section 14) is understood as far as players of video use it.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as RoutingError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...data.errors import RunError
from ...data.inputs.source_files import MediaBytes
from .results import report_csv
from .results_page import PAGES, results_page
from .site import BadRequestError, JudgingSite

LOG = logging.getLogger(__name__)


LOOPBACK = "127.0.0.1"


MAX_BODY = 4096


OTHER_SITES = "requests of other sites are refused; paste the address that optsg-judge printed into the browser"


BAD_ANSWERS = "the file of answers cannot be used"


CHUNK = 1 << 18


LAST_REPLIES_S = 1
"""How long replies that are being sent may take once the server is to end."""


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


RESULTS_POLICY = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The results page carries the rest of its policy itself, as the report does."""


HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "optsg",
}
"""Of every reply, refusals too."""


REFUSALS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "there is no such page",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address is not for such a request",
}


STATIC = {
    "": ("judge.html", "text/html"),
    "page.css": ("judge.css", "text/css"),
    "page.js": ("judge.js", "text/javascript"),
}
"""The page that asks: it never says which run wrote a tag, how many did, or what others answered."""


READ = ("GET", "HEAD")


class JudgingServer:
    """Serves one site as long as it is entered.

    Attributes:
        site: what it serves.
        token: the secret first part of every address.
        port: where it listens.
    """

    def __init__(self, site: JudgingSite, port: int = 0):
        """Takes the port, a free one if it is 0.

        Raises:
            RunError: the port is in use or not allowed.
        """
        try:
            self._socket = socket.create_server((LOOPBACK, port))
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise RunError(f"port {port} cannot be used ({why}); choose another with --port, or none") from error
        self.site = site
        self.token = secrets.token_urlsafe(24)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(_uvicorn_config(Guard(create_app(site), self.token, self.hosts)))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser on this machine calls the server."""
        return f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self.hosts[0]}/{self.token}/"

    def __enter__(self) -> JudgingServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends every connection: what the site reads from may be closed after this."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also ends the connections of browsers that do not read what is sent, such as of a video that is paused."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        # Keeps the terminal for what matters, and the token out of it.
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=LAST_REPLIES_S,
    )


class Guard:
    """Stands before an app: lets through what comes from the server's own page, and gives every reply ``HEADERS``.

    It stands before the routes, so that an address that no route knows tells as little as any other.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...]):
        self._app = app
        self._token = token.encode()
        self._hosts = hosts
        self._origins = tuple(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; the app sees the address without the token, and as it was sent."""
        assert scope["type"] == "http"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        token, slash, place = scope["raw_path"].removeprefix(b"/").partition(b"/")
        if refusal := self._refusal(Headers(scope=scope), token, slash):
            await refusal(scope, receive, send_with_headers)
        else:
            inner = {**scope, "path": "/" + place.decode("latin-1"), "raw_path": b"/" + place}
            await self._app(inner, receive, send_with_headers)

    def _refusal(self, headers: Headers, token: bytes, slash: bytes) -> Response | None:
        hosts = headers.getlist("Host")
        # A name of another site that points at this machine (DNS rebinding) shows in Host.
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address alone")
        if any(origin.lower() not in self._origins for origin in headers.getlist("Origin")):
            return refuse(HTTPStatus.FORBIDDEN, OTHER_SITES)
        if any(site not in ("none", "same-origin") for site in headers.getlist("Sec-Fetch-Site")):
            return refuse(HTTPStatus.FORBIDDEN, OTHER_SITES)
        if not secrets.compare_digest(token, self._token) or not slash:
            return refuse(HTTPStatus.FORBIDDEN, "open the address that optsg-judge printed")
        return None


def refuse(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """A sentence instead of what was asked for; the connection ends, so what the request's body holds is not read."""
    return PlainTextResponse(why, status, {"Connection": "close", **(headers or {})})


def create_app(site: JudgingSite) -> FastAPI:
    """What the addresses of a site answer; :class:`Guard` must stand before it."""
    silent: Any = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=silent)
    _add_refusals(app)
    for place, (name, kind) in STATIC.items():
        _add_page(app, place, (PAGES / name).read_text(encoding="utf-8"), kind)
    _add_judging(app, site)
    _add_results(app, site)
    _add_videos(app, site)
    return app


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RoutingError)
    async def refused(_: Request, error: RoutingError) -> Response:
        return refuse(error.status_code, REFUSALS.get(error.status_code, error.detail), error.headers)

    @app.exception_handler(RequestValidationError)  # a number that is none; bodies are read by `json_object`
    async def unknown(_: Request, error: RequestValidationError) -> Response:
        return refuse(HTTPStatus.NOT_FOUND, REFUSALS[HTTPStatus.NOT_FOUND])

    @app.exception_handler(BadRequestError)
    async def bad(_: Request, error: BadRequestError) -> Response:
        return refuse(HTTPStatus.BAD_REQUEST, str(error))

    @app.exception_handler(sqlite3.Error)
    async def bad_answers(_: Request, error: sqlite3.Error) -> Response:
        return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{BAD_ANSWERS}: {error}")

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return refuse(HTTPStatus.BAD_REQUEST, "the request ended early")

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
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise BadRequestError("expected JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError("expected a JSON object")
    return body


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
        return Response(report_csv(site.results()).encode("utf-8", "backslashreplace"), media_type="text/csv")


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
