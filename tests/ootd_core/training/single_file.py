"""A single-file Stable Diffusion checkpoint, made from a diffusers UNet the other way round.

Block by block from the layout of the original program, and so independent of the converter.
"""

from collections.abc import Mapping

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def blocks() -> dict[str, str]:
    """diffusers' modules -> the single file's, for four levels with two layers."""
    names = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    number = 1
    for level in range(4):
        for layer in range(2):
            names[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{number}.0"
            names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    number = 0
    for level in range(4):
        for layer in range(3):
            names[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{number}.0"
            names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{number}.1"
            if layer == 2:
                part = 1 if level == 0 else 2  # the lowest level has no attention
                names[f"up_blocks.{level}.upsamplers.0.conv"] = (
                    f"output_blocks.{number}.{part}.conv"
                )
            number += 1
    return names


def single_file_state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The UNet's tensors as a single file names them, with a tensor of the VAE beside them."""
    state: dict[str, Tensor] = {"first_stage_model.decoder.conv_in.bias": torch.zeros(1)}
    names = blocks()
    for key, value in unet.state_dict().items():
        module = max((name for name in names if key.startswith(f"{name}.")), key=len)
        rest = key.removeprefix(f"{module}.")
        if ".resnets." in module:
            part, _, last = rest.rpartition(".")
            rest = f"{RESNET[part]}.{last}"
        state[f"model.diffusion_model.{names[module]}.{rest}"] = value.clone()
    return state


def without(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors whose names do not hold `part`."""
    return {key: value for key, value in state.items() if part not in key}
