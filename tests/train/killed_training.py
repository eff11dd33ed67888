"""Trains over and over, each time in a fork of this process, which has everything imported.

Reads lines of command-line arguments as JSON from standard input; writes the process id of each training and, when it has
ended, its exit code (−9 after a kill).
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import torch
from optsg.train import session, trainer  # noqa: F401 - imported once for all
from optsg.train.cli import main


def train(arguments: list[str]) -> int:
    """One training; returns its exit code."""
    try:
        main([*arguments, "--device", "cpu", "-q"], standalone_mode=False)
    except SystemExit as error:
        return int(error.code or 0)
    except Exception:  # noqa: BLE001 - a child of a fork goes nowhere else
        traceback.print_exc()
        return 1
    return 0


torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os._exit(train(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
