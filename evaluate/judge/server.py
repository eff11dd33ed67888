"""The page over HTTP, for this machine alone: loopback, a token in every address, and no other site's requests.

The ``Range`` header (RFC 9110, section 14) is understood as far as players of video use it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import sqlite3
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ...data.errors import RunError
from ...data.inputs.source_files import MediaBytes
from .page import PAGE
from .page_script import SCRIPT
from .page_style import STYLE
from .results import report_csv
from .results_page import results_page
from .site import BadRequestError, JudgingSite

LOOPBACK = "127.0.0.1"


MAX_BODY = 4096


OTHER_SITES = "requests of other sites are refused; paste the address that optsg-judge printed into the browser"


BAD_ANSWERS = "the file of answers cannot be used"


CHUNK = 1 << 18


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
}


STATIC = {
    "": (PAGE, "text/html; charset=utf-8"),
    "page.css": (STYLE, "text/css; charset=utf-8"),
    "page.js": (SCRIPT, "text/javascript; charset=utf-8"),
}


MEDIA_ADDRESS = re.compile(r"(media|still)/(\d{1,9})", re.ASCII)


class JudgingServer(ThreadingHTTPServer):
    """Serves one site until :meth:`shutdown`.

    Attributes:
        site: what it serves.
        token: the secret first part of every address.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, site: JudgingSite, port: int = 0):
        """Takes the port, a free one if it is 0.

        Raises:
            RunError: the port is in use or not allowed.
        """
        self.site = site
        self._connections: set[socket.socket] = set()
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise RunError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port, or none"
            ) from error

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser on this machine calls the server."""
        return f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self.hosts[0]}/{self.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remembers the connection until it ends."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Also ends the connections that browsers keep open: what the site reads from may be closed after this."""
        super().server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up while a video is sent is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: JudgingServer
    protocol_version = "HTTP/1.1"
    server_version = "optsg"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """A page, an annotator's questions, a video."""
        if (place := self._allowed_place()) is None:
            return
        name = place.partition("?")[0]
        if name in STATIC:
            self._send_text(*STATIC[name])
        elif name in ("results", "verdicts.csv"):
            self._send_results(name)
        elif match := MEDIA_ADDRESS.fullmatch(name):
            self._send_picture(match.group(1), int(match.group(2)))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_HEAD(self) -> None:
        """As GET, less the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Questions of an annotator, an answer, an undo; JSON both ways."""
        if (place := self._allowed_place()) is None:
            return
        site = self.server.site
        actions = {
            "questions": lambda body: site.queue(body.get("annotator")),
            "answer": site.answer,
            "undo": site.undo,
        }
        if place not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        # A form of another site cannot send this type without asking first.
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected JSON")
        else:
            try:
                self._send_text(json.dumps(actions[place](self._read_body())), "application/json")
            except BadRequestError as error:
                self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            except sqlite3.Error as error:
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{BAD_ANSWERS}: {error}")

    def _allowed_place(self) -> str | None:
        """What follows the token in the address; ``None`` if the request was refused."""
        hosts = self.headers.get_all("Host", [])
        # A name of another site that points at this machine (DNS rebinding) shows in Host.
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address alone")
            return None
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in [f"http://{host}" for host in self.server.hosts]:
            self._refuse(HTTPStatus.FORBIDDEN, OTHER_SITES)
            return None
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self._refuse(HTTPStatus.FORBIDDEN, OTHER_SITES)
            return None
        token, slash, place = self.path.removeprefix("/").partition("/")
        matches = secrets.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        if not matches or not slash:
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that optsg-judge printed")
            return None
        return place

    def _read_body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise BadRequestError(f"expected at most {MAX_BODY} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise BadRequestError("expected JSON") from error
        if not isinstance(body, dict):
            raise BadRequestError("expected a JSON object")
        return body

    def _send_results(self, name: str) -> None:
        try:
            results = self.server.site.results()
        except sqlite3.Error as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{BAD_ANSWERS}: {error}")
            return
        if name == "results":
            extra = {"Content-Security-Policy": RESULTS_POLICY}
            self._send_text(results_page(results), "text/html; charset=utf-8", extra)
        else:
            self._send_text(report_csv(results), "text/csv; charset=utf-8")

    def _send_picture(self, kind: str, video: int) -> None:
        site = self.server.site
        if kind == "media" and video in site.media:
            self._send_media(site.media[video])
        elif kind == "still" and site.has_video(video) and (still := site.still(video)):
            self._send(HTTPStatus.OK, still, "image/jpeg")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such video")

    def _send_media(self, media: MediaBytes) -> None:
        try:
            chosen = parse_range(self.headers.get("Range"), media.size)
        except UnsatisfiableRangeError:
            extra = {"Content-Range": f"bytes */{media.size}"}
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "text/plain", extra)
            return
        first, last = chosen or (0, media.size - 1)
        try:
            file = media.path.open("rb")
        except OSError as error:
            self._refuse(HTTPStatus.NOT_FOUND, f"the video cannot be read: {error.strerror}")
            return
        with file:
            extra = {"Accept-Ranges": "bytes"}
            if chosen:
                extra["Content-Range"] = f"bytes {first}-{last}/{media.size}"
            status = HTTPStatus.PARTIAL_CONTENT if chosen else HTTPStatus.OK
            self._begin(status, media.type, last - first + 1, extra)
            file.seek(media.offset + first)
            left = 0 if self.command == "HEAD" else last - first + 1
            while left and (chunk := file.read(min(left, CHUNK))):
                self.wfile.write(chunk)
                left -= len(chunk)
            if left:
                self.close_connection = True  # the file became shorter; less was sent than announced

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what the request's body holds is not read
        self._send(status, why.encode(), "text/plain; charset=utf-8", {"Connection": "close"})

    def _send_text(self, text: str, kind: str, extra: dict[str, str] | None = None) -> None:
        self._send(HTTPStatus.OK, text.encode("utf-8", "backslashreplace"), kind, extra)

    def _send(self, status: HTTPStatus, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self._begin(status, kind, len(body), extra or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, size: int, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(size), **HEADERS, **extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the standard library
        """Keeps the terminal for what matters, and the token out of it."""


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
