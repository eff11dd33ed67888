"""From a name to a system: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from ...data.errors import ConfigError
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..system_names import check_system_name, installed_systems, is_class_spelling
from .classifiers import Asy, Bin
from .learnable_tag_embeddings import LearnableTagEmbeddings
from .op_tsg import NoContrast, NoShuffle, OpTsg
from .own_systems import check_model, import_system
from .prompt_classification import PromptClassification
from .prompt_label import PromptLabel
from .source_systems import AllSources, LinearSystem, MemorySystem, SourceSystem, TitleMatchSystem
from .system import System
from .writers.full_writer import FrequencyFirstFull
from .writers.open_book import OpenBook
from .writers.order_free import OrderFree
from .writers.ordered_writer import FrequencyFirst, RandomOrder, RareFirst

SYSTEMS: Mapping[str, type[System]] = {
    "op-tsg": OpTsg,
    "bin": Bin,
    "asy": Asy,
    "order-free": OrderFree,
    "open-book": OpenBook,
    "frequency-first": FrequencyFirst,
    "frequency-first-full": FrequencyFirstFull,
    "rare-first": RareFirst,
    "random": RandomOrder,
    "no-shuffle": NoShuffle,
    "no-contrast": NoContrast,
    "learnable-tag-embeddings": LearnableTagEmbeddings,
    "prompt-label": PromptLabel,
    "prompt-classification": PromptClassification,
    "linear": LinearSystem,
    "memory": MemorySystem,
    "title-match": TitleMatchSystem,
    "sources": AllSources,
}


def find_system(name: str, allow_systems: Collection[str] = ()) -> type[System]:
    """The system of this name: one of :data:`SYSTEMS`, of an installed package, or a class, ``MODULE:CLASS``.

    Args:
        name: may come from a run folder that anybody made.
        allow_systems: the classes that whoever asks named; no other is imported, for that runs its module.

    Raises:
        ConfigError: there is none, it is a class that nobody named, or no whole system.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    if not is_class_spelling(name):
        check_system_name(name)
        return import_system(installed_systems()[name])
    if name not in allow_systems:
        raise ConfigError(
            f"the system {name} is code that is not optsg's and is run only where it is named; if you trust it, add "
            f"--allow-system {name} (in Python allow_systems=[{name!r}])"
        )
    return import_system(name)


def takes_steps(system: type[System]) -> bool:
    """Whether a system is trained step by step; one without a network is fitted."""
    return not issubclass(system, SourceSystem)


def open_system(
    config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer, allow_systems: Collection[str] = ()
) -> System:
    """The run's system with a model of the run's sizes, whose weights are random; errors as :func:`find_system`."""
    system = find_system(config.system, allow_systems)(config, tag_table, tokenizer)
    check_model(config.system, system)
    return system


def start_system(
    store: FeatureStore,
    config: RunConfig,
    tag_table: TagTable,
    tokenizer: TitleTokenizer,
    allow_systems: Collection[str] = (),
) -> System:
    """The run's system as training begins with it, by the run's seed; errors as :func:`find_system`."""
    torch.manual_seed(config.training.seed)
    system = open_system(config, tag_table, tokenizer, allow_systems)
    system.start(store)
    return system
