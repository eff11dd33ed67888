"""Reports made from finished evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..report import render_report, write_report
from .comparison import Comparison
from .comparison_page import render_comparison
from .confusion import store_embeddings
from .sample_evidence import EVIDENCE, read_evidence
from .saved import open_pictures, read_saved, thumbnails

Warn = Callable[[str], None]


def report_again(run: Path, *, split: str, out: Path | None, feats: Path | None, warn: Warn) -> Path:
    """Writes the report of one evaluation to ``out``, or over the one that it has.

    Args:
        run: the run folder.
        split: as in :func:`read_saved`.
        feats: the store with the pictures, where it is not the one that the run was trained on.
        warn: told one sentence for each thing that a person should know.

    Returns:
        Where it was written.

    Raises:
        OptsgError: the evaluation or ``feats`` cannot be used, or the file cannot be written.
    """
    saved = read_saved(run, split)
    with contextlib.ExitStack() as stack:
        store = open_pictures(saved, feats, warn)
        if store is not None:
            stack.enter_context(store)
        document = render_report(
            saved.evaluation,
            history=saved.history,
            facts=saved.facts(store),
            thumbnail=thumbnails(store),
            embedding=None if store is None else store_embeddings(store),
            evidence=read_evidence(saved.folder / EVIDENCE),
        )
    path = out or saved.folder / "report.html"
    write_report(path, document)
    return path


def report_comparison(runs: Sequence[Path], *, split: str, out: Path, feats: Path | None, warn: Warn) -> Path:
    """Writes a comparison of several evaluations of the same videos; arguments and errors as :func:`report_again`."""
    saved = [read_saved(run, split) for run in runs]
    comparison = Comparison.of(saved)
    with contextlib.ExitStack() as stack:
        store = open_pictures(saved[0], feats, warn)
        if store is not None:
            stack.enter_context(store)
        document = render_comparison(comparison, saved, thumbnails(store))
    write_report(out, document)
    return out
