"""``optsg-train`` in this process."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from optsg.train.cli import main


def train(*arguments: str | Path) -> Result:
    """Runs the command on the CPU."""
    return CliRunner().invoke(main, [*map(str, arguments), "--device", "cpu"])
