"""``optsg-store merge``: :func:`optsg.data.store.merging.merge.merge_stores` with the order of inputs and the text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from ...data.errors import ConfigError
from ...data.inputs import MetadataOptions, open_inputs
from ...data.inputs.metadata.columns import MetadataKeywords
from ...data.store.files import locked_store
from ...data.store.merging.merge import merge_stores
from ...data.store.writing import Progress
from ..api import check_out
from ..encoders.text_encoder import text_maker


def join_stores(
    paths: Sequence[Path],
    out: Path,
    *,
    inputs: Path | None = None,
    metadata: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **reading: Unpack[MetadataKeywords],
) -> list[str]:
    """Merges stores while nobody else can write ``out``; arguments and errors as :func:`merge_stores`.

    Args:
        inputs: what was extracted: its order becomes that of the store.
        metadata: the table that the extractions were given.
        reading: how it is read, as in :func:`optsg.extract.extract`: ids may be in it.
    """
    options = MetadataOptions.of(**reading)
    if inputs is None and (metadata is not None or options != MetadataOptions()):
        raise ConfigError(
            "--metadata and how it is read go with --inputs: they say in which order the inputs come, and under which ids"
        )
    check_out(out)
    order = None if inputs is None else (item.id for item in open_inputs(inputs, metadata=metadata, options=options))
    with locked_store(out):
        return merge_stores(
            paths, out, make_text=text_maker("cpu"), input_order=order, overwrite=overwrite, progress=progress
        )
