"""OP-TSG (paper Figure 2): title encoder, hybrid encoder, prompt encoder, matching, tag decoder, put together.

Legend: B videos, M frames, S title tokens, N prompts, L tags, T target tokens, D width, E tag-embedding width, U tags of
the store's tag table, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...data.batching import Batch
from ...data.errors import RunError
from ...data.tag_table import TagTable
from ...data.word_pieces import BOS, MARKS, NIL, PAD
from ..config import InputConfig, ModelConfig, TrainingConfig
from ..objective.losses import binary_cross_entropy, prompt_tag_contrastive_loss, weighted_token_loss
from ..objective.op_tsg_loss import Losses, prompts_used
from ..objective.shares import decide, gather_rows, mean_over_shares, share_count
from ..objective.tag_targets import TagTargets
from ..run_files import MODEL, TAG_TABLE, check_finished, fetch_run, load_weights, read_config
from ..system_names import OPTSG_SYSTEMS
from ..writing.greedy import WrittenTokens, greedy_decode
from ..writing.pins import choose_prompts, prompts_in_front
from ..writing.slot_parallel import slot_parallel_decode
from ..writing.steering import Pieces
from ..writing.tag_control import BatchControl
from .layers import init_weights
from .matching import assign_tags
from .prompt_encoder import PromptEncoder
from .tag_decoder import TagDecoder
from .tag_head import TagHead, multi_hot
from .tag_sequence import MAX_STEPS, MAX_TARGET_TOKENS, mean_by_slot, slot_targets, target_batch, written_places
from .token_output import PlainOutput, TitleCopier, TokenOutput
from .video_title_model import VideoTitleModel, build_hybrid_encoder, build_title_encoder

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
        # The encoders are drawn first: they start with the same weights whatever the rest of the model is.
        self.hybrid_encoder = build_hybrid_encoder(model, inputs).apply(init_weights)
        self.title_encoder = build_title_encoder(model, inputs)
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

    def order_prompts(self, features: Tensor, mask: Tensor) -> Tensor:
        """F (B, S, D) -> order prompts P (B, N, E), in their natural order (Eq. 1)."""
        prompts: Tensor = self.prompt_encoder(features, mask)
        return prompts

    def assign(
        self, prompts: Tensor, batch: Batch, targets: TagTargets, rng: np.random.Generator, *, match_nil: bool
    ) -> NDArray[np.int64]:
        """Tag of the store's tag table matched to each prompt, -1 for NIL: (B, N) (Eq. 2–3)."""
        chosen = targets.choose_all(batch, prompts.shape[1], rng)
        return assign_tags(prompts, chosen, targets.embeddings, targets.nil if match_nil else None)

    def forward(self, batch: Batch, targets: TagTargets, training: TrainingConfig, rng: np.random.Generator) -> Losses:
        """Both losses of a batch. ``rng`` draws the prompts' order and the tags of videos with more than N.

        Without ``training.contrastive`` (ablation E) the contrastive loss is 0 and the prompts learn from writing alone.
        """
        features, mask = self.encode(batch)
        prompts = self.order_prompts(features, mask)
        assignment, order = decide(lambda: self._assign_and_order(prompts, batch, targets, training, rng))
        joint = gather_rows(torch.from_numpy(assignment).to(prompts.device))
        contrastive = self._contrastive_loss(prompts, joint, targets, training)
        generation = self._generation_loss(prompts, features, mask, batch, assignment, order, targets, training)
        recognition = None
        if self.tag_head is not None:
            wanted = multi_hot(batch, targets.columns, self.tag_head.out_features)
            recognition = training.head_weight * binary_cross_entropy(
                self.tag_head.score(features, mask), wanted, count_mean=mean_over_shares
            )
        used = prompts_used(assignment, joint)
        return Losses(contrastive=contrastive, generation=generation, recognition=recognition, prompts_used=used)

    def _assign_and_order(
        self, prompts: Tensor, batch: Batch, targets: TagTargets, training: TrainingConfig, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tags matched to the prompts (B, N), and the order (B, N) in which the decoder is given the prompts."""
        assignment = self.assign(prompts, batch, targets, rng, match_nil=training.match_nil)
        order = np.tile(np.arange(assignment.shape[1]), (len(batch.every_tags), 1))
        if training.shuffle and self.config.decoding == "sequential":
            order = rng.permuted(order, axis=1)
        return assignment, np.stack(batch.own(list(order)))

    def _contrastive_loss(
        self, prompts: Tensor, assignment: Tensor, targets: TagTargets, training: TrainingConfig
    ) -> Tensor:
        """Loss of prompts (B, N, E) and the assignment (ΣB, N) of all shares of the joint batch."""
        if not training.contrastive:
            return torch.zeros((), device=prompts.device)
        # Negatives come from all shares: each computes the joint loss.
        return prompt_tag_contrastive_loss(
            gather_rows(prompts),
            assignment,
            targets.embeddings,
            self.log_inverse_temperature.float().exp().clamp(max=MAX_INVERSE_TEMPERATURE),
            false_negatives=training.false_negatives,
        )

    def _generation_loss(
        self,
        prompts: Tensor,
        features: Tensor,
        mask: Tensor,
        batch: Batch,
        assignment: NDArray[np.int64],
        order: NDArray[np.int64],
        targets: TagTargets,
        training: TrainingConfig,
    ) -> Tensor:
        index = torch.from_numpy(order).to(prompts.device)
        ordered = prompts.gather(1, index[..., None].expand_as(prompts))
        hidden, wanted = self._hidden_states(
            ordered, np.take_along_axis(assignment, order, axis=1), features, mask, targets.pieces
        )
        places = written_places(wanted)
        token_losses = self._token_losses(hidden, wanted.flatten()[places], places, batch, features, training)
        return weighted_token_loss(
            token_losses,
            wanted.flatten()[places],
            pad=PAD,
            nil=NIL,
            nil_weight=training.nil_weight,
            normalisation=training.normalisation,
            weight_mean=mean_over_shares,
            shares=share_count(),
        )

    def _hidden_states(
        self,
        prompts: Tensor,
        tags: NDArray[np.int64],
        features: Tensor,
        mask: Tensor,
        pieces: Mapping[int, Sequence[int]],
    ) -> tuple[Tensor, Tensor]:
        """The decoder's hidden states (B, T, D) and the tokens (B, T) that they are to write, for the slots' tags (B, N)."""
        if self.config.decoding == "parallel":
            slots = slot_targets(tags, pieces).to(prompts.device)
            return self.decoder(prompts, slots.inputs, features, mask, slots.layout), slots.targets
        inputs, wanted = (tokens.to(prompts.device) for tokens in target_batch(tags, pieces))
        return self.decoder(prompts, inputs, features, mask), wanted

    def _token_losses(
        self,
        hidden: Tensor,
        targets: Tensor,
        places: Tensor,
        batch: Batch,
        features: Tensor,
        training: TrainingConfig,
    ) -> Tensor:
        """Cross-entropy of the targets (P,) at the flat places (P,) of (B, T)."""
        logits = self.decoder.logits(hidden.flatten(0, 1)[places])
        smoothing = training.label_smoothing if self.training else 0.0
        if self.title_copier is None:
            return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        source = self.title_copier.source(batch, features)
        return self.title_copier.gate.cross_entropy(
            hidden,
            logits,
            targets,
            source,
            places,
            label_smoothing=smoothing,
            copy_weight=training.copy_weight if self.training else 0.0,
        )

    def slot_log_probs(
        self,
        prompts: Tensor,
        tags: NDArray[np.int64],
        pieces: Mapping[int, Sequence[int]],
        features: Tensor,
        mask: Tensor,
        batch: Batch,
    ) -> Tensor:
        """Mean log-probability of the word pieces of the tag in every slot, with gradients: (B, N), 0 for NIL.

        Args:
            prompts: (B, N, E).
            tags: (B, N) tag of every slot, -1 for NIL; the pieces of a tag have read those of the tags before it.
            pieces: decoder ids of every tag that occurs.
            features: F (B, S, D) with mask (B, S) of the batch.
        """
        hidden, wanted = self._hidden_states(prompts, tags, features, mask, pieces)
        places = written_places(wanted)
        losses = self._token_losses(hidden, wanted.flatten()[places], places, batch, features, TrainingConfig())
        return mean_by_slot(-losses, wanted, places, prompts.shape[1], nil_ends=self.config.decoding == "parallel")

    @torch.no_grad()
    def write(
        self,
        batch: Batch,
        *,
        nil_bias: float = 0.0,
        use_cache: bool = True,
        order: Tensor | None = None,
        control: BatchControl | None = None,
    ) -> WrittenTokens:
        """Tokens for a batch, prompts in their natural order (paper §3.3) or in another one, a permutation (N,).

        With a control only allowed tags are written. Pinned tags are written by prompts that write them anyway or nothing,
        in sequential decoding before all others: what the other prompts write follows from them.
        """
        features, mask = self.encode(batch)
        return self.write_from(
            features, mask, batch, nil_bias=nil_bias, use_cache=use_cache, order=order, control=control
        )

    def write_from(
        self,
        features: Tensor,
        mask: Tensor,
        batch: Batch,
        *,
        nil_bias: float,
        use_cache: bool = True,
        order: Tensor | None = None,
        control: BatchControl | None = None,
    ) -> WrittenTokens:
        """:meth:`write` from features F (B, S, D) with mask (B, S) of the batch."""
        prompts = self.order_prompts(features, mask)
        if order is not None:
            prompts = prompts[:, order]
        output = None if self.title_copier is None else self.title_copier.output(self.decoder, batch, features)
        numbers, steering = None, None
        if control is not None:
            pins, chosen = self._place_pins(prompts, features, mask, output, control, nil_bias=nil_bias)
            if self.config.decoding == "parallel":
                places = [dict(zip(*video, strict=True)) for video in zip(chosen, pins, strict=True)]
                steering = control.steer_slots(prompts.shape[1], places)
            else:
                steering = control.steer_sequences(pins, repeats=True)
                if any(pins):
                    numbers = prompts_in_front(chosen, prompts.shape[1], prompts.device)
                    prompts = prompts.gather(1, numbers[..., None].expand_as(prompts))
        if self.config.decoding == "parallel":
            written = slot_parallel_decode(
                self.decoder, prompts, features, mask, nil_bias=nil_bias, output=output, steering=steering
            )
        else:
            written = greedy_decode(
                self.decoder,
                prompts,
                features,
                mask,
                nil_bias=nil_bias,
                output=output,
                steering=steering,
                use_cache=use_cache,
            )
        return replace(written, prompts=numbers)

    def _place_pins(
        self,
        prompts: Tensor,
        features: Tensor,
        mask: Tensor,
        output: TokenOutput | None,
        control: BatchControl,
        *,
        nil_bias: float = 0.0,
        silent: Tensor | None = None,
    ) -> tuple[list[list[Pieces]], list[list[int]]]:
        """Per video the pinned tags that can be written, and the prompts that write them.

        Args:
            silent: (B, N) which prompts would write no tag; without it those whose first piece is [NIL].
        """
        parallel = self.config.decoding == "parallel"
        # Half of the longest sequence is left for what the model adds.
        room = prompts.shape[1] * MAX_STEPS if parallel else MAX_TARGET_TOKENS // 2
        pins = [control.spelled_pins(row, prompts.shape[1], room) for row in range(len(prompts))]
        chosen: list[list[int]] = [[] for _ in pins]
        if some := [row for row, own in enumerate(pins) if own]:
            rows = torch.tensor(some, device=prompts.device)
            kept = None if output is None else output.keep(rows)
            first = self.first_pieces(prompts[rows], features[rows], mask[rows], kept)
            quiet = first[..., NIL] - nil_bias > first[..., MARKS:].amax(dim=-1) if silent is None else silent[rows]
            for row, scores, free in zip(some, first, quiet, strict=True):
                chosen[row] = choose_prompts(scores, free, pins[row])
        return pins, chosen

    def first_pieces(
        self, prompts: Tensor, features: Tensor, mask: Tensor, output: TokenOutput | None = None
    ) -> Tensor:
        """Log-probabilities (B, N, V) of the first piece that each prompt writes; in sequential decoding as the first one."""
        output = output or PlainOutput(self.decoder)
        videos, slots = prompts.shape[:2]
        if self.config.decoding == "parallel":
            begin = torch.full((videos, slots), BOS, device=prompts.device)
            sight = torch.ones(videos, 1, slots, slots, dtype=torch.bool, device=prompts.device)
            hidden = self.decoder.step_slots(self.decoder.begin(prompts, features, mask), begin, sight)
            return output(hidden).float().log_softmax(-1)
        begin = torch.full((videos, 1), BOS, device=prompts.device)
        first = []
        for slot in range(slots):
            in_front = prompts[:, [slot, *(other for other in range(slots) if other != slot)]]
            first.append(output(self.decoder(in_front, begin, features, mask)).float().log_softmax(-1))
        return torch.cat(first, dim=1)
