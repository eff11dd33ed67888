"""OP-TSG the way someone would first write it: ``torch.nn.Transformer*`` layers, loops over the videos, plain AdamW.

Layers, widths, heads, frozen weights, losses and batches are those of :class:`optsg.train.model.op_tsg.OPTSG` with the paper's
sequential decoding. What a first version does otherwise: float32; matching video by video on squares padded with
[NIL]; targets put together video by video; the softmax over all of the tokenizer's pieces at all places, padding
included; PyTorch's own dropout, in the attention too; one learning rate, no moving average.

Legend: B videos, M frames, S title tokens, N prompts, T target tokens, D width, E tag-embedding width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from optsg.data.batching import Batch
from optsg.data.store import FeatureStore
from optsg.data.word_pieces import BOS, EOS, MARKS, NIL, PAD, SEPARATOR
from optsg.train.config import InputConfig, ModelConfig
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

MAX_TOKENS = 256
NIL_WEIGHT = 0.3


@dataclass(frozen=True, kw_only=True)
class NewcomerTargets:
    """Tag embeddings (U, E), that of [NIL] (E,), and every tag's pieces as decoder ids."""

    embeddings: Tensor
    nil: Tensor
    pieces: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, store: FeatureStore, device: torch.device) -> NewcomerTargets:
        """All tags of a store."""
        tags = range(len(store.tag_keys))
        return cls(
            embeddings=torch.from_numpy(np.array(store.tag_embeddings)).to(device),
            nil=torch.from_numpy(np.array(store.nil_embedding)).to(device),
            pieces={tag: [piece + MARKS for piece in store.tag_tokens(tag).tolist()] for tag in tags},
        )


@dataclass(frozen=True, kw_only=True)
class NewcomerLosses:
    """Both losses of a batch."""

    contrastive: Tensor
    generation: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.contrastive + self.generation


class NewcomerModel(nn.Module):
    """The model. Its word embeddings and the title encoder are random."""

    def __init__(self, model: ModelConfig, inputs: InputConfig):
        super().__init__()
        title = inputs.title_encoder
        pieces, text_width = int(title["vocab_size"]), int(title["hidden_size"])
        width, self.prompts = model.width, model.prompts

        def layer(kind: type[nn.Module], size: int, heads: int, feed: int, *, norm_first: bool) -> nn.Module:
            options = {"dropout": model.dropout, "activation": "gelu", "batch_first": True, "norm_first": norm_first}
            return kind(size, heads, feed, **options)

        def decoder(layers: int) -> nn.TransformerDecoder:
            one = layer(nn.TransformerDecoderLayer, width, model.heads, 4 * width, norm_first=True)
            return nn.TransformerDecoder(one, layers, norm=nn.LayerNorm(width))  # type: ignore[arg-type]

        self.words = nn.Embedding(pieces, text_width)
        self.word_positions = nn.Embedding(int(title["max_position_embeddings"]), text_width)
        heads, feed = int(title["num_attention_heads"]), int(title["intermediate_size"])
        text_layer = layer(nn.TransformerEncoderLayer, text_width, heads, feed, norm_first=False)
        self.title_encoder = nn.TransformerEncoder(text_layer, model.title_layers, enable_nested_tensor=False)  # type: ignore[arg-type]
        self.title_projection = nn.Linear(text_width, width)
        self.frame_projection = nn.Linear(inputs.frame_dim, width)
        self.frame_positions = nn.Embedding(64, width)
        self.hybrid_encoder = decoder(model.hybrid_layers)
        self.queries = nn.Parameter(torch.randn(model.prompts, width))
        self.prompt_encoder = decoder(model.prompt_layers)
        self.prompt_projection = nn.Linear(width, inputs.tag_dim)
        self.slot_projection = nn.Linear(inputs.tag_dim, width)
        self.tokens = nn.Embedding(pieces + MARKS, width)
        self.token_positions = nn.Embedding(MAX_TOKENS, width)
        self.tag_decoder = decoder(model.decoder_layers)
        self.output = nn.Linear(width, pieces + MARKS)
        self.output.weight = self.tokens.weight
        self.temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        for table in (self.words, self.tokens):
            nn.init.normal_(table.weight, std=0.02)
        if model.frozen_title_layers >= 0:
            for frozen in (self.words, self.word_positions, *self.title_encoder.layers[: model.frozen_title_layers]):
                frozen.requires_grad_(False)

    def encode(self, batch: Batch) -> Tensor:
        """Hybrid features (B, S, D)."""
        places = torch.arange(batch.title_tokens.shape[1], device=batch.title_tokens.device)
        title = self.words(batch.title_tokens) + self.word_positions(places)
        title = self.title_encoder(title, src_key_padding_mask=~batch.title_mask)
        moments = torch.arange(batch.frames.shape[1], device=batch.frames.device).clamp(max=63)
        frames = self.frame_projection(batch.frames.float()) + self.frame_positions(moments)
        features: Tensor = self.hybrid_encoder(
            self.title_projection(title),
            frames,
            tgt_key_padding_mask=~batch.title_mask,
            memory_key_padding_mask=~batch.frame_mask,
        )
        return features

    def order_prompts(self, features: Tensor, batch: Batch) -> Tensor:
        """Order prompts (B, N, E)."""
        queries = self.queries.expand(len(features), -1, -1)
        hidden = self.prompt_encoder(queries, features, memory_key_padding_mask=~batch.title_mask)
        prompts: Tensor = self.prompt_projection(hidden)
        return prompts

    def match(self, prompts: Tensor, batch: Batch, targets: NewcomerTargets) -> list[list[int]]:
        """The tag of every prompt, -1 for [NIL], video by video on a square cost matrix."""
        assignments = []
        for video, tags in zip(prompts.detach(), batch.tags, strict=True):
            chosen = tags.tolist()[: self.prompts]
            nothing = targets.nil.expand(self.prompts - len(chosen), -1)
            candidates = torch.cat([targets.embeddings[chosen], nothing])
            similarity = functional.cosine_similarity(video[:, None], candidates[None], dim=-1)
            _, columns = linear_sum_assignment(-similarity.cpu().numpy())
            assignments.append([chosen[column] if column < len(chosen) else -1 for column in columns])
        return assignments

    def forward(self, batch: Batch, targets: NewcomerTargets, rng: np.random.Generator) -> NewcomerLosses:
        """Both losses of a batch."""
        features = self.encode(batch)
        prompts = self.order_prompts(features, batch)
        assignments = self.match(prompts, batch, targets)
        contrastive = self._contrastive(prompts, assignments, targets)
        return NewcomerLosses(
            contrastive=contrastive,
            generation=self._generation(prompts, features, batch, assignments, targets, rng),
        )

    def _contrastive(self, prompts: Tensor, assignments: list[list[int]], targets: NewcomerTargets) -> Tensor:
        flat = functional.normalize(prompts.flatten(0, 1), dim=-1)
        matched = torch.tensor(assignments, device=prompts.device).flatten()
        positive = torch.nonzero(matched >= 0).squeeze(1)
        tags = functional.normalize(targets.embeddings[matched[positive]], dim=-1)
        scale = self.temperature.exp()
        to_prompts = scale * tags @ flat.T
        same = matched[positive][:, None] == matched[None, :]
        same[torch.arange(len(positive)), positive] = False
        to_tags = scale * flat[positive] @ tags.T
        same_tags = matched[positive][:, None] == matched[positive][None, :]
        same_tags.fill_diagonal_(fill_value=False)
        own = torch.arange(len(positive), device=prompts.device)
        first = functional.cross_entropy(to_prompts.masked_fill(same, float("-inf")), positive)
        second = functional.cross_entropy(to_tags.masked_fill(same_tags, float("-inf")), own)
        return (first + second) / 2

    def _generation(
        self,
        prompts: Tensor,
        features: Tensor,
        batch: Batch,
        assignments: list[list[int]],
        targets: NewcomerTargets,
        rng: np.random.Generator,
    ) -> Tensor:
        sequences, slots, orders = [], [], []
        for assignment in assignments:
            order = rng.permutation(self.prompts)
            tokens, slot_of = [BOS], [0]
            for number, prompt in enumerate(order):
                tag = assignment[prompt]
                written = ([SEPARATOR] if number else []) + (list(targets.pieces[tag]) if tag >= 0 else [NIL])
                tokens += written
                slot_of += [number] * len(written)
            sequences.append(torch.tensor([*tokens, EOS][:MAX_TOKENS]))
            slots.append(torch.tensor([*slot_of, slot_of[-1]][:MAX_TOKENS]))
            orders.append(torch.from_numpy(order))
        device = prompts.device
        whole = pad_sequence(sequences, batch_first=True, padding_value=PAD).to(device)
        slot = pad_sequence(slots, batch_first=True).to(device)
        index = torch.stack(orders).to(device)
        ordered = self.slot_projection(prompts.gather(1, index[..., None].expand_as(prompts)))
        read, wanted = whole[:, :-1], whole[:, 1:]
        places = torch.arange(read.shape[1], device=device)
        own_prompt = ordered.gather(1, slot[:, :-1, None].expand(-1, -1, ordered.shape[2]))
        hidden = self.tag_decoder(
            self.tokens(read) + self.token_positions(places) + own_prompt,
            features,
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(len(places), device=device, dtype=torch.bool),
            memory_key_padding_mask=~batch.title_mask,
        )
        losses = functional.cross_entropy(self.output(hidden).flatten(0, 1), wanted.flatten(), reduction="none")
        weights = torch.where(wanted == NIL, NIL_WEIGHT, 1.0).masked_fill(wanted == PAD, 0.0).flatten()
        return (losses * weights).sum() / weights.sum()


class NewcomerTraining:
    """The training loop's step."""

    def __init__(self, model: NewcomerModel, targets: NewcomerTargets, learning_rate: float = 2e-4):
        self.model = model
        self._targets = targets
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=0.002)
        self._rng = np.random.default_rng(0)

    def step(self, batch: Batch) -> float:
        """One step; returns the loss."""
        self.model.train()
        self._optimiser.zero_grad()
        loss = self.model(batch, self._targets, self._rng).total
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        return float(loss.item())
