"""``report.html``: the sections of the report put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .. import __version__
from ..data.whole_files import write_text
from .evaluation import Evaluation
from .report_confidence import confidence_section
from .report_markup import Html
from .report_overview import facts_section, header_section, metrics_section
from .report_page import page
from .report_samples import samples_section
from .report_tags import frequency_section, per_tag_section
from .report_training import training_section
from .reporting.confusion import Embedding
from .reporting.errors_page import confusion_section, errors_section, worst_section
from .reporting.sample_evidence import EvidenceOf
from .reporting.stills import no_stills
from .training_history import TrainingHistory

LINKS = (
    ("metrics", "Metrics"),
    ("frequency", "F1 by frequency"),
    ("confidence", "Confidence"),
    ("samples", "Sample videos"),
    ("errors", "Errors by cause"),
    ("confusion", "Confused tags"),
    ("worst", "Worst tags"),
    ("training", "Training"),
    ("tags", "Every tag"),
    ("about", "What was evaluated"),
)


def render_report(
    evaluation: Evaluation,
    *,
    history: TrainingHistory,
    facts: Sequence[tuple[str, str]],
    thumbnail: Callable[[str], bytes],
    embedding: Embedding | None = None,
    evidence: EvidenceOf | None = None,
    stills: Callable[[str], Sequence[bytes]] = no_stills,
) -> Html:
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
    return page(
        f"{evaluation.run}: {evaluation.split}",
        header_section(evaluation),
        [link for link in LINKS if link[0] != "confidence" or evaluation.confidence is not None],
        (
            metrics_section(evaluation),
            frequency_section(evaluation.per_tag),
            *(() if evaluation.confidence is None else (confidence_section(evaluation.confidence),)),
            samples_section(evaluation, thumbnail, evidence or {}, stills),
            errors_section(evaluation),
            confusion_section(evaluation, embedding),
            worst_section(evaluation),
            training_section(history),
            per_tag_section(evaluation.per_tag, evaluation.spellings),
            facts_section(facts),
        ),
        f"Made by optsg {__version__}. The same numbers are in metrics.json, every prediction in predictions.jsonl.",
    )


def write_report(path: Path, document: Html) -> None:
    """Writes ``report.html``; errors as :func:`write_text`."""
    write_text(path, [document])
