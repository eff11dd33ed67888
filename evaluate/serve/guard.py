"""Stands before the addresses: who may ask, whether anything is taken, and what is written down of every request."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from http import HTTPStatus

from fastapi import Response
from fastapi.datastructures import Headers

from ...data.json_log import JsonLog
from ..web.background_server import App, Message, Receive, Scope, Send
from .refusals import refusal
from .service import Service
from .settings import LOOPBACK

LOG = logging.getLogger(__name__)

FREE = ("/healthz", "/readyz")
"""Asked by whoever keeps the service running, who has no token."""

KNOWN = (*FREE, "/metrics", "/docs", "/openapi.json", "/v1/tag", "/v1/tag-features", "/v1/vocabulary")

ALWAYS = (*FREE, "/metrics", "/docs", "/openapi.json")
"""Answered also while runs are loaded and while the service is about to end."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Server": "optsg",
}


REST_BYTES = 16 << 20
REST_SECONDS = 5.0
"""How much of a refused request is read, and for how long: one who is still sending would lose the answer to a reset."""


class Guard:
    """Lets through what may be asked.

    Args:
        app: what answers.
        service: whether it is ready.
        log: a line for every request.

    Attributes:
        under_way: requests that were let through and are not answered yet.
    """

    def __init__(self, app: App, service: Service, log: JsonLog):
        self._app, self._service, self._log = app, service, log
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        self._numbers = itertools.count(1)
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        assert scope["type"] == "http"
        started, number, status = time.perf_counter(), next(self._numbers), 0

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        scope.setdefault("state", {})
        self.under_way += 1
        try:
            refused = self._refusal(scope["path"], Headers(raw=scope["headers"]))
            if refused is not None:
                await _read_rest(receive)
            await (refused or self._app)(scope, receive, send_and_see)
        except Exception as error:  # noqa: BLE001 (it has been answered: what raised it says so in the log)
            LOG.debug("%s: %s", scope["path"], error)
        finally:
            self.under_way -= 1
            self._write(scope, number, status, time.perf_counter() - started)

    def _write(self, scope: Scope, number: int, status: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in KNOWN else "other"
        self._service.metrics.requests.labels(path, str(status)).inc()
        self._service.metrics.seconds.labels(path).observe(seconds)
        if path not in FREE:
            client = (scope.get("client") or ("",))[0]
            self._log.write(
                "request",
                number=number,
                method=scope["method"],
                path=path,
                status=status,
                seconds=round(seconds, 4),
                client=client,
                files=scope["state"].get("files", 0),
            )

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        settings = self._service.settings
        if settings.token is not None and path not in FREE:
            kind, _, given = headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), settings.token):
                return refusal(HTTPStatus.UNAUTHORIZED, "this service wants a token: Authorization: Bearer TOKEN")
        if settings.token is None and (why := _from_elsewhere(settings.host, headers)):
            return refusal(HTTPStatus.FORBIDDEN, why)
        if not self._service.is_ready and path not in ALWAYS:
            why = "the service is about to end" if self._service.is_draining else "the runs are being loaded"
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, why)
        return None


async def _read_rest(receive: Receive) -> None:
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REST_SECONDS):
            while read < REST_BYTES and (message := await receive()).get("more_body", False):
                read += len(message.get("body", b""))


def _from_elsewhere(host: str, headers: Headers) -> str | None:
    """Without a token, pages of other sites must not ask by way of a browser on this machine."""
    if any(site not in ("none", "same-origin") for site in headers.getlist("Sec-Fetch-Site")) or "Origin" in headers:
        return "requests of web pages are refused without a token"
    named = headers.get("Host", "").rpartition(":")[0].strip("[]") or headers.get("Host", "")
    if host in LOOPBACK and named.lower() not in LOOPBACK:
        return "this service answers to its own address alone"
    return None
