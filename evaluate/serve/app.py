"""The addresses of a service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from ... import __version__
from ...data.errors import OptsgError
from ..scores.predictions import json_line
from .fields import FIELDS
from .page import addresses_page
from .ready_features import KIND, NPY_TYPES
from .refusals import RefusedError, refusal
from .service import Service
from .uploads import FILE_FIELD, PATH_FIELD

LOG = logging.getLogger(__name__)

TEXT = {"type": "string"}

TEXTS = {"type": "array", "items": TEXT}

MANY = ("title", "pinned", "forbidden")

ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "no token, or another one"},
    403: {"description": "without a token: a page of another site asks by way of a browser on this machine"},
    408: {"description": "the request took too long to arrive"},
    413: {"description": "the request is too large"},
    415: {"description": "the request is no form, or neither JSON nor .npy"},
    422: {"description": "one sentence: the file cannot be read, or a field has a value that it cannot have"},
    429: {"description": "the queue is full; Retry-After says when to come again"},
    503: {"description": "the runs are being loaded, or the service is about to end"},
}


def create_app(service: Service) -> FastAPI:
    """What the addresses answer; who may ask is not checked here."""
    silent: Any = {"tracing": False, "metrics": False, "logs": False}
    app = FastAPI(
        title="optsg",
        version=__version__,
        description="Tags for videos and images.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=silent,
    )
    _add_refusals(app)
    _add_tagging(app, service)
    _add_state(app, service)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(addresses_page(app.openapi()))

    return app


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return refusal(error.status, str(error))

    @app.exception_handler(OptsgError)
    async def unusable(_: Request, error: OptsgError) -> Response:
        return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(HTTPStatus.NOT_FOUND)
    async def unknown(_: Request, _error: Exception) -> Response:
        return refusal(HTTPStatus.NOT_FOUND, "there is no such address; /docs has those that there are")

    @app.exception_handler(HTTPException)
    async def not_allowed(_: Request, error: HTTPException) -> Response:
        return refusal(HTTPStatus(error.status_code), "this address is not for such a request", error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        LOG.error("%s failed: %s: %s", request.url.path, type(error).__name__, error)
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "optsg-serve failed; its log says why")


def _add_tagging(app: FastAPI, service: Service) -> None:
    schema = {name: {**(TEXTS if name in MANY else TEXT), "description": text} for name, text in FIELDS.items()}
    files = {
        FILE_FIELD: {"type": "array", "items": {**TEXT, "format": "binary"}, "description": "Videos and images."},
        PATH_FIELD: {**TEXTS, "description": "Files under the folder that is served with --root."},
    }
    form = {"multipart/form-data": {"schema": {"type": "object", "properties": {**files, **schema}}}}

    @app.post("/v1/tag", responses=ERRORS, openapi_extra={"requestBody": {"content": form, "required": True}})
    async def tag(request: Request) -> Response:
        """Tags of one file or several, each as `optsg-tag --json` writes it."""
        return await _answered(request, service.tag)

    numbers = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
    arrays = {
        "frames": {**numbers, "description": "(M, frame_dim), of a video"},
        "patches": {**numbers, "description": "(Q, patch_dim), of an image"},
        "times": {"type": "array", "items": {"type": "number"}, "description": "(M,) seconds, for evidence"},
    }
    ready: dict[str, Any] = {
        "application/json": {"schema": {"type": "object", "properties": {**arrays, **schema}}},
        NPY_TYPES[0]: {
            "schema": {
                **TEXT,
                "format": "binary",
                "description": f"An array; the fields stand in the query, {KIND}=patches for those of an image.",
            }
        },
    }

    @app.post("/v1/tag-features", responses=ERRORS, openapi_extra={"requestBody": {"content": ready, "required": True}})
    async def tag_features(request: Request) -> Response:
        """Tags of features that are at hand, as JSON or `.npy`."""
        return await _answered(request, service.tag_features)


async def _answered(
    request: Request, how: Callable[[Request], Awaitable[tuple[HTTPStatus, dict[str, Any]]]]
) -> Response:
    status, answer = await how(request)
    if status != HTTPStatus.OK and set(answer) == {"error"}:
        return refusal(status, answer["error"])
    request.state.files = len(answer["results"])
    return Response(json_line(answer), status, media_type="application/json")


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/v1/vocabulary", responses={422: ERRORS[422]})
    async def vocabulary(run: str | None = None) -> Response:
        """The tags that a run learnt, and whether it writes others too."""
        model = service.model(run)
        table, system = model.files.run.tag_table, model.files.run.system
        answer = {
            "run": model.name,
            "system": model.files.system,
            "tags": list(table.spellings),
            "writes": system.writes,
        }
        return Response(json_line(answer), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> Response:
        """Whether the process is alive."""
        return JSONResponse({"alive": True})

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether requests are taken: the runs are loaded and nobody asked the service to end."""
        status = HTTPStatus.OK if service.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": service.is_ready, "runs": list(service.models)}, status)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts, for Prometheus."""
        text, kind = service.metrics.text()
        return Response(text, headers={"Content-Type": kind})
