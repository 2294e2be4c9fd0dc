"""LoRA files in kohya's naming, and their weights added to both UNets.

A linear layer W becomes W + (alpha / rank) up @ down (Hu et al., arXiv 2106.09685). Tensors are
called "lora_unet_LAYER.lora_down.weight", ".lora_up.weight" and ".alpha", as in the files that
ComfyUI loads. The two UNets share their layers' names, so each has a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..fusion import transformer_blocks
from .reading import read_state_dict

if TYPE_CHECKING:
    from .networks import Networks

LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
"""The linear layers of an attention."""
PREFIX = "lora_unet_"
UNETS = ("outfitting", "tryon")
"""The names of the two files, without their ending."""


def attention_layers(unet: Any, *, last_block: bool = True) -> dict[str, nn.Linear]:
    """Return the linear layers of a UNet's attentions by their names with "_" for ".".

    last_block: False leaves out the last transformer block, which an outfitting UNet never runs.
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


def check_lora(folder: Path) -> None:
    """Raises FileNotFoundError, one sentence, unless a LoRA's files are there."""
    absent = [name for name in UNETS if not (folder / f"{name}.safetensors").is_file()]
    if absent:
        names = " and ".join(f"{name}.safetensors" for name in absent)
        raise FileNotFoundError(
            f"There is no {names} in {folder}: name the folder of a LoRA that 'train' wrote."
        )


def merge_loras(networks: Networks, folder: Path, strength: float = 1.0) -> None:
    """Add the LoRA of a folder (outfitting.safetensors, tryon.safetensors) to both UNets, for good.

    Raises FileNotFoundError or ValueError, one sentence naming the file, if one is missing, damaged
    or made for other networks.
    """
    unets = (networks.outfitting_unet, networks.tryon_unet)
    for name, unet in zip(UNETS, unets, strict=True):
        path = folder / f"{name}.safetensors"
        state = read_state_dict(path, remedy="train the LoRA again")
        try:
            merge_lora(unet, state, strength)
        except ValueError as error:
            raise ValueError(f"{path} cannot be used: {error}") from error


@torch.no_grad()
def merge_lora(unet: Any, state: Mapping[str, Tensor], strength: float = 1.0) -> None:
    """Add a LoRA in kohya's naming to a UNet's weights, for good.

    A layer without alpha has the alpha of its rank, as in kohya's files, that is, a scale of 1.
    Raises ValueError, one sentence, for a name or a shape that the UNet's attentions do not have;
    the UNet is then as it was.
    """
    layers = attention_layers(unet)
    changes: list[tuple[nn.Linear, Tensor]] = []
    for name in sorted({key.split(".")[0] for key in state}):
        layer = layers.get(name.removeprefix(PREFIX))
        if layer is None:
            raise ValueError(
                f"the LoRA changes {name}, which is no attention layer of the UNet "
                f"(expected names like {PREFIX}{next(iter(layers))})."
            )
        down, up = state.get(f"{name}.lora_down.weight"), state.get(f"{name}.lora_up.weight")
        if down is None or up is None:
            lacking = "lora_down" if down is None else "lora_up"
            raise ValueError(f"the LoRA lacks {name}.{lacking}.weight.")
        wanted = tuple(layer.weight.shape)
        if not (down.ndim == up.ndim == 2) or len(down) != up.shape[1]:
            raise ValueError(
                f"the LoRA's {name} has matrices of {_size(up)} and {_size(down)}, which cannot be "
                "multiplied."
            )
        if (len(up), down.shape[1]) != wanted:
            raise ValueError(
                f"the LoRA's {name} is of {len(up)}x{down.shape[1]}, the UNet's layer of "
                f"{_size(layer.weight)}: it was made for another checkpoint."
            )
        rank = len(down)
        alpha = state.get(f"{name}.alpha")
        scale = strength if alpha is None else strength * float(alpha) / rank
        changes.append((layer, scale * (up.float() @ down.float())))
    for layer, change in changes:
        layer.weight += change.to(layer.weight.device, layer.weight.dtype)


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))
