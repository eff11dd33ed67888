"""The connection to a Ray cluster. Ray itself is loaded only here and in the modules that this package keeps for it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...data.errors import ClusterError, ConfigError
from .worker_plan import Machine

NEAREST = "nearest"
"""``--ray`` without an address: the cluster that ``RAY_ADDRESS`` names or this machine belongs to, else a new one on it."""

CONNECT_SECONDS = 10.0

_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
"""Without the second a call that comes after the end of the connection starts a cluster."""

_UNLESS_SET = {"RAY_worker_niceness": "0"}
"""Workers of a cluster that is started here are as urgent as this process; Ray would put them behind all others."""


@contextmanager
def connected(address: str) -> Iterator[list[Machine]]:
    """Keeps this process connected to a cluster, which it leaves, or ends where it started it.

    A program that is connected to Ray already stays as it is. Statistics of use are off, and there is no dashboard.

    Args:
        address: ``HOST:PORT``, ``auto`` (a cluster that is running), ``local`` (a new one) or :data:`NEAREST`.

    Returns:
        The machines of the cluster.

    Raises:
        ConfigError: it is no address.
        ClusterError: Ray is not installed, or there is no such cluster.
    """
    if not re.fullmatch(r"nearest|auto|local|[\w.\-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", address):
        raise ConfigError(f"--ray {address} is no address of a Ray cluster; expected HOST:PORT, auto, local or nothing")
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("--ray needs Ray, which is not installed; install it with: pip install 'optsg[ray]'")
    if ":" in address:
        _check_reachable(address)
    os.environ.update({**_UNLESS_SET, **os.environ, **_ALWAYS})
    import ray

    if ray.is_initialized():
        yield _machines(ray)
        return
    with _signal_handlers_kept():
        try:
            ray.init(
                address=None if address == NEAREST else address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            machines = _machines(ray)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            ray.shutdown()
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise ClusterError(
                f"--ray {address}: no such Ray cluster can be joined ({reason}); if it asks for a token, set RAY_AUTH_MODE=token"
            ) from error
        try:
            yield machines
        finally:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"--ray {address}: nothing answers there ({error})") from error


def _machines(ray: Any) -> list[Machine]:
    return [
        Machine(processors=int(node["Resources"].get("CPU", 0)), gpus=int(node["Resources"].get("GPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Ray sets a handler of its own for SIGTERM and leaves it there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(TypeError):  # a handler that was not set from Python
            signal.signal(signal.SIGTERM, before)
