"""Why a request is not answered with tags: a status of HTTP and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Response

from ..scores.predictions import json_line

RETRY_SECONDS = 1
"""After which a caller may come again."""


class RefusedError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        why: one sentence.
    """

    def __init__(self, status: HTTPStatus, why: str):
        super().__init__(why)
        self.status = status


def unusable(why: str) -> RefusedError:
    """What was sent cannot be used."""
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, why)


def too_busy() -> RefusedError:
    """The queue is full."""
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "the queue is full; come again in a moment")


def refusal(status: HTTPStatus, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """``{"error": why}``; the connection ends, so that what else the request sends is not read."""
    more = {"Connection": "close"}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        more["Retry-After"] = str(RETRY_SECONDS)
    if status == HTTPStatus.UNAUTHORIZED:
        more["WWW-Authenticate"] = "Bearer"
    body = json_line({"error": why})
    return Response(body, status, {**more, **(headers or {})}, media_type="application/json")
