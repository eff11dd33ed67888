"""A run's model and training targets from its store and configuration."""

from __future__ import annotations

import numpy as np
import torch

from ..data.store import FeatureStore
from ..data.vocabulary import Vocabulary
from .config import RunConfig
from .op_tsg import OPTSG, TagTargets


def build_model(store: FeatureStore, config: RunConfig) -> OPTSG:
    """The model of a run, its title encoder and word embeddings started from the store's text model."""
    torch.manual_seed(config.training.seed)
    model = OPTSG(config.model, config.inputs)
    kept = model.title_encoder.model.state_dict().keys()
    weights = {name: weight for name, weight in store.title_encoder_weights().items() if name in kept}
    model.load_text_encoder(weights)
    return model


def tag_targets(store: FeatureStore, vocabulary: Vocabulary, max_pieces: int, device: torch.device) -> TagTargets:
    """Embeddings of all tags, and the pieces of those that can be targets."""
    tokens = {tag: store.tag_tokens(tag).tolist() for tag in range(len(store.tag_keys))}
    return TagTargets(
        embeddings=torch.from_numpy(np.array(store.tag_embeddings)).to(device),
        nil=torch.from_numpy(np.array(store.nil_embedding)).to(device),
        pieces={
            tag: vocabulary.encode(pieces)
            for tag, pieces in tokens.items()
            if 0 < len(pieces) <= max_pieces and vocabulary.can_spell(pieces)
        },
    )
