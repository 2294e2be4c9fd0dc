"""What a training starts from: Stable Diffusion 1.5, or a checkpoint in the published layout.

As in the paper both UNets start from the same weights. The try-on UNet reads four channels more,
those of the masked person, through weights of zero: at first they have no effect at all. Stable
Diffusion 1.5 has no image encoder, so everything but the UNets comes from a folder in the published
layout; its `ootd` folder is laid out as Stable Diffusion's own. A single file is translated by
diffusers' own converter; only the widths are read off its tensors here, so that nothing has to be
downloaded and a file of another architecture is refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import LDM_UNET_KEY, convert_ldm_unet_checkpoint
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from ..categories import Variant
from ..checkpoints.catalogue import Part
from ..checkpoints.locating import PartFiles, locate
from ..checkpoints.modules import build_module, fill_module, unfit
from ..checkpoints.networks import Networks, load_networks, load_unet, with_encoders
from ..checkpoints.reading import read_state_dict

WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
)
REMEDY = "get Stable Diffusion 1.5 again"
LEVELS = 4
LAYERS = 2
"""Of Stable Diffusion 1.x's UNet: its levels, and the layers of each."""


def load_start(
    start: Path, parts: Path | None, variant: Variant, device: torch.device | str = "cpu"
) -> Networks:
    """Load float32 networks to train from.

    Args:
        start: a folder of Stable Diffusion 1.5 as diffusers lays it out, a single .safetensors
            file of it, or a model folder in the published layout, `variant` of it.
        parts: a model folder whose VAE and CLIP towers to use; None is the start's own.

    Raises FileNotFoundError or ValueError, one sentence, if something is missing or unfit.
    """
    device = torch.device(device)
    if is_published(start):
        if parts is not None and parts.resolve() != start.resolve():
            raise ValueError(
                f"{start} has its own VAE and CLIP towers, which its UNets were trained with: "
                "leave out parts."
            )
        return load_networks(start, variant, device=device)
    outfitting, files = load_stable_diffusion(start, device)
    if parts is None:
        raise ValueError(
            f"{start} has no image encoder: give a model folder with a VAE and both CLIP towers as "
            "parts."
        )
    paths = locate(parts, variant, unets=files)
    return with_encoders(paths, outfitting, widened(outfitting), device)


def is_published(start: Path) -> bool:
    """Tell whether a folder is in the published layout."""
    return (start / "ootd").is_dir()


def load_stable_diffusion(
    start: Path, device: torch.device
) -> tuple[UNet2DConditionModel, PartFiles]:
    """Load the UNet of Stable Diffusion 1.5 from a folder or a single file.

    Raises FileNotFoundError or ValueError, one sentence, if it is not there or is another network.
    """
    if start.is_file():
        return _load_single_file(start, device)
    if not start.is_dir():
        raise FileNotFoundError(f"There is no file or folder at {start} to start from.")
    folder = start / "unet" if (start / "unet").is_dir() else start
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        raise ValueError(
            f"{start} is neither a model folder (ootd/) nor Stable Diffusion 1.5 "
            f"(unet/config.json and unet/{WEIGHTS[0]})."
        )
    files = PartFiles(
        part=Part.OUTFITTING_UNET, config=folder / "config.json", weights=weights, remedy=REMEDY
    )
    return load_unet(files, device), files


def _load_single_file(path: Path, device: torch.device) -> tuple[UNet2DConditionModel, PartFiles]:
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} is not a .safetensors file: get Stable Diffusion 1.5 as one.")
    files = PartFiles(part=Part.OUTFITTING_UNET, config=path, weights=path, remedy=REMEDY)
    tensors = {
        key: value
        for key, value in read_state_dict(path, remedy=REMEDY).items()
        if key.startswith(LDM_UNET_KEY)
    }
    if not tensors:
        raise unfit(files, f"holds no UNet (no tensor's name begins with {LDM_UNET_KEY})", path)
    state: dict[str, Tensor] = convert_ldm_unet_checkpoint(tensors, {"layers_per_block": LAYERS})
    try:
        config = unet_config(state)
    except KeyError as error:
        raise unfit(files, f"lacks {error}, which Stable Diffusion 1.x has", path) from error
    known = {id(value) for value in state.values()}  # the converter passes the tensors through
    unknown = next((key for key, value in tensors.items() if id(value) not in known), None)
    if unknown is not None:
        raise unfit(files, f"holds {unknown}, which no Stable Diffusion 1.x UNet has", path)
    if config["in_channels"] != 4:
        raise unfit(files, f"takes {config['in_channels']} channels where a garment has 4", path)
    unet = build_module(UNet2DConditionModel, config, files)
    return fill_module(unet, state, files, device, torch.float32), files


def unet_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config of a Stable Diffusion 1.x UNet, its widths read off its tensors.

    It has eight attention heads on every level, which no tensor shows. Raises KeyError for a tensor
    that is not there.
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


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return a copy of a UNet with four more input channels, whose weights are zero."""
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    with torch.device("meta"):
        copy = UNet2DConditionModel(**{**config, "in_channels": config["in_channels"] + 4})
    state = {key: value.clone() for key, value in unet.state_dict().items()}
    first = state["conv_in.weight"]
    state["conv_in.weight"] = torch.cat([first, torch.zeros_like(first[:, :4])], dim=1)
    copy.load_state_dict(state, strict=True, assign=True)
    return copy.requires_grad_(False).eval()
