"""What was found out about an encoder on this machine, kept in the user's cache folder, so that it is found out once.

One small file for each tower, processor and set of library versions. A file that is missing, damaged or says something
else is no error: what it would have said is found out anew. ``OPTSG_CACHE`` names another folder; if it is empty, nothing
is read or kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

CHECKS = 2
"""Counts up when other things are checked, or in another way."""

LIBRARIES = ("torch", "torchvision", "timm", "open_clip_torch", "pillow", "numpy")

CONDITIONS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_DEFAULT_FPMATH_MODE")
"""Variables that limit a processor's instructions."""

MOST_BYTES = 1 << 16


def cache_folder() -> Path | None:
    """Where the platform keeps what can be made again; ``None`` if nothing is to be kept."""
    named = os.environ.get("OPTSG_CACHE")
    if named is not None:
        return Path(named) if named else None
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "optsg" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "optsg"
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (given if given.is_absolute() else Path.home() / ".cache") / "optsg"
    except RuntimeError:  # no home
        return None


def circumstances(device: torch.device) -> dict[str, Any]:
    """What a finding depends on besides the tower: device, processor, threads, versions."""
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "checks": CHECKS,
        "device": place,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "conditions": {name: os.environ.get(name) for name in CONDITIONS},
    }


def read_kept(key: Mapping[str, Any]) -> dict[str, Any] | None:
    """What :func:`keep` kept under an equal key."""
    path = _path(key)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            kept = json.loads(file.read(MOST_BYTES))
        found = kept["found"] if kept["key"] == _plain(key) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def keep(key: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Keeps a finding, as a whole or not at all; where that cannot be, it is left."""
    path = _path(key)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"key": _plain(key), "found": dict(found)}, file, indent=1)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def _path(key: Mapping[str, Any]) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    name = hashlib.sha256(json.dumps(_plain(key), sort_keys=True).encode()).hexdigest()
    return folder / "image-towers" / f"{name[:32]}.json"


def _plain(key: Mapping[str, Any]) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(dict(key)))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The model's name and a digest of its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags") or fields.get("Features") or ""
    return f"{fields.get('model name', platform.machine())} {hashlib.sha256(flags.encode()).hexdigest()[:12]}"
