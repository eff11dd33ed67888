"""``benchmarks/RESULTS.md``: one heading for each benchmark, with a block that the benchmark rewrites."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
TITLE = "# Results of the benchmarks\n"
CPUINFO = Path("/proc/cpuinfo")
NOTABLE_FLAGS = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512f", "avx2")


def write_results(heading: str, block: str, path: Path = RESULTS) -> None:
    """Puts ``block`` under ``## heading``, in place of the block that was there; text around it stays."""
    name = heading.lower().replace(" ", "-")
    begin, end = f"<!-- {name}: written by the benchmark -->", f"<!-- {name}: end -->"
    text = path.read_text(encoding="utf-8") if path.exists() else TITLE
    fresh = f"{begin}\n{block.strip()}\n{end}"
    before, found, rest = text.partition(begin)
    text = before + fresh + rest.partition(end)[2] if found else f"{text.rstrip()}\n\n## {heading}\n{fresh}\n"
    path.write_text(text, encoding="utf-8")


def described_machine(packages: Sequence[str] = ("torch",)) -> str:
    """Cores, processor, Python and versions of some packages, in one line."""
    cores = os.cpu_count() or 1
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    today = datetime.now(UTC).date().isoformat()
    return f"{cores} cores of {_processor()}{_gpu()}, Python {platform.python_version()}, {versions}; {today}."


def command() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _gpu() -> str:
    """The first GPU's name, as NVIDIA's own tool gives it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout  # noqa: S603 (found on PATH)
    first = re.match(r"GPU 0: (.*?) \(UUID", listed)
    return f", {first[1]}" if first else ""


def _processor() -> str:
    if not CPUINFO.exists():
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in CPUINFO.read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    known = fields.get("flags", "").split()
    notable = [flag for flag in NOTABLE_FLAGS if flag in known]
    return f"{fields.get('model name', platform.machine())} ({', '.join(notable) or 'no AVX2'})"
