"""Options of ``optsg-tag`` about files of other tools, and about tags that are paths."""

from __future__ import annotations

import click

from ....data.command_line import together
from ....data.tag_hierarchy import FOUND

KINDS = ("txt", "xmp", "nfo", "json", "vtt")
"""Of files beside others (:mod:`optsg.evaluate.tag.beside.sidecars`)."""

CSV_SEPARATORS = ("comma", "semicolon", "tab")

beside_options = together(
    click.option(
        "--sidecar",
        "sidecar",
        multiple=True,
        type=click.Choice(KINDS),
        help="Add the tags to a file beside each: NAME.txt (sd-scripts), NAME.jpg.xmp (digiKam, exiftool), NAME.nfo (Kodi), "
        "NAME.json (img2dataset); with --segments NAME.chapters.vtt (WebVTT). What others wrote stays.",
    ),
    click.option(
        "--replace",
        is_flag=True,
        help="Of --sidecar and --format hf: these tags in place of those that are there.",
    ),
    click.option("--underscores", is_flag=True, help="Of --sidecar txt: red_panda for red panda."),
    click.option(
        "--csv-separator",
        type=click.Choice(CSV_SEPARATORS),
        help="CSV for spreadsheets: with a byte order mark, and this between values.",
    ),
    click.option(
        "--hierarchy",
        default=FOUND,
        show_default=True,
        metavar="SEPARATOR|auto|none",
        help="What separates the parts of tags such as animal/cat, which imply their parents; auto looks for it in the tags.",
    ),
)
"""``sidecar``, ``replace``, ``underscores``, ``csv_separator`` and ``hierarchy``."""


def check_beside(
    *, sidecar: tuple[str, ...], replace: bool, underscores: bool, segments: bool, kind: str | None
) -> None:
    """Refuses options that are about nothing.

    Raises:
        click.UsageError: one of them is.
    """
    if replace and not sidecar and kind != "hf":
        raise click.UsageError("--replace is of --sidecar, or of --format hf")
    if underscores and "txt" not in sidecar:
        raise click.UsageError("--underscores is of --sidecar txt")
    if "vtt" in sidecar and not segments:
        raise click.UsageError("--sidecar vtt writes when tags hold; give --segments with it")
