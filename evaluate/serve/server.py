"""A service on its port, from the first request to the last."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from ...data.errors import RunError
from ...data.json_log import JsonLog
from ..web.background_server import AnsweringServer, BackgroundServer, take_port, why_no_port
from .app import create_app
from .guard import Guard
from .metrics import Metrics
from .models import named_runs, open_models
from .service import Service
from .settings import LOOPBACK, ServeSettings

POLL_SECONDS = 0.05

LAST_REPLIES_S = 5
"""How long answers that are being sent may take once the server is to end."""

NO_TOKEN = "anybody who reaches {host} may ask: give a secret with --token FILE, or listen on 127.0.0.1"  # noqa: S105


class TaggingServer(BackgroundServer):
    """Listens as long as it is entered; answers once :attr:`service` has its models.

    Attributes:
        service: what answers.
    """

    def __init__(self, service: Service, log: JsonLog):
        """Takes the port, a free one if it is 0.

        Raises:
            RunError: the address cannot be used.
        """
        settings = service.settings
        try:
            listening = take_port(settings.host, settings.port)
        except OSError as error:
            raise RunError(
                f"{settings.host} port {settings.port} cannot be used ({why_no_port(error)}); choose another with --host and --port"
            ) from error
        self.service = service
        self._guard = Guard(create_app(service), service, log)
        super().__init__(self._guard, listening, keep_alive=30, last_replies=LAST_REPLIES_S, kind=AnsweringServer)

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = self.service.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def drain(self) -> None:
        """Takes nothing more, and waits until what was taken is answered, or time is up."""
        self.service.is_draining = True
        until = time.monotonic() + self.service.settings.drain_seconds
        while self._guard.under_way and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.service.is_draining = True
        super().__exit__(kind, error, traceback)


def serve(
    runs: Sequence[str],
    settings: ServeSettings,
    *,
    device: str,
    log: JsonLog,
    announce: Callable[[str], None],
    warn: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Serves runs until ``stop``; then answers what was accepted.

    Raises:
        OptsgError: a run cannot be used, or the address is taken.
    """
    folders, metrics = named_runs(runs), Metrics()
    if settings.token is None and settings.host not in LOOPBACK:
        warn(NO_TOKEN.format(host=settings.host))
    with ExitStack() as stack:
        uploads = stack.enter_context(tempfile.TemporaryDirectory(prefix="optsg-serve-"))
        service = Service(settings, Path(uploads), metrics)
        how = {"most": settings.queue, "wait": settings.wait, "allow_systems": settings.allow_systems}
        server = stack.enter_context(TaggingServer(service, log))
        announce(f"loading {', '.join(folders)}; {server.url}/readyz says when it is done")
        log.write("started", url=server.url, runs={name: str(path) for name, path in folders.items()})
        with open_models(folders, device=device, work=settings.work, metrics=metrics, **how) as models:  # type: ignore[arg-type]
            for model in models.values():
                for warning in model.files.warnings:
                    warn(warning)
            service.models = models
            announce(f"ready: {server.url}/v1/tag; {server.url}/docs says what it takes")
            log.write("ready")
            stop.wait()
            announce("ending: answering what was accepted")
            server.drain()
        log.write("ended")
