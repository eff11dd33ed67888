"""Reports made from finished evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ...data.errors import RunError
from ..report import render_report, write_report
from .comparison import Comparison
from .comparison_page import render_comparison
from .confusion import store_embeddings
from .inputs_record import remember_inputs, remembered_inputs
from .sample_evidence import EVIDENCE, read_evidence
from .saved import open_pictures, read_saved, thumbnails
from .stills import Stills, no_stills

Warn = Callable[[str], None]


def report_again(
    run: Path, *, split: str, out: Path | None, feats: Path | None, inputs: Path | None, warn: Warn
) -> Path:
    """Writes the report of one evaluation to ``out``, or over the one that it has.

    Args:
        run: the run folder.
        split: as in :func:`read_saved`.
        feats: the store with the pictures, where it is not the one that the run was trained on.
        inputs: the folder or shards that were extracted, for stills beside the evidence, where it is not the one that an
            earlier report of this evaluation was made with. It is remembered with a page that lies beside the evaluation.
        warn: told one sentence for each thing that a person should know.

    Returns:
        Where it was written.

    Raises:
        OptsgError: the evaluation or ``feats`` cannot be used, there is no evidence to show stills beside, or the file
            cannot be written.
    """
    saved = read_saved(run, split)
    evidence = read_evidence(saved.folder / EVIDENCE)
    if inputs is not None and not evidence:
        raise RunError(
            f"{saved.folder} has no evidence, which stills are shown beside; make it with: "
            f"optsg-eval --run {run} --split {split.split('-')[0]} --evidence --inputs {inputs}"
        )
    extracted = inputs or remembered_inputs(saved.folder)
    with contextlib.ExitStack() as stack:
        store = open_pictures(saved, feats, warn)
        if store is not None:
            stack.enter_context(store)
        stills = None if store is None or extracted is None else Stills(store, extracted)
        document = render_report(
            saved.evaluation,
            history=saved.history,
            facts=saved.facts(store),
            thumbnail=thumbnails(store),
            embedding=None if store is None else store_embeddings(store),
            evidence=evidence,
            stills=stills or no_stills,
        )
    path = out or saved.folder / "report.html"
    write_report(path, document)
    if inputs is not None and out is None:
        remember_inputs(saved.folder, inputs)
    if stills is not None and stills.shortfall is not None:
        warn(stills.shortfall)
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
