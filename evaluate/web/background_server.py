"""An HTTP server in a thread of its own, which commands enter and leave as a block."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

import uvicorn

# As ASGI has them.
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def take_port(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one.

    Raises:
        OSError: the address is in use or not allowed; :func:`why_no_port` says it in a word.
    """
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def why_no_port(error: OSError) -> str:
    """Why an address cannot be used, without the address."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


LAST_CALLERS_S = 1.0
"""How long the request of a caller who is connected may take to arrive once the server is to end."""


class AnsweringServer(uvicorn.Server):
    """Answers who is connected already before it closes: uvicorn's own server hangs up on a request that is on its way."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no new connection, waits for the first request of each that is there, and ends as uvicorn does."""
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_CALLERS_S
        while self._awaits_requests() and loop.time() < until:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _awaits_requests(self) -> bool:
        return any(getattr(connection, "cycle", None) is None for connection in self.server_state.connections)


class BackgroundServer:
    """Answers as long as it is entered.

    Args:
        app: what answers.
        listening: the socket; it is closed at the end.
        keep_alive: seconds that an idle connection stays.
        last_replies: seconds that answers which are being sent may take at the end.
        kind: of uvicorn's server.

    Attributes:
        port: where it listens, or listened.
    """

    def __init__(
        self,
        app: App,
        listening: socket.socket,
        *,
        keep_alive: int,
        last_replies: int,
        kind: type[uvicorn.Server] = uvicorn.Server,
    ):
        self._socket = listening
        self.port: int = listening.getsockname()[1]
        # Nothing is logged: it keeps the terminal for what matters, and secrets in addresses out of it.
        self._server = kind(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                log_config=None,
                log_level=logging.CRITICAL,
                access_log=False,
                timeout_keep_alive=keep_alive,
                timeout_graceful_shutdown=last_replies,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
