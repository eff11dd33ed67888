"""Options that the commands on trained runs share: what means the same is defined and explained once.

Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

EXTRACTED = click.Path(path_type=Path, exists=True, file_okay=False)
"""A folder that ``optsg-extract`` read."""

run_option = click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run folder made by optsg-train.  [default: runs/latest]",
)
"""One run, which :func:`optsg.evaluate.latest_run.find_run` looks for."""

evaluation_option = click.option(
    "--split",
    default="test",
    show_default=True,
    metavar="NAME",
    help="Which evaluation of the run: a folder in its eval/, such as test, val or test-known.",
)
"""An evaluation that exists; the ``--split`` of ``optsg-eval`` names videos of the store to make one of."""


def feats_option(run: str) -> Callable[[Command], Command]:
    """``--feats``, by default the store of ``run``."""
    return click.option(
        "--feats",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help=f"Feature store of the videos.  [default: the one that {run} was trained on]",
    )


def inputs_option(default: str = "") -> Callable[[Command], Command]:
    """``--inputs``; ``default`` says which folder is taken without it, if any."""
    return click.option(
        "--inputs",
        type=EXTRACTED,
        metavar="DIR",
        help="The folder or shards that were extracted: with it the evidence shows frames as pictures."
        + (f"  [default: {default}]" if default else ""),
    )
