"""What all commands share: an error is one sentence, and ``-q`` and ``-v`` mean the same everywhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import click

from .errors import OptsgError

Command = TypeVar("Command", bound=Callable[..., object])


def quiet_and_verbose(command: Command) -> Command:
    """Adds ``-q/--quiet`` and ``-v/--verbose``."""
    verbose = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only; the results are in the files.")
    return quiet(verbose(command))


@contextlib.contextmanager
def one_sentence_errors(verbose: bool) -> Iterator[None]:
    """Prints an :class:`OptsgError` as ``error: …`` and exits with code 1; with ``verbose`` the traceback stays."""
    try:
        yield
    except OptsgError as error:
        if verbose:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
