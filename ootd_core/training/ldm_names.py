"""Names of a Stable Diffusion 1.x UNet in single-file checkpoints, translated to diffusers' names.

Single files number their blocks through: input_blocks.0 is the first convolution, then each of the
four levels has two blocks of (resnet, attention) and a downsampling; output_blocks run back with
three blocks a level. Within a block the names differ for resnets only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

FILE_PREFIX = "model.diffusion_model."
LEVELS = 4
LAYERS = 2
OUTER = {
    "time_embed.0.": "time_embedding.linear_1.",
    "time_embed.2.": "time_embedding.linear_2.",
    "input_blocks.0.0.": "conv_in.",
    "out.0.": "conv_norm_out.",
    "out.2.": "conv_out.",
    "middle_block.0.": "mid_block.resnets.0.",
    "middle_block.1.": "mid_block.attentions.0.",
    "middle_block.2.": "mid_block.resnets.1.",
}
RESNET = {
    "in_layers.0.": "norm1.",
    "in_layers.2.": "conv1.",
    "emb_layers.1.": "time_emb_proj.",
    "out_layers.0.": "norm2.",
    "out_layers.3.": "conv2.",
    "skip_connection.": "conv_shortcut.",
}


def diffusers_unet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the UNet of a single-file checkpoint under diffusers' names.

    Raises ValueError if the file holds no UNet, or one of another architecture.
    """
    unet = {
        key.removeprefix(FILE_PREFIX): value
        for key, value in state.items()
        if key.startswith(FILE_PREFIX)
    }
    if not unet:
        raise ValueError("holds no UNet (no tensor's name begins with model.diffusion_model)")
    return {diffusers_name(key): value for key, value in unet.items()}


def diffusers_name(key: str) -> str:
    """Translate one name, without the file's prefix. Raises ValueError for an unknown one."""
    for old, new in OUTER.items():
        if key.startswith(old):
            return new + _inner(key.removeprefix(old), new)
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)", key)
    if match is None:
        raise ValueError(f"holds {key}, which no Stable Diffusion 1.x UNet has")
    side, number, part, rest = match[1], int(match[2]), int(match[3]), match[4]
    if side == "input":
        level, layer = divmod(number - 1, LAYERS + 1)
        if rest.startswith("op."):
            return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        place = f"down_blocks.{level}"
    else:
        level, layer = divmod(number, LAYERS + 1)
        if rest.startswith("conv."):
            return f"up_blocks.{level}.upsamplers.0.{rest}"
        place = f"up_blocks.{level}"
    if part == 1:
        return f"{place}.attentions.{layer}.{rest}"
    return f"{place}.resnets.{layer}.{_inner(rest, 'resnets')}"


def _inner(rest: str, place: str) -> str:
    if "resnets" in place:
        for old, new in RESNET.items():
            if rest.startswith(old):
                return new + rest.removeprefix(old)
    return rest


def unet_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config of a Stable Diffusion 1.x UNet, its widths read off its tensors.

    Its attentions have eight heads on every level, which no tensor shows.
    """
    return {
        "in_channels": state["conv_in.weight"].shape[1],
        "out_channels": state["conv_out.weight"].shape[0],
        "block_out_channels": [
            state[f"down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(LEVELS)
        ],
        "cross_attention_dim": state[
            "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        ].shape[1],
        "attention_head_dim": 8,  # diffusers reads it as the number of heads
        "layers_per_block": LAYERS,
        "sample_size": 64,
    }
