"""A server for this machine alone: loopback, a token in every address, and no other site's requests."""

from __future__ import annotations

import secrets
import socket
from http import HTTPStatus

import uvicorn
from fastapi import Response
from fastapi.datastructures import Headers

from ...data.errors import RunError
from ..web.background_server import App, BackgroundServer, Message, Receive, Scope, Send, take_port, why_no_port
from .app import create_app, refuse
from .site import JudgingSite

LOOPBACK = "127.0.0.1"


LAST_REPLIES_S = 1
"""How long replies that are being sent may take once the server is to end."""


OTHER_SITES = "requests of other sites are refused; paste the address that optsg-judge printed into the browser"


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "optsg",
}
"""Of every reply, refusals too."""


class JudgingServer(BackgroundServer):
    """Serves one site as long as it is entered; the end cuts every connection: what the site reads from may be closed then.

    Attributes:
        site: what it serves.
        token: the secret first part of every address.
        hosts: what a browser on this machine calls the server.
    """

    def __init__(self, site: JudgingSite, port: int = 0):
        """Takes the port, a free one if it is 0.

        Raises:
            RunError: the port is in use or not allowed.
        """
        try:
            listening = take_port(LOOPBACK, port)
        except OSError as error:
            raise RunError(
                f"port {port} cannot be used ({why_no_port(error)}); choose another with --port, or none"
            ) from error
        self.site = site
        self.token = secrets.token_urlsafe(24)
        taken = listening.getsockname()[1]
        self.hosts = f"{LOOPBACK}:{taken}", f"localhost:{taken}"
        guard = Guard(create_app(site), self.token, self.hosts)
        super().__init__(guard, listening, keep_alive=60, last_replies=LAST_REPLIES_S, kind=_Server)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self.hosts[0]}/{self.token}/"


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also ends the connections of browsers that do not read what is sent, such as of a video that is paused."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Guard:
    """Stands before an app: lets through what comes from the server's own page, and gives every reply ``HEADERS``.

    It stands before the routes, so that an address that no route knows tells as little as any other.
    """

    def __init__(self, app: App, token: str, hosts: tuple[str, ...]):
        self._app = app
        self._token = token.encode()
        self._hosts = hosts
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        self._origins = tuple(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; the app sees the address without the token, and as it was sent."""
        assert scope["type"] == "http"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = [(name, value) for name, value in self._headers if name not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        token, slash, place = scope["raw_path"].removeprefix(b"/").partition(b"/")
        if refusal := self._refusal(Headers(raw=scope["headers"]), token, slash):
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
