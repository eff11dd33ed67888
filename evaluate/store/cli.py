"""``optsg-store``: the commands on stores alone (:mod:`optsg.extract.store.cli`), and those that a trained run is needed for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...data.command_line import (
    SHORT_HELP,
    allow_system_option,
    device_option,
    one_sentence_errors,
    quiet_and_verbose,
)
from ...extract.store.cli import EXAMPLES
from ...extract.store.cli import main as of_stores_alone
from ..options import find_run, run_option
from ..progress import progress_bar
from .kinds import KINDS

if TYPE_CHECKING:
    from ...data.media import Split


@click.command()
@click.argument("feats", metavar="STORE", type=click.Path(path_type=Path))
@run_option
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=".npz or .parquet, with ids; or .npy, one kind of vector alone, in the order of the store.",
)
@click.option(
    "--vectors",
    "kinds",
    type=click.Choice(list(KINDS)),
    multiple=True,
    help="Which kind; may be repeated.  [default: all that there are; in an .npy fused]",
)
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Which videos of the store.  [default: all]")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=16, show_default=True, metavar="N", help="Videos at a time."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@device_option
@allow_system_option
@quiet_and_verbose
def embed(
    feats: Path,
    run: Path | None,
    out: Path,
    kinds: tuple[str, ...],
    split: Split | None,
    batch_size: int,
    overwrite: bool,
    device: str,
    allow_systems: tuple[str, ...],
    quiet: bool,
    verbose: bool,
) -> None:
    """Write vectors of every video of STORE by a trained run: fused, of its title, and the mean of its frames or patches.

    They are those of Tagger.embed, for search, clustering and other models; compare those of one kind by their cosine.
    """
    with one_sentence_errors(verbose, on_interrupt=f"{out} is as it was before"):
        folder = find_run(run)
        # PyTorch takes seconds to import; --help should not wait for it.
        from .embed import embed_store

        done = embed_store(
            feats,
            folder,
            out,
            split=split,
            kinds=kinds,
            batch_size=batch_size,
            device=device,
            overwrite=overwrite,
            allow_systems=allow_systems,
            progress=lambda name, total: progress_bar(name, total, quiet=quiet),
        )
        if not quiet:
            shapes = ", ".join(f"{kind} {width:,}" for kind, width in done.widths.items())
            click.echo(f"{out}: {done.videos:,} videos; numbers of a vector: {shapes}")


main = click.Group(
    commands={**of_stores_alone.commands, "embed": embed},
    params=of_stores_alone.params,
    help=of_stores_alone.help,
    epilog=f"{EXAMPLES}  optsg-store embed feats.h5 --run runs/latest --out vectors.npz\n",
    context_settings=SHORT_HELP,
)
"""All commands of ``optsg-store``."""
