"""The copy gate against the mixture's formula, one place at a time."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from optsg.data.word_pieces import NIL, PAD
from optsg.train.model.copy_gate import CopyGate, CopySource
from optsg.train.model.layers import init_weights
from optsg.train.objective.losses import weighted_token_loss

VIDEOS, PLACES, SOURCE, WIDTH, VOCABULARY = 4, 5, 7, 6, 20
NOTHING = float("-inf")


def example(dtype: torch.dtype = torch.float32) -> tuple[CopyGate, torch.Tensor, torch.Tensor, CopySource]:
    """Video 0 has a piece three times, video 1 an empty source, video 2 a single piece, video 3 holes."""
    torch.manual_seed(5)
    gate = CopyGate(WIDTH).to(dtype)
    ids = torch.randint(5, VOCABULARY, (VIDEOS, SOURCE))
    ids[0, [1, 3, 6]] = 9
    log_weight = torch.randn(VIDEOS, SOURCE, dtype=dtype)
    log_weight[1] = NOTHING
    log_weight[2, 1:] = NOTHING
    log_weight[3, ::2] = NOTHING
    ids[3, 0] = ids[3, 1]  # the first place of this piece cannot be copied from
    source = CopySource(ids=ids, keys=torch.randn(VIDEOS, SOURCE, WIDTH, dtype=dtype), log_weight=log_weight)
    hidden = 2 * torch.randn(VIDEOS, PLACES, WIDTH, dtype=dtype)
    return gate, hidden, 2 * torch.randn(VIDEOS, PLACES, VOCABULARY, dtype=dtype), source


def reference(gate: CopyGate, hidden: torch.Tensor, logits: torch.Tensor, source: CopySource) -> torch.Tensor:
    """Probabilities by the formula, in loops."""
    mixed = logits.softmax(-1)
    for video in range(len(hidden)):
        usable = [k for k in range(source.ids.shape[1]) if source.log_weight[video, k] > NOTHING]
        if not usable:
            continue
        for place in range(hidden.shape[1]):
            state = hidden[video, place]
            g = torch.sigmoid(gate.gate(state)[0] - 2.2)
            query = gate.query(state)
            scores = [query @ source.keys[video, k] / WIDTH**0.5 + source.log_weight[video, k] for k in usable]
            attention = torch.stack(scores).softmax(0)
            mixed[video, place] *= 1 - g
            for k, weight in zip(usable, attention, strict=True):
                mixed[video, place, source.ids[video, k]] += g * weight
    return mixed


def test_the_mixture_is_the_formula_and_sums_to_one() -> None:
    gate, hidden, logits, source = example()
    with torch.no_grad():
        found = gate(hidden, logits, source).exp()
        expected = reference(gate, hidden, logits, source)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(found.sum(-1), torch.ones(VIDEOS, PLACES), atol=1e-5)


def test_pieces_outside_the_source_keep_their_share_of_the_vocabulary() -> None:
    gate, hidden, logits, source = example()
    with torch.no_grad():
        found = gate(hidden, logits, source).exp()
        share = 1 - torch.sigmoid(gate.gate(hidden) - 2.2)
    vocabulary = logits.softmax(-1)
    outside = [w for w in range(VOCABULARY) if w not in source.ids[2, :1].tolist()]
    assert torch.allclose(found[2][:, outside], (share[2] * vocabulary[2])[:, outside], atol=1e-6)
    assert 0.02 < (1 - share).mean() < 0.3, "the gate starts nearly closed"


def test_an_empty_source_closes_the_gate_without_nan() -> None:
    gate, hidden, logits, source = example()
    hidden.requires_grad_()
    logits.requires_grad_()
    mixed = gate(hidden, logits, source)
    assert torch.equal(mixed[1], logits[1].log_softmax(-1))
    mixed[..., 5].sum().backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad[1], torch.zeros(PLACES, WIDTH))
    assert bool((hidden.grad[0] != 0).any())
    everything = [hidden.grad, logits.grad, *(parameter.grad for parameter in gate.parameters())]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in everything)


@pytest.mark.parametrize("slots", [0, 3])
def test_a_batch_of_empty_sources_is_the_vocabulary_alone(slots: int) -> None:
    gate, hidden, logits, _ = example()
    empty = CopySource(
        ids=torch.zeros(VIDEOS, slots, dtype=torch.int64),
        keys=torch.zeros(VIDEOS, slots, WIDTH),
        log_weight=torch.full((VIDEOS, slots), NOTHING),
    )
    mixed = gate(hidden, logits, empty)
    assert torch.equal(mixed, logits.log_softmax(-1))
    mixed.sum().backward()
    assert all(p.grad is None or not bool(p.grad.any()) for p in gate.parameters())


def test_gradients_through_gate_keys_hidden_states_and_weights_are_right() -> None:
    gate, hidden, logits, source = example(torch.float64)
    parameters = [parameter.detach().clone().requires_grad_() for parameter in gate.parameters()]
    names = [name for name, _ in gate.named_parameters()]

    def mix(hidden: torch.Tensor, logits: torch.Tensor, keys: torch.Tensor, weight: torch.Tensor, *own: torch.Tensor):
        changed = dataclasses.replace(source, keys=keys, log_weight=source.log_weight + weight)
        return torch.func.functional_call(gate, dict(zip(names, own, strict=True)), (hidden, logits, changed))

    shift = torch.zeros(VIDEOS, SOURCE, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (hidden, logits, source.keys.clone(), shift)]
    assert torch.autograd.gradcheck(mix, (*leaves, *parameters))


def test_chosen_places_are_those_of_the_whole() -> None:
    gate, hidden, logits, source = example()
    places = torch.tensor([3, 0, 17, 6, 6, 19])
    some = gate(hidden, logits.flatten(0, 1)[places], source, places)
    assert torch.allclose(some, gate(hidden, logits, source).flatten(0, 1)[places], atol=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_is_that_of_the_mixture_with_the_same_gradients(label_smoothing: float) -> None:
    gate, hidden, logits, source = example(torch.float64)
    places, targets = torch.tensor([3, 0, 7, 17, 6, 6, 19]), torch.randint(5, VOCABULARY, (7,))
    targets[0] = 9  # three times in the source
    targets[4] = source.ids[1, 0]  # its video's source is empty
    leaves = [leaf.requires_grad_() for leaf in (hidden, logits, source.keys)] + list(gate.parameters())

    def through(per_token: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = torch.arange(1.0, 8.0, dtype=torch.float64)
        return per_token.detach(), *torch.autograd.grad((weights * per_token).sum(), leaves, retain_graph=True)

    chosen = logits.flatten(0, 1)[places]
    found = gate.cross_entropy(hidden, chosen, targets, source, places, label_smoothing=label_smoothing)
    mixed = gate(hidden, chosen, source, places)
    wanted = torch.nn.functional.cross_entropy(mixed, targets, reduction="none", label_smoothing=label_smoothing)
    for ours, expected in zip(through(found), through(wanted), strict=True):
        assert torch.allclose(ours, expected, atol=1e-10)


def test_log_probabilities_serve_the_loss_as_logits() -> None:
    gate, hidden, logits, source = example()
    mixed = gate(hidden, logits, source).flatten(0, 1)
    targets = torch.randint(5, VOCABULARY, (len(mixed),))
    targets[:6] = PAD
    per_token = torch.nn.functional.cross_entropy(mixed, targets, reduction="none")
    found = weighted_token_loss(per_token, targets, pad=PAD, nil=NIL, nil_weight=0.3)
    expected = -mixed.gather(1, targets[:, None])[6:].mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_in_bfloat16_give_float32_log_probabilities() -> None:
    gate, hidden, logits, source = example()
    exact = gate(hidden, logits, source)
    rounded = gate.to(torch.bfloat16)(hidden.bfloat16(), logits.bfloat16(), source)
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded.exp(), exact.exp(), atol=0.02)
    assert torch.allclose(rounded.exp().sum(-1), torch.ones(VIDEOS, PLACES), atol=1e-5)


def test_the_gate_stays_nearly_closed_whatever_draws_its_weights() -> None:
    gate, hidden, logits, source = example()
    gate.apply(init_weights)
    drop = (gate(hidden, logits, source) - logits.log_softmax(-1)).exp().amin(dim=-1)
    assert torch.allclose(drop[0], torch.full((PLACES,), 0.9), atol=0.02)
