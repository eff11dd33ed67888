"""Decoding that computes everything and then writes what it is told: random weights would never end a tag.

Every way of decoding then writes the same tags, in as many tokens as real tags have.

Legend: B videos, N prompts, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.word_pieces import EOS, NIL, PAD, SEPARATOR
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.tag_sequence import MAX_TARGET_TOKENS, tag_sequence
from optsg.train.writing.steering import Steering
from torch import Tensor

CERTAIN = 1e4


@dataclass(kw_only=True)
class Script:
    """What each video is to write: ``sequence`` (B, T), tag after tag, and ``slots`` (B, N, t), all tags at once.

    Attributes:
        tags: how many tags that are.
    """

    sequence: Tensor
    slots: Tensor
    tags: int

    @classmethod
    def of(
        cls, tags: Sequence[NDArray[np.int32]], pieces: dict[int, list[int]], prompts: int, device: torch.device
    ) -> Script:
        """The videos' own tags in the first slots, [NIL] in the others."""
        sequences, slots, count = [], [], 0
        for video in tags:
            chosen = video.tolist()[:prompts]
            count += len(chosen)
            row = [*chosen, *[-1] * (prompts - len(chosen))]
            sequences.append(tag_sequence(row, pieces, MAX_TARGET_TOKENS))
            slots.append([[*pieces[tag], SEPARATOR] if tag >= 0 else [NIL] for tag in row])
        longest = max(len(sequence) for sequence in sequences)
        steps = max(len(slot) for video in slots for slot in video)
        whole = torch.tensor([[*sequence, *[PAD] * (longest - len(sequence))] for sequence in sequences])
        by_slot = torch.tensor([[[*slot, *[PAD] * (steps - len(slot))] for slot in video] for video in slots])
        return cls(sequence=whole.to(device), slots=by_slot.to(device), tags=count)

    @property
    def tokens(self) -> int:
        """Tokens of the sequences, without padding."""
        return int((self.sequence != PAD).sum())


@dataclass(kw_only=True)
class ScriptedOutput:
    """A :class:`optsg.train.model.token_output.TokenOutput`: the decoder's scores, with the script's token certain.

    Attributes:
        script: (B, N, T) tokens.
    """

    decoder: TagDecoder
    script: Tensor
    step: list[int] = field(default_factory=lambda: [0])

    def __call__(self, hidden: Tensor) -> Tensor:
        """(B, ·, D) -> (B, ·, V)."""
        scores = self.decoder.logits(hidden)
        place = min(self.step[0], self.script.shape[-1] - 1)
        token = self.script[..., place].masked_fill(self.script[..., place] == PAD, EOS)
        self.step[0] += 1
        return scores.scatter_(-1, token.view(*scores.shape[:-1], 1), CERTAIN)

    def keep(self, rows: Tensor) -> ScriptedOutput:
        """For these videos alone."""
        return ScriptedOutput(decoder=self.decoder, script=self.script[rows], step=self.step)


class ScriptedSteering(Steering):
    """The same for decoding tag after tag, whose videos need not stand at the same place: the script's token is chosen.

    Args:
        script: (B, T) tokens.
    """

    def __init__(self, script: Tensor):
        super().__init__([])
        self._script = script.masked_fill(script == PAD, EOS)
        self._place = torch.zeros(len(script), 1, dtype=torch.int64, device=script.device)

    def limited(self, scores: Tensor) -> Tensor:
        """(B, V), with the next token of each video certain."""
        place = self._place.clamp(max=self._script.shape[1] - 1)
        return scores.scatter(1, self._script.gather(1, place), CERTAIN)

    def read(self, tokens: Tensor) -> None:
        """(B,) tokens that have been written, PAD where none has."""
        self._place = self._place + (tokens != PAD)[:, None]

    def keep(self, rows: Tensor) -> None:
        """For these videos alone."""
        self._script, self._place = self._script[rows], self._place[rows]


class ScriptedLogits:
    """The same for Hugging Face's ``generate``, as a logits processor."""

    def __init__(self, script: Tensor):
        self._script = script

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, T) tokens so far, (B, V) scores."""
        place = min(input_ids.shape[1] - 1, self._script.shape[1] - 1)
        token = self._script[:, place]
        return scores.scatter_(1, token.masked_fill(token == PAD, EOS)[:, None], CERTAIN)
