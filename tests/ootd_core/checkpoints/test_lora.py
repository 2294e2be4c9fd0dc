"""LoRA files merged: what is in them decides, and what does not fit changes nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ootd_core.checkpoints.lora import PREFIX, attention_layers, merge_lora, merge_loras
from tests.ootd_core.training.test_tryon import tiny_networks

LAYER = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
RANK = 2


def lora(**changes: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "lora_down.weight": torch.randn(RANK, 8, generator=generator),
        "lora_up.weight": torch.randn(8, RANK, generator=generator),
        "alpha": torch.tensor(6.0),
    }
    return {f"{PREFIX}{LAYER}.{name}": value for name, value in {**tensors, **changes}.items()}


def merged(state: dict[str, Tensor], strength: float = 1.0) -> Tensor:
    """What merging adds to the layer; no other weight changes."""
    unet = tiny_networks().tryon_unet
    layer = attention_layers(unet)[LAYER].weight
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    own = layer.detach().clone()
    merge_lora(unet, state, strength)
    changed = [n for n, value in unet.state_dict().items() if not torch.equal(value, before[n])]
    assert len(changed) == 1
    return layer.detach() - own


def test_alpha_over_rank_and_strength_scale_the_product() -> None:
    state = lora()
    up, down = (state[f"{PREFIX}{LAYER}.lora_{name}.weight"] for name in ("up", "down"))
    assert torch.allclose(merged(state), 6.0 / RANK * up @ down, atol=1e-5)
    assert torch.allclose(merged(state, 0.5), 0.5 * 6.0 / RANK * up @ down, atol=1e-5)


def test_without_alpha_the_scale_is_one() -> None:
    state = lora()
    del state[f"{PREFIX}{LAYER}.alpha"]
    up, down = (state[f"{PREFIX}{LAYER}.lora_{name}.weight"] for name in ("up", "down"))
    assert torch.allclose(merged(state), up @ down, atol=1e-5)
    assert torch.allclose(merged(state, 0.5), 0.5 * up @ down, atol=1e-5)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (lora(**{"lora_up.weight": torch.zeros(5, RANK)}), "of 5x8, the UNet's layer of 8x8"),
        (lora(**{"lora_up.weight": torch.zeros(8, 3)}), "8x3 and 2x8, which cannot be multiplied"),
        (lora(**{"lora_up.weight": torch.zeros(8, 2, 1, 1)}), "8x2x1x1 and 2x8, which cannot"),
        (
            {key: value for key, value in lora().items() if "lora_up" not in key},
            f"lacks {PREFIX}{LAYER}.lora_up.weight",
        ),
        (
            {f"{PREFIX}conv_in.alpha": torch.zeros(1)},
            "changes lora_unet_conv_in, which is no attention layer",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    state: dict[str, Tensor], words: str
) -> None:
    unet = tiny_networks().tryon_unet
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    fitting = f"{PREFIX}down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"
    good = {key.replace(PREFIX + LAYER, fitting): value for key, value in lora().items()}
    with pytest.raises(ValueError, match=words) as error:
        merge_lora(unet, {**good, **state})
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_the_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    networks = tiny_networks()
    with pytest.raises(FileNotFoundError, match=r"outfitting\.safetensors"):
        merge_loras(networks, tmp_path)
    save_file(lora(), tmp_path / "outfitting.safetensors")
    save_file({"odd": torch.zeros(1)}, tmp_path / "tryon.safetensors")
    with pytest.raises(ValueError, match=r"tryon\.safetensors cannot be used: .* changes odd"):
        merge_loras(networks, tmp_path)
