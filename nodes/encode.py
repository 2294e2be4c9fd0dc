"""Reading the garment: its prompt and latents (Encode Garment), its tokens (Outfitting UNet)."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.utils
import torch
from comfy_api.latest import io
from torch import Tensor

from ..ootd_core.categories import Category
from ..ootd_core.fusion import record_tokens
from ..ootd_core.latents import shrink_to_latents
from .garment_encoder import GarmentEncoder
from .inputs import check_choices
from .native_networks import native_blocks
from .pictures import repeated, to_image, to_pictures
from .search_words import GARMENT, searched_as
from .sockets import MENU, GarmentEncoderSocket, GarmentFeatures, GarmentFeaturesSocket
from .wiring import ENCODED, Encoded, check_prompt


class EncodeGarment(io.ComfyNode):
    """The prompt of both UNets and the garment's latents, as the networks were trained on them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_GarmentEncoder",
            display_name="Encode Garment",
            category=MENU,
            **searched_as("clip vision", "编码服装", *GARMENT),
            description="Encodes a garment: CLIP's embedding of the picture and the category's "
            "label as conditioning, and the picture's latents.",
            inputs=[
                io.Image.Input("garment", tooltip="From Prepare Garment Image; a batch is fine."),
                io.Vae.Input("vae", tooltip="From Load OOTDiffusion Model."),
                GarmentEncoderSocket.Input(
                    "garment_encoder", tooltip="From Load OOTDiffusion Model."
                ),
                io.Combo.Input(
                    "category",
                    options=[category.value for category in Category],
                    default=Category.UPPER.value,
                    tooltip="The part of the body that the garment covers. The half-body variant "
                    "takes upper only.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning",
                    tooltip="For Outfitting UNet and Fused Denoiser.",
                ),
                io.Latent.Output(display_name="garment_latent", tooltip="For Outfitting UNet."),
            ],
        )

    @classmethod
    def validate_inputs(cls, category: str | None) -> bool:
        check_choices(cls, category=category)
        return True

    @classmethod
    def execute(
        cls, garment: Tensor, vae: comfy.sd.VAE, garment_encoder: GarmentEncoder, category: str
    ) -> io.NodeOutput:
        check_choices(cls, category=category)
        pictures = to_pictures(garment)
        if min(pictures[0].shape[:2]) < 8:
            raise ValueError(
                f"The garment's picture is {pictures[0].shape[0]}x{pictures[0].shape[1]}, but at "
                "least 8x8 is needed: use a larger one."
            )
        prompt = garment_encoder.encode(pictures, Category(category))
        latents = vae.encode(to_image([shrink_to_latents(picture) for picture in pictures]))
        note = Encoded(category=Category(category), prompt=prompt)
        return io.NodeOutput([[prompt, {ENCODED: note}]], {"samples": latents})


class OutfittingUNet(io.ComfyNode):
    """One pass at timestep 0 over the garments and over nothing; see `record_tokens`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_OutfittingUNet",
            display_name="Outfitting UNet",
            category=MENU,
            **searched_as("garment features", "reference unet", "服装特征"),
            description="Reads the garment in one pass and keeps what every self-attention of the "
            "denoiser will look at. Its result does not depend on the person: use it for many.",
            inputs=[
                io.Model.Input(
                    "outfitting_unet",
                    tooltip="The second MODEL of Load OOTDiffusion Model.",
                ),
                io.Conditioning.Input("conditioning", tooltip="From Encode Garment."),
                io.Latent.Input("garment_latent", tooltip="From Encode Garment."),
            ],
            outputs=[
                GarmentFeaturesSocket.Output(
                    display_name="garment_features", tooltip="For Fused Denoiser."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        outfitting_unet: comfy.model_patcher.ModelPatcher,
        conditioning: list[Any],
        garment_latent: dict[str, Any],
    ) -> io.NodeOutput:
        model = outfitting_unet.model
        latents: Tensor = garment_latent["samples"]
        channels = model.diffusion_model.in_channels
        if channels != latents.shape[1]:
            raise ValueError(
                f"This MODEL takes latents of {channels} channels, the garment's have "
                f"{latents.shape[1]}: connect the output outfitting_unet of Load OOTDiffusion "
                "Model, not the denoiser."
            )
        check_prompt(conditioning)
        given: Tensor = conditioning[0][0]
        prompt = torch.cat(repeated(given.split(1), len(latents)))
        if len(prompt) != len(latents):
            raise ValueError(
                f"The conditioning is of {len(prompt)} garments, the latents of {len(latents)}: "
                "take both from the same Encode Garment."
            )
        halves = torch.cat([latents, torch.zeros_like(latents)])
        features = _read(outfitting_unet, halves, torch.cat([prompt, prompt]))
        count = len(latents)
        return io.NodeOutput(
            GarmentFeatures(
                conditional=[tokens[:count] for tokens in features],
                unconditional=[tokens[count:] for tokens in features],
                prompt=given,
            )
        )


def _read(
    patcher: comfy.model_patcher.ModelPatcher, latents: Tensor, prompt: Tensor
) -> list[Tensor]:
    """[G,4,h,w] and [G,tokens,channels] -> one [G,h'*w',channels] for each transformer block."""
    management = comfy.model_management
    model = patcher.model
    management.load_models_gpu([patcher], memory_required=model.memory_required(latents.shape))
    device = patcher.load_device
    dtype = model.manual_cast_dtype or model.get_dtype()
    unet = model.diffusion_model
    blocks = list(native_blocks(unet).values())
    progress = comfy.utils.ProgressBar(len(blocks))

    def on_block() -> None:
        management.throw_exception_if_processing_interrupted()
        progress.update(1)

    with torch.no_grad():
        tokens = record_tokens(
            blocks,
            lambda: unet(
                latents.to(device, dtype),
                torch.zeros(len(latents), device=device),
                context=prompt.to(device, dtype),
                transformer_options={},
            ),
            on_block,
        )
    return [states.to(management.intermediate_device()) for states in tokens]
