"""The title encoder written out against transformers' own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.train.model.bert import Bert, BertSettings
from optsg.train.model.title_encoder import TitleEncoder, use_quick_dropout
from torch import Tensor, nn

SETTINGS: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 12,
}


def theirs(settings: dict[str, Any], dropout: float) -> nn.Module:
    """transformers' model of the same settings."""
    ensure_torchvision_importable()
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(**settings)
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = dropout, 0.0
    model: nn.Module = AutoModel.from_config(config, add_pooling_layer=False, attn_implementation="eager")
    use_quick_dropout(model)
    return model


def both(dropout: float) -> tuple[Bert, nn.Module, Tensor]:
    """Both of one seed, and what either leaves in the generator: (2, 4)."""
    settings = BertSettings.of(SETTINGS)
    assert settings is not None
    torch.manual_seed(3)
    ours, after = Bert(settings, dropout), torch.rand(4)
    torch.manual_seed(3)
    found = theirs(SETTINGS, dropout)
    return ours, found, torch.stack([after, torch.rand(4)])


def inputs() -> tuple[Tensor, Tensor]:
    """Tokens (3, 7), some of them padding, and their mask."""
    mask = torch.arange(7) < torch.tensor([7, 4, 2])[:, None]
    return torch.randint(1, 50, (3, 7)).masked_fill(~mask, 0), mask


def test_the_same_seed_draws_the_same_weights_under_the_same_names() -> None:
    ours, found, after = both(0.1)
    assert [*ours.state_dict()] == [*found.state_dict()]
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in ours.state_dict().items())
    assert torch.equal(*after)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_numbers_come_out_to_the_bit(dtype: torch.dtype) -> None:
    ours, found, _ = both(0.1)
    tokens, mask = inputs()
    with torch.no_grad():
        expected = found.to(dtype).eval()(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        assert torch.equal(ours.to(dtype).eval()(tokens, mask), expected)


def test_the_same_gradients_come_out_to_the_bit_also_where_something_is_dropped() -> None:
    ours, found, _ = both(0.3)
    tokens, mask = inputs()
    torch.manual_seed(5)
    ours.train()(tokens, mask).square().sum().backward()
    torch.manual_seed(5)
    found.train()(input_ids=tokens, attention_mask=mask.long()).last_hidden_state.square().sum().backward()
    gradients = dict(found.named_parameters())
    assert all(torch.equal(value.grad, gradients[name].grad) for name, value in ours.named_parameters())  # type: ignore[arg-type]


def test_a_fused_kernel_gives_the_same_but_for_rounding() -> None:
    ours, _, _ = both(0.0)
    tokens, mask = inputs()
    added = torch.zeros(3, 1, 1, 7).masked_fill_(~mask[:, None, None, :], float("-inf"))
    with torch.no_grad():
        assert torch.allclose(ours(tokens, added, plain=False), ours(tokens, mask), atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        {"model_type": "roberta"},
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"hidden_size": 25},
        {"vocab_size": "50"},
        {"layer_norm_eps": 0},
        {"pad_token_id": 50},
        {"pruned_heads": {"0": [1]}},
    ],
)
def test_everything_else_is_left_to_transformers(other: dict[str, Any]) -> None:
    assert BertSettings.of({**SETTINGS, **other}) is None


def test_a_title_encoder_of_another_activation_is_transformers_own() -> None:
    encoder = TitleEncoder(json.dumps({**SETTINGS, "hidden_act": "relu"}), width=24, dropout=0.0)
    assert not isinstance(encoder.model, Bert)
    assert encoder(*inputs()).shape == (3, 7, 24)
