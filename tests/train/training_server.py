"""Trains over and over, in forks of this process, which has everything imported: an attempt costs no seconds of imports.

Standard input: a line of JSON for each training, ``{"arguments": […], "processes": n}``; n processes train together, as
``torchrun`` would start them. Standard output: their process ids, then their exit codes (−9 after a kill), as JSON. What
process r says goes to ``output-r.txt`` in the current folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback

import torch
from accelerate import state, utils  # noqa: F401 - imported once for all
from optsg.train.cli import main
from optsg.train.run import plan  # noqa: F401

from tests.command_server import end_with


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def train(arguments: list[str]) -> int:
    """One training; returns its exit code."""
    try:
        main([*arguments, "--device", "cpu"], standalone_mode=False)
    except SystemExit as error:
        return int(error.code or 0)
    except Exception:  # noqa: BLE001 - a child of a fork goes nowhere else
        traceback.print_exc()
        return 1
    return 0


def fork(arguments: list[str], rank: int, count: int, port: int) -> int:
    """Starts one of ``count`` processes; returns its id."""
    if not (child := os.fork()):
        if count > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
            os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        end_with(lambda: train(arguments), f"output-{rank}.txt")
    return child


torch.set_num_threads(1)
for line in sys.stdin:
    job = json.loads(line)
    port = free_port()
    children = [fork(job["arguments"], rank, job["processes"], port) for rank in range(job["processes"])]
    print(json.dumps(children), flush=True)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
