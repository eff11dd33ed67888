"""Opens the engine that the options of a command name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .decoding.sampling import Sampling
from .encoders.image_encoder import open_image_encoder
from .encoders.tower import Precision
from .engine import Engine
from .local_engine import LocalEngine
from .options import ExtractionOptions


@contextmanager
def open_engine(
    image_encoder: Mapping[str, Any],
    *,
    ray: str | None,
    device: str,
    precision: Precision,
    sampling: Sampling,
    options: ExtractionOptions,
) -> Iterator[Engine]:
    """This process, or with ``ray`` the workers of a Ray cluster; arguments and errors as :func:`optsg.extract.api.extract`."""
    if ray is None:
        encoder = open_image_encoder(image_encoder, device=device, precision=precision)
        yield LocalEngine(encoder, sampling, options)
        return
    from .cluster.connection import connected
    from .cluster.worker_plan import plan_workers

    with connected(ray) as machines:
        plan = plan_workers(machines, device=device, processors=options.workers)
        from .cluster.ray_engine import RayEngine

        yield RayEngine(image_encoder, plan, precision=precision, sampling=sampling, options=options)
