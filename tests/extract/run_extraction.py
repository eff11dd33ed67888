"""An extraction with an image encoder that is open already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from optsg.data.corpus_part import CorpusPart
from optsg.data.inputs import Inputs
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.image_encoder import ImageEncoder
from optsg.extract.encoders.text_encoder import TextEncoder
from optsg.extract.engines import LocalEngine
from optsg.extract.event_log import EventLog
from optsg.extract.options import ExtractionOptions, complete
from optsg.extract.pipeline import Report, run_engine
from optsg.extract.summary import ExtractSummary


def run_extraction(
    inputs: Inputs,
    out: Path,
    *,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    sampling: Sampling | None = None,
    preset: str | None = None,
    part: CorpusPart | None = None,
    options: ExtractionOptions | None = None,
    log: EventLog | None = None,
    report: Report | None = None,
    report_merge: Callable[[int], None] | None = None,
) -> ExtractSummary:
    """`run_engine` in this process; 1 frame a second and at most 60 by default."""
    return run_engine(
        inputs,
        out,
        engine=LocalEngine(image_encoder, sampling or Sampling(), options or complete()),
        text_encoder=text_encoder,
        preset=preset,
        part=part,
        log=log,
        report=report,
        report_merge=report_merge,
    )
