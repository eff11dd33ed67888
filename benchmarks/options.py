"""What the benchmarks of training and decoding have in common on their command lines."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results_file import RESULTS, command, described_machine, write_results

WORK = Path(tempfile.gettempdir()) / "optsg-benchmark"


def parser(description: str | None, *, repetitions: int | None) -> argparse.ArgumentParser:
    """``--work``, ``--write``, and ``--repetitions`` where something is repeated."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if repetitions is not None:
        made.add_argument("--repetitions", type=int, default=repetitions, help="[%(default)s]")
    made.add_argument("--work", type=Path, default=WORK, help="folder for stores that are made once [%(default)s]")
    made.add_argument("--write", action="store_true", help="put the tables into the results")
    made.add_argument("--results", type=Path, default=RESULTS, help="where --write puts them [benchmarks/RESULTS.md]")
    return made


def add_model_options(options: argparse.ArgumentParser) -> None:
    """``--sizes``, ``--feats``, ``--videos``, ``--set``: which models, on which store."""
    options.add_argument(
        "--sizes", nargs="+", choices=["small", "base"], default=["small", "base"], help="[small base]"
    )
    options.add_argument("--feats", type=Path, help="a store of your own instead of the synthetic one")
    options.add_argument("--videos", type=int, default=2_000, help="of the synthetic store [%(default)s]")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of our models")


def add_clip_options(options: argparse.ArgumentParser) -> None:
    """``--run``, ``--clip``, ``--before``, ``--run-before``: one clip tagged by this version, and by another beside it."""
    options.add_argument("--run", type=Path, required=True)
    options.add_argument("--clip", type=Path, required=True)
    options.add_argument("--before", type=Path, help="folder that holds another optsg package")
    options.add_argument("--run-before", type=Path, help="run that the other version opens  [default: --run]")


def publish(
    arguments: argparse.Namespace, heading: str, body: str, *, note: str = "", packages: Sequence[str] = ("torch",)
) -> None:
    """Prints the tables under the command and the machine, and with ``--write`` puts them into the results."""
    import torch

    threads, repetitions = torch.get_num_threads(), getattr(arguments, "repetitions", None)
    repeated = "" if repetitions is None else f"; repetitions: {repetitions}"
    conditions = f"PyTorch uses {threads} thread{'s' * (threads > 1)}{repeated}."
    text = f"`{command()}`\n\n{described_machine(packages)} {conditions} {note}".rstrip() + f"\n\n{body}"
    sys.stdout.write(text + "\n")
    if arguments.write:
        write_results(heading, text, arguments.results)
