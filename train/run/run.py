"""A trained run, opened: its system with its weights, its decision and its calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ...data.errors import ConfigError, RunError, StoreError
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..confidence.calibration import Calibration, read_calibration
from ..config import RunConfig
from ..device import choose_device, working_dtype
from ..model.video_title_model import VideoTitleModel
from ..run_files import CONFIG, DECISION, MODEL, TAG_TABLE, TOKENIZER, check_finished, load_weights
from ..systems.registry import open_system
from ..systems.system import System
from ..systems.tuned_scalar import Decision


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained run, ready to predict tags."""

    path: Path
    config: RunConfig
    system: System
    device: torch.device
    decision: Decision
    calibration: Calibration | None = None

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


def load_run(path: Path, *, device: str = "auto") -> Run:
    """Opens a finished run of any system.

    Raises:
        RunError: a file is missing, damaged or of a newer optsg; the message says which.
    """
    system = read_system(path)
    decision = system.scalar.read(path / DECISION)
    place = choose_device(device)
    system.model.to(place, working_dtype(place, system.config.training.precision))
    calibration = read_calibration(path)
    return Run(path=path, config=system.config, system=system, device=place, decision=decision, calibration=calibration)


def read_system(path: Path) -> System:
    """The system of a finished run folder, its model float32 on the CPU, in evaluation mode; errors as :func:`load_run`."""
    check_finished(path)
    try:
        config = RunConfig.from_json((path / CONFIG).read_text(encoding="utf-8"))
        tokenizer = TitleTokenizer.from_json((path / TOKENIZER).read_text(encoding="utf-8"))
        system = open_system(config, TagTable.load(path / TAG_TABLE), tokenizer)
    except (ConfigError, StoreError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    load_weights(system.model, path / MODEL, system.model.training_only)
    system.load(path)
    system.model.eval()
    return system
