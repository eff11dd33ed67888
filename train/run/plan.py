"""From a person's request to a run folder: what was not said is chosen, and a folder of another request is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import torch

from ... import __version__
from ...data.errors import ConfigError, RunError, StoreError
from ...data.inputs.relative_paths import printable
from ...data.media import SPLITS
from ...data.store import FeatureStore, open_store
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer, build_vocabulary
from ..config import SIZES, InputConfig, ModelConfig, RunConfig, Size, TrainingConfig, apply_settings
from ..device import choose_device
from ..model.title_encoder import check_text_config
from ..run_files import CONFIG, RUNS, create_run, point_latest, read_config, write_errors
from ..system_names import DEFAULT_SYSTEM, FITTED_SYSTEMS, WITHOUT_TRAINING, name_in_paths
from ..systems.registry import find_system
from .differences import LABELS, OF_STATES, contrast, differences, has_other_labels, learned_labels, of_old_labels
from .init_from import Source, open_source, write_start
from .schedule import fit_schedule
from .validation_share import FEWEST_TRAINED, choose_validation, learned_from, with_validation

BASE_VIDEOS = 10_000
"""Training videos from which ``--size auto`` takes the paper's model, given a GPU."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The run that a person asks for.

    Attributes:
        feats: the feature store to train on.
        run: the run folder; ``None`` for a free name in ``runs/``.
        system: :data:`DEFAULT_SYSTEM` unless said otherwise, or the system of ``init_from``, or
            :data:`WITHOUT_TRAINING` for a store with fewer videos than a network can be trained on.
        size: ``small``, ``base`` or ``auto``: that of ``init_from``, else what fits store and device.
        settings: ``key=value`` each.
        seed: of everything random; ``None`` for what the settings say.
        device: as in :func:`optsg.train.device.choose_device`.
        init_from: a run, or a name on the hub, whose weights and sizes to start with (:mod:`optsg.train.run.init_from`).
        gpus: that train together; 1 where processors do, among which a batch is shared out.
        allow_systems: classes, ``MODULE:CLASS``, that ``init_from`` or a run that was begun may be of.
    """

    feats: Path
    run: Path | None = None
    system: str | None = None
    size: str = "auto"
    settings: Sequence[str] = ()
    seed: int | None = None
    device: str = "auto"
    init_from: str | None = None
    gpus: int = 1
    allow_systems: tuple[str, ...] = ()

    @property
    def trusted(self) -> tuple[str, ...]:
        """The classes that may be imported: whoever asks for a system names it."""
        return self.allow_systems if self.system is None else (*self.allow_systems, self.system)

    def check_system(self) -> None:
        """Raises :class:`ConfigError` where the system is unknown, cannot be imported or is none."""
        if self.system is not None:
            find_system(self.system, self.trusted)


def new_run(request: RunRequest) -> Path:
    """Makes the run folder with everything that is known before training; returns its path.

    Raises:
        StoreError: the store cannot be used.
        ConfigError: the system or a setting is unknown, a setting is out of range or not the system's, or ``init_from``
            has another model.
        RunError: the folder holds a run already or its name is no UTF-8, which safetensors wants, or ``init_from`` cannot be
            opened.
    """
    request.check_system()
    with open_store(request.feats) as store:
        source, system = _origin(request, store)
        if source and request.size == "auto":
            size = source.config.size
        else:
            size = choose_size(request.size, store, choose_device(request.device))
        if request.run is not None:
            _check_name(request.run)
            if (request.run / CONFIG).exists():
                raise RunError(f"{request.run} holds a run already; go on with it (--resume) or choose another --run")
        plan = _plan(request, store, source, system, size)
        folder = request.run or _free_folder(RUNS, f"{name_in_paths(system)}-{size}")
        if source:
            learned = with_validation(store, plan.config.training.validation_videos)
            write_start(folder, source, learned, plan.config, plan.tag_table, plan.tokenizer, request.trusted)
        create_run(folder, plan.config, plan.tag_table, plan.tokenizer)
    point_latest(folder, begun=True)
    return folder


def _check_name(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise RunError(
            f"a run cannot be kept in {printable(str(folder))}, whose name is not UTF-8; choose another --run"
        ) from error


def begun_run(request: RunRequest) -> Path:
    """The run folder as it was begun, or a new one where there is none; errors as :func:`new_run`.

    Raises:
        RunError: the folder holds a run of other settings, or, finished or not, of what the store's videos were called before.
    """
    run = request.run
    if run is None or not (run / CONFIG).is_file():
        return new_run(request)
    request.check_system()
    found = begun_config(run)
    # What `auto` chose was right then; the job may be on another device by now.
    size = found.size if request.size == "auto" else _size(request.size)
    with open_store(request.feats) as store:
        source, system = _origin(request, store)
        # It goes on with any number of GPUs, with the batch that it was begun with.
        plan = _plan(request, store, source, system, size, gpus=1)
        begun_with = found.training.batch_size // plan.config.training.batch_size
        if begun_with > 1:
            plan = _plan(request, store, source, system, size, gpus=begun_with)
    different = differences(found, plan.config, passed_over=OF_STATES)
    if different:
        have, want = contrast(different)
        raise RunError(f"{run} was begun with {have}, this command wants {want}; choose another --run")
    if has_other_labels(found, plan.config.store[LABELS]):
        raise RunError(of_old_labels(store, run))
    return run


def _origin(request: RunRequest, store: FeatureStore) -> tuple[Source | None, str]:
    """The run to start from, if any, and the system."""
    source = None if request.init_from is None else open_source(request.init_from, request.trusted)
    default = DEFAULT_SYSTEM if learned_from(store) >= FEWEST_TRAINED else WITHOUT_TRAINING
    return source, request.system or (source.config.system if source else default)


def _plan(
    request: RunRequest, store: FeatureStore, source: Source | None, system: str, size: Size, gpus: int = 0
) -> RunPlan:
    return plan_run(
        store,
        request.feats,
        system=system,
        size=size,
        settings=request.settings,
        seed=request.seed,
        source=source,
        gpus=gpus or request.gpus,
        allow_systems=request.trusted,
    )


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run is before it is trained."""

    config: RunConfig
    tag_table: TagTable
    tokenizer: TitleTokenizer


def plan_run(
    store: FeatureStore,
    feats: Path,
    *,
    system: str,
    size: Size,
    settings: Sequence[str],
    seed: int | None,
    source: Source | None = None,
    gpus: int = 1,
    allow_systems: Collection[str] = (),
) -> RunPlan:
    """Everything that is known of a run before training; nothing is written.

    Args:
        store: opened from ``feats``.
        source: the run whose weights and sizes to start with.
        gpus: that train together, each with a batch of the size's own unless ``settings`` give the joint one.
        allow_systems: classes, ``MODULE:CLASS``, that the system may be.

    Raises:
        ConfigError: the system or a setting is unknown, a setting is out of range or not the system's.
        StoreError: no video of the store is for training.
    """
    fixed = find_system(system, allow_systems).settings
    if source and system in FITTED_SYSTEMS:
        raise ConfigError(f"--init-from {source.name}: the system {system} has no weights to start from")
    _check_settings(system, fixed, settings)
    said = [*settings, *_seeded(seed), *fixed]
    sizes, schedule = SIZES[size]
    model, training = apply_settings(source.config.model if source else sizes, schedule, said)
    learns_soon = _learns_soon(system, model, store)
    store, training = _choose_sets(store, training, said)
    training = _fit_to_videos(store, size, training, said, learns_soon=learns_soon, gpus=gpus)
    tag_table = TagTable.from_store(store)
    tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
    inputs, model = _fit_to_store(store, model, tag_table, tokenizer)
    if store.header.title_encoder_is_untrained:
        model, training = from_nothing(model, training, settings)
    config = RunConfig(
        optsg_version=__version__,
        system=system,
        size=size,
        model=model,
        training=training,
        inputs=inputs,
        store={"path": str(feats), "header": json.loads(store.header.to_json()), LABELS: learned_labels(store)},
        init_from=source.record() if source else None,
    )
    return RunPlan(config=config, tag_table=tag_table, tokenizer=tokenizer)


def _learns_soon(system: str, model: ModelConfig, store: FeatureStore) -> bool:
    """Whether few steps are enough: prompts write all tags at once beside a tag head, in a language that is known."""
    writes_at_once = system == DEFAULT_SYSTEM and model.decoding == "parallel" and model.tag_head
    return writes_at_once and not store.header.title_encoder_is_untrained


def _seeded(seed: int | None) -> list[str]:
    """The seed as a setting, where one is given."""
    return [] if seed is None else [f"seed={seed}"]


def _check_has_training(store: FeatureStore) -> None:
    counts = {split: int((store.splits == SPLITS.index(split)).sum()) for split in SPLITS}
    if not counts["train"]:
        found = ", ".join(f"{split} {count:,}" for split, count in counts.items() if count) or "it is empty"
        raise StoreError(
            f"{store.path} has no tagged videos for training ({found}); give some the split “train” in a table, and apply it: "
            f"optsg-store relabel {store.path} --metadata TABLE"
        )


def _choose_sets(
    store: FeatureStore, training: TrainingConfig, said: Sequence[str]
) -> tuple[FeatureStore, TrainingConfig]:
    """The store with the videos that validate, as a person's settings say or as their number wants it."""
    if not any(setting.startswith("validation_videos=") for setting in said):
        training = dataclasses.replace(training, validation_videos=choose_validation(store))
    chosen = with_validation(store, training.validation_videos)
    _check_has_training(chosen)
    return chosen, training


def _fit_to_videos(
    store: FeatureStore, size: Size, training: TrainingConfig, said: Sequence[str], *, learns_soon: bool, gpus: int
) -> TrainingConfig:
    """The schedule that a person's settings leave open, for so many videos and GPUs."""
    chosen = {setting.partition("=")[0] for setting in said}
    videos, validated = (int((store.splits == SPLITS.index(split)).sum()) for split in ("train", "val"))
    fit = partial(fit_schedule, size, videos=videos, validated=validated, learns_soon=learns_soon)
    training = fit(training, chosen)
    if gpus > 1 and "batch_size" not in chosen:
        training = fit(for_gpus(training, gpus), chosen | FITTED_TO_GPUS)
    return training


FITTED_TO_GPUS = frozenset({"batch_size", "learning_rate", "pretrained_learning_rate", "patience"})
"""What :func:`for_gpus` chooses, or does not change; the average follows from the steps that are left."""


def for_gpus(training: TrainingConfig, gpus: int) -> TrainingConfig:
    """A schedule for several GPUs: a joint batch as many times larger.

    Shared out among eight, a batch of 256 would be 32 for each, too few to keep a GPU busy. The epochs stay those of one GPU, so the
    steps get fewer; learning rates rise with the square root of the batch, as Adam's should (Malladi et al., NeurIPS 2022).
    """
    return dataclasses.replace(
        training,
        batch_size=gpus * training.batch_size,
        learning_rate=training.learning_rate * gpus**0.5,
        pretrained_learning_rate=training.pretrained_learning_rate * gpus**0.5,
    )


def _check_settings(system: str, fixed: Sequence[str], settings: Sequence[str]) -> None:
    """Refuses settings that would make the system another one."""
    values = dict(setting.split("=", 1) for setting in fixed)
    for setting in settings:
        key = setting.partition("=")[0]
        if key in values and setting not in fixed:
            raise ConfigError(f"--set {setting}: the system {system} has {key}={values[key]}; leave it out")


def choose_size(size: str, store: FeatureStore, device: torch.device) -> Size:
    """The size itself, or what ``auto`` takes for this store on this device."""
    if size != "auto":
        return _size(size)
    return "base" if device.type == "cuda" and len(store.indices("train")) >= BASE_VIDEOS else "small"


def _size(name: str) -> Size:
    return "base" if name == "base" else "small"


def _free_folder(runs: Path, stem: str) -> Path:
    """Makes ``runs/STEM-N``, N the first that is free: of commands that begin at once, each gets its own.

    Raises:
        RunError: it cannot be made.
    """
    with write_errors(runs / f"{stem}-N"):
        runs.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            with suppress(FileExistsError):
                (runs / f"{stem}-{number}").mkdir()
                return runs / f"{stem}-{number}"
    raise AssertionError("numbers do not end")


def _fit_to_store(
    store: FeatureStore, model: ModelConfig, tag_table: TagTable, tokenizer: TitleTokenizer
) -> tuple[InputConfig, ModelConfig]:
    """Input sizes from the store, and no more title layers than its text model has."""
    title = check_text_config(store.title_encoder_config)
    available = int(title["num_hidden_layers"])
    layers = min(model.title_layers, available)
    title["num_hidden_layers"] = layers
    frozen = min(model.frozen_title_layers, layers)
    patches = store.patch_lengths()
    inputs = InputConfig(
        frame_dim=store.header.frame_dim,
        patch_dim=store.header.patch_dim if patches.any() else 0,
        max_patches=int(patches.max(initial=1)) or 1,
        tag_dim=store.header.tag_dim,
        title_encoder=title,
        pieces=build_vocabulary(store, tag_table, tokenizer, model.vocabulary).pieces,
    )
    return inputs, dataclasses.replace(model, title_layers=layers, frozen_title_layers=frozen)


def from_nothing(
    model: ModelConfig, training: TrainingConfig, settings: Sequence[str]
) -> tuple[ModelConfig, TrainingConfig]:
    """Settings for a title encoder without pre-trained weights.

    All of it is trained, and with the learning rate of everything else unless ``settings`` chooses another one.
    """
    if not any(setting.startswith("pretrained_learning_rate=") for setting in settings):
        training = dataclasses.replace(training, pretrained_learning_rate=training.learning_rate)
    return dataclasses.replace(model, frozen_title_layers=-1), training


def begun_config(run: Path) -> RunConfig:
    """The settings of a run that has begun.

    Raises:
        RunError: there is no run, or its settings cannot be read.
    """
    if not (run / CONFIG).is_file():
        raise RunError(f"{run} holds no run to resume; start one with: optsg-train --feats STORE")
    config = read_config(run)
    if not isinstance(config.store.get("path"), str) or not isinstance(config.store.get("header"), dict):
        raise RunError(f"{run / CONFIG} does not say which feature store the run is trained on; start a new run")
    return config
