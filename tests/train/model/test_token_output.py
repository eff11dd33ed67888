"""Copying from the title: what can be copied, and the loss that teaches it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch
from optsg.data.word_pieces import MARKS, PAD
from optsg.train.config import InputConfig
from optsg.train.model.copy_gate import CopyGate, CopySource
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.token_output import TitleCopier

WIDTH, PIECES = 8, (5, 7, 9)
INPUTS = InputConfig(frame_dim=4, patch_dim=0, max_patches=1, tag_dim=6, title_encoder={}, pieces=PIECES)


def batch(*titles: list[int]) -> Batch:
    return Batch.from_features(
        [np.zeros((1, 4), np.float16)] * len(titles), [np.zeros((0, 0), np.float16)] * len(titles), titles
    )


def test_the_title_s_pieces_that_the_decoder_knows_can_be_copied() -> None:
    torch.manual_seed(0)
    copier, titles = TitleCopier(INPUTS, WIDTH), batch([2, 7, 5, 3], [9, 100], [2, 3])
    source = copier.source(titles, torch.randn(3, 4, WIDTH))
    assert source.ids.masked_fill(~source.usable, -1).tolist() == [
        [-1, MARKS + 1, MARKS, -1],
        [MARKS + 2, -1, -1, -1],
        [-1, -1, -1, -1],
    ]
    assert source.ids[~source.usable].unique().tolist() == [PAD]


def test_what_of_a_title_is_not_there_cannot_be_copied() -> None:
    titles = batch([7, 5, 9])
    hidden = dataclasses.replace(titles, title_mask=titles.title_mask & torch.tensor([True, False, True, True]))
    source = TitleCopier(INPUTS, WIDTH).source(hidden, torch.randn(1, 4, WIDTH))
    assert source.usable.tolist() == [[True, False, True, False]]


def test_the_output_is_the_mixture_of_decoder_and_title() -> None:
    torch.manual_seed(0)
    copier, titles = TitleCopier(INPUTS, WIDTH), batch([7, 5], [2, 3])
    decoder = TagDecoder(
        vocabulary=MARKS + 3, prompts=2, tag_dim=6, width=WIDTH, heads=1, layers=1, dropout=0.0, prompt_entry="slot"
    )
    features, hidden = torch.randn(2, 4, WIDTH), torch.randn(2, 5, WIDTH)
    with torch.no_grad():
        found = copier.output(decoder, titles, features)(hidden)
        plain = decoder.logits(hidden)
        assert torch.equal(found, copier.gate(hidden, plain, copier.source(titles, features)))
    assert torch.allclose(found[1], plain[1].log_softmax(-1))
    assert not torch.allclose(found[0], plain[0].log_softmax(-1))


def test_the_copy_loss_is_the_formula_where_the_target_can_be_copied_and_zero_elsewhere() -> None:
    torch.manual_seed(1)
    gate, hidden = CopyGate(WIDTH), torch.randn(2, 3, WIDTH, requires_grad=True)
    source = CopySource(
        ids=torch.tensor([[5, 6, 5], [7, 8, 5]]),
        keys=torch.randn(2, 3, WIDTH),
        log_weight=torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -math.inf]]),
    )
    places, targets = torch.tensor([0, 1, 3, 5]), torch.tensor([5, 9, 5, 8])
    found = gate.copy_loss(hidden, targets, source, places)
    expected = []
    for place, target in zip(places.tolist(), targets.tolist(), strict=True):
        video, state = place // 3, hidden.flatten(0, 1)[place]
        scores = source.keys[video] @ gate.query(state) / WIDTH**0.5 + source.log_weight[video]
        copied = scores.softmax(0)[(source.ids[video] == target) & source.usable[video]].sum()
        g = torch.sigmoid(gate.gate(state)[0] - 2.2)
        expected.append(-(g * copied).log().item() if copied > 0 else 0.0)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert [value == 0 for value in expected] == [False, True, True, False]
    found.sum().backward()
    assert hidden.grad is not None
    assert bool(hidden.grad.isfinite().all())
    assert bool(hidden.grad.flatten(0, 1)[[0, 5]].any(-1).all())
    assert not bool(hidden.grad.flatten(0, 1)[[1, 3]].any())
