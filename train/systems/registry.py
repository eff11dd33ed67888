"""From a name to a system: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ...data.word_pieces import TitleTokenizer
from ..config import RunConfig
from ..system_names import check_system_name
from .classifiers import Asy, Bin
from .learnable_tag_embeddings import LearnableTagEmbeddings
from .op_tsg import NoContrast, NoShuffle, OpTsg
from .open_book import OpenBook
from .order_free import OrderFree
from .ordered_writer import FrequencyFirst, RandomOrder, RareFirst
from .prompt_classification import PromptClassification
from .prompt_label import PromptLabel
from .source_systems import AllSources, LinearSystem, MemorySystem, TitleMatchSystem
from .system import System

SYSTEMS: Mapping[str, type[System]] = {
    "op-tsg": OpTsg,
    "bin": Bin,
    "asy": Asy,
    "order-free": OrderFree,
    "open-book": OpenBook,
    "frequency-first": FrequencyFirst,
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


def find_system(name: str) -> type[System]:
    """The system of this name.

    Raises:
        ConfigError: there is none.
    """
    check_system_name(name)
    return SYSTEMS[name]


def open_system(config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer) -> System:
    """The run's system with a model of the run's sizes, whose weights are random; errors as :func:`find_system`."""
    return find_system(config.system)(config, tag_table, tokenizer)


def start_system(store: FeatureStore, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer) -> System:
    """The run's system as training begins with it, by the run's seed; errors as :func:`find_system`."""
    torch.manual_seed(config.training.seed)
    system = open_system(config, tag_table, tokenizer)
    system.start(store)
    return system
