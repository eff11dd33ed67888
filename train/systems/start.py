"""What models and training targets take from a feature store."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.store import FeatureStore
from ..config import RunConfig
from ..model.op_tsg import OPTSG
from ..model.video_title_model import VideoTitleModel


def text_encoder_weights(store: FeatureStore, model: VideoTitleModel) -> dict[str, NDArray[Any]]:
    """Those weights of the store's text model that the model's title encoder has, or would have if it read titles."""
    kept = model.text_model().model.state_dict().keys()
    return {name: weight for name, weight in store.title_encoder_weights().items() if name in kept}


def start_encoder(model: VideoTitleModel, store: FeatureStore, config: RunConfig) -> Tensor:
    """Starts a model's title encoder and hybrid encoder with exactly the weights that OP-TSG's have with this seed.

    OP-TSG is built for it, once, and let go. The state of PyTorch's random numbers is left as it was.

    Returns:
        the text model's word embeddings (pieces, text width).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model.copy_encoder(OPTSG(config.model, config.inputs))
    return model.load_text_encoder(text_encoder_weights(store, model))
