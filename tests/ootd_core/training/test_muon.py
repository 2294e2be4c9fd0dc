"""Muon's updates are orthogonal, of AdamW's size, and reach what plain descent reaches."""

import pytest
import torch
from torch import nn

from ootd_core.training.muon import Muon, orthogonal, split


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 40), (2, 40, 6)])
def test_singular_values_end_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    made = orthogonal(torch.randn(shape))
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.5 and values.max() < 1.3, values


def test_an_update_is_as_large_as_adamw_s_would_be() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn_like(weight)
    Muon([weight], lr=0.1).step()
    size = weight.detach().square().mean().sqrt().item()
    assert size == pytest.approx(0.02, rel=0.35)


def test_it_solves_a_least_squares_problem() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(8, 12))
    inputs, wanted = torch.randn(64, 12), torch.randn(8, 12)
    optimizer = Muon([weight], lr=0.1)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimizer.zero_grad()
        (inputs @ (weight - wanted).T).square().mean().backward()
        optimizer.step()
    assert torch.dist(weight, wanted) < 0.05 * wanted.norm()


def test_weight_decay_shrinks_what_has_no_gradient_direction() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full((4, 4), 0.95))


def test_outer_layers_and_vectors_stay_with_adamw() -> None:
    names = {
        "conv_in.weight": nn.Parameter(torch.zeros(4, 4)),
        "block.to_q.weight": nn.Parameter(torch.zeros(4, 4)),
        "block.to_q.bias": nn.Parameter(torch.zeros(4)),
    }
    hidden, rest = split(names)
    assert hidden == [names["block.to_q.weight"]]
    assert len(rest) == 2


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="closure"):
        Muon([nn.Parameter(torch.zeros(2, 2))], lr=0.1).step(lambda: 0.0)


def test_momentum_keeps_most_of_the_past_and_looks_ahead() -> None:
    """m = 0.95 m + 0.05 g, and the update is 0.05 g + 0.95 m; both linear in the gradients."""
    weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = Muon([weight], lr=0.1)
    first, second = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    for gradient in (first, second):
        before = weight.detach().clone()
        weight.grad = gradient.clone()
        optimizer.step()
    momentum = 0.95 * 0.05 * first + 0.05 * second
    assert torch.allclose(optimizer.state[weight]["momentum"], momentum)
    update = orthogonal((0.05 * second + 0.95 * momentum)[None])[0]
    assert torch.allclose(weight - before, -0.1 * 0.2 * 2**0.5 * update, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4), (4, 16), (16, 4)])
def test_the_size_of_an_update_follows_the_longer_side(shape: tuple[int, int]) -> None:
    weight = nn.Parameter(torch.zeros(shape))
    weight.grad = torch.eye(*shape)
    Muon([weight], lr=1.0).step()
    values = torch.linalg.svdvals(weight.detach()) / (0.2 * max(shape) ** 0.5)
    assert values.min() > 0.7 and values.max() < 1.25, values
