"""Steered decoding = free decoding where that stays within what is allowed: tokens and probabilities."""

from __future__ import annotations

import pytest
import torch
from optsg.data.word_pieces import EOS, NIL, PAD, SEPARATOR
from optsg.train.config import NO_PROMPTS
from optsg.train.model.copy_gate import CopyGate, CopySource
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.token_output import CopyingOutput, TokenOutput
from optsg.train.writing.greedy import WrittenTokens, greedy_decode
from optsg.train.writing.slot_parallel import slot_parallel_decode
from optsg.train.writing.steering import Allowance, Steering, TagTrie

VIDEOS, PROMPTS, WIDTH, VOCABULARY = 24, 4, 16, 30


class Writing:
    """A random decoder for one of the three ways of writing, with or without a copy gate."""

    def __init__(self, way: str, copying: bool):
        torch.manual_seed(0)
        self.way = way
        self.decoder = TagDecoder(
            vocabulary=VOCABULARY,
            prompts=0 if way == "no prompts" else PROMPTS,
            tag_dim=WIDTH,
            width=WIDTH,
            heads=2,
            layers=2,
            dropout=0.0,
            prompt_entry=NO_PROMPTS if way == "no prompts" else "slot",
            slot_positions=way == "sequential",
        )
        gate = CopyGate(WIDTH)
        with torch.no_grad():
            for parameter in (*self.decoder.parameters(), *gate.parameters()):
                if parameter.ndim == 2:
                    parameter.normal_(std=0.4)
            self.decoder.output_bias[SEPARATOR] = 5.0
            self.decoder.output_bias[EOS] = 3.0
            self.decoder.output_bias[NIL] = -2.0
        self.decoder.eval()
        self.prompts = torch.randn(VIDEOS, PROMPTS, WIDTH)
        self.features, self.mask = torch.randn(VIDEOS, 5, WIDTH), torch.ones(VIDEOS, 5, dtype=torch.bool)
        source = CopySource(
            ids=torch.randint(5, VOCABULARY, (VIDEOS, 5)),
            keys=torch.randn(VIDEOS, 5, WIDTH),
            log_weight=torch.zeros(VIDEOS, 5),
        )
        self.output: TokenOutput | None = CopyingOutput(self.decoder, gate, source) if copying else None

    def write(self, trie: TagTrie | None) -> WrittenTokens:
        allowances = [Allowance(trie) for _ in range(VIDEOS)]
        if self.way == "slot-parallel":
            rows = [own for own in allowances for _ in range(PROMPTS)]
            return slot_parallel_decode(
                self.decoder,
                self.prompts,
                self.features,
                self.mask,
                output=self.output,
                steering=None if trie is None else Steering(rows),
            )
        return greedy_decode(
            self.decoder,
            None if self.way == "no prompts" else self.prompts,
            self.features,
            self.mask,
            output=self.output,
            steering=None if trie is None else Steering(allowances),
        )


def finished_tags(tokens: list[int]) -> list[tuple[int, ...]]:
    """The tags of a row up to the first that is neither NIL nor pieces alone, or has no end."""
    tags: list[tuple[int, ...]] = []
    tag: tuple[int, ...] = ()
    for token in tokens:
        if token in (SEPARATOR, EOS):
            if not tag or (NIL in tag and tag != (NIL,)):
                return tags
            tags.append(tag)
            tag = ()
        if token in (EOS, PAD):
            return tags
        if token != SEPARATOR:
            tag += (token,)
    return tags


def tags_in(tokens: list[int]) -> list[tuple[int, ...]]:
    """All tags of a row that have an end."""
    tags: list[tuple[int, ...]] = []
    tag: tuple[int, ...] = ()
    for token in tokens:
        if token in (SEPARATOR, EOS):
            tags += [tag] if tag else []
            tag = ()
        elif token not in (PAD, NIL):
            tag += (token,)
    return tags


@pytest.mark.parametrize("copying", [False, True])
@pytest.mark.parametrize("way", ["sequential", "no prompts", "slot-parallel"])
def test_a_trie_of_what_is_written_freely_changes_nothing(way: str, copying: bool) -> None:
    writing = Writing(way, copying)
    free = writing.write(None)
    tags = [finished_tags(row) for row in free.tokens.tolist()]
    if way == "slot-parallel":
        # What one slot writes the others read: only videos whose slots are all in the trie stay as they are.
        tags = [row if len(row) == PROMPTS else [] for row in tags]
    held = writing.write(TagTrie(tag for row in tags for tag in row if tag != (NIL,)))
    compared = 0
    for row, own in enumerate(tags):
        length = sum(len(tag) + 1 for tag in own)
        for name in ("tokens", "log_probs", "nil_probs"):
            before, after = (getattr(written, name)[row, :length] for written in (free, held))
            torch.testing.assert_close(before, after, rtol=0, atol=1e-5)  # fewer videos in a step, other last digits
        compared += len([tag for tag in own if tag != (NIL,)])
    assert compared >= 4


@pytest.mark.parametrize("copying", [False, True])
@pytest.mark.parametrize("way", ["sequential", "no prompts", "slot-parallel"])
def test_only_tags_of_the_trie_are_finished(way: str, copying: bool) -> None:
    trie = TagTrie([(10,), (10, 11), (12, 13, 14), (15,)])
    tokens = Writing(way, copying).write(trie).tokens
    found = {tag for row in tokens.tolist() for tag in tags_in(row)}
    assert found or way == "sequential"
    assert all(trie.holds(tag) for tag in found)
