"""A server for this machine alone: loopback, a token in every address, and no other site's requests."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import Response
from fastapi.datastructures import Headers

from ...data.errors import RunError
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


# As ASGI has them.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


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

    def __enter__(self) -> Self:
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


def _uvicorn_config(app: App) -> uvicorn.Config:
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

    def __init__(self, app: App, token: str, hosts: tuple[str, ...]):
        self._app = app
        self._token = token.encode()
        self._hosts = hosts
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        self._origins = tuple(f"http://{host}" for host in hosts)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
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
