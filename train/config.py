"""Settings of a run: one frozen dataclass per owner, stored as JSON beside the weights, unknown keys refused."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from ..data.errors import ConfigError, reason_of
from ..data.foreign.json_reader import JSON_DAMAGE, parse_json
from ..data.store.schema import WIDEST
from ..data.whole_files import json_text
from ..data.word_pieces import VocabularyKind
from .system_names import DEFAULT_SYSTEM

Modality = Literal["both", "video", "title"]

FalseNegatives = Literal["mask", "keep"]

Normalisation = Literal["weights", "sum"]

Buckets = Literal["visual", "title"]

MOST_PIECES = 1 << 24
"""Word pieces of a tokenizer."""

NO_PROMPTS = "none"
"""The entry of a decoder without prompts; it is no setting of OP-TSG."""

PROMPT_ENTRIES = ("prefix", "memory", "slot", "prefix+slot", "memory+slot")


Size = Literal["base", "small"]


Precision = Literal["auto", "bf16", "fp32"]


Decoding = Literal["sequential", "parallel"]


BookEntry = Literal["copy", "memory"]


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{name}={value} is out of range; expected {expected}")


MOST = {
    "width": 1 << 16,
    "heads": 1 << 10,
    **dict.fromkeys(("title_layers", "hybrid_layers", "prompt_layers", "decoder_layers"), 256),
    "prompts": 4096,
    "neighbours": 10_000,
}
"""Sizes of models that anybody trains; a run that announces more was made to take memory and time."""

MOST_SEED = 10**13
"""A million times a seed, and the number of a step, is what PyTorch is seeded with in it: a number of 64 bits."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the model; the defaults are the paper's (§4.3).

    Attributes:
        title_layers: layers kept of the text encoder in the store; at most as many as it has.
        prompts: N.
        prompt_entry: how prompts enter the decoder (:mod:`optsg.train.model.tag_decoder`).
        decoding: one tag after the other, as in the paper, or all prompts' tags at once
            (:mod:`optsg.train.writing.slot_parallel`); the latter needs ``prompt_entry`` slot.
        copy_title: whether the decoder can copy the title's word pieces, where titles are read
            (:mod:`optsg.train.model.token_output`).
        tag_head: whether a head over the training tags helps the decoder (:mod:`optsg.train.writing.fusion`).
        vocabulary: pieces that the decoder can write.
        modality: what is read of a video: its frames and its title, or one of the two (Table 8).
        frozen_title_layers: how many of the title encoder's layers, from below and after its word embeddings, keep
            their pre-trained weights: 0 trains all, -1 trains all and the word embeddings too, as the paper does.
        neighbours: similar training items whose tags ``open-book`` reads.
        book_entry: how it reads them: ``copy``, through the copy gate alone, or ``memory``, where they also stand beside F in
            what the decoder attends to. Runs of version 0.1.0 have the latter.
    """

    width: int = 768
    heads: int = 12
    title_layers: int = 6
    hybrid_layers: int = 6
    prompt_layers: int = 6
    decoder_layers: int = 12
    prompts: int = 30
    dropout: float = 0.1
    prompt_entry: str = "slot"
    decoding: Decoding = "sequential"
    copy_title: bool = False
    tag_head: bool = False
    vocabulary: VocabularyKind = "full"
    modality: Modality = "both"
    frozen_title_layers: int = -1
    neighbours: int = 5
    book_entry: BookEntry = "copy"

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            least = 0 if name == "hybrid_layers" else 1
            value = getattr(self, name)
            _require(value >= least, name, value, f"at least {least}")
            _require(value <= most, name, value, f"at most {most:,}")
        _require(self.width % self.heads == 0, "width", self.width, f"a multiple of heads={self.heads}")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "0 ≤ dropout < 1")
        _require(self.prompt_entry in PROMPT_ENTRIES, "prompt_entry", self.prompt_entry, " or ".join(PROMPT_ENTRIES))
        _require(
            self.decoding == "sequential" or self.prompt_entry == "slot",
            "decoding",
            self.decoding,
            f"sequential with prompt_entry={self.prompt_entry}; parallel needs slot",
        )
        _require(
            -1 <= self.frozen_title_layers <= self.title_layers,
            "frozen_title_layers",
            self.frozen_title_layers,
            f"-1 to title_layers={self.title_layers}",
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Optimisation; the defaults are the paper's where it gives them (§4.3).

    Attributes:
        epochs: passes over the training split; 0 is made a number when a run is planned
            (:mod:`optsg.train.run.schedule`). Runs of version 0.1.0 keep the 0, which is :func:`default_epochs`.
        batch_size: videos of a step, over all processes.
        micro_batch: most videos that a process computes at a time, for batches larger than its memory; the loss is that
            of the whole batch (:mod:`optsg.train.loop.micro_batches`). 0 computes its share at once.
        shuffle_window: videos that are mixed at a time, for a store that is read well only in sequence
            (:func:`optsg.data.batching.bucketed_batches`); 0 mixes the whole split in every epoch.
        buckets: what the videos of a batch have in common, so that little of it is padding: ``visual``, the number of
            frames, patches and tags; ``title``, the length of the title, then that of what is written, where the title
            encoder and the decoder are most of the model.
        learning_rate: peak; pre-trained parts use ``pretrained_learning_rate``.
        warmup: share of all steps in which the learning rate rises.
        nil_weight: λ of Eq. 8.
        copy_weight: of the loss that trains the copy gate where a target stands in what can be copied: the title
            (``copy_title``), and with ``book_entry`` copy the neighbours' tags.
        head_weight: of the tag head's binary cross-entropy (``tag_head``).
        match_nil: whether matching weighs a tag against NIL (Eq. 2) or ignores NIL (DETR's habit).
        shuffle: whether the prompts' order is drawn anew per video and step.
        contrastive: whether the contrastive loss (Eq. 5) is part of the training.
        ema: decay of the averaged weights that are validated and kept; 0 keeps the last weights themselves.
        validate_every: epochs between validations; 0 as for ``epochs``.
        validate_from: the first epoch after which there is a validation.
        validation_videos: how many of the training and validation videos validate, those of the store's validation split
            first; -1 leaves the sets as the store has them. Where nobody says it, a small store whose sets are the
            hash's gets a number when a run is planned (:mod:`optsg.train.run.validation_share`).
        ranking: whether a ranker over the system and the sources beside it decides in the end, where there is a
            validation split to fit it on.
        scoring_prompts: whether prompts on frozen summaries are trained as scorers beside the model, for the ranker
            (:mod:`optsg.train.recall.scoring_prompts`; op-tsg alone).
        patience: validations without a better score after which training stops; 0 never stops early.
        max_tag_pieces: tags of more word pieces are no targets (a pasted sentence is no tag).
        state_seconds: how often the resumable state is written; less often where writing it takes long
            (:data:`optsg.train.loop.saved_states.STATE_SHARE`).
        keep_states: how many of the newest states are kept: the one before the newest serves where that is damaged.
        compile: whether training compiles the model's layers (:mod:`optsg.train.loop.compiled_layers`); it takes a minute
            once, and saves some hundredths of a step beside CUDA graphs.
        cuda_graphs: whether training on one CUDA device records its kernels and launches them together
            (:mod:`optsg.train.loop.cuda_graphs`); nowhere else, and not with ``micro_batch``.
    """

    epochs: int = 0
    batch_size: int = 256
    micro_batch: int = 0
    shuffle_window: int = 0
    buckets: Buckets = "visual"
    learning_rate: float = 2e-4
    pretrained_learning_rate: float = 5e-5
    weight_decay: float = 0.002
    warmup: float = 0.1
    gradient_norm: float = 1.0
    nil_weight: float = 0.3
    copy_weight: float = 0.5
    head_weight: float = 0.3
    false_negatives: FalseNegatives = "mask"
    normalisation: Normalisation = "weights"
    label_smoothing: float = 0.0
    match_nil: bool = True
    shuffle: bool = True
    contrastive: bool = True
    ema: float = 0.999
    precision: Precision = "auto"
    validate_every: int = 0
    validate_from: int = 0
    validation_videos: int = -1
    ranking: bool = True
    scoring_prompts: bool = True
    patience: int = 6
    max_tag_pieces: int = 24
    state_seconds: float = 120.0
    keep_states: int = 2
    compile: bool = False
    cuda_graphs: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.epochs >= 0, "epochs", self.epochs, "0 (automatic) or more")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(
            self.micro_batch != 1 and self.micro_batch >= 0, "micro_batch", self.micro_batch, "0 (off) or at least 2"
        )
        _require(self.shuffle_window >= 0, "shuffle_window", self.shuffle_window, "0 (off) or more")
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "more than 0")
        for name in ("pretrained_learning_rate", "weight_decay", "copy_weight", "head_weight", "state_seconds"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, name, value, "at least 0")
        for name in ("validate_every", "validate_from", "patience"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _require(0 <= self.warmup < 1, "warmup", self.warmup, "0 ≤ warmup < 1")
        _require(self.validation_videos >= -1, "validation_videos", self.validation_videos, "-1 (the store's) or more")
        _require(self.gradient_norm > 0, "gradient_norm", self.gradient_norm, "more than 0")
        _require(0 <= self.nil_weight <= 1, "nil_weight", self.nil_weight, "0 ≤ nil_weight ≤ 1")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "0 ≤ label_smoothing < 1")
        _require(0 <= self.ema < 1, "ema", self.ema, "0 ≤ ema < 1")
        _require(not (self.compile and self.micro_batch), "compile", "true", "false with micro_batch")
        _require(self.keep_states >= 1, "keep_states", self.keep_states, "at least 1")
        _require(1 <= self.max_tag_pieces <= 32, "max_tag_pieces", self.max_tag_pieces, "1 to 32")
        _require(0 <= self.seed <= MOST_SEED, "seed", self.seed, f"0 to {MOST_SEED:,}")


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What the model is built for; read from the store, never typed by people.

    Attributes:
        max_patches: image patches that have a position of their own.
        title_encoder: Hugging Face configuration of the title encoder, cut to ``title_layers``.
        pieces: the decoder's word pieces (:class:`optsg.data.word_pieces.Vocabulary`).
    """

    frame_dim: int
    patch_dim: int
    max_patches: int
    tag_dim: int
    title_encoder: Mapping[str, Any]
    pieces: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("frame_dim", "patch_dim", "max_patches", "tag_dim"):
            _require(0 <= getattr(self, name) <= WIDEST, name, getattr(self, name), f"0 to {WIDEST:,}")
        _require(isinstance(self.title_encoder, dict), "title_encoder", self.title_encoder, "an object")
        known = all(type(piece) is int and 0 <= piece < MOST_PIECES for piece in self.pieces)
        _require(known, "pieces", "…", f"numbers from 0 to {MOST_PIECES - 1:,}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that ``config.json`` of a run folder holds.

    Attributes:
        system: which system it is (:mod:`optsg.train.system_names`).
        store: ``path`` of the feature store as given, its ``header``, and the digest of what was learned of its ``labels``.
        init_from: ``path`` of the run whose weights training started with, as given, and the ``weights``' digest.
    """

    optsg_version: str
    system: str = DEFAULT_SYSTEM
    size: Size
    model: ModelConfig
    training: TrainingConfig
    inputs: InputConfig
    store: Mapping[str, Any] = field(default_factory=dict)
    init_from: Mapping[str, str] | None = None

    def to_json(self) -> str:
        """JSON with everything spelled out, the long list of pieces on one line."""
        values = asdict(self)
        pieces = values["inputs"].pop("pieces")
        text = json_text(values, indent=2)
        return text[: text.rindex("}")].rstrip() + f',\n  "pieces": {json.dumps(list(pieces))}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> RunConfig:
        """Inverse of :meth:`to_json`.

        Raises:
            ConfigError: it is no JSON, or has unknown, missing or out-of-range settings.
        """
        try:
            values = parse_json(text)
            inputs = {**values.pop("inputs"), "pieces": tuple(values.pop("pieces"))}
            for name, kind in (("system", str), ("size", str), ("optsg_version", str), ("store", dict)):
                if not isinstance(values.get(name, kind()), kind):
                    raise ValueError(f"{name} is no {'text' if kind is str else 'object'}")
            if not isinstance(values.get("init_from"), dict | None):
                raise ValueError("init_from is no object")
            earlier = {"book_entry": "memory"} if values.get("system") == "open-book" else {}
            return cls(
                model=_build(ModelConfig, {**earlier, **values.pop("model")}),
                training=_build(TrainingConfig, values.pop("training")),
                inputs=_build(InputConfig, inputs),
                **values,
            )
        except JSON_DAMAGE as error:
            raise ConfigError(f"the run's configuration cannot be read: {reason_of(error)}") from error


Config = TypeVar("Config", ModelConfig, TrainingConfig, InputConfig)


def _build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    if unknown := set(values) - {f.name for f in fields(kind)}:
        raise ConfigError(f"unknown setting {min(unknown)!r}; this optsg is older than the run, or it was edited")
    for name, wanted in get_type_hints(kind).items():
        if name in values:
            _check_type(name, values[name], wanted)
    return kind(**values)


def _check_type(name: str, value: Any, wanted: Any) -> None:
    """Refuses a value of another type than the setting's; objects and lists are looked at by whoever has them."""
    if choices := get_args(wanted):
        if all(isinstance(choice, str) for choice in choices):
            _require(value in choices, name, value, " or ".join(choices))
    elif wanted in (bool, int, str):
        _require(type(value) is wanted, name, value, wanted.__name__)
    elif wanted is float:
        _require(type(value) in (int, float), name, value, "a number")


SIZES: Mapping[Size, tuple[ModelConfig, TrainingConfig]] = {
    "base": (ModelConfig(), TrainingConfig()),
    "small": (
        ModelConfig(
            width=384,
            heads=6,
            hybrid_layers=1,
            prompt_layers=1,
            decoder_layers=2,
            prompts=16,
            decoding="parallel",
            copy_title=True,
            tag_head=True,
            vocabulary="corpus",
            frozen_title_layers=0,
        ),
        TrainingConfig(batch_size=64, learning_rate=7e-4, ema=0.995, buckets="title"),
    ),
}


TARGET_STEPS = {"base": 30_000, "small": 720}
"""Optimiser steps after which every system has converged: ``base``'s are about 36 epochs of CREATE-210K."""


def default_epochs(size: Size, videos: int, batch_size: int) -> int:
    """Epochs that give about so many steps: many over a small store, few over a large one."""
    steps = -(-videos // batch_size)
    return int(min(120, max(8, round(TARGET_STEPS[size] / steps))))


def apply_settings(
    model: ModelConfig, training: TrainingConfig, settings: Sequence[str]
) -> tuple[ModelConfig, TrainingConfig]:
    """Applies ``key=value`` settings of the command line.

    Raises:
        ConfigError: unknown key (with the nearest known one) or a value of the wrong type or range.
    """
    changes: dict[type[ModelConfig | TrainingConfig], dict[str, Any]] = {ModelConfig: {}, TrainingConfig: {}}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected key=value")
        owner = next((kind for kind in changes if key in {f.name for f in fields(kind)}), None)
        if owner is None:
            known = [f.name for kind in changes for f in fields(kind)]
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
            raise ConfigError(f"--set {key}: unknown setting; {hint}")
        changes[owner][key] = _parse(owner, key, text)
    # All at once: width and heads, for instance, only fit together.
    return dataclasses.replace(model, **changes[ModelConfig]), dataclasses.replace(training, **changes[TrainingConfig])


def _parse(kind: type[ModelConfig | TrainingConfig], key: str, text: str) -> Any:
    wanted = get_type_hints(kind)[key]
    if choices := get_args(wanted):
        _require(text in choices, key, text, " or ".join(choices))
        return text
    if wanted is bool:
        _require(text in ("true", "false"), key, text, "true or false")
        return text == "true"
    try:
        return wanted(text)
    except ValueError as error:
        raise ConfigError(f"{key}={text} is not a number; expected {wanted.__name__}") from error
