"""The engine that the options of a command name: this machine's, or a Ray cluster's.

On this machine decoding processes feed one image encoder.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..data.inputs import Inputs
from ..data.media import Failure
from ..data.stop_signals import StopRequest
from ..data.store.schema import VideoFeatures
from .decoding.sampling import Sampling
from .encoders.image_encoder import ImageEncoder, open_image_encoder
from .engine import Engine, ImageFeatures
from .options import ExtractionOptions, worker_count
from .ordered_encoding import OrderedEncoding
from .parts import DoneInputs
from .summary import ExtractSummary
from .workers.preparation import Preparation
from .workers.worker_pool import WorkerPool
from .workers.worker_process import ProcessSettings


@contextmanager
def open_engine(
    image_encoder: Mapping[str, Any],
    *,
    sampling: Sampling,
    options: ExtractionOptions,
) -> Iterator[Engine]:
    """This process, or with the option ``ray`` the workers of a Ray cluster; errors as :func:`optsg.extract.api.extract`."""
    ray, device, precision = options["ray"], options["device"], options["precision"]
    if ray is None:
        encoder = open_image_encoder(image_encoder, device=device, precision=precision)
        yield LocalEngine(encoder, sampling, options)
        return
    from .cluster.connection import connected
    from .cluster.worker_plan import plan_workers

    with connected(ray) as machines:
        plan = plan_workers(machines, device=device, processors=options["workers"])
        from .cluster.ray_engine import RayEngine

        yield RayEngine(image_encoder, plan, precision=precision, sampling=sampling, options=options)


class LocalEngine:
    """Inputs to features on this machine: decoding processes and one image encoder."""

    def __init__(self, encoder: ImageEncoder, sampling: Sampling, options: ExtractionOptions):
        self._encoder = encoder
        self.image = ImageFeatures.of(encoder)
        self.sampling = sampling
        self.options = options

    def features(
        self, inputs: Inputs, done: DoneInputs, stop: StopRequest, summary: ExtractSummary
    ) -> Generator[VideoFeatures | Failure]:
        """What every input that is not done gives, in the order of the inputs; the processes end with the iterator."""
        encoding = OrderedEncoding(self._encoder, self.options["batch_size"])
        how = Preparation(plan=self._encoder.plan, sampling=self.sampling, thumbnails=self.options["thumbnails"])
        settings = ProcessSettings(how=how, seconds=self.options["timeout"])
        remaining = (item for item in inputs if item not in done)
        workers = worker_count(self.options)
        with WorkerPool(remaining, settings, workers=workers, may_go_on=encoding.may_go_on) as pool:
            for result in encoding.results(pool.results(stop), stop):
                summary.encode_seconds, summary.wait_seconds = encoding.encode_seconds, encoding.wait_seconds
                yield result
