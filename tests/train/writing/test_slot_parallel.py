"""Slot-parallel decoding: what a tag may read, cached decoding = the whole at once, order of the prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optsg.data.word_pieces import BOS, EOS, NIL, PAD, SEPARATOR
from optsg.train.model.tag_decoder import TagDecoder
from optsg.train.model.tag_sequence import MAX_STEPS, slot_targets
from optsg.train.writing.greedy import WrittenTokens
from optsg.train.writing.reading import split_tags
from optsg.train.writing.slot_parallel import slot_parallel_decode

VIDEOS, PROMPTS, WIDTH, TAG_DIM, VOCABULARY = 6, 5, 16, 12, 30
PIECES = {0: [10, 11], 1: [12], 2: [13, 14, 15]}


def decoder_and_inputs(seed: int = 0) -> tuple[TagDecoder, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    decoder = TagDecoder(
        vocabulary=VOCABULARY,
        prompts=PROMPTS,
        tag_dim=TAG_DIM,
        width=WIDTH,
        heads=2,
        layers=2,
        dropout=0.1,
        prompt_entry="slot",
        slot_positions=False,
    )
    with torch.no_grad():  # large weights, or all slots write the same
        for parameter in decoder.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4)
        decoder.output_bias[SEPARATOR] = 4.0
    decoder.eval()
    prompts, features = torch.randn(VIDEOS, PROMPTS, TAG_DIM), torch.randn(VIDEOS, 4, WIDTH)
    mask = torch.ones(VIDEOS, 4, dtype=torch.bool)
    mask[1, 2:] = False
    return decoder, prompts, features, mask


def written_tags(written: WrittenTokens) -> list[dict[int, tuple[tuple[int, ...], float]]]:
    rows = zip(written.tokens.tolist(), written.log_probs.tolist(), written.nil_probs.tolist(), strict=True)
    return [{tag.slot: (tag.ids, tag.score) for tag in split_tags(*row)} for row in rows]


def test_every_slot_is_a_begin_mark_its_pieces_and_a_separator_or_nil() -> None:
    made = slot_targets(np.array([[0, -1, 1], [-1, -1, -1]]), PIECES)
    assert made.inputs[0].tolist() == [BOS, 10, 11, BOS, BOS, 12, PAD, PAD]
    assert made.targets[0].tolist() == [10, 11, SEPARATOR, NIL, 12, SEPARATOR, PAD, PAD]
    assert made.slots[0, :6].tolist() == [0, 0, 0, 1, 2, 2]
    assert made.positions[0, :6].tolist() == [0, 1, 2, 0, 0, 1]
    assert made.targets[1].tolist() == [NIL] * 3 + [PAD] * 5


def test_a_token_reads_its_own_tag_and_of_others_only_what_stands_before_its_place() -> None:
    made = slot_targets(np.array([[0, -1, 1]]), PIECES)
    mask = made.layout.mask[0, 0]
    # Columns: begin 0, piece 10, piece 11, begin 1, begin 2, piece 12, padding, padding.
    assert mask[0].int().tolist() == [1, 0, 0, 1, 1, 0, 0, 0]
    assert mask[1].int().tolist() == [1, 1, 0, 1, 1, 0, 0, 0]
    assert mask[2].int().tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert mask[5].int().tolist() == [1, 0, 0, 1, 1, 1, 0, 0]
    assert mask[6].int().tolist() == [1, 0, 0, 1, 1, 0, 1, 0]


def test_no_place_sees_its_own_target_nor_a_later_one() -> None:
    decoder, prompts, features, mask = decoder_and_inputs()
    tags = np.full((VIDEOS, PROMPTS), 2)
    one, other = slot_targets(tags, PIECES), slot_targets(tags, {2: [13, 20, 21]})
    with torch.no_grad():
        a, b = (decoder(prompts, made.inputs, features, mask, made.layout) for made in (one, other))
    before = (one.positions <= 1) & (one.targets != PAD)
    assert torch.equal(a[before], b[before])
    assert not torch.allclose(a[~before & (one.targets != PAD)], b[~before & (one.targets != PAD)])


def test_cached_decoding_is_the_whole_at_once() -> None:
    decoder, prompts, features, mask = decoder_and_inputs()
    written = slot_parallel_decode(decoder, prompts, features, mask, nil_bias=0.5)
    tags = written_tags(written)
    lengths = {len(ids) for video in tags for ids, _ in video.values()}
    assert len(lengths) > 2, "tags of several lengths, or this shows little"
    assert any(len(video) < PROMPTS for video in tags)
    pieces = {video * PROMPTS + slot: list(ids) for video, found in enumerate(tags) for slot, (ids, _) in found.items()}
    numbers = np.arange(VIDEOS * PROMPTS).reshape(VIDEOS, PROMPTS)
    made = slot_targets(np.where(np.isin(numbers, list(pieces)), numbers, -1), pieces)
    with torch.no_grad():
        log_probs = decoder.logits(decoder(prompts, made.inputs, features, mask, made.layout)).log_softmax(-1)
    biased = log_probs.clone()
    biased[..., NIL] -= 0.5
    biased[..., [PAD, BOS, EOS]] = float("-inf")
    first = made.positions == 0
    biased[..., SEPARATOR].masked_fill_(first, float("-inf"))
    biased[..., NIL].masked_fill_(~first, float("-inf"))
    there = made.targets != PAD
    assert torch.equal(biased.argmax(-1)[there], made.targets[there])
    for video, found in enumerate(tags):
        for slot, (ids, score) in found.items():
            places = (made.slots[video] == slot) & (made.inputs[video] != PAD)
            own = log_probs[video, places].gather(1, made.targets[video, places, None])[:, 0][: len(ids)]
            nil = log_probs[video, places][0, NIL].exp()
            assert score == pytest.approx((own.mean().exp() * (1 - nil)).item(), rel=1e-4)


def test_permuting_the_prompts_permutes_the_tags_and_changes_nothing_else() -> None:
    decoder, prompts, features, mask = decoder_and_inputs()
    order = [3, 0, 4, 1, 2]
    natural = written_tags(slot_parallel_decode(decoder, prompts, features, mask))
    shuffled = written_tags(slot_parallel_decode(decoder, prompts[:, order], features, mask))
    for before, after in zip(natural, shuffled, strict=True):
        assert {order[slot] for slot in after} == set(before)
        for slot, (ids, score) in after.items():
            assert before[order[slot]][0] == ids
            assert before[order[slot]][1] == pytest.approx(score, rel=1e-4)


def test_a_video_does_not_depend_on_the_others_of_its_batch() -> None:
    decoder, prompts, features, mask = decoder_and_inputs()
    together = written_tags(slot_parallel_decode(decoder, prompts, features, mask))
    for video in range(VIDEOS):
        row = slice(video, video + 1)
        (alone,) = written_tags(slot_parallel_decode(decoder, prompts[row], features[row], mask[row]))
        assert {slot: ids for slot, (ids, _) in alone.items()} == {
            slot: ids for slot, (ids, _) in together[video].items()
        }


def test_a_tag_that_does_not_end_is_dropped_and_the_others_stay() -> None:
    decoder, prompts, features, mask = decoder_and_inputs()
    seen = []

    class Endless:
        """Slot 0 of the first two videos never ends; all others end after one piece."""

        def __init__(self, videos: torch.Tensor):
            self.videos = videos

        def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
            seen.append(len(hidden))
            scores = torch.zeros(*hidden.shape[:2], VOCABULARY)
            scores[:, :, 20] = 5.0
            scores[:, 1:, SEPARATOR] = 10.0
            scores[self.videos > 1, 0, SEPARATOR] = 10.0
            return scores

        def keep(self, rows: torch.Tensor) -> Endless:
            return Endless(self.videos[rows])

    written = slot_parallel_decode(decoder, prompts, features, mask, output=Endless(torch.arange(VIDEOS)))
    assert seen == [VIDEOS] * 2 + [2] * (MAX_STEPS - 2), "videos that have ended are left behind"
    tags = [{slot: ids for slot, (ids, _) in video.items()} for video in written_tags(written)]
    assert tags == [dict.fromkeys(range(1, PROMPTS), (20,))] * 2 + [dict.fromkeys(range(PROMPTS), (20,))] * 4
