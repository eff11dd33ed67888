"""``optsg.extract.extract``: what the command ``optsg-extract`` does, as a function. Imports what is heavy when called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.errors import ConfigError
from .encoders.presets import DEFAULT_PRESET, PRESETS
from .options import DEFAULT_TIMEOUT, ExtractionOptions

if TYPE_CHECKING:
    from ..data.corpus_part import CorpusPart
    from ..data.inputs import Inputs
    from .encoders.tower import Precision
    from .summary import ExtractSummary

OTHER_FILE_SUFFIXES = frozenset({".hdf5", ".hdf", ".tar", ".npz", ".npy", ".zip", ".json", ".jsonl", ".parquet"})
"""A folder of shards may have any name, but hardly one that promises a file."""


def extract(
    source: str | Path,
    out: str | Path,
    *,
    preset: str = DEFAULT_PRESET,
    metadata: str | Path | None = None,
    columns: str | None = None,
    tag_separator: str | None = None,
    group_rows: bool = False,
    image_encoder: str | None = None,
    text_encoder: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    fps: float = 1.0,
    max_frames: int = 60,
    fast_resize: bool = False,
    batch_size: int = 64,
    workers: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    thumbnails: bool = True,
    limit: int | None = None,
    part: str | None = None,
    ray: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    json_log: str | Path | None = None,
    quiet: bool = True,
    on_input: Callable[[ExtractSummary], None] | None = None,
) -> ExtractSummary:
    """Turns videos and images into a feature store; the same call again goes on, or adds what is new.

    Args:
        source: a folder of videos and images, a ``.tar`` shard or a pattern of shards.
        out: a path that ends in ``.h5`` for one HDF5 file, another name for a folder of WebDataset shards.
        preset: pair of frozen encoders: ``clip``, ``clip-zh`` or ``small``.
        metadata: table with file_name, title, tags, split, id; or annotations of CREATE, a JSON file or their folder.
        columns: which columns of metadata tables are read as what, ``"tags=keywords,title=caption"``.
        tag_separator: what separates tags in a text, in place of commas.
        group_rows: join the rows of one file, as in a table with one row for each tag.
        image_encoder: a name or a folder, in place of the preset's.
        text_encoder: likewise; ``characters`` needs no text model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        precision: number format of the image tower; ``auto`` is the quickest that keeps its features.
        fps: frames kept per second of video.
        max_frames: most frames kept of a video, spread over it.
        fast_resize: let the decoder shrink frames: quicker, not pixel-exact, recorded in the store.
        batch_size: pictures per call of the image encoder.
        workers: decoding processes, with ``ray`` those of each worker; by default one for each available processor.
        timeout: seconds that reading one input may take.
        thumbnails: keep a small JPEG per input.
        limit: read only the first so many inputs.
        part: ``"2/8"``: read only the inputs of part 2 of 8, for job arrays.
        ray: decode and encode on this Ray cluster: ``"HOST:PORT"``, ``"auto"``, ``"local"``, or ``"nearest"`` as for ``--ray``.
        strict: stop at the first failure.
        overwrite: replace ``out``.
        retry_failed: try inputs again that failed before.
        json_log: file that gets a JSON line for every input.
        quiet: show no progress on standard error.
        on_input: called with the growing summary after every input.

    Returns:
        What was done.

    Raises:
        OptsgError: one sentence that says what is wrong and what to do (:mod:`optsg.data.errors` has the kinds).
        ExtractionInterrupted: Ctrl-C or SIGTERM; what was done is kept, the same call goes on.
    """
    options = ExtractionOptions(
        batch_size=batch_size,
        workers=workers,
        timeout=timeout,
        thumbnails=thumbnails,
        strict=strict,
        overwrite=overwrite,
        retry_failed=retry_failed,
    )
    out = Path(out)
    check_out(out)
    corpus_part = parse_part(part)
    inputs = open_source(
        source,
        metadata=metadata,
        columns=columns,
        tag_separator=tag_separator,
        group_rows=group_rows,
        limit=limit,
        part=corpus_part,
    )  # first, since its errors are the quickest to find

    from .decoding.sampling import Sampling
    from .encoders.image_encoder import parse_image_encoder
    from .encoders.text_encoder import open_text_encoder, parse_text_encoder
    from .engines import open_engine
    from .event_log import open_event_log
    from .pipeline import run_engine
    from .progress import metadata_notes, show_progress

    sampling = Sampling(fps=fps, max_frames=max_frames, fast_resize=fast_resize)
    image_spec, text_spec = preset_specs(preset)
    if image_encoder is not None:
        image_spec = parse_image_encoder(image_encoder)
    if text_encoder is not None:
        text_spec = parse_text_encoder(text_encoder)
    with (
        show_progress(inputs.description, inputs.count, quiet=quiet, notes=metadata_notes(inputs)) as display,
        open_event_log(_path(json_log)) as log,
        open_engine(
            image_spec, ray=ray, device=device, precision=precision, sampling=sampling, options=options
        ) as engine,
    ):

        def report(summary: ExtractSummary) -> None:
            display.extracted(summary)
            if on_input is not None:
                on_input(summary)

        return run_engine(
            inputs,
            out,
            engine=engine,
            text_encoder=open_text_encoder(text_spec, device=device if ray is None or device == "cpu" else "auto"),
            preset=preset if image_encoder is None and text_encoder is None else None,
            part=corpus_part,
            log=log,
            report=report,
            report_merge=display.written,
        )


def open_source(
    source: str | Path,
    *,
    metadata: str | Path | None = None,
    columns: str | None = None,
    tag_separator: str | None = None,
    group_rows: bool = False,
    limit: int | None = None,
    part: CorpusPart | None = None,
) -> Inputs:
    """What ``source`` stands for; errors as :func:`optsg.data.inputs.open_inputs`."""
    from ..data.inputs import MetadataOptions, open_inputs

    options = MetadataOptions.of(columns=columns, tag_separator=tag_separator, group_rows=group_rows)
    return open_inputs(Path(source), metadata=_path(metadata), options=options, limit=limit, part=part)


def parse_part(text: str | None) -> CorpusPart | None:
    """One part of the corpus out of ``I/N``; :class:`ConfigError` where it is something else."""
    from ..data.corpus_part import CorpusPart

    return None if text is None else CorpusPart.parse(text)


def check_out(out: Path) -> None:
    """Refuses names that cannot become a feature store."""
    if out.suffix.lower() in OTHER_FILE_SUFFIXES:
        raise ConfigError(
            f"--out {out} is not the name of a feature store; expected a path that ends in .h5 for one file, or the "
            "name of a folder for WebDataset shards"
        )


def preset_specs(name: str) -> Any:
    """Descriptions of a preset's image and text encoder; :class:`ConfigError` if there is no such preset."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
