"""A trained run, opened: its system with its weights, its decision and its calibration."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...data.errors import ConfigError, RunError, StoreError, reason_of
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..confidence.calibration import Calibration, read_calibration
from ..config import RunConfig
from ..device import choose_device, working_dtype
from ..model.undrawn import NothingDrawn
from ..model.video_title_model import VideoTitleModel
from ..ranking.ranked_system import RankedSystem
from ..ranking.ranker import Ranker
from ..recall.sources import RecallSources
from ..run_files import (
    DECISION,
    MODEL,
    RANKED_CALIBRATION,
    RANKER,
    TAG_TABLE,
    check_finished,
    check_weights,
    load_weights,
    read_config,
    read_tokenizer,
)
from ..system_names import Favour
from ..systems.registry import find_system, open_system
from ..systems.system import System
from ..systems.tuned_scalar import Decision


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained run, ready to predict tags.

    Attributes:
        system: with its ranker, where it has one.
        decision: what it was tuned to.
        calibration: of the scores that it gives so.
        plain: the same without the ranker; ``None`` where there is none.
    """

    path: Path
    config: RunConfig
    system: System
    device: torch.device
    decision: Decision
    calibration: Calibration | None = None
    plain: Run | None = None

    @property
    def ranked(self) -> RankedSystem | None:
        """The system, where a ranker decides."""
        return self.system if isinstance(self.system, RankedSystem) else None

    def decided_by_scalar(self) -> Run:
        """The same run without its ranker: its system decides alone, by its own tuned scalar."""
        return self.plain or self

    def favouring(self, favour: Favour) -> Run:
        """The same run with another of its ranker's bars.

        Raises:
            ConfigError: it has no ranker.
        """
        if self.ranked is None:
            raise ConfigError(f"{self.path} has no ranker, so that nothing can be favoured; --decision sets its recall")
        return replace(self, **_decided(self.ranked.favouring(favour)))

    @property
    def model(self) -> VideoTitleModel:
        """The system's model."""
        return self.system.model

    @property
    def tag_table(self) -> TagTable:
        """The training tags."""
        return self.system.tag_table

    @property
    def tokenizer(self) -> TitleTokenizer:
        """The text encoder's tokenizer."""
        return self.system.tokenizer


def load_run(path: str | Path, *, device: str = "auto", allow_systems: Collection[str] = ()) -> Run:
    """Opens a finished run of any system.

    Args:
        allow_systems: classes, ``MODULE:CLASS``, that may be imported where the run was trained with one.

    Raises:
        RunError: a file is missing, damaged or of a newer optsg, or its system cannot be had; the message says which.
    """
    path = Path(path)
    system = read_system(path, allow_systems, mapped=True)
    decision = system.scalar.read(path / DECISION)
    place = choose_device(device)
    _place(system.model, place, working_dtype(place, system.config.training.precision))
    calibration = read_calibration(path)
    plain = Run(
        path=path, config=system.config, system=system, device=place, decision=decision, calibration=calibration
    )
    return _with_ranker(plain) if (path / RANKER).exists() else plain


def _with_ranker(plain: Run) -> Run:
    path, system = plain.path, plain.system
    sources = system.own_sources
    if sources is None:
        sources = RecallSources.load(path, system.tag_table, system.tokenizer, system.config.model.modality)
    ranked = RankedSystem(system, sources, Ranker.load(path / RANKER))
    calibration = read_calibration(path, RANKED_CALIBRATION)
    return replace(plain, plain=plain, calibration=calibration, **_decided(ranked))


def _decided(ranked: RankedSystem) -> dict[str, Any]:
    return {"system": ranked, "decision": Decision(scalar=ranked.scalar, value=ranked.tuned)}


def _place(model: nn.Module, place: torch.device, dtype: torch.dtype) -> None:
    """Weights where they are computed with, none left in a file: there they lie at addresses that kernels like less."""
    model.to(place, dtype)
    if (place.type, dtype) == ("cpu", torch.float32):
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()


def read_system(path: Path, allow_systems: Collection[str] = (), *, mapped: bool = False) -> System:
    """The system of a finished run folder, its model float32 on the CPU, in evaluation mode; errors as :func:`load_run`.

    Args:
        allow_systems: as there.
        mapped: its weights stay in the file.
    """
    check_finished(path)
    config, tokenizer, tag_table = read_config(path), read_tokenizer(path), TagTable.load(path / TAG_TABLE)
    _check_system(path, config.system, allow_systems)
    try:
        with torch.device("meta"), NothingDrawn():
            outline = open_system(config, tag_table, tokenizer, allow_systems)
        check_weights(outline.model, path / MODEL, outline.model.training_only)
        with nullcontext() if outline.model.training_only else NothingDrawn():
            system = open_system(config, tag_table, tokenizer, allow_systems)
    except (ConfigError, StoreError, ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
        # What transformers and PyTorch make of settings that fit no model.
        raise RunError(f"{path} cannot be read: {reason_of(error)}") from error
    load_weights(system.model, path / MODEL, system.model.training_only, mapped=mapped)
    system.load(path)
    system.model.eval()
    return system


def _check_system(path: Path, name: str, allow_systems: Collection[str]) -> None:
    """Imports a system before anything is made on the device ``meta``: its module is no part of the outline of a model.

    Raises:
        RunError: there is none of this name, or it may not be imported.
    """
    try:
        find_system(name, allow_systems)
    except ConfigError as error:
        raise RunError(f"{path} cannot be read: {error}") from error
