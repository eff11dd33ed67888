"""How training says that it was asked to stop."""

from __future__ import annotations


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: somebody asked for it
    """Training was asked to stop (Ctrl-C or SIGTERM); its state is saved."""
