"""The tag head: scores of a video do not depend on its place in a batch."""

from __future__ import annotations

import pytest
import torch
from optsg.train.model.tag_head import TagHead


@pytest.mark.parametrize("tags", [1, 2, 3, 4, 5, 50])
@pytest.mark.parametrize("width", [32, 96])
def test_scores_are_the_same_to_the_bit_at_every_place_of_a_batch(width: int, tags: int) -> None:
    torch.manual_seed(0)
    head = TagHead(width, tags, dropout=0.0).eval()
    features, mask = torch.randn(40, 3, width), torch.ones(40, 3, dtype=torch.bool)
    for rows in torch.randperm(40).split(4):
        together = head.score(features[rows], mask[rows])
        assert together.shape == (4, tags)
        for place, row in enumerate(rows):
            alone = head.score(features[row].expand(4, 3, width), mask[row].expand(4, 3))
            assert torch.equal(alone[0], together[place])
    expected = torch.nn.functional.linear(features.mean(1), head.weight, head.bias)
    assert torch.allclose(head.score(features, mask), expected, atol=1e-5)
