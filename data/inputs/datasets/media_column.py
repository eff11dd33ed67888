"""Which column of a data set holds its pictures or videos.

``datasets`` writes a picture or a video as a struct of ``bytes`` and ``path``, and describes its columns in the schema's metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from ...errors import InputError
from ...media import MediaKind
from ..metadata.class_names import feature_type, features_of
from ..metadata.columns import MEDIA, MetadataOptions, column_name, listed_columns

BYTES, PATH = "bytes", "path"
"""Fields of a picture or video."""

_NO_MEDIA = ("Audio", "Pdf", "Nifti")
"""What else ``datasets`` writes as such a struct."""


def choose_media_column(path: Path, schema: Any, options: MetadataOptions) -> str:
    """The name of the column.

    Raises:
        InputError: there is none, or several and nobody says which.
    """
    found = media_columns(schema)
    if MEDIA in options.columns:
        found = [name for name in schema.names if column_name(name) == options.columns[MEDIA]]
        if not found or not (_is_struct(schema.field(found[0]).type) or _is_binary(schema.field(found[0]).type)):
            raise InputError(
                f"{path}: no column '{options.columns[MEDIA]}' of images or videos, which --columns reads as {MEDIA} "
                f"(found: {listed_columns(schema.names)})"
            )
    if not found:
        raise InputError(
            f"{path}: no column of images or videos (found: {listed_columns(schema.names)}); expected one with their "
            f"{BYTES}, as datasets writes it"
        )
    if len(found) > 1:
        raise InputError(
            f"{path}: several columns of images or videos ({', '.join(found)}); say which: --columns {MEDIA}=COLUMN"
        )
    return found[0]


def media_columns(schema: Any) -> list[str]:
    """Columns that hold pictures or videos: structs as ``datasets`` writes them, or else plain bytes."""
    features = features_of(schema)
    structs = [field.name for field in schema if _is_struct(field.type)]
    found = [name for name in structs if feature_type(features.get(name)) not in _NO_MEDIA]
    return found or [field.name for field in schema if _is_binary(field.type)]


def has_names(schema: Any, column: str) -> bool:
    """Whether the column has names of files beside their bytes."""
    kind = schema.field(column).type
    return bool(pa.types.is_struct(kind)) and int(kind.get_field_index(PATH)) >= 0


def kind_of_column(schema: Any, column: str) -> MediaKind:
    """What the files in it are where their names do not say: videos where the data set calls them so."""
    return "video" if feature_type(features_of(schema).get(column)) == "Video" else "image"


def _is_struct(kind: Any) -> bool:
    if not pa.types.is_struct(kind):
        return False
    index = kind.get_field_index(BYTES)
    return index >= 0 and _is_binary(kind.field(index).type)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
