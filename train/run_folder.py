"""The run folder: what training leaves behind and everything later reads (``design.md`` §3, Run folder).

``config.json``        settings, input sizes, the decoder's word pieces, where the features came from
``model.safetensors``  all weights, float32
``tokenizer.json``     the text encoder's tokenizer
``tag_table.json``     the training tags with counts, spellings and word pieces
``retrieval.safetensors``  the training items as an index, in systems that look things up (:mod:`optsg.train.retrieval`)
``decision.json``      the system's scalar tuned on validation (:mod:`optsg.train.tuning`)
``calibration.json``   what its scores are worth on validation (:mod:`optsg.train.confidence.calibration`)
``tag_embeddings.safetensors``  the training tags' embeddings (:mod:`optsg.train.tag_embeddings`)
``log.jsonl``          one line per event; ``tensorboard/`` the same as curves; ``state/`` for ``--resume``
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..data.batching import Batch
from ..data.errors import ConfigError, RunError, StoreError
from ..data.store.digests import file_digest
from ..data.tag_table import TagTable
from ..data.title_tokenizer import TitleTokenizer
from ..data.whole_files import write_text
from .confidence.calibration import CALIBRATION, Calibration, read_calibration
from .config import RunConfig
from .device import choose_device
from .generation import PredictedTag
from .precision import working_dtype
from .retrieval import RETRIEVAL
from .shared_encoder import VideoTitleModel
from .systems.registry import open_system
from .systems.system import System
from .tag_embeddings import TAG_EMBEDDINGS
from .tensor_files import save_tensors
from .tuning import Decision

CONFIG, MODEL, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
TAG_TABLE, DECISION, LOG = "tag_table.json", "decision.json", "log.jsonl"
NEEDED = (CONFIG, MODEL, TOKENIZER, TAG_TABLE, DECISION)
FURTHER = (RETRIEVAL, CALIBRATION, TAG_EMBEDDINGS)
"""What some runs have."""


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

    def predict(self, batch: Batch) -> list[list[PredictedTag]]:
        """Tags of every video of a batch, best first, with calibrated scores where the run has a calibration."""
        videos = self.system.predict(batch.to(self.device), self.decision.value)
        return videos if self.calibration is None else [self.calibration.calibrate(tags) for tags in videos]


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
    load_weights(system.model, path)
    system.load(path)
    system.model.eval()
    return system


def check_finished(path: Path) -> None:
    """Raises RunError where a run folder, or a file that a finished run has, is not there."""
    if not path.is_dir():
        raise RunError(f"there is no run folder at {path}; train one with: optsg-train --feats STORE")
    if missing := [name for name in NEEDED if not (path / name).is_file()]:
        raise RunError(f"{path} has no {missing[0]}; the run is not finished (optsg-train --resume) or was damaged")


def run_digest(path: Path) -> str:
    """``sha256:…`` of all files that a run's tags depend on; the same wherever the folder lies, and under any name.

    Raises:
        RunError: a file is missing or cannot be read.
    """
    check_finished(path)
    digest = hashlib.sha256()
    try:
        for name in (*NEEDED, *FURTHER):
            if (path / name).is_file():
                digest.update(f"{name} {file_digest(path / name)}\n".encode())
    except OSError as error:
        raise RunError(f"{error.filename} cannot be read: {error.strerror}") from error
    return f"sha256:{digest.hexdigest()}"


def fetch_run(path_or_hub_id: str | Path) -> Path:
    """The run folder itself, or the local copy of a Hugging Face repository of that name.

    Raises:
        RunError: neither is there.
    """
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(path_or_hub_id), allow_patterns=[*NEEDED, *FURTHER, "README.md"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RunError(
            f"{path_or_hub_id} is neither a run folder nor a Hugging Face repository within reach "
            f"({type(error).__name__})"
        ) from error


def load_weights(model: VideoTitleModel, run: Path) -> None:
    """Loads ``model.safetensors`` of a run folder into a model of the same configuration; errors as :func:`load_run`."""
    load_model_file(model, run / MODEL)


def load_model_file(model: VideoTitleModel, path: Path) -> None:
    """Loads a file of weights. What only training needs is not in it and stays as it is; errors as :func:`load_run`."""
    own = {name: value for name, value in model.state_dict().items() if name.startswith(model.training_only)}
    try:
        model.load_state_dict({**own, **load_file(path)}, strict=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise RunError(f"{path} does not hold this run's weights: {str(error).splitlines()[0]}") from error


def create_run(path: Path, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer) -> None:
    """Makes the run folder and writes everything that is known before training."""
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / TOKENIZER, [tokenizer.to_json()])
    tag_table.save(path / TAG_TABLE)
    write_text(path / CONFIG, [config.to_json()])  # last: a folder without it holds no run


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes ``model.safetensors`` of a run folder; a reader sees the old file or the new one, never half of one."""
    save_tensors(path / MODEL, {name: weight.detach().float().cpu() for name, weight in weights.items()})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON; errors as :func:`optsg.train.tensor_files.save_tensors`."""
    write_text(path, [json.dumps(values, indent=2, ensure_ascii=False), "\n"])


def point_latest(run: Path, runs: Path = Path("runs")) -> None:
    """Makes ``runs/latest`` a relative link to a run folder."""
    runs.mkdir(parents=True, exist_ok=True)
    temporary = runs / f".latest-{os.getpid()}"
    temporary.symlink_to(os.path.relpath(run.resolve(), runs.resolve()), target_is_directory=True)
    temporary.replace(runs / "latest")
