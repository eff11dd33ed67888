"""Evaluating a run on a split: predictions, scores and the three result files."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ..data.media import SPLITS, Split
from ..data.store import FeatureStore
from ..data.store.digests import label_digest
from ..train.device import device_name
from ..train.run.model_card import write_model_card
from ..train.run.run import Run, load_run
from ..train.run_files import CALIBRATION, LOG, write_errors
from .options import TaggingOptions
from .report.evidence import EVIDENCE, EvidenceOf, Stills, explain_items, no_stills, write_evidence
from .report.report import render_report, write_report
from .report.samples import choose_samples
from .scores.confidence import fit_calibration, measure_confidence
from .scores.errors import store_embeddings
from .scores.evaluation import Cost, Evaluation, evaluate_items, write_metrics
from .scores.predictions import (
    RANKED_BELOW,
    ItemPrediction,
    predict_rows,
    ranked_below,
    write_predictions,
    write_ranked_below,
)
from .scores.run_store import encoder_name, open_run_store
from .scores.saved import TrainingHistory, read_training_history, remember_inputs
from .tag.evidence import without_evidence
from .tag.run_tagger import RunTagger, candidates_point, open_tagger

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what is done, how many) -> a context that yields a function to be told how many more are done."""


AS_TUNED = TaggingOptions()
"""A run predicts as it was tuned."""


def evaluate_run(
    path: Path,
    *,
    feats: Path | None,
    split: Split,
    batch_size: int,
    device: str,
    progress: Progress,
    options: TaggingOptions = AS_TUNED,
    evidence: bool = False,
    inputs: Path | None = None,
    allow_systems: Collection[str] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> tuple[Evaluation, Path]:
    """Evaluates a run folder and writes ``eval/SPLIT/{metrics.json,predictions.jsonl,report.html}`` into it.

    With options the folder is named after them too, ``eval/test-known``: what the run does as it was tuned stays. On the
    validation split a run that has no calibration yet is calibrated.

    Args:
        path: the run folder.
        feats: a store to use instead of the one the run was trained on.
        split: which videos of the store.
        batch_size: videos at a time.
        device, allow_systems: as in :func:`optsg.train.run.run.load_run`.
        progress: shows how far prediction is.
        options: how to predict.
        evidence: whether to compute what the sample videos' tags rest on, into ``evidence.jsonl`` and the report.
        inputs: the folder or shards that were extracted, for stills beside the evidence.
        warn: told one sentence for each thing that a person should know.

    Returns:
        The evaluation and the folder with the files.

    Raises:
        OptsgError: the run or store cannot be used, or a file cannot be written.
    """
    run = load_run(path, device=device, allow_systems=allow_systems)
    validated = run.config.training.validation_videos
    with open_run_store(path, run.config.store, feats, validation_videos=validated, warn=warn) as store:
        predictions = predict(
            run, store, split, options, batch_size=batch_size, device=device, progress=progress, warn=warn
        )
        evaluation = score(predictions, split, label_digest(store, store.indices(split)))
        folder = path / "eval" / (f"{split}-{options.slug}" if options.slug else split)
        if evidence and (lacking := without_evidence(run.system)) is not None:
            warn(lacking)
            evidence, inputs = False, None
        write(folder, predictions, evaluation, store, split, evidence=evidence, inputs=inputs, warn=warn)
    return evaluation, folder


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a run says about a split.

    Attributes:
        tagger: what predicted.
        items: every video with its predicted tags.
        candidates: the same with all tags that the run can be brought to give.
        seconds: that predicting ``items`` took.
    """

    tagger: RunTagger
    items: list[ItemPrediction]
    candidates: list[ItemPrediction]
    seconds: float

    @cached_property
    def below(self) -> dict[str, tuple[str, ...]]:
        """By video id, annotated tags that are among the candidates alone."""
        return ranked_below(self.items, self.candidates)


def predict(
    run: Run,
    store: FeatureStore,
    split: Split,
    options: TaggingOptions,
    *,
    batch_size: int,
    device: str,
    progress: Progress,
    warn: Callable[[str], None],
) -> Predictions:
    """Predicts a split, after calibrating on it where it is the validation split of a run without calibration.

    Not where a ranker decides: it was fitted to these videos, and what it says of them is too good.
    """
    rows = store.indices(split)

    def predicted(tagger: RunTagger, name: str) -> list[ItemPrediction]:
        with progress(name, len(rows)) as advance:
            return predict_rows(tagger, store, rows, batch_size=batch_size, on_batch=advance)

    if split == "val" and run.calibration is None and run.ranked is None:
        found = predicted(RunTagger(run, point=candidates_point(run)), "calibrating")
        run = replace(run, calibration=fit_calibration(found, run.path / CALIBRATION))
    tagger = open_tagger(run, options, device=device)
    for warning in tagger.warnings:
        warn(warning)
    started = time.perf_counter()
    items = predicted(tagger, "predicting")
    seconds = time.perf_counter() - started
    candidates = predicted(tagger.at(candidates_point(tagger.run)), "measuring confidence")
    return Predictions(tagger=tagger, items=items, candidates=candidates, seconds=seconds)


def score(predictions: Predictions, split: Split, labels: str) -> Evaluation:
    """The metrics of predictions, as ``metrics.json`` has them; ``labels`` as in :class:`Evaluation`."""
    tagger, items = predictions.tagger, predictions.items
    run = tagger.run
    return evaluate_items(
        items,
        run.tag_table.count_of,
        run=str(run.path),
        split=split,
        system=run.config.system,
        decision=replace(run.decision, value=tagger.point.value),
        spellings=run.tag_table.spelling_of,
        cost=_cost(run, items, predictions.seconds),
        confidence=measure_confidence(items, predictions.candidates, run.calibration),
        options=dict(tagger.facts),
        below=predictions.below,
        labels=labels,
    )


def write(
    folder: Path,
    predictions: Predictions,
    evaluation: Evaluation,
    store: FeatureStore,
    split: Split,
    *,
    evidence: bool,
    inputs: Path | None,
    warn: Callable[[str], None],
) -> None:
    """Writes predictions, metrics and the report; the rest as in :func:`evaluate_run`."""
    tagger = predictions.tagger
    run = tagger.run
    write_predictions(folder / "predictions.jsonl", predictions.items)
    write_metrics(folder / "metrics.json", evaluation)
    write_ranked_below(folder / RANKED_BELOW, predictions.below)
    rests_on: EvidenceOf = {}
    if evidence:
        samples = [item for group in choose_samples(predictions.items) for item in group.items]
        rests_on = explain_items(run, store, samples)
        write_evidence(folder / EVIDENCE, rests_on)
    else:
        with write_errors(folder / EVIDENCE):
            (folder / EVIDENCE).unlink(missing_ok=True)  # it would be of other predictions
    remember_inputs(folder, inputs)
    write_model_card(run.path)
    history = read_training_history(run.path / LOG)
    row_of = {store.id(int(row)): int(row) for row in store.indices(split)}
    stills = None if inputs is None else Stills(store, inputs)
    document = render_report(
        evaluation,
        history=history,
        facts=[
            *run_facts(run, store, history),
            *((f"Option: {name.lower()}", value) for name, value in tagger.facts),
        ],
        thumbnail=lambda video: store.thumbnail(row_of[video]),
        embedding=store_embeddings(store),
        evidence=rests_on,
        stills=stills or no_stills,
    )
    if stills is not None and stills.shortfall is not None:
        warn(stills.shortfall)
    write_report(folder / "report.html", document)


def _cost(run: Run, items: Sequence[ItemPrediction], seconds: float) -> Cost:
    return Cost(
        seconds=round(seconds, 6),
        tags_per_second=round(sum(len(item.tags) for item in items) / max(seconds, 1e-9), 1),
        device=device_name(run.device),
        threads=torch.get_num_threads(),
        trained_parameters=run.model.parameter_count(),
    )


def run_facts(run: Run, store: FeatureStore, history: TrainingHistory) -> list[tuple[str, str]]:
    """What was evaluated, as name and value for people."""
    header = store.header
    counts = {name: int((store.splits == number).sum()) for number, name in enumerate(SPLITS)}
    label = run.decision.scalar.label
    config, parameters = run.config, run.model.parameter_count() / 1e6
    return [
        ("Run folder", str(run.path.resolve())),
        ("System", f"{config.system}, size {config.size}, {run.system.extent}"),
        ("Trained parameters", f"{parameters:.1f} M"),
        (
            "Training",
            f"{len(history.epochs)} epochs, {len(run.tag_table):,} tags"
            if history.epochs
            else f"{len(run.tag_table):,} tags",
        ),
        (label[:1].upper() + label[1:], f"{run.decision.value:g}"),
        ("Feature store", str(store.path.resolve())),
        ("Videos", ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)),
        ("Image encoder", encoder_name(header.image_encoder)),
        ("Text encoder", encoder_name(header.text_encoder)),
    ]
