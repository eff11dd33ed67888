"""Names of the systems, apart from the systems themselves: a command's ``--help`` does not wait for PyTorch.

A system of one's own is named ``MODULE:CLASS``, or as the entry point of an installed package calls it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Literal, get_args

from ..data.errors import ConfigError

DEFAULT_SYSTEM = "op-tsg"


SYSTEM_NAMES: Mapping[str, str] = {
    "op-tsg": "order prompts, matching, ordered tag sequence (the paper's model A)",
    "bin": "one logit per training tag, binary cross-entropy",
    "asy": "one logit per training tag, asymmetric loss",
    "order-free": "no prompts, tags in the order that the model itself prefers, none written twice",
    "open-book": "no prompts, tags from frequent to rare, copied from similar training items or written",
    "frequency-first": "no prompts, tags from frequent to rare (ablation B)",
    "frequency-first-full": "frequency-first with the copy gate over the title and the tag head that op-tsg has",
    "rare-first": "no prompts, tags from rare to frequent",
    "random": "no prompts, tags in an order drawn anew in every step",
    "no-shuffle": "op-tsg whose prompts are never shuffled (ablation C)",
    "no-contrast": "op-tsg without the contrastive loss; matching is kept (ablation E)",
    "learnable-tag-embeddings": "op-tsg whose tag language model is trained too (ablation D)",
    "prompt-label": "op-tsg whose decoder sees only the prompts that a binary head labels 1 (ablation F)",
    "prompt-classification": "order prompts and matching, a softmax over the training tags for each prompt (ablation G)",
    "linear": "no network: a linear probe on title and pictures, fitted in closed form",
    "memory": "no network: the tags of similar training videos",
    "title-match": "no network: the training tags that stand in the title",
    "sources": "no network: linear, memory, title-match and likeness of texts, weighed by a ranker",
}
"""What each system is, in a line."""

FITTED_SYSTEMS = ("linear", "memory", "title-match", "sources")
"""Those without a network: they are fitted in seconds and take no steps."""

WITHOUT_TRAINING = "memory"
"""What a store with too few videos for a network gets where nobody names a system."""

OPTSG_SYSTEMS = ("op-tsg", "no-shuffle", "no-contrast", "learnable-tag-embeddings")
"""Those whose ``model.safetensors`` is the model of :mod:`optsg.train.model.op_tsg`: they differ in training alone."""


ENTRY_POINTS = "optsg.systems"
"""The group in which installed packages name their systems: ``NAME = "MODULE:CLASS"``."""

_SPELLING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def is_class_spelling(name: str) -> bool:
    """Whether a system is named by its class, ``MODULE:CLASS``."""
    return _SPELLING.fullmatch(name) is not None


def installed_systems() -> dict[str, str]:
    """Name -> ``MODULE:CLASS`` of the systems of installed packages; names of optsg's own systems stay with those.

    Raises:
        ConfigError: two packages give one name to different classes.
    """
    found: dict[str, str] = {}
    for point in entry_points(group=ENTRY_POINTS):
        spelling = f"{point.module}:{point.attr}"
        if point.name in SYSTEM_NAMES:
            continue
        if found.setdefault(point.name, spelling) != spelling:
            raise ConfigError(
                f"installed packages have two systems {point.name!r}, {found[point.name]} and {spelling}; name the class instead"
            )
    return found


def check_system_name(name: str) -> None:
    """Raises :class:`ConfigError` for a name that no system has; a class is looked for where it is imported."""
    if name in SYSTEM_NAMES or is_class_spelling(name):
        return
    installed = installed_systems()
    if name not in installed:
        raise ConfigError(
            f"there is no system {name!r}; known are {', '.join((*SYSTEM_NAMES, *installed))}; install the package that "
            "has it, or name a class as MODULE:CLASS"
        )


def allowing(system: str) -> str:
    """What a command that opens a run of this system is told at its end: nothing, or that its class may be imported."""
    return f" --allow-system {system}" if is_class_spelling(system) else ""


def name_in_paths(system: str) -> str:
    """A system's name as a part of the name of a folder: a class has a colon."""
    return system.replace(":", ".")


Favour = Literal["rare", "balanced", "precise"]
"""Which tags a ranker is generous with: rare ones, as mean F1 over tags wants it; none, as F1 over videos wants it; or between."""

FAVOURS: tuple[Favour, ...] = get_args(Favour)
DEFAULT_FAVOUR: Favour = "balanced"
