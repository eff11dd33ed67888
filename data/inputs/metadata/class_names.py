"""What ``datasets`` says of the columns of a file in its schema's metadata: their types, and what numbers of classes stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...foreign.json_reader import JSON_DAMAGE, parse_json


class ClassName(str):
    """The name of a class: as a tag it is one, whatever commas it has."""

    __slots__ = ()


def class_names(schema: Any) -> dict[str, Sequence[str]]:
    """Of every column of classes, what their numbers stand for."""
    found: dict[str, Sequence[str]] = {}
    for name, feature in features_of(schema).items():
        inner = _inner(feature)
        names = inner.get("names") if feature_type(inner) == "ClassLabel" and isinstance(inner, dict) else None
        if isinstance(names, list) and all(isinstance(one, str) for one in names):
            found[name] = names
    return found


def with_class_names(row: Mapping[str, object], classes: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """A row with names in place of numbers of classes; ``classes`` as of :func:`class_names`."""
    return {name: _named(value, classes[name]) if name in classes else value for name, value in row.items()}


def _named(value: object, names: Sequence[str]) -> object:
    """A number of a class, or a list of them, as the classes' names; a number that stands for none is left out."""
    if isinstance(value, list):
        return [named for one in value if (named := _named(one, names)) is not None]
    if type(value) is int:
        return ClassName(names[value]) if 0 <= value < len(names) else None
    return value


def features_of(schema: Any) -> Mapping[str, object]:
    """What ``datasets`` says of the columns; nothing where it did not write the file, or where that is damaged."""
    try:
        found = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except JSON_DAMAGE:
        return {}
    return found if isinstance(found, dict) else {}


def feature_type(feature: object) -> object:
    """What ``datasets`` calls its type."""
    return feature.get("_type") if isinstance(feature, dict) else None


def _inner(feature: object) -> object:
    """Of a list, what is in it: ``datasets`` writes one as ``{"feature": …}``, before its version 4 also as ``[…]``."""
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    return feature.get("feature", feature) if isinstance(feature, dict) else None
