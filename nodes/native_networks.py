"""ComfyUI's own UNet and VAE, built from a checkpoint in diffusers' layout.

A UNet of Stable Diffusion 1.5 with 8 input channels is natively SD15_instructpix2pix: its last
four are `concat_latent_image`. Built natively, every sampler, LoRA, ControlNet, attention back end
and low-memory mode of ComfyUI works on it. ComfyUI's detection knows one width; here the
configuration comes from config.json, so that a network of any width loads.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import comfy.diffusers_convert
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.utils
import torch
from torch import Tensor

from ..ootd_core.checkpoints.catalogue import Part
from ..ootd_core.checkpoints.locating import CheckpointPaths, PartFiles
from ..ootd_core.checkpoints.modules import check_state, unfit
from ..ootd_core.checkpoints.reading import read_json
from ..ootd_core.checkpoints.verification import IN_CHANNELS
from ..ootd_core.latents import SCALE

TRAINED_HEIGHT = "ootd_trained_height"
FUSION_MEMORY = 1.6
"""Of the memory that ComfyUI expects a UNet of Stable Diffusion 1.5 to use, what the fused one
does: at 1024x768 in fp16 it expects about 490 MB, and the garment's tokens, 35 million numbers for
each half of the guidance, lie there twice (as recorded and after norm1)."""


def load_unet(
    files: PartFiles, paths: CheckpointPaths, dtype: torch.dtype | None
) -> comfy.model_patcher.ModelPatcher:
    """One of the two UNets; None leaves the dtype to ComfyUI.

    Raises ValueError, one sentence, if config.json or the weights are not such a network's.
    """
    management = comfy.model_management
    config = read_json(files.config, remedy=files.remedy)
    unet_config = native_config(config, files)
    state = native_state(files.read_state_dict(), unet_config)
    try_on = files.part is Part.TRYON_UNET
    models = comfy.supported_models
    factory = models.SD15_instructpix2pix if try_on else models.SD15
    model_config = factory(unet_config)
    model_config.unet_config["num_heads"] = config["attention_head_dim"]
    model_config.latent_format.scale_factor = scaling_factor(paths)
    if try_on:
        model_config.memory_usage_factor *= FUSION_MEMORY
    device = management.get_torch_device()
    offload_device = management.unet_offload_device()
    supported = list(model_config.supported_inference_dtypes)
    if dtype is None:
        dtype = management.unet_dtype(
            model_params=comfy.utils.calculate_parameters(state),
            supported_dtypes=supported,
            weight_dtype=comfy.utils.weight_dtype(state),
        )
    cast = management.unet_manual_cast(dtype, device, supported)
    model_config.set_inference_dtype(dtype, cast)
    model = model_config.get_model(state, "")
    wanted = {key: tuple(value.shape) for key, value in model.diffusion_model.state_dict().items()}
    check_state(state, wanted, files)
    model.to(offload_device)
    model.load_model_weights(state, "")
    patcher = comfy.model_patcher.ModelPatcher(
        model, load_device=device, offload_device=offload_device
    )
    if "sample_size" in config:
        patcher.set_attachments(TRAINED_HEIGHT, SCALE * int(config["sample_size"]))
    return patcher


def trained_height(model: comfy.model_patcher.ModelPatcher) -> int | None:
    """The height in pixels of the pictures that a try-on MODEL was trained on; None for others."""
    return model.get_attachment(TRAINED_HEIGHT)


def native_config(config: dict[str, Any], files: PartFiles) -> dict[str, Any]:
    """ComfyUI's configuration of the UNet that diffusers' config.json describes."""
    try:
        widths, layers = config["block_out_channels"], config["layers_per_block"]
        attends = [int("CrossAttn" in kind) for kind in config["down_block_types"]]
        context, heads = config["cross_attention_dim"], config["attention_head_dim"]
    except (KeyError, TypeError) as error:
        raise unfit(files, f"builds no {files.part} ({error!r})", files.config) from error
    if not isinstance(heads, int):
        raise unfit(files, f"gives {heads} heads, where SD 1.5 has one number", files.config)
    if any(width % widths[0] for width in widths) or config.get("norm_num_groups", 32) != 32:
        raise unfit(
            files,
            f"has widths {widths} and {config.get('norm_num_groups', 32)} groups, where ComfyUI's "
            "UNet wants multiples of the first width and 32 groups",
            files.config,
        )
    return {
        "image_size": 32,
        "in_channels": IN_CHANNELS[files.part],
        "out_channels": config.get("out_channels", 4),
        "model_channels": widths[0],
        "channel_mult": [width // widths[0] for width in widths],
        "num_res_blocks": [layers] * len(widths),
        "transformer_depth": list(chain.from_iterable([depth] * layers for depth in attends)),
        "transformer_depth_output": list(
            chain.from_iterable([depth] * (layers + 1) for depth in attends)
        ),
        "transformer_depth_middle": 1,
        "context_dim": context,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": config.get("use_linear_projection", False),
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
        "use_checkpoint": False,
        "legacy": False,
        "adm_in_channels": None,
    }


def native_state(state: dict[str, Tensor], unet_config: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors under ComfyUI's names; what it has no name for keeps its own."""
    names = comfy.utils.unet_to_diffusers(unet_config)
    return {names.get(key, key): value for key, value in state.items()}


def native_blocks(unet: Any) -> dict[tuple[str, int, int], Any]:
    """The transformer blocks of ComfyUI's UNet in the order in which they run.

    Keys are (stage, number, index), as hooks are told where they are.
    """
    stages = (
        *(("input", number, layers) for number, layers in enumerate(unet.input_blocks)),
        ("middle", 0, unet.middle_block),
        *(("output", number, layers) for number, layers in enumerate(unet.output_blocks)),
    )
    return {
        (stage, number, index): block
        for stage, number, layers in stages
        for layer in layers
        for index, block in enumerate(getattr(layer, "transformer_blocks", ()))
    }


def load_vae(files: PartFiles) -> comfy.sd.VAE:
    """The VAE, in the precision that ComfyUI chooses for VAEs.

    Raises ValueError, one sentence, if config.json or the weights are not such a network's.
    """
    config = read_json(files.config, remedy=files.remedy)
    state = comfy.diffusers_convert.convert_vae_state_dict(files.read_state_dict())
    try:
        widths, channels = config["block_out_channels"], config["latent_channels"]
        parameters = {
            "double_z": True,
            "z_channels": channels,
            "resolution": config.get("sample_size", 256),
            "in_channels": 3,
            "out_ch": 3,
            "ch": widths[0],
            "ch_mult": [width // widths[0] for width in widths],
            "num_res_blocks": config["layers_per_block"],
            "attn_resolutions": [],
            "dropout": 0.0,
        }
        vae = comfy.sd.VAE(
            sd=dict(state), config={"params": {"ddconfig": parameters, "embed_dim": channels}}
        )
    except (KeyError, TypeError, IndexError, RuntimeError) as error:
        raise unfit(files, f"builds no {files.part} ({error})", files.config) from error
    wanted = {key: tuple(value.shape) for key, value in vae.first_stage_model.state_dict().items()}
    check_state(state, wanted, files)
    return vae


def scaling_factor(paths: CheckpointPaths) -> float:
    """What the sampler's latents are multiplied with: 0.18215 as published."""
    config = read_json(paths.vae.config, remedy=paths.vae.remedy)
    return float(config.get("scaling_factor", 0.18215))
