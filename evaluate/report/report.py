"""``report.html`` and the comparison of runs, made from finished evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ... import __version__
from ...data.errors import RunError
from ...data.whole_files import write_text
from ..options import evaluation_command
from ..scores.bootstrap import DRAWINGS
from ..scores.comparison import Comparison
from ..scores.errors import Embedding, confusions, store_embeddings
from ..scores.evaluation import Evaluation
from ..scores.saved import TrainingHistory, open_pictures, read_saved, remember_inputs, remembered_inputs, thumbnails
from .comparison import render_comparison
from .errors import cause_tables, confusion_table, worst_table, worst_tags
from .evidence import EVIDENCE, EvidenceOf, Stills, no_stills, read_evidence
from .page import render_page
from .samples import sample_cards
from .sections import (
    calibration_rows,
    confidence_charts,
    frequency_bins,
    frequency_rows,
    headline,
    long_tail,
    metrics,
    reliability_rows,
    tag_table,
    training_charts,
)

PAIRS_SHOWN = 40


def render_report(
    evaluation: Evaluation,
    *,
    history: TrainingHistory,
    facts: Sequence[tuple[str, str]],
    thumbnail: Callable[[str], bytes],
    embedding: Embedding | None = None,
    evidence: EvidenceOf | None = None,
    stills: Callable[[str], Sequence[bytes]] = no_stills,
) -> str:
    """The report as one HTML document without external resources; all text in it is escaped.

    Args:
        evaluation: predictions and scores.
        history: course of the training; may be empty.
        facts: what was evaluated, as name and value.
        thumbnail: the JPEG of a video by its id, ``b""`` if there is none.
        embedding: of tags, where they are at hand.
        evidence: of the sample videos' tags, where it was computed.
        stills: a JPEG of every frame of a video by its id, or none.
    """
    frequency = frequency_rows(frequency_bins(evaluation.per_tag))
    confidence = evaluation.confidence
    pairs = confusions(evaluation, embedding, most=PAIRS_SHOWN)
    is_similarity_known = embedding is not None
    least_videos, worst = worst_tags(evaluation.per_tag)
    return render_page(
        "report.html",
        evaluation=evaluation,
        headline=headline(evaluation),
        metrics=metrics(evaluation),
        drawings=DRAWINGS,
        frequency=frequency,
        long_tail=long_tail({"F1": frequency}) if frequency else None,
        confidence_charts=[] if confidence is None else confidence_charts(confidence),
        calibration=[] if confidence is None else calibration_rows(confidence),
        reliability=[] if confidence is None else reliability_rows(confidence),
        samples=sample_cards(evaluation, thumbnail, evidence or {}, stills),
        has_evidence=bool(evidence),
        causes=cause_tables(evaluation),
        confusion=confusion_table(pairs, is_similarity_known=is_similarity_known),
        is_similarity_known=is_similarity_known,
        least_videos=least_videos,
        worst=worst_table(evaluation, worst),
        training_charts=training_charts(history),
        tags=tag_table(evaluation.per_tag, evaluation.spellings),
        about=facts,
        version=__version__,
    )


def write_report(path: Path, document: str) -> None:
    """Writes ``report.html``; errors as :func:`write_text`."""
    write_text(path, [document])


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
            f"{evaluation_command(run, split, f' --evidence --inputs {inputs}')}"
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
