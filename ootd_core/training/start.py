"""What a training starts from: Stable Diffusion 1.5, or a checkpoint in the published layout.

As in the paper both UNets start from the same weights. The try-on UNet reads four channels more,
those of the masked person, through weights of zero: at first they have no effect at all. Stable
Diffusion 1.5 has no image encoder, so everything but the UNets comes from a folder in the published
layout; its `ootd` folder is laid out as Stable Diffusion's own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from ..categories import Variant
from ..checkpoints.catalogue import Part
from ..checkpoints.locating import PartFiles, locate
from ..checkpoints.modules import build_module, fill_module, unfit
from ..checkpoints.networks import Networks, load_networks, load_unet, with_encoders
from ..checkpoints.reading import read_state_dict
from .ldm_names import diffusers_unet, unet_config

WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
)
REMEDY = "get Stable Diffusion 1.5 again"


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
                f"{start} has a VAE and CLIP towers of its own, which its UNets were trained with: "
                "name no other parts."
            )
        return load_networks(start, variant, device=device)
    outfitting, files = load_stable_diffusion(start, device)
    if parts is None:
        raise ValueError(
            f"{start} is no whole try-on model: name a model folder with a VAE and both CLIP "
            "towers as parts."
        )
    paths = locate(parts, variant, unets=files)
    return with_encoders(paths, outfitting, widened(outfitting), device)


def is_published(start: Path) -> bool:
    """Whether a folder is in the published layout."""
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
        raise FileNotFoundError(f"There is nothing at {start} to start from.")
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
        raise ValueError(f"{path} is no .safetensors file: get Stable Diffusion 1.5 in that form.")
    files = PartFiles(part=Part.OUTFITTING_UNET, config=path, weights=path, remedy=REMEDY)
    try:
        state = diffusers_unet(read_state_dict(path, remedy=REMEDY))
        config = unet_config(state)
    except KeyError as error:
        raise unfit(files, f"lacks {error}, which Stable Diffusion 1.x has", path) from error
    except ValueError as error:
        if str(path.parent) in str(error):  # read_state_dict says which file already
            raise
        raise unfit(files, str(error), path) from error
    if config["in_channels"] != 4:
        raise unfit(files, f"takes {config['in_channels']} channels where a garment has 4", path)
    unet = build_module(UNet2DConditionModel, config, files)
    return fill_module(unet, state, files, device, torch.float32), files


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return a copy of a UNet that reads four channels more, through weights of zero."""
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    with torch.device("meta"):
        copy = UNet2DConditionModel(**{**config, "in_channels": config["in_channels"] + 4})
    state = {key: value.clone() for key, value in unet.state_dict().items()}
    first = state["conv_in.weight"]
    state["conv_in.weight"] = torch.cat([first, torch.zeros_like(first[:, :4])], dim=1)
    copy.load_state_dict(state, strict=True, assign=True)
    return copy.requires_grad_(False).eval()
