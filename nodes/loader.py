"""The model loader: a checkpoint's networks as ComfyUI's MODEL and VAE, and the garment encoder."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch
from comfy_api.latest import io

from ..ootd_core.categories import Variant
from ..ootd_core.checkpoints.locating import locate, verify
from ..ootd_core.checkpoints.reading import read_json
from . import model_folders
from .file_cache import SharedModels
from .garment_encoder import load_garment_encoder
from .inputs import check_choices
from .native_networks import load_unet, load_vae
from .preview_colours import measure_preview_colours
from .search_words import searched_as
from .sockets import MENU, GarmentEncoderSocket

VARIANTS = {"half body (hd)": Variant.HALF_BODY, "full body (dc)": Variant.FULL_BODY}
WEIGHT_DTYPES = {
    "auto": None,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

_loaded = SharedModels()


class LoadModel(io.ComfyNode):
    """What ComfyUI still holds is not loaded twice, unless its files have changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        checkpoints = model_folders.names()
        return io.Schema(
            node_id="OOTD_ModelLoader",
            display_name="Load OOTDiffusion Model",
            category=MENU,
            **searched_as("checkpoint loader", "加载模型"),
            description="Loads a try-on checkpoint: both UNets, the garment encoder and the VAE. "
            "Put checkpoints into models/ootdiffusion, or use the small built-in one, which "
            "dresses drawn dolls, not photographs.",
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoints,
                    default=checkpoints[0],
                    tooltip="A folder in models/ootdiffusion (or a place that "
                    "extra_model_paths.yaml names), in the published layout. 'mini (built in)' "
                    "comes with this pack.",
                ),
                io.Combo.Input(
                    "variant",
                    options=list(VARIANTS),
                    default="full body (dc)",
                    tooltip="Half body dresses upper garments only. Full body dresses upper and "
                    "lower garments and dresses. The built-in checkpoint is full body.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_DTYPES),
                    default="auto",
                    tooltip="Precision of the UNets' weights. 'auto' leaves it to ComfyUI.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="denoiser",
                    tooltip="The try-on UNet, for Fused Denoiser.",
                ),
                io.Model.Output(
                    display_name="outfitting_unet",
                    tooltip="Reads the garment, for Outfitting UNet.",
                ),
                GarmentEncoderSocket.Output(
                    display_name="garment_encoder", tooltip="CLIP, for Encode Garment."
                ),
                io.Vae.Output(display_name="vae", tooltip="Pictures to latents and back."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, checkpoint: str | None, variant: str | None, weight_dtype: str | None
    ) -> bool:
        check_choices(cls, variant=variant, weight_dtype=weight_dtype)
        check_variant(checkpoint, variant)
        return True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None = None, **_others: object) -> str:
        return model_folders.stamp(checkpoint)

    @classmethod
    def execute(cls, checkpoint: str, variant: str, weight_dtype: str) -> io.NodeOutput:
        check_choices(cls, variant=variant, weight_dtype=weight_dtype)
        check_variant(checkpoint, variant)
        paths = locate(model_folders.folder_of(checkpoint), VARIANTS[variant])
        verify(paths)
        parts = (
            paths.vae,
            paths.text_encoder,
            paths.image_encoder,
            paths.outfitting_unet,
            paths.tryon_unet,
        )
        files = [file for part in parts for file in part.files]
        dtype = WEIGHT_DTYPES[weight_dtype]

        def load() -> tuple[Any, ...]:
            tryon = read_json(paths.tryon_unet.config, remedy=paths.tryon_unet.remedy)
            vae = load_vae(paths.vae)
            denoiser = load_unet(paths.tryon_unet, paths, dtype)
            measure_preview_colours(denoiser, vae)
            return (
                denoiser,
                load_unet(paths.outfitting_unet, paths, dtype),
                load_garment_encoder(paths, tryon["cross_attention_dim"], _encoder_dtype(dtype)),
                vae,
            )

        return io.NodeOutput(*_loaded.get(files, (VARIANTS[variant], weight_dtype), load))


def check_variant(checkpoint: str | None, variant: str | None) -> None:
    """Refuse a checkpoint that is not there, or lacks the variant's files; None is not known yet.

    Raises ValueError or FileNotFoundError, one sentence.
    """
    if checkpoint is None:
        return
    model_folders.folder_of(checkpoint)
    if variant is None:
        return
    if checkpoint == model_folders.MINI and VARIANTS[variant] is Variant.HALF_BODY:
        raise ValueError(
            "The built-in checkpoint is full body only: set variant to full body (dc)."
        )
    model_folders.check_files(checkpoint, VARIANTS[variant])


def _encoder_dtype(dtype: torch.dtype | None) -> torch.dtype:
    if dtype is not None:
        return dtype
    device = comfy.model_management.text_encoder_device()
    half = comfy.model_management.should_use_fp16(device)
    return torch.float16 if half else torch.float32
