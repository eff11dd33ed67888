"""Digests of weights, and the model hub where weights have to be fetched."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch

from ...data.errors import EncoderError

CONNECT_SECONDS = 3.0

NO_DOWNLOAD_HINT = "optsg-extract --preset small needs no download"


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of a state dict in sorted key order: ``sha256:…``."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"


def check_digest(what: str, expected: object, found: str) -> None:
    """Raises :class:`EncoderError` where features were made with other weights; ``None`` expects nothing."""
    if expected is not None and expected != found:
        raise EncoderError(
            f"{what} has other weights ({found[:19]}…) than the ones that the features were made with "
            f"({str(expected)[:19]}…); use the original weights or extract again"
        )


@contextlib.contextmanager
def model_hub() -> Iterator[None]:
    """Inside, weights come from the local cache of Hugging Face, and from its hub if that can be reached.

    A hub that cannot be reached costs seconds instead of minutes of retries. ``HF_HUB_OFFLINE`` and proxies that are
    set in the environment are respected. Libraries' own log lines and warnings are held back: what matters is raised.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
    try:
        with quiet_libraries():
            yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Holds back what model libraries log and warn while they load."""
    from transformers.utils import logging as transformers_logging

    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if bars:
            transformers_logging.enable_progress_bar()


def _reachable(endpoint: str) -> bool:
    if getproxies().get("https") or os.environ.get("ALL_PROXY"):
        return True
    url = urlsplit(endpoint)
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((url.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
