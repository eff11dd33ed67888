"""What a run gets when its training ends, beside its weights: decision, calibration, tags' embeddings, model card."""

from __future__ import annotations

from pathlib import Path

from ...data.store import FeatureStore
from ..confidence.calibration import Calibration
from ..confidence.few_videos import F1Pair
from ..config import RunConfig
from ..ranking.fit import FEWEST_VIDEOS, fit_ranking
from ..recall.sources import RecallSources
from ..run.model_card import write_model_card
from ..run.tag_embeddings import save_tag_embeddings
from ..run_files import CALIBRATION, DECISION, RANKED_CALIBRATION, RANKER, write_json
from ..systems.system import System
from .processes import Processes
from .validation import Validator


def finish_run(
    run: Path, system: System, store: FeatureStore, validator: Validator | None, processes: Processes
) -> None:
    """Tunes the system's scalar and calibrates its scores on validation, and writes what predictions need.

    Args:
        run: the run folder; the main process writes into it.
        system: with the weights that the run keeps.
        validator: ``None`` where the store has no validation split: nothing is tuned or calibrated then.
        processes: all of them take part in validation.

    Raises:
        RunError: a file cannot be written.
    """
    processes.by_main(lambda: system.save(run))
    scalar = system.scalar
    decision = scalar.not_tuned()
    if validator is not None:
        by_value = validator.scores_by_value(scalar.candidates)
        decision = scalar.tuned({value: F1Pair.of(scores) for value, scores in by_value.items()}, validator.videos)
        candidates = validator.candidates()
        processes.by_main(lambda: Calibration.fit(candidates).save(run / CALIBRATION))
        if fits_ranker(system.config, validator.videos):
            processes.by_main(lambda: _rank(run, system, store, validator))
    processes.by_main(lambda: save_tag_embeddings(run, store, system.tag_table))
    processes.by_main(lambda: write_json(run / DECISION, decision))
    processes.by_main(lambda: write_model_card(run))


def fits_ranker(config: RunConfig, videos: int) -> bool:
    """Whether a run with so many validation videos gets a ranker, which takes a minute or more."""
    return config.training.ranking and videos >= FEWEST_VIDEOS


def _rank(run: Path, system: System, store: FeatureStore, validator: Validator) -> None:
    """Fits the sources beside the model, unless it is made of them, and the ranker over all of them; writes both."""
    sources = system.own_sources
    if sources is None:
        config = system.config
        sources = RecallSources.fit(
            store,
            system.tag_table,
            system.tokenizer,
            config.model.modality,
            scoring_prompts=config.training.scoring_prompts and config.system == "op-tsg",
        )
        sources.save(run)
    fitted = fit_ranking(system, sources, validator.labelled_batches())
    fitted.system.ranker.save(run / RANKER)
    Calibration.fit(fitted.rated).save(run / RANKED_CALIBRATION)
