"""Runs ``optsg-tag`` over and over, in forks of this process, which has everything imported: no attempt costs seconds of it.

Standard input: a line of JSON for each command, its arguments. Standard output: the child's process id, then its exit code
(−9 after a kill). A child leads a process group, as a command does that is started from a shell; it says what it has to say
in ``output.txt`` in the current folder.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import torch
from optsg.evaluate.tag import file_tagger, tag_files  # noqa: F401
from optsg.evaluate.tag.cli import main
from optsg.evaluate.tag.outputs import made_with, output  # noqa: F401

from tests.command_server import end_with


def tag(arguments: list[str]) -> int:
    """One command; returns its exit code."""
    try:
        main(arguments, prog_name="optsg-tag")
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:  # noqa: BLE001 - a child of a fork goes nowhere else
        traceback.print_exc()
    return 1


def fork(arguments: list[str]) -> int:
    """Starts a command; returns its process id."""
    if not (child := os.fork()):
        os.setpgid(0, 0)
        end_with(lambda: tag(arguments), "output.txt")
    return child


torch.set_num_threads(1)
for line in sys.stdin:
    child = fork(json.loads(line))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
