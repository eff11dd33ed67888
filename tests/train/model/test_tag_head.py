"""The tag head: what its scores are made of, and that those of a video do not depend on its place in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optsg.train.model.tag_head import TagHead, mean_over_valid, ranked_columns


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


def test_the_mean_is_over_what_is_there() -> None:
    features = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]], [[5.0, 7.0], [9.0, 9.0], [9.0, 9.0]]]).repeat(
        2, 1, 1
    )
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], dtype=torch.bool)
    assert mean_over_valid(features, mask).tolist() == [
        [2.0, 4.0],
        [5.0, 7.0],
        pytest.approx([13 / 3, 17 / 3]),
        [0.0, 0.0],
    ]


def test_columns_are_ranked_best_first_and_equal_ones_as_they_stand() -> None:
    probabilities = np.array([0.5, 0.9, 0.2, 0.9, 0.5, 0.1], np.float32)
    assert ranked_columns(probabilities, 0.2) == [1, 3, 0, 4, 2]
