"""What the first tag of a new process waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from pathlib import Path
from optsg.evaluate.tag.file_tagger import FileTagger
from optsg.train.run.run import load_run

load_run(Path(sys.argv[1]), device="cpu")
print(json.dumps(sorted(sys.modules)))
"""

UNUSED = {"transformers", "sklearn", "pandas", "sympy", "timm", "open_clip", "matplotlib", "torchvision", "pyarrow"}
"""Each takes a tenth of a second to two seconds to import."""


def test_opening_a_run_imports_nothing_that_predicting_does_without(run_path: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(run_path)]
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    imported = set(json.loads(ended.stdout.splitlines()[-1]))
    assert not UNUSED & imported
    assert "torch._dynamo" not in imported
    assert "torch" in imported
