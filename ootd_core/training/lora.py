"""Trainable low-rank adapters (LoRA) for the attentions of both UNets.

A linear layer W of an attention answers with W x + (alpha / rank) up(down(x)), where only `down`
and `up` are trained (Hu et al., arXiv 2106.09685). Hooks add the second term from outside, so the
UNets' own modules and names stay as they are, and ejecting leaves no trace. The files are those
that `checkpoints.lora` reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..checkpoints.lora import PREFIX, attention_layers
from ..checkpoints.writing import write_whole

if TYPE_CHECKING:
    from ..checkpoints.networks import Networks


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
            raise ValueError(
                f"A LoRA needs a rank of 1 or more and an alpha above 0, got {rank} and {alpha}."
            )
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
        """Add the adapters to both UNets. Raises RuntimeError if they are injected already."""
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


def _added(adapter: LowRank) -> Any:
    def hook(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + adapter(inputs[0])

    return hook
