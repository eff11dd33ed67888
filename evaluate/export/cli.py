"""``optsg-export``: a run as ONNX files, for software without PyTorch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...data.command_line import SHORT_HELP, one_sentence_errors, quiet_and_verbose
from ...data.errors import ConfigError
from ...train.system_names import DEFAULT_FAVOUR, FAVOURS, Favour
from ..options import feats_option, find_run

if TYPE_CHECKING:
    from .export_run import Exported
    from .parity import Comparison

EXAMPLES = """\b
Examples:
  optsg-export runs/latest --onnx exported/
  optsg-export runs/small-1 --onnx exported/ --feats moved/feats.h5 --favour precise
  python exported/tag_with_onnxruntime.py exported/sample.npz
"""

EXTRA = "optsg-export needs more packages ({missing} is not installed): pip install 'optsg[onnx]'"
NEEDED = ("onnx", "onnxscript", "onnxruntime")

SHOWN = (
    ("all", ("label_based", "full")),
    ("rare", ("label_based", "rare")),
    ("common", ("label_based", "common")),
    ("example-based", ("example_based",)),
)
"""F1 by name, and where it stands in the metrics."""


@click.command(epilog=EXAMPLES, context_settings=SHORT_HELP)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--onnx",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="A new folder for the graphs and what tagging with them needs.",
)
@feats_option("RUN")
@click.option(
    "--favour",
    type=click.Choice(FAVOURS),
    default=DEFAULT_FAVOUR,
    show_default=True,
    help="Which tags the exported decision is generous with.",
)
@quiet_and_verbose
@click.version_option(package_name="optsg")
def main(run: Path | None, onnx: Path, feats: Path | None, favour: Favour, quiet: bool, verbose: bool) -> None:
    """Exports RUN, by default runs/latest, to ONNX, with an example that tags with onnxruntime and NumPy alone.

    Exported are all sources of training tags but the decoder, which writes step by step; so there are no novel tags. The
    ranker is fitted anew without it on the validation videos, and what that costs in F1 is printed.
    """
    with one_sentence_errors(verbose):
        folder = find_run(run, named="before --onnx")
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(EXTRA.format(missing=missing[0]))
        # PyTorch takes seconds to import; --help should not wait for it.
        from .export_run import export_run

        done = export_run(folder, onnx, feats=feats, favour=favour)
        if not quiet:
            click.echo("\n".join(_said(done)))


def _said(done: Exported) -> list[str]:
    differences = ", ".join(f"{name} {value:.0e}" for name, value in done.differences.items())
    return [
        f"exported {done.tags:,} tags and {len(done.sources)} sources to {done.folder}, without what the decoder writes",
        f"greatest difference from PyTorch on {done.checked} videos: {differences}",
        *(["there is no test split to compare on"] if done.comparison is None else [_compared(done.comparison)]),
        f"try it: python {done.folder / 'tag_with_onnxruntime.py'} {done.folder / 'sample.npz'}",
    ]


def _compared(comparison: Comparison) -> str:
    shown = []
    for name, places in SHOWN:
        run, exported = (_f1(scores, places) for scores in (comparison.run, comparison.exported))
        shown.append(f"{name} {100 * run:.1f} → {100 * exported:.1f}")
    novel = f"right novel tags {comparison.run['novel']['hits']:,} → {comparison.exported['novel']['hits']:,}"
    return f"F1 on {comparison.videos:,} test videos, the run → its export: {', '.join(shown)}; {novel}"


def _f1(scores: object, places: tuple[str, ...]) -> float:
    for place in (*places, "f1"):
        assert isinstance(scores, dict)
        scores = scores[place]
    assert isinstance(scores, float)
    return scores
