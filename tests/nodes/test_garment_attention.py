# pyright: basic
"""Fusion as hooks of ComfyUI's UNet against the formula; no ComfyUI needed.

Against the headless UNet, inside a real ComfyUI: tests/comfyui/checks_equality.py.
"""

from collections.abc import Generator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.nodes.without_comfyui import node_module
from tests.ootd_core.small_unets import drawn

HEADS, WIDTH = 2, 8
BLOCK = ("input", 1, 0)


@pytest.fixture(scope="module")
def attention() -> Generator[Any]:
    with node_module("garment_attention") as module:
        yield module


def weighted(query: Tensor, person: Tensor, garment: Tensor, strength: float) -> Tensor:
    """Attention in which each weight of the garment counts `strength` times, keys as values."""
    outputs = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        keys = torch.cat([person, garment], dim=1)[..., part]
        weights = (query[..., part] @ keys.mT / (WIDTH // HEADS) ** 0.5).exp()
        weights[..., person.shape[1] :] *= strength
        outputs.append(weights / weights.sum(-1, keepdim=True) @ keys)
    return torch.cat(outputs, dim=-1)


class OneBlock(nn.Module):
    """A UNet of one transformer block, whose self-attention knows ComfyUI's two kinds of hooks."""

    def __init__(self) -> None:
        super().__init__()
        block: Any = nn.Module()
        block.norm1 = nn.LayerNorm(WIDTH)
        nn.init.normal_(block.norm1.weight, generator=torch.Generator().manual_seed(0))
        self.block: Any = block
        layer: Any = nn.Module()
        layer.transformer_blocks = nn.ModuleList([block])
        self.input_blocks = [[nn.Identity()], [layer]]
        self.middle_block, self.output_blocks = [], []

    def __call__(self, x: Tensor, *rest: Any, **_: Any) -> Tensor:
        options = rest[-1]
        extra = {"block": BLOCK[:2], "block_index": BLOCK[2], "n_heads": HEADS}
        query = key = value = self.block.norm1(x)
        for patch in options.get("patches", {}).get("attn1_patch", []):
            query, key, value = patch(query, key, value, extra)
        replaced = options.get("patches_replace", {}).get("attn1", {}).get(BLOCK)
        if replaced is not None:
            return replaced(query, key, value, extra)
        nothing = key[:, :0]
        assert torch.equal(key, value)
        return weighted(query, key, nothing, 1.0)


def run(
    attention: Any, person: Tensor, garments: list[Tensor], sigma: float = 5.0, **settings: float
) -> tuple[Tensor, OneBlock]:
    unet = OneBlock()
    wrapper = attention.GarmentAttention(**settings)
    conditions = tuple(attention.GarmentCondition([each]) for each in garments)

    class Executor:
        class_obj = unet

        def __call__(self, *arguments: Any, **named: Any) -> Tensor:
            return unet(*arguments, **named)

    with torch.no_grad():
        found = wrapper(
            Executor(),
            person,
            transformer_options={"sigmas": torch.tensor([sigma])},
            ootd_garment=conditions,
        )
    return found, unet


@pytest.mark.parametrize("strength", [0.05, 0.5, 1.0, 1.5, 4.0])
def test_strength_multiplies_the_garments_weights(attention: Any, strength: float) -> None:
    person, garment = drawn(1, 5, WIDTH, seed=1), drawn(1, 7, WIDTH, seed=2)
    found, unet = run(attention, person, [garment], strength=strength)
    with torch.no_grad():
        mine, theirs = unet.block.norm1(person), unet.block.norm1(garment)
    assert torch.allclose(found, weighted(mine, mine, theirs, strength), atol=1e-5)


def test_each_half_of_the_guidance_sees_its_own_garment(attention: Any) -> None:
    """Two conditions in one batch, in their order; each may stand for several samples."""
    person = drawn(2, 5, WIDTH, seed=1)
    garments = [drawn(1, 7, WIDTH, seed=2), torch.zeros(1, 7, WIDTH)]
    together, _ = run(attention, person, garments)
    for number, garment in enumerate(garments):
        alone, _ = run(attention, person[number : number + 1], [garment])
        assert torch.allclose(together[number : number + 1], alone, atol=1e-6)
    assert not torch.allclose(together[:1], run(attention, person[:1], garments[1:])[0], atol=1e-3)


@pytest.mark.parametrize(
    ("sigma", "strength", "seen"),
    [(5.0, 1.0, True), (2.0, 1.0, True), (8.0, 1.0, True), (8.1, 1.0, False), (1.9, 1.0, False),
     (5.0, 0.0, False)],
)  # fmt: skip
def test_the_garment_takes_part_between_its_noise_levels(
    attention: Any, sigma: float, strength: float, seen: bool
) -> None:
    person, garment = drawn(1, 5, WIDTH, seed=1), drawn(1, 7, WIDTH, seed=2)
    limits = {"first_sigma": 8.0, "last_sigma": 2.0}
    found, unet = run(attention, person, [garment], sigma, strength=strength, **limits)
    with torch.no_grad():
        mine, theirs = unet.block.norm1(person), unet.block.norm1(garment)
    wanted = weighted(mine, mine, theirs if seen else theirs[:, :0], 1.0)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_conditions_join_where_their_garments_are_of_one_size(attention: Any) -> None:
    one, other = (
        attention.GarmentCondition([drawn(2, tokens, WIDTH), drawn(2, tokens // 4, 2 * WIDTH)])
        for tokens in (16, 24)
    )
    assert one.can_concat(one.process_cond(4)) and not one.can_concat(other)
    assert one.process_cond(4).batch == 4 and one.process_cond(4).features is one.features
    assert one.concat([other]) == (one, other) and one.size() == [2, 1, 16 * WIDTH + 4 * 2 * WIDTH]
