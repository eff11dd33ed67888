"""Which runs each table compares. A table is a list of rows, a row is one choice of system and settings.

This is the one place that says it: a new row is a new line here. Systems and settings are looked up when the grid is
planned (:mod:`.plan`), where the same choice in several tables becomes one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...train.system_names import FITTED_SYSTEMS
from ...train.systems.op_tsg import PAPER_SETTINGS
from .paper_figures import TABLE_4, TABLE_5, TABLE_6, TABLE_7, TABLE_8, Triple

Kind = Literal["systems", "novel", "groups", "sweep"]
"""What a table shows: all rates of each system, novel tags, F1 of the tag groups, the same by a number."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is trained, apart from the seed.

    Attributes:
        system: its name.
        settings: ``key=value`` beside those of the whole grid.
        pretrained: the run folder whose weights training starts from.
    """

    system: str = "op-tsg"
    settings: tuple[str, ...] = ()
    pretrained: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        label: its name for people.
        choice: what is trained for it.
        paper: the paper's F1 of full, rare and common where it printed them for this row.
        quick: whether ``--quick`` has it.
    """

    label: str
    choice: Choice
    paper: Triple | None = None
    quick: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        key: its name for ``--tables``; a number is the paper's.
        setting: of a sweep, the setting on its horizontal axis.
    """

    key: str
    title: str
    kind: Kind
    rows: tuple[Row, ...]
    setting: str = ""


PAPER = Choice(settings=PAPER_SETTINGS)
"""OP-TSG as the paper has it."""


OURS = Choice()
"""OP-TSG with a size's own settings, which may go beyond the paper."""


SYSTEMS = (
    *(Row(label=name, choice=Choice(system=name)) for name in ("bin", "asy", "order-free", "open-book")),
    Row(label="op-tsg, the paper's setting", choice=PAPER),
    Row(label="op-tsg", choice=OURS),
)


INSTEAD_OF = "instead: "
"""Before the names of :data:`INSTEAD`."""


INSTEAD = tuple(Row(label=f"{INSTEAD_OF}{name}", choice=Choice(system=name)) for name in FITTED_SYSTEMS)
"""What one would pick instead of training a network: rows that the paper does not have."""


def _sweep(setting: str, figures: Mapping[str, Triple], quick: tuple[str, ...]) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=value,
            choice=Choice(settings=(f"{setting}={value}", *PAPER_SETTINGS)),
            paper=paper,
            quick=value in quick,
        )
        for value, paper in figures.items()
    )


ABLATIONS = (
    Row(label="A op-tsg, the paper's setting", choice=PAPER, paper=TABLE_7["A"]),
    Row(label="B frequency-first", choice=Choice(system="frequency-first"), paper=TABLE_7["B"]),
    Row(label="B with copy gate and tag head", choice=Choice(system="frequency-first-full"), quick=False),
    Row(label="B rare-first", choice=Choice(system="rare-first"), quick=False),
    Row(label="B random", choice=Choice(system="random"), quick=False),
    Row(label="C no-shuffle", choice=Choice(system="no-shuffle"), paper=TABLE_7["C"]),
    Row(label="D learnable-tag-embeddings", choice=Choice(system="learnable-tag-embeddings"), paper=TABLE_7["D"]),
    Row(label="E no-contrast", choice=Choice(system="no-contrast"), paper=TABLE_7["E"]),
    Row(label="F prompt-label", choice=Choice(system="prompt-label"), paper=TABLE_7["F"]),
    Row(label="G prompt-classification", choice=Choice(system="prompt-classification"), paper=TABLE_7["G"]),
    Row(label="op-tsg, beyond the paper", choice=OURS),
)


def _same_key(setting: str, others: Sequence[str]) -> bool:
    return setting.partition("=")[0] in {other.partition("=")[0] for other in others}


BEYOND = tuple(
    Row(
        label=", ".join(settings) or "the paper's setting",
        choice=Choice(settings=(*(fixed for fixed in PAPER_SETTINGS if not _same_key(fixed, settings)), *settings)),
        quick=not settings,
    )
    for settings in (
        (),
        ("decoding=parallel",),
        ("copy_title=true",),
        ("tag_head=true",),
        ("decoding=parallel", "copy_title=true"),
        ("decoding=parallel", "tag_head=true"),
        ("copy_title=true", "tag_head=true"),
        ("decoding=parallel", "copy_title=true", "tag_head=true"),
        ("false_negatives=keep",),
        ("match_nil=false",),
        ("prompt_entry=prefix+slot",),
        ("prompt_entry=prefix",),
        ("prompt_entry=memory",),
    )
)
"""Options that the paper does not have, or leaves open: each value stands in a row of its own."""


TABLES = (
    Table(key="1", title="Tables 1 and 2: systems", kind="systems", rows=(*SYSTEMS, *INSTEAD)),
    Table(key="3", title="Table 3: novel tags", kind="novel", rows=SYSTEMS),
    Table(
        key="4",
        title="Table 4: number of prompts N",
        kind="sweep",
        rows=_sweep("prompts", TABLE_4, ("5", "15", "30")),
        setting="prompts",
    ),
    Table(
        key="5",
        title="Table 5: weight λ of NIL",
        kind="sweep",
        rows=_sweep("nil_weight", TABLE_5, ("0.1", "0.3", "1.0")),
        setting="nil_weight",
    ),
    Table(
        key="6",
        title="Table 6: depth of the prompt encoder",
        kind="sweep",
        rows=_sweep("prompt_layers", TABLE_6, ("1", "2", "4")),
        setting="prompt_layers",
    ),
    Table(key="7", title="Table 7: ablations", kind="groups", rows=ABLATIONS),
    Table(
        key="8",
        title="Table 8: modality",
        kind="groups",
        rows=tuple(
            Row(label=name, choice=Choice(settings=(f"modality={name}", *PAPER_SETTINGS)), paper=paper)
            for name, paper in TABLE_8.items()
        ),
    ),
    Table(key="beyond", title="Beyond the paper", kind="groups", rows=BEYOND),
)


QUICK_TABLES = ("1", "7", "8")


QUICK_EPOCHS = 0.4
"""Share of a full training's epochs."""
