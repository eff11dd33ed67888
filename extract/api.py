"""``optsg.extract.extract``: what the command ``optsg-extract`` does, as a function. Imports what is heavy when called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ..data.errors import ConfigError
from .encoders.presets import PRESETS
from .options import ExtractionOptions, complete

if TYPE_CHECKING:
    from ..data.corpus_part import CorpusPart
    from ..data.inputs import Inputs
    from ..data.inputs.metadata.columns import MetadataKeywords
    from .summary import ExtractSummary

OTHER_FILE_SUFFIXES = frozenset({".hdf5", ".hdf", ".tar", ".npz", ".npy", ".zip", ".json", ".jsonl", ".parquet"})
"""A folder of shards may have any name, but hardly one that promises a file."""


def extract(
    source: str | Path,
    out: str | Path,
    *,
    quiet: bool = True,
    on_input: Callable[[ExtractSummary], None] | None = None,
    **options: Unpack[ExtractionOptions],
) -> ExtractSummary:
    """Turns videos and images into a feature store; the same call again goes on, or adds what is new.

    Args:
        source: a folder of videos and images, a ``.tar`` shard or a pattern of shards, or a data set of Hugging Face: Parquet, a
            folder of ``save_to_disk``, or ``OWNER/NAME`` on its hub.
        out: a path that ends in ``.h5`` for one HDF5 file, another name for a folder of WebDataset shards.
        quiet: show no progress on standard error.
        on_input: called with the growing summary after every input.
        options: those of ``optsg-extract`` with underscores for hyphens, as :class:`optsg.extract.options.ExtractionOptions`
            describes them; ``thumbnails=False`` is ``--no-thumbnails``, and ``ray="nearest"`` is ``--ray`` without an address.

    Returns:
        What was done.

    Raises:
        OptsgError: one sentence that says what is wrong and what to do (:mod:`optsg.data.errors` has the kinds).
        ExtractionInterrupted: Ctrl-C or SIGTERM; what was done is kept, the same call goes on.
    """
    settings = complete(**options)
    out = Path(out)
    check_out(out)
    part = parse_part(settings["part"])
    inputs = open_source(
        source,
        metadata=settings["metadata"],
        columns=settings["columns"],
        tag_separator=settings["tag_separator"],
        group_rows=settings["group_rows"],
        title_from_name=settings["title_from_name"],
        limit=settings["limit"],
        part=part,
    )  # first, since its errors are the quickest to find

    from .decoding.sampling import Sampling
    from .encoders.text_encoder import open_text_encoder
    from .engines import open_engine
    from .event_log import open_event_log
    from .pipeline import run_engine
    from .progress import metadata_notes, show_progress

    sampling = Sampling(fps=settings["fps"], max_frames=settings["max_frames"], fast_resize=settings["fast_resize"])
    image_spec, text_spec, preset = _encoders(settings)
    text_device = settings["device"] if settings["ray"] is None or settings["device"] == "cpu" else "auto"
    with (
        show_progress(inputs.description, inputs.count, quiet=quiet, notes=metadata_notes(inputs)) as display,
        open_event_log(_path(settings["json_log"])) as log,
        open_engine(image_spec, sampling=sampling, options=settings) as engine,
    ):

        def report(summary: ExtractSummary) -> None:
            display.extracted(summary)
            if on_input is not None:
                on_input(summary)

        return run_engine(
            inputs,
            out,
            engine=engine,
            text_encoder=open_text_encoder(text_spec, device=text_device),
            preset=preset,
            part=part,
            log=log,
            report=report,
            report_merge=display.written,
        )


def kept_parts(out: Path) -> str:
    """What an interruption leaves of an extraction into ``out``, for people."""
    from .parts import PartFolder

    parts = PartFolder(out)
    if parts.complete():
        return f"complete parts are in {parts.path}, the same command goes on"
    return "nothing new was complete yet, the same command begins again"


def _encoders(options: ExtractionOptions) -> tuple[Mapping[str, Any], Mapping[str, Any], str | None]:
    """Descriptions of image and text encoder, and the preset's name where both are its own."""
    from .encoders.image_encoder import parse_image_encoder
    from .encoders.text_encoder import parse_text_encoder

    image_spec, text_spec = preset_specs(options["preset"])
    image, text = options["image_encoder"], options["text_encoder"]
    return (
        image_spec if image is None else parse_image_encoder(image),
        text_spec if text is None else parse_text_encoder(text),
        options["preset"] if image is None and text is None else None,
    )


def open_source(
    source: str | Path,
    *,
    metadata: str | Path | None = None,
    limit: int | None = None,
    part: CorpusPart | None = None,
    **reading: Unpack[MetadataKeywords],
) -> Inputs:
    """What ``source`` stands for; errors as :func:`optsg.data.inputs.open_inputs`."""
    from ..data.inputs import MetadataOptions, open_inputs

    options = MetadataOptions.of(**reading)
    return open_inputs(Path(source), metadata=_path(metadata), options=options, limit=limit, part=part)


def parse_part(text: str | None) -> CorpusPart | None:
    """One part of the corpus out of ``I/N``; :class:`ConfigError` where it is something else."""
    from ..data.corpus_part import CorpusPart

    return None if text is None else CorpusPart.parse(text)


def check_out(out: Path) -> None:
    """Refuses names that cannot become a feature store."""
    from ..data.whole_files import check_name

    check_name(out, ConfigError)
    if out.suffix.lower() in OTHER_FILE_SUFFIXES:
        raise ConfigError(
            f"--out {out} is not the name of a feature store; expected a path that ends in .h5 for one file, or the "
            "name of a folder for WebDataset shards"
        )


def preset_specs(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Descriptions of a preset's image and text encoder; :class:`ConfigError` if there is no such preset."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
