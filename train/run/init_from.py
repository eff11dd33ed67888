"""``--init-from``: training on one store that starts with the weights of a run on another (Table 1, lower half).

Everything that means the same in both runs is taken over. Rows that stand for a word piece, a tag or a place in the picture
are found by what they stand for; rows that only the new run has start as they would without the other run.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from ...data.errors import ConfigError, RunError
from ...data.store import FeatureStore
from ...data.store.digests import file_digest
from ...data.store.schema import StoreHeader, encoder_identity
from ...data.tag_table import TagTable
from ...data.word_pieces import MARKS, TitleTokenizer
from ..config import ModelConfig, RunConfig
from ..model.hybrid_encoder import HybridEncoder
from ..model.tag_decoder import TagDecoder
from ..model.tag_head import TagHead
from ..model.title_encoder import TitleEncoder
from ..model.video_title_model import VideoTitleModel
from ..run_files import MODEL, START, STATE_FOLDER, fetch_run, load_weights, save_tensors
from ..systems.prompt_classification import PromptClassifier
from ..systems.registry import start_system
from ..systems.system import System
from .run import read_system

FREE_SETTINGS = ("dropout", "vocabulary", "frozen_title_layers")
"""Settings of the model that may differ from the other run's: no weight has another meaning by them."""


Meanings = Mapping[str, Sequence[Hashable]]
"""What the rows of weights stand for, by the weights' names; other weights' rows mean the same in every run."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The run to start from.

    Attributes:
        name: the run folder or hub id as given.
        folder: where its files are.
        system: with its weights.
        header: of the store that it was trained on.
    """

    name: str
    folder: Path
    system: System
    header: StoreHeader

    @property
    def config(self) -> RunConfig:
        """Configuration of the run to start from."""
        return self.system.config

    def record(self) -> dict[str, str]:
        """What the new run's configuration says of it."""
        return {"path": self.name, "weights": f"sha256:{file_digest(self.folder / MODEL)}"}


def open_source(name: str, allow_systems: Collection[str] = ()) -> Source:
    """Opens a finished run; arguments and errors as :func:`optsg.train.run_files.fetch_run` and ``read_system``."""
    folder = fetch_run(name)
    system = read_system(folder, allow_systems)
    try:
        header = StoreHeader(**system.config.store["header"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{name} does not say how its features were made ({error}); train it again") from error
    return Source(name=name, folder=folder, system=system, header=header)


def write_start(
    run: Path,
    source: Source,
    store: FeatureStore,
    config: RunConfig,
    tag_table: TagTable,
    tokenizer: TitleTokenizer,
    allow_systems: Collection[str] = (),
) -> None:
    """Writes the weights that the new run starts with into its folder, once and for all.

    Raises:
        ConfigError: the source has another model or other inputs; the message says what differs.
    """
    check_source(source, config)
    system = start_system(store, config, tag_table, tokenizer, allow_systems)
    ours = {
        name: weight
        for name, weight in system.model.state_dict().items()
        if not name.startswith(system.model.training_only)
    }
    start = take_over(ours, source.system.model.state_dict(), row_meanings(system), row_meanings(source.system))
    (run / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    save_tensors(run / STATE_FOLDER / START, start)


def load_start(model: VideoTitleModel, run: Path) -> None:
    """Loads what :func:`write_start` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = run / STATE_FOLDER / START
    if not path.is_file():
        raise RunError(f"{path} is missing, with which {run} starts; start a new run")
    load_weights(model, path, model.training_only)


def check_source(source: Source, config: RunConfig) -> None:
    """Refuses a source whose weights would mean something else in the new run; errors as :func:`write_start`."""
    theirs = source.config
    if theirs.system != config.system:
        raise ConfigError(
            f"--init-from {source.name}: it is a run of the system {theirs.system}, not of {config.system}"
        )
    settings = {"size": (theirs.size, config.size)} | {
        setting.name: (getattr(theirs.model, setting.name), getattr(config.model, setting.name))
        for setting in fields(ModelConfig)
        if setting.name not in FREE_SETTINGS
    }
    for name, (there, here) in settings.items():
        if there != here:
            raise ConfigError(
                f"--init-from {source.name}: {name} is {there} there and {here} here; the models must be the same"
            )
    old, new = source.header.before_corpus(), StoreHeader(**config.store["header"]).before_corpus()
    for field in ("frame_dim", "patch_dim", "tag_dim"):
        there, here = getattr(old, field), getattr(new, field)
        if there != here:
            raise ConfigError(
                f"--init-from {source.name}: {field} is {there} in its features and {here} in these; extract them alike"
            )
    for field in ("image_encoder", "text_encoder"):
        there, here = getattr(old, field), getattr(new, field)
        if encoder_identity(there) != encoder_identity(here):
            raise ConfigError(
                f"--init-from {source.name}: its features come from another {field.replace('_', ' ')} than these; "
                "extract them alike"
            )


def take_over(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], our_rows: Meanings, their_rows: Meanings
) -> dict[str, Tensor]:
    """Our weights with theirs in their place wherever they mean the same.

    Weights that one side alone has (of image patches, where only one store has images) stay ours.

    Raises:
        ConfigError: two weights of the same name have other sizes.
    """
    result = {name: weight.clone() for name, weight in ours.items()}
    for name, weight in result.items():
        if name not in theirs:
            continue
        if name in our_rows:
            place = {meaning: row for row, meaning in enumerate(their_rows[name])}
            shared = [(row, place[meaning]) for row, meaning in enumerate(our_rows[name]) if meaning in place]
            rows = torch.tensor(shared, dtype=torch.int64).view(-1, 2)
            weight[rows[:, 0]] = theirs[name][rows[:, 1]]
        elif weight.shape != theirs[name].shape:
            raise ConfigError(
                f"--init-from: {name} has the size {tuple(theirs[name].shape)} there and {tuple(weight.shape)} here"
            )
        else:
            weight.copy_(theirs[name])
    return result


def row_meanings(system: System) -> Meanings:
    """What the rows of a system's word embeddings, heads and patch positions stand for.

    Word pieces are told by their text: two vocabularies that are made from two corpora number them differently.
    """
    text_of = {number: ("piece", text) for text, number in system.tokenizer.pieces.items()}
    tags = [("tag", key) for key in system.tag_table.keys]
    meanings: dict[str, Sequence[Hashable]] = {}
    for name, module in system.model.named_modules():
        if isinstance(module, TagDecoder):
            marks = [("mark", number) for number in range(MARKS)]
            written = [*marks, *(text_of[piece] for piece in system.config.inputs.pieces)]
            meanings |= {f"{name}.embedding.weight": written, f"{name}.output_bias": written}
        elif isinstance(module, TitleEncoder):
            words = module.word_embeddings()
            (weights,) = (key for key, weight in module.named_parameters() if weight is words)
            meanings[f"{name}.{weights}"] = [text_of.get(row, ("no piece", row)) for row in range(len(words))]
        elif isinstance(module, HybridEncoder) and module.patch_projection is not None:
            places = [("place", number) for number in range(system.config.inputs.max_patches)]
            meanings[f"{name}.patch_projection.position.weight"] = places
        elif isinstance(module, TagHead):
            meanings |= {f"{name}.weight": tags, f"{name}.bias": tags}
        elif isinstance(module, PromptClassifier):
            columns = [("nil",), *tags]
            meanings |= {"head.weight": columns, "head.bias": columns}
    return meanings
