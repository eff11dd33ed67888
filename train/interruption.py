"""How training says that it was asked to stop, and with which code the command then ends."""

from __future__ import annotations

import signal

from ..data.command_line import INTERRUPTED


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """Training was asked to stop (Ctrl-C or SIGTERM); its state is saved.

    Args:
        signal_number: of the signal that asked, 0 where nobody knows.
    """

    def __init__(self, signal_number: int = 0):
        super().__init__(signal_number)
        self.exit_code = 128 + signal.SIGTERM if signal_number == signal.SIGTERM else INTERRUPTED
