"""The model card of a run, as the Hugging Face Hub shows it: what it is, learnt from, is worth, and how to use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, read_bounded, read_json
from ...data.whole_files import write_text
from ..recall.additions import read_tags
from ..run_files import read_config
from ..system_names import allowing, is_class_spelling

CARD = "README.md"
TEMPLATE = Path(__file__).with_suffix(".md")
SPLITS = ("val", "test")
MARK = "<!-- Made by optsg. Without this line it is yours and is not written again. -->"


def make_model_card(run: Path, *, license: str = "unknown") -> ModelCard:  # noqa: A002 (the Hub's word)
    """The card of a finished run, with the metrics of the splits that it was evaluated on.

    Args:
        run: the run folder.
        license: the Hub's identifier of a licence; of the weights, which follows from the training data.

    Raises:
        RunError: the run folder is not finished or damaged.
    """
    config, table = read_config(run), read_tags(run)
    header = config.store.get("header", {})
    data = ModelCardData(
        library_name="optsg",
        license=license,
        pipeline_tag="video-classification",
        tags=["video-tagging", "multi-label", config.system],
    )
    card: ModelCard = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        mark=MARK,
        name=run.resolve().name,
        folder=run.name,
        system=config.system,
        own_class=is_class_spelling(config.system),
        allowing=allowing(config.system),
        size=config.size,
        tags=f"{len(table):,}",
        image_encoder=_encoder(header.get("image_encoder")),
        text_encoder=_encoder(header.get("text_encoder")),
        scores=_scores(run),
    )
    return card


def write_model_card(run: Path, *, license: str | None = None) -> bool:  # noqa: A002
    """Writes ``README.md`` into a run folder; a card that a person has made their own stays. Whether it was written.

    Args:
        license: as in :func:`make_model_card`; ``None`` keeps that of the card that is there.
    """
    path = run / CARD
    kept = "unknown"
    if os.path.lexists(path):
        try:
            old = read_bounded(path).decode()
        except (OSError, ValueError):  # no text that was written here
            return False
        if MARK not in old:
            return False
        kept = _license_of(old) or kept
    write_text(path, [str(make_model_card(run, license=license or kept))])
    return True


def _license_of(card: str) -> str:
    """The licence that a card names; ``""`` where it names none that can be read."""
    try:
        return str(ModelCard(card).data.get("license") or "")
    except Exception:  # noqa: BLE001 - the YAML reader's own errors among them
        return ""


def _encoder(spec: Any) -> str:
    known = spec if isinstance(spec, dict) else {}
    name = known.get("name") or known.get("folder") or "not recorded"
    return f"{Path(str(name)).name} ({known.get('library', 'unknown library')})"


def _scores(run: Path) -> list[list[str]]:
    """Split, videos and the scores of every evaluation that there is."""
    rows = []
    for split in SPLITS:
        path = run / "eval" / split / "metrics.json"
        if not path.is_file():
            continue
        try:
            values = read_json(path, finite=False)
            label, example = values["label_based"], values["example_based"]
            scores = (label["full"]["f1"], label["rare"]["f1"], label["common"]["f1"], example["f1"])
            rows.append([split, f"{values['items']:,}", *(f"{score:.3f}" for score in scores)])
        except JSON_DAMAGE as error:
            raise RunError(
                f"{path} cannot be read ({reason_of(error)}); make it again with: optsg-eval --run {run} --split {split}"
            ) from error
    return rows
