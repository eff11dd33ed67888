"""What all commands share: an error is one sentence, and ``--device``, ``-q`` and ``-v`` mean the same everywhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import click

from .errors import OptsgError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

SHORT_HELP = {"help_option_names": ["-h", "--help"]}
"""For ``context_settings``: ``-h`` is ``--help``."""

Command = TypeVar("Command", bound=Callable[..., object])


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
"""Where tensors are computed."""


def quiet_and_verbose(command: Command) -> Command:
    """Adds ``-q/--quiet`` and ``-v/--verbose``."""
    verbose = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only; the results are in the files.")
    return quiet(verbose(command))


def metadata_options(command: Command) -> Command:
    """Adds ``--columns``, ``--tag-separator`` and ``--group-rows``: how metadata tables are read."""
    columns = click.option(
        "--columns", metavar="NAME=COLUMN,…", help="Which columns of tables are what: tags=keywords,title=caption."
    )
    separator = click.option(
        "--tag-separator", metavar="TEXT", help="What separates tags in a text.  [default: commas]"
    )
    group = click.option("--group-rows", is_flag=True, help="Join the rows of one file, as where each tag has a row.")
    return columns(separator(group(command)))


@contextlib.contextmanager
def one_sentence_errors(verbose: bool, *, on_interrupt: str = "") -> Iterator[None]:
    """Prints an :class:`OptsgError` as ``error: …`` and exits with code 1; with ``verbose`` the traceback stays.

    After Ctrl-C it says ``interrupted`` and, where there is something to say, what is kept (``on_interrupt``).
    """
    try:
        yield
    except OptsgError as error:
        if verbose:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo(f"interrupted; {on_interrupt}" if on_interrupt else "interrupted", err=True)
        sys.exit(INTERRUPTED)
