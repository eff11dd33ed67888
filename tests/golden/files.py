"""Golden files: what they are compared with, and when they are made anew (see README.md here)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent
OLD = GOLDEN / "version_0_1_0"
WRITES = "OPTSG_WRITE_GOLDEN" in os.environ
"""Whether tests write what they find instead of comparing with it."""


def golden_text(name: str, found: str) -> str:
    """What is expected in place of ``found``: the golden file of this name, made of ``found`` where files are written."""
    path = GOLDEN / name
    if WRITES:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def golden_json(name: str, key: str, found: Any) -> Any:
    """What is expected in place of ``found``: the entry ``key`` of a golden JSON file."""
    path = GOLDEN / name
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if WRITES:
        known = dict(sorted({**known, key: found}.items()))
        path.write_text(written(known), encoding="utf-8")
    return known[key]


def written(entries: dict[str, dict[str, Any]]) -> str:
    """JSON of two levels with a line for each entry of the second."""
    outer = []
    for key, entry in entries.items():
        lines = (f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in entry.items())
        outer.append(f"  {json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(outer) + "\n}\n"


def old_world(folder: Path) -> Path:
    """A copy of the old store and runs, which may be changed."""
    return shutil.copytree(OLD, folder / "old")
