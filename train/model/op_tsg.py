"""OP-TSG (paper Figure 2): title encoder, hybrid encoder, prompt encoder and tag decoder, put together.

What it learns is in :mod:`optsg.train.objective.op_tsg_loss`, how it writes in :mod:`optsg.train.writing.write_op_tsg`.

Legend: B videos, S title tokens, N prompts, D width, E tag-embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...data.errors import RunError
from ...data.tag_table import TagTable
from ...data.word_pieces import MARKS
from ..config import InputConfig, ModelConfig
from ..run_files import MODEL, TAG_TABLE, check_finished, fetch_run, load_weights, read_config
from ..system_names import OPTSG_SYSTEMS
from .layers import init_weights
from .prompt_encoder import PromptEncoder
from .tag_decoder import TagDecoder
from .tag_head import TagHead
from .token_output import TitleCopier
from .video_title_model import VideoTitleModel

INITIAL_TEMPERATURE = 0.07
MAX_INVERSE_TEMPERATURE = 100.0


class OPTSG(VideoTitleModel):
    """The model. Weights are random until :meth:`load_text_encoder` or a checkpoint is loaded.

    Args:
        tags: number of training tags, for the tag head; without them there is none.
    """

    def __init__(self, model: ModelConfig, inputs: InputConfig, tags: int = 0):
        super().__init__(model, inputs)
        width, heads, dropout = model.width, model.heads, model.dropout
        self.prompt_encoder = PromptEncoder(
            prompts=model.prompts,
            tag_dim=inputs.tag_dim,
            width=width,
            heads=heads,
            layers=model.prompt_layers,
            dropout=dropout,
        ).apply(init_weights)
        self.decoder = TagDecoder(
            vocabulary=MARKS + len(inputs.pieces),
            prompts=model.prompts,
            tag_dim=inputs.tag_dim,
            width=width,
            heads=heads,
            layers=model.decoder_layers,
            dropout=dropout,
            prompt_entry=model.prompt_entry,
            slot_positions=model.decoding == "sequential",  # in parallel no prompt comes before another
        )
        self.log_inverse_temperature = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))
        self.title_copier = TitleCopier(inputs, width) if model.copy_title and model.modality != "video" else None
        self.tag_head = TagHead(width, tags, dropout) if model.tag_head and tags else None
        for part in (self.decoder, self.title_copier, self.tag_head):
            if part is not None:
                part.apply(init_weights)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> OPTSG:
        """The trained model of a run folder, or of a Hugging Face repository that holds one, on the CPU in float32.

        Raises:
            RunError: there is no such run, it cannot be read, or it is of a system with another model.
        """
        run = fetch_run(path_or_hub_id)
        check_finished(run)
        config = read_config(run)
        if config.system not in OPTSG_SYSTEMS:
            raise RunError(
                f"{path_or_hub_id} is a run of the system {config.system}, whose model is no OPTSG; "
                "open it with optsg.train.run.run.load_run"
            )
        model = cls(config.model, config.inputs, tags=len(TagTable.load(run / TAG_TABLE)))
        load_weights(model, run / MODEL)
        return model.eval()

    @torch.no_grad()
    def load_text_encoder(self, weights: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """Starts the title encoder, and the decoder's word embeddings where widths agree, from the store's text model."""
        words = super().load_text_encoder(weights)
        self.decoder.load_words(words, self.inputs.pieces)
        return words

    @property
    def inverse_temperature(self) -> Tensor:
        """1/τ of the contrastive loss (Eq. 4), at most :data:`MAX_INVERSE_TEMPERATURE`, float32: a scalar with gradient."""
        return bounded_inverse(self.log_inverse_temperature)

    def order_prompts(self, features: Tensor, mask: Tensor) -> Tensor:
        """F (B, S, D) -> order prompts P (B, N, E), in their natural order (Eq. 1)."""
        prompts: Tensor = self.prompt_encoder(features, mask)
        return prompts


def bounded_inverse(log_inverse_temperature: Tensor) -> Tensor:
    """1/τ out of its learned logarithm, float32, at most :data:`MAX_INVERSE_TEMPERATURE`."""
    return log_inverse_temperature.float().exp().clamp(max=MAX_INVERSE_TEMPERATURE)
