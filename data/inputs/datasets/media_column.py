"""Which column of a data set holds its pictures or videos, and what the numbers of classes stand for.

``datasets`` writes a picture or a video as a struct of ``bytes`` and ``path``, and describes its columns in the schema's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...errors import InputError
from ...foreign.json_reader import JSON_DAMAGE, parse_json
from ...media import MediaKind
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
    features = _features(schema)
    structs = [field.name for field in schema if _is_struct(field.type)]
    found = [name for name in structs if _type(features.get(name)) not in _NO_MEDIA]
    return found or [field.name for field in schema if _is_binary(field.type)]


def has_names(schema: Any, column: str) -> bool:
    """Whether the column has names of files beside their bytes."""
    kind = schema.field(column).type
    return bool(pa.types.is_struct(kind)) and int(kind.get_field_index(PATH)) >= 0


def kind_of_column(schema: Any, column: str) -> MediaKind:
    """What the files in it are where their names do not say: videos where the data set calls them so."""
    return "video" if _type(_features(schema).get(column)) == "Video" else "image"


def class_names(schema: Any) -> dict[str, Sequence[str]]:
    """Of every column of classes, what their numbers stand for."""
    found: dict[str, Sequence[str]] = {}
    for name, feature in _features(schema).items():
        inner = _inner(feature)
        names = inner.get("names") if _type(inner) == "ClassLabel" and isinstance(inner, dict) else None
        if isinstance(names, list) and all(isinstance(one, str) for one in names):
            found[name] = names
    return found


def _inner(feature: object) -> object:
    """Of a list, what is in it: ``datasets`` writes one as ``{"feature": …}``, before its version 4 also as ``[…]``."""
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    return feature.get("feature", feature) if isinstance(feature, dict) else None


def with_class_names(row: Mapping[str, object], classes: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """A row with names in place of numbers of classes; ``classes`` as of :func:`class_names`."""
    return {name: named_classes(value, classes[name]) if name in classes else value for name, value in row.items()}


def named_classes(value: object, names: Sequence[str]) -> object:
    """A number of a class, or a list of them, as the classes' names; a number that stands for none is left out."""
    if isinstance(value, list):
        return [named for one in value if (named := named_classes(one, names)) is not None]
    if type(value) is int:
        return names[value] if 0 <= value < len(names) else None
    return value


def _is_struct(kind: Any) -> bool:
    if not pa.types.is_struct(kind):
        return False
    index = kind.get_field_index(BYTES)
    return index >= 0 and _is_binary(kind.field(index).type)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _features(schema: Any) -> Mapping[str, object]:
    """What ``datasets`` says of the columns; nothing where it did not write the file, or where that is damaged."""
    try:
        found = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except JSON_DAMAGE:
        return {}
    return found if isinstance(found, dict) else {}


def _type(feature: object) -> object:
    return feature.get("_type") if isinstance(feature, dict) else None
