"""Low-rank adapters for the attentions of both UNets, in the files that ComfyUI loads.

A linear layer W of an attention answers with W x + (alpha / rank) up(down(x)), where only `down`
and `up` are trained (Hu et al., arXiv 2106.09685). Hooks add the second term from outside, so the
UNets' own modules and names stay as they are, and ejecting leaves no trace. Files follow kohya's
naming ("lora_unet_...", with alpha): one file for each UNet, since the two share their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..checkpoints.reading import read_state_dict
from ..checkpoints.writing import write_whole
from ..fusion import transformer_blocks

if TYPE_CHECKING:
    from ..checkpoints.networks import Networks

LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
PREFIX = "lora_unet_"


class LowRank(nn.Module):
    """(alpha / rank) up(down(x)); zero until trained."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        place = layer.weight.device
        self.down = nn.Linear(layer.in_features, rank, bias=False, device=place)
        self.up = nn.Linear(rank, layer.out_features, bias=False, device=place)
        nn.init.zeros_(self.up.weight)
        self.scale = alpha / rank

    def forward(self, inputs: Tensor) -> Tensor:
        return self.up(self.down(inputs)) * self.scale


class Adapters:
    """Adapters of both UNets: `modules` holds them by UNet; injected until `eject`."""

    def __init__(self, networks: Networks, *, rank: int, alpha: float, seed: int = 0) -> None:
        """Raises ValueError for a rank below 1 or an alpha that is not positive."""
        if rank < 1 or alpha <= 0:
            raise ValueError(f"A LoRA needs a rank of 1 or more and an alpha above 0, not {rank} "
                             f"and {alpha}.")  # fmt: skip
        self.rank = rank
        self.alpha = alpha
        self._layers = {
            "outfitting": attention_layers(networks.outfitting_unet, last_block=False),
            "tryon": attention_layers(networks.tryon_unet),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.modules: dict[str, nn.Module] = {
                unet: nn.ModuleDict(
                    {name: LowRank(layer, rank, alpha) for name, layer in layers.items()}
                )
                for unet, layers in self._layers.items()
            }
        self._hooks: list[RemovableHandle] = []

    def inject(self) -> Self:
        """Raises RuntimeError if these adapters are injected already."""
        if self._hooks:
            raise RuntimeError("These adapters are injected already.")
        for unet, layers in self._layers.items():
            adapters: Any = self.modules[unet]
            for name, layer in layers.items():
                self._hooks.append(layer.register_forward_hook(_added(adapters[name])))
        return self

    def eject(self) -> None:
        """Leave both UNets as they were."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def state_dict(self, unet: str) -> dict[str, Tensor]:
        """Return the adapters of "outfitting" or "tryon" under kohya's names, on the CPU."""
        state: dict[str, Tensor] = {}
        for name, adapter in self.modules[unet].named_children():
            assert isinstance(adapter, LowRank)
            key = PREFIX + name
            state[f"{key}.lora_down.weight"] = adapter.down.weight.detach().cpu().clone()
            state[f"{key}.lora_up.weight"] = adapter.up.weight.detach().cpu().clone()
            state[f"{key}.alpha"] = torch.tensor(float(self.alpha))
        return state

    def save(self, folder: Path, *, dtype: torch.dtype) -> None:
        """Write outfitting.safetensors and tryon.safetensors, each whole or not at all."""
        about = {"ss_network_dim": str(self.rank), "ss_network_alpha": str(self.alpha)}
        for unet in self.modules:
            state = {name: value.to(dtype) for name, value in self.state_dict(unet).items()}
            write_whole(
                folder / f"{unet}.safetensors",
                lambda path, state=state: save_file(state, path, metadata=about),
            )


def attention_layers(unet: Any, *, last_block: bool = True) -> dict[str, nn.Linear]:
    """Return the linear layers of a UNet's attentions by their names with "_" for ".".

    last_block: False leaves out the block that stops an outfitting UNet, which is never run.
    """
    blocks = transformer_blocks(unet)
    chosen = {id(block) for block in (blocks if last_block else blocks[:-1])}
    found: dict[str, nn.Linear] = {}
    for name, module in unet.named_modules():
        if id(module) not in chosen:
            continue
        for attention in ("attn1", "attn2"):
            for layer in LAYERS:
                key = f"{name}.{attention}.{layer}"
                found[key.replace(".", "_")] = unet.get_submodule(key)
    return found


def merge_loras(networks: Networks, folder: Path, strength: float = 1.0) -> None:
    """Add the two files that `Adapters.save` wrote to a folder to both UNets, for good.

    Raises FileNotFoundError or ValueError, one sentence, if one is missing, damaged or unfit.
    """
    unets = {"outfitting": networks.outfitting_unet, "tryon": networks.tryon_unet}
    for name, unet in unets.items():
        state = read_state_dict(folder / f"{name}.safetensors", remedy="train the LoRA again")
        merge_lora(unet, state, strength)


@torch.no_grad()
def merge_lora(unet: Any, state: Mapping[str, Tensor], strength: float = 1.0) -> None:
    """Add a LoRA of kohya's names to a UNet's weights, for good.

    Raises ValueError for a name or a shape that the UNet's attentions do not have.
    """
    layers = attention_layers(unet)
    names = {key.split(".")[0] for key in state}
    for name in sorted(names):
        layer = layers.get(name.removeprefix(PREFIX))
        if layer is None:
            raise ValueError(f"The LoRA changes {name}, which is no attention layer of the UNet.")
        down, up = state[f"{name}.lora_down.weight"], state[f"{name}.lora_up.weight"]
        if (up.shape[0], down.shape[1]) != tuple(layer.weight.shape):
            raise ValueError(
                f"The LoRA's {name} is of {up.shape[0]}x{down.shape[1]}, the UNet's layer of "
                f"{'x'.join(map(str, layer.weight.shape))}: it was made for another checkpoint."
            )
        scale = strength * float(state[f"{name}.alpha"]) / len(down)
        change = scale * (up.float() @ down.float())
        layer.weight += change.to(layer.weight.device, layer.weight.dtype)


def _added(adapter: LowRank) -> Any:
    def hook(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + adapter(inputs[0])

    return hook
