"""Loads a model folder into stock diffusers and transformers networks.

Both UNets and the VAE are built and filled here, the CLIP towers by `clip_towers`. The published
VAE names its attention layers as older diffusers did; they are translated.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from ..categories import Variant
from .clip_towers import (
    check_widths,
    load_image_encoder,
    load_image_processor,
    load_text_encoder,
    load_tokenizer,
)
from .locating import CheckpointPaths, PartFiles, locate, verify
from .modules import build_module, fill_module
from .reading import read_json
from .verification import IN_CHANNELS

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

OFFLOADED = ("text_encoder", "image_encoder", "vae", "outfitting_unet", "tryon_unet")

# Names of a VAE's attention layers before diffusers 0.12, and today's.
RENAMED_ATTENTION = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """The networks of one variant, in evaluation mode, frozen, on one device in one dtype.

    scheduler_config: the file's content, for `sampling.make_scheduler`.
    offloaded: they lie in main memory, and `bring` takes those to the device that run next.
    """

    variant: Variant
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    image_encoder: CLIPVisionModelWithProjection
    image_processor: "CLIPImageProcessor"
    outfitting_unet: UNet2DConditionModel
    tryon_unet: UNet2DConditionModel
    scheduler_config: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    offloaded: bool = False

    def bring(self, *names: str) -> None:
        """Have these networks, named as fields, on the device; offloaded ones leave it else."""
        if not self.offloaded:
            return
        for name in OFFLOADED:
            if name not in names:
                getattr(self, name).to("cpu")
        for name in names:
            getattr(self, name).to(self.device)


def choose_device(name: str) -> str:
    """A device name for torch; "auto" takes the GPU or other accelerator of this machine, if any.

    Raises ValueError for a device that this machine does not have.
    """
    if name == "auto":
        found = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        )
        return found.type if found else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        device = torch.device("meta")  # no device to compute on
    if device.type == "meta":
        raise ValueError(f"The device '{name}' cannot be used here: take auto or cpu.")
    return name


def load_networks(
    folder: Path,
    variant: Variant,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    offload: bool = False,
) -> Networks:
    """Loads every network that a try-on with `variant` needs from a model folder.

    offload: they stay in main memory until each runs on `device`, as diffusers' model offloading.
    Raises FileNotFoundError (something is missing) or ValueError (something is damaged, swapped or
    does not fit its config, or the dtype is not a floating-point one), each with one sentence that
    names file, folder and the command that helps.
    """
    if dtype not in DTYPES.values():
        raise ValueError(f"Networks run in float32, float16 or bfloat16, not in {dtype}.")
    device = torch.device(device)
    paths = locate(folder, variant)
    verify(paths)
    place = torch.device("cpu") if offload else device
    outfitting_unet = load_unet(paths.outfitting_unet, place, dtype)
    tryon_unet = load_unet(paths.tryon_unet, place, dtype)
    networks = with_encoders(paths, outfitting_unet, tryon_unet, place, dtype)
    return replace(networks, device=device, offloaded=offload)


def with_encoders(
    paths: CheckpointPaths,
    outfitting_unet: UNet2DConditionModel,
    tryon_unet: UNet2DConditionModel,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Networks:
    """Loads what both UNets need beside them: VAE, CLIP towers, tokenizer, noise schedule.

    Raises ValueError, one sentence, if a part is damaged or does not fit the UNets.
    """
    networks = Networks(
        variant=paths.variant,
        vae=load_vae(paths.vae, device, dtype),
        text_encoder=load_text_encoder(paths.text_encoder, device, dtype),
        tokenizer=load_tokenizer(paths.tokenizer, paths.text_encoder.remedy),
        image_encoder=load_image_encoder(paths.image_encoder, device, dtype),
        image_processor=load_image_processor(paths.image_processor, paths.image_encoder.remedy),
        outfitting_unet=outfitting_unet,
        tryon_unet=tryon_unet,
        scheduler_config=read_json(paths.scheduler, remedy=paths.vae.remedy),
        device=device,
        dtype=dtype,
    )
    check_widths(
        paths,
        networks.text_encoder,
        networks.image_encoder,
        networks.tryon_unet.config["cross_attention_dim"],
    )
    return networks


def load_unet(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> UNet2DConditionModel:
    """One of the two UNets; which one, and so conv_in's channels, is `files.part`."""
    config = read_json(files.config, remedy=files.remedy)
    expected = IN_CHANNELS[files.part]
    if config.get("in_channels", expected) != expected:
        raise ValueError(
            f"config.json in {files.config.parent} says in_channels {config['in_channels']}, but "
            f"the {files.part} has {expected}: {files.remedy}."
        )
    config["in_channels"] = expected
    unet = build_module(UNet2DConditionModel, config, files)
    return fill_module(unet, files.read_state_dict(), files, device, dtype)


def load_vae(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> AutoencoderKL:
    """The VAE, published with today's or with the older names of its attention layers."""
    vae = build_module(AutoencoderKL, read_json(files.config, remedy=files.remedy), files)
    state = {renamed_attention(key): value for key, value in files.read_state_dict().items()}
    return fill_module(vae, state, files, device, dtype)


def renamed_attention(key: str) -> str:
    if ".attentions." in key:
        for old, new in RENAMED_ATTENTION.items():
            key = key.replace(old, new)
    return key
