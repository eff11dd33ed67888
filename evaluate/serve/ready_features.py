"""Features that callers made themselves: as JSON, or as a ``.npy`` with the fields in the query."""

from __future__ import annotations

import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from ...data.errors import reason_of
from ...data.foreign.json_reader import parse_json
from ...data.inputs.ready_features import ARRAY_DAMAGE, parse_npy
from ..tag.media_inputs import Features
from .fields import fields_of_json
from .refusals import RefusedError, unusable
from .uploads import check_length, too_large

MOST_BYTES = 64 << 20
"""Of a request."""

ARRAYS = ("frames", "patches", "times")
NPY_TYPES = ("application/x-npy", "application/octet-stream")
KIND = "kind"
"""In the query of a ``.npy``: ``frames`` or ``patches``."""


async def receive_body(request: Request, most: int) -> bytes:
    """The body of a request, in memory.

    Raises:
        RefusedError: it is too large, or cut short.
    """
    check_length(request, most)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_large(most)
    except ClientDisconnect as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request ended early") from error
    return bytes(body)


def parse_features(kind: str, body: bytes, query: Mapping[str, list[str]]) -> tuple[Features, dict[str, list[str]]]:
    """Features and fields.

    Args:
        kind: media type.
        query: what stands in the address; its fields count beside those of a JSON object.

    Raises:
        RefusedError: it is another media type, no array, or no JSON object.
    """
    fields = {name: list(values) for name, values in query.items()}
    if kind in NPY_TYPES:
        names = fields.pop(KIND, ["frames"])
        if names not in (["frames"], ["patches"]):
            raise unusable(f"{KIND} is none of frames, patches")
        return Features(**{names[0]: _npy(body)}), fields
    if kind != "application/json":
        expected = f"expected application/json or {NPY_TYPES[0]}"
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, expected)
    values = _json_object(body)
    arrays = {name: values.pop(name) for name in ARRAYS if values.get(name) is not None}
    return Features(**arrays), {**fields, **fields_of_json(values)}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        values = parse_json(body)
    except ValueError as error:
        raise unusable(f"the body is no JSON ({reason_of(error)})") from error
    if not isinstance(values, dict):
        raise unusable("the body is no JSON object")
    return values


def _npy(body: bytes) -> Any:
    try:
        values = parse_npy(io.BytesIO(body), len(body))
        if values.dtype.kind not in "fiu":
            raise ValueError(f"its values are {values.dtype}")
    except ARRAY_DAMAGE as error:
        raise unusable(f"the body is no .npy of numbers ({reason_of(error)})") from error
    return values
