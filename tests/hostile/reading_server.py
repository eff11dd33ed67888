"""Reads what it is told to, one path after the other, in a process that may crash, hang or run out of memory."""

from __future__ import annotations

import json
import resource
import sys
import traceback
from pathlib import Path

from optsg.data.errors import OptsgError
from optsg.data.torchvision_compat import ensure_torchvision_importable

from tests.hostile.readers import READERS

MEMORY = 3 << 30
"""Bytes of address space beyond what the imports take."""


def outcome_of(reader: str, path: Path) -> tuple[str, str]:
    """``read`` or ``refused``; ``broken`` with the reason where neither is true."""
    try:
        READERS[reader].read(path)
    except OptsgError as error:
        message = str(error)
        return ("refused" if message and len(message.splitlines()) == 1 else "broken"), message
    except BaseException:  # noqa: BLE001 - whatever it is, it is what the test looks for
        return "broken", traceback.format_exc()
    return "read", ""


def main() -> None:
    """One JSON list of a reader and a path a line on the standard input; one of an outcome and a message a line back."""
    ensure_torchvision_importable()
    from transformers import AutoConfig, AutoModel, BertModel  # noqa: F401 - before memory is limited

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is not None:
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        reader, path = json.loads(line)
        answers.write(json.dumps(outcome_of(reader, Path(path))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
