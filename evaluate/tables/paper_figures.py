"""The paper's printed figures, percent (Tables 1–8), copied by hand; tests compare them with the figures that its text names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Triple = tuple[float, float, float]
"""Precision, recall, F1; in Tables 4–8 F1 of full, rare and common."""


@dataclass(frozen=True)
class SystemFigures:
    """A row of Table 1 or 2: (P, R, F1) of each tag group and example-based."""

    full: Triple
    rare: Triple
    common: Triple
    example: Triple


TABLE_1: Mapping[str, SystemFigures] = {
    "bin": SystemFigures((21.1, 28.8, 22.4), (14.9, 17.1, 14.6), (39.4, 63.4, 45.5), (38.6, 39.6, 39.1)),
    "asy": SystemFigures((27.8, 38.4, 29.9), (24.4, 28.5, 24.5), (38.0, 66.6, 45.8), (38.5, 45.5, 41.7)),
    "order-free": SystemFigures((27.6, 35.3, 28.9), (24.1, 26.6, 23.8), (37.9, 60.8, 43.8), (39.4, 41.8, 40.9)),
    "open-book": SystemFigures((28.1, 35.8, 29.2), (24.8, 27.3, 24.3), (38.1, 61.0, 43.9), (39.5, 42.2, 41.2)),
    "op-tsg": SystemFigures((30.1, 40.7, 32.2), (27.1, 32.6, 27.8), (38.2, 64.7, 45.3), (39.5, 46.3, 42.7)),
}
"""CREATE-210K, Table 1's upper half."""


TABLE_1_PRETRAINED: Mapping[str, SystemFigures] = {
    "bin": SystemFigures((28.8, 36.3, 30.0), (24.0, 26.3, 23.5), (42.3, 66.3, 48.7), (42.8, 45.7, 44.2)),
    "asy": SystemFigures((30.5, 40.1, 32.4), (27.1, 30.9, 27.2), (40.8, 67.3, 47.9), (41.1, 46.3, 43.6)),
    "order-free": SystemFigures((31.5, 38.2, 32.3), (28.0, 29.7, 27.2), (41.9, 62.7, 47.5), (42.4, 44.1, 43.2)),
    "open-book": SystemFigures((31.8, 38.6, 32.5), (28.3, 29.9, 27.5), (42.2, 63.2, 47.8), (42.6, 44.6, 43.5)),
    "op-tsg": SystemFigures((34.1, 42.6, 35.5), (31.2, 34.6, 30.9), (42.6, 66.3, 48.9), (43.0, 48.4, 45.5)),
}
"""CREATE-3M, then CREATE-210K: Table 1's lower half."""


TABLE_2: Mapping[str, SystemFigures] = {
    "bin": SystemFigures((11.2, 17.6, 12.2), (4.5, 4.7, 4.1), (27.7, 49.5, 32.4), (32.2, 50.9, 39.6)),
    "asy": SystemFigures((24.2, 31.2, 25.3), (19.5, 21.5, 19.0), (36.1, 55.2, 40.9), (38.7, 55.9, 45.8)),
    "order-free": SystemFigures((37.6, 38.6, 36.5), (35.7, 35.4, 34.0), (42.8, 46.7, 42.7), (48.2, 49.1, 48.4)),
    "open-book": SystemFigures((37.7, 38.9, 36.7), (35.9, 35.7, 34.2), (42.9, 47.1, 42.9), (48.5, 49.6, 48.8)),
    "op-tsg": SystemFigures((38.1, 44.6, 39.1), (37.5, 41.1, 37.2), (39.8, 53.4, 43.6), (45.1, 55.3, 49.7)),
}
"""Pexel-tagging."""


TABLE_3: Mapping[str, tuple[float | None, float]] = {
    "bin": (None, 0.0),
    "asy": (None, 0.0),
    "order-free": (0.11, 2.43),
    "open-book": (0.15, 3.43),
    "op-tsg": (0.30, 7.04),
}
"""Video matched tags a video and tag gain Δ in percent, both judged by people."""


TABLE_4: Mapping[str, Triple] = {
    "5": (29.8, 25.0, 44.1),
    "10": (30.9, 26.3, 44.7),
    "15": (31.7, 27.0, 45.3),
    "20": (31.8, 27.3, 45.2),
    "30": (32.2, 27.8, 45.3),
    "50": (31.6, 26.8, 45.1),
}
"""By number of prompts."""


TABLE_5: Mapping[str, Triple] = {
    "0.1": (31.4, 27.6, 42.8),
    "0.3": (32.2, 27.8, 45.3),
    "0.5": (31.7, 27.0, 45.9),
    "0.8": (31.6, 26.8, 46.0),
    "1.0": (31.2, 26.2, 46.1),
}
"""By weight λ of the [PAD] tag, our NIL."""


TABLE_6: Mapping[str, Triple] = {
    "1": (31.4, 26.6, 45.5),
    "2": (31.8, 27.2, 45.4),
    "4": (31.9, 27.4, 45.5),
    "6": (32.2, 27.8, 45.3),
    "8": (32.1, 27.5, 45.6),
}
"""By depth of the prompt encoder."""


TABLE_7: Mapping[str, Triple] = {
    "A": (32.2, 27.8, 45.3),
    "B": (28.3, 23.2, 43.2),
    "C": (30.1, 24.8, 45.4),
    "D": (31.4, 26.6, 45.6),
    "E": (28.4, 22.9, 44.8),
    "F": (29.7, 25.0, 43.4),
    "G": (28.7, 23.4, 44.5),
}
"""Ablations."""


TABLE_8: Mapping[str, Triple] = {
    "video": (21.8, 16.8, 36.3),
    "title": (23.3, 21.6, 28.3),
    "both": (32.2, 27.8, 45.3),
}
"""By modality."""


MARGIN_FULL, MARGIN_RARE = 2.3, 3.3
"""Points of F1 by which OP-TSG beats the best other system of Table 1 (§4.4)."""
