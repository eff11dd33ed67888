"""What all commands share: an error is one sentence, and ``--device``, ``-q`` and ``-v`` mean the same everywhere."""

from __future__ import annotations

import contextlib
import errno
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click

from .errors import OptsgError, reason_of

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

SHORT_HELP = {"help_option_names": ["-h", "--help"]}
"""For ``context_settings``: ``-h`` is ``--help``."""

Command = TypeVar("Command", bound=Callable[..., object])


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator; help shows them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
"""Where tensors are computed."""

allow_system_option = click.option(
    "--allow-system",
    "allow_systems",
    multiple=True,
    metavar="MODULE:CLASS",
    help="Trust this class and import it where the run was trained with it (--system MODULE:CLASS); may be repeated.",
)
"""Which code beside optsg's own a run folder may ask for."""

new_store_option = click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="FILE.h5, or a folder for WebDataset shards."
)
"""A feature store that is made."""


def size_option(text: str) -> Callable[[Command], Command]:
    """``--size`` of models; ``text`` says of which."""
    return click.option(
        "--size", type=click.Choice(["auto", "base", "small"]), default="auto", show_default=True, help=text
    )


def quiet_and_verbose(command: Command) -> Command:
    """Adds ``-q/--quiet`` and ``-v/--verbose``."""
    verbose = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only; the results are in the files.")
    return quiet(verbose(command))


@contextlib.contextmanager
def one_sentence_errors(verbose: bool, *, on_interrupt: str | Callable[[], str] = "") -> Iterator[None]:
    """Prints an :class:`OptsgError` as ``error: …`` and exits with code 1; with ``verbose`` the traceback stays.

    After Ctrl-C it says ``interrupted`` and, where there is something to say, what is kept (``on_interrupt``). What is
    printed belongs inside: a disk that is too full for it is such an error too.
    """
    escape_unknown_characters()
    try:
        yield
    except OptsgError as error:
        if verbose:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        # Errors of files that optsg writes are an OptsgError; what is left is where the command's output goes.
        if verbose or error.filename is not None or error.errno not in NO_ROOM:
            raise
        click.echo(f"error: the output cannot be written: {reason_of(error)}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        kept = on_interrupt if isinstance(on_interrupt, str) else on_interrupt()
        click.echo(f"interrupted; {kept}" if kept else "interrupted", err=True)
        sys.exit(INTERRUPTED)


NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EIO, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []))
"""A disk is full, a quota or a limit is reached, a device is gone. A pipe that nobody reads any more is click's to end for."""


def escape_unknown_characters() -> None:
    """Output in another encoding than UTF-8 has escapes for what it cannot hold, in place of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
