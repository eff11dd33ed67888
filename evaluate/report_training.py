"""Training curves of the report."""

from __future__ import annotations

from collections.abc import Sequence

from .report_charts import Series, line_chart
from .report_markup import Html, element
from .training_history import TrainingHistory

BEST_BY = "val_full_f1"
"""The best checkpoint is the one with the highest full F1 on validation."""

LOSS_CURVES = (("training", "train_loss"), ("validation", "val_loss"))
F1_CURVES = (("per tag, all tags", BEST_BY), ("per video", "val_example_f1"))


def training_section(history: TrainingHistory) -> Html:
    """Loss and validation F1 over the epochs, the best epoch marked."""
    best = history.best_epoch(BEST_BY)
    charts = [
        line_chart(series, title=title, x_label="epoch", y_label=unit, best_x=best)
        for title, unit, series in (
            ("Loss", "loss", _series(history, LOSS_CURVES)),
            ("Validation F1", "F1, percent", _series(history, F1_CURVES, scale=100)),
        )
        if any(line.points for line in series)
    ]
    if not charts:
        body = element("p", "The run folder has no log.jsonl with finished epochs.", class_="note")
    else:
        body = element("div", *charts, class_="plots")
    return element("section", element("h2", "Training"), body, id="training")


def _series(history: TrainingHistory, curves: Sequence[tuple[str, str]], *, scale: float = 1.0) -> list[Series]:
    return [Series(name, [(x, y * scale) for x, y in history.curve(column)]) for name, column in curves]
