"""The digest of a source: which bytes the features came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 20


def source_digest(payload: Path | bytes) -> str:
    """``sha256:…`` of a file or of bytes; empty if the file cannot be read."""
    digest = hashlib.sha256()
    if isinstance(payload, bytes):
        digest.update(payload)
    else:
        try:
            with payload.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        except OSError:
            return ""
    return f"sha256:{digest.hexdigest()}"
