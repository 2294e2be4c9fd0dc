"""Adapters: nothing at first, trained alone, in files that can be merged to the same effect."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ootd_core.checkpoints.lora import attention_layers, merge_loras
from ootd_core.fusion import Fusion
from ootd_core.training.lora import Adapters, LowRank
from ootd_core.training.tryon import TryOnTask
from tests.ootd_core.small_unets import drawn
from tests.ootd_core.training.test_tryon import Drawn, predict_noise, tiny_networks
from tests.ootd_core.training.tiny_model import PROMPT_CHANNELS


def predict(networks: object) -> Tensor:
    with torch.no_grad(), Fusion(networks.tryon_unet) as fusion:  # type: ignore[attr-defined]
        return predict_noise(
            networks,  # type: ignore[arg-type]
            fusion,
            drawn(1, 4, 8, 6, seed=1),
            drawn(1, 4, PROMPT_CHANNELS, seed=2),
            drawn(1, 8, 8, 6, seed=3),
            torch.tensor([500]),
        )


def shake(adapters: Adapters) -> None:
    generator = torch.Generator().manual_seed(0)
    for module in adapters.modules.values():
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3, generator=generator)


def test_untrained_adapters_change_nothing_and_leave_no_trace() -> None:
    networks = tiny_networks()
    plain = predict(networks)
    names = list(networks.tryon_unet.state_dict())
    adapters = Adapters(networks, rank=2, alpha=2.0).inject()
    assert torch.equal(predict(networks), plain)
    assert list(networks.tryon_unet.state_dict()) == names
    shake(adapters)
    assert not torch.allclose(predict(networks), plain, atol=1e-3)
    adapters.eject()
    assert torch.equal(predict(networks), plain)
    for layer in attention_layers(networks.tryon_unet).values():
        assert not layer._forward_hooks  # pyright: ignore[reportPrivateUsage]


def test_only_adapters_are_trained_all_of_them() -> None:
    networks = tiny_networks()
    adapters = Adapters(networks, rank=2, alpha=2.0).inject()
    shake(adapters)
    task = TryOnTask(
        networks, Drawn(2), outfitting_dropout=0.0, gradient_checkpointing=True, adapters=adapters
    )
    task.loss(0)[0].backward()
    for unet in (networks.outfitting_unet, networks.tryon_unet):
        assert all(parameter.grad is None for parameter in unet.parameters())
    for name, module in task.modules.items():
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None and parameter.grad.any(), (name, key)


def test_a_second_inject_is_refused() -> None:
    adapters = Adapters(tiny_networks(), rank=1, alpha=1.0).inject()
    with pytest.raises(RuntimeError, match="injected already"):
        adapters.inject()


def test_files_have_kohyas_names_and_merge_to_the_same(tmp_path: Path) -> None:
    networks = tiny_networks()
    adapters = Adapters(networks, rank=2, alpha=6.0).inject()
    shake(adapters)
    adapted = predict(networks)
    adapters.eject()
    adapters.save(tmp_path, dtype=torch.float32)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "outfitting.safetensors",
        "tryon.safetensors",
    ]
    state = load_file(tmp_path / "tryon.safetensors")
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"
    assert state[f"{layer}.lora_down.weight"].shape == (2, 8)
    assert state[f"{layer}.lora_up.weight"].shape == (8, 2)
    assert float(state[f"{layer}.alpha"]) == 6.0
    assert len(state) == 3 * 4 * 2 * 4  # tensors, layers, attentions, blocks
    with safe_open(tmp_path / "tryon.safetensors", "pt") as file:
        assert file.metadata()["ss_network_dim"] == "2"
    merged = replace(networks)
    merge_loras(merged, tmp_path)
    assert torch.allclose(predict(merged), adapted, atol=1e-5)


def test_the_outfitting_unets_last_block_has_no_adapter() -> None:
    networks = tiny_networks()
    assert len(attention_layers(networks.outfitting_unet)) == 32
    assert len(attention_layers(networks.outfitting_unet, last_block=False)) == 24


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (2, 0.0)])
def test_impossible_adapters_are_refused(rank: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="rank of 1 or more"):
        Adapters(tiny_networks(), rank=rank, alpha=alpha)


def test_alpha_over_rank_is_the_scale_of_an_adapter() -> None:
    layer = nn.Linear(3, 5)
    for rank, alpha in ((2, 6.0), (4, 1.0)):
        adapter = LowRank(layer, rank, alpha)
        nn.init.normal_(adapter.up.weight)
        inputs = drawn(7, 3, seed=1)
        wanted = alpha / rank * inputs @ adapter.down.weight.T @ adapter.up.weight.T
        assert torch.allclose(adapter(inputs), wanted, atol=1e-5)


def test_each_unet_gets_its_own_file_as_strongly_as_asked(tmp_path: Path) -> None:
    networks = tiny_networks()
    adapters = Adapters(networks, rank=2, alpha=6.0)
    shake(adapters)
    adapters.save(tmp_path, dtype=torch.float32)
    unets = {"outfitting": networks.outfitting_unet, "tryon": networks.tryon_unet}
    before = {
        name: {key: layer.weight.clone() for key, layer in attention_layers(unet).items()}
        for name, unet in unets.items()
    }
    merge_loras(networks, tmp_path, 0.5)
    for name, unet in unets.items():
        for key, adapter in adapters.modules[name].named_children():
            assert isinstance(adapter, LowRank)
            change = attention_layers(unet)[key].weight - before[name][key]
            wanted = 0.5 * 3.0 * adapter.up.weight @ adapter.down.weight
            assert torch.allclose(change, wanted, atol=1e-5), (name, key)
