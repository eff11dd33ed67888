"""``--untrained`` and what goes with it: which encoders tag where there is no run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ....data.command_line import together
from ....extract.encoders.presets import PRESETS

DEFAULT = "small"
"""The preset that needs no download."""


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """Encoders in place of a run.

    Attributes:
        name: for outputs and people.
        image_encoder: its description.
        extraction: the options of ``optsg-extract`` that name the same encoders.
    """

    name: str
    image_encoder: Mapping[str, Any]
    extraction: str

    @classmethod
    def of(cls, preset: str | None, image_encoder: str | None) -> Untrained:
        """What a person named; EncoderError where it is nothing."""
        preset = preset or DEFAULT
        if image_encoder is None:
            return cls(name=f"untrained-{preset}", image_encoder=PRESETS[preset][0], extraction=f"--preset {preset}")
        from ....extract.encoders.image_encoder import parse_image_encoder

        return cls(
            name=f"untrained-{Path(image_encoder).name}",
            image_encoder=parse_image_encoder(image_encoder),
            extraction=f"--preset {preset} --image-encoder {image_encoder}",
        )


untrained_options = together(
    click.option(
        "--untrained",
        is_flag=True,
        help="Tag without a run, by what encoders know of the names in --vocabulary FILE, or of a general list.",
    ),
    click.option(
        "--preset",
        type=click.Choice(tuple(PRESETS)),
        help=f"With --untrained: whose encoders.  [default: {DEFAULT}, which needs no download]",
    ),
    click.option(
        "--image-encoder",
        metavar="NAME|FOLDER",
        help="With --untrained: an open_clip model (MODEL/TAG), in place of the preset's.",
    ),
)
"""``untrained``, ``preset`` and ``image_encoder``, which :func:`chosen_untrained` takes."""


def chosen_untrained(
    *, untrained: bool, preset: str | None, image_encoder: str | None, run: Path | None, evidence: bool, segments: bool
) -> Untrained | None:
    """The encoders that a command names; ``None`` where it is about a run.

    Raises:
        click.UsageError: options that do not go together.
        EncoderError: there is no such encoder.
    """
    if not untrained:
        for option, value in (("--preset", preset), ("--image-encoder", image_encoder)):
            if value is not None:
                raise click.UsageError(f"{option} is of --untrained; a run has its own encoders")
        return None
    for option, is_given in (("--run", run is not None), ("--evidence", evidence), ("--segments", segments)):
        if is_given:
            raise click.UsageError(f"{option} needs a run, and --untrained has none; give one of them")
    return Untrained.of(preset, image_encoder)


def next_step(encoders: Untrained, paths: tuple[Path, ...], out: Path | None) -> str:
    """What to do with first tags, in one line for people."""
    source = next((path for path in paths if path.is_dir()), Path("videos"))
    table = out if out is not None and out.suffix.lower() in (".csv", ".jsonl", ".parquet") else Path("tags.csv")
    begin = "correct these tags" if out is not None else f"add --out {table}, correct the tags in it"
    return (
        f"next: {begin}, then train on them: optsg-extract {source} --metadata {table} --out feats.h5 "
        f"{encoders.extraction} && optsg-train --feats feats.h5"
    )
