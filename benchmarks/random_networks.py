"""Networks in the layout of the published checkpoint, with random weights.

Speed, memory and FLOPs depend on the layout alone. `FULL` is Stable Diffusion 1.5 with CLIP
ViT-L/14, as published; `TINY` has the same topology and is for checking that a benchmark runs.
"""

from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkLayout:
    """Widths of the networks; heads and depths are the same in every layout but CLIP's."""

    unet_channels: tuple[int, int, int, int]
    vae_channels: tuple[int, int, int, int]
    text_width: int
    text_layers: int
    vision_width: int
    vision_layers: int


FULL = NetworkLayout(
    unet_channels=(320, 640, 1280, 1280),
    vae_channels=(128, 256, 512, 512),
    text_width=768,
    text_layers=12,
    vision_width=1024,
    vision_layers=24,
)
TINY = NetworkLayout(
    unet_channels=(32, 64, 128, 128),
    vae_channels=(32, 32, 32, 32),
    text_width=64,
    text_layers=2,
    vision_width=64,
    vision_layers=2,
)

# Stable Diffusion 1.5's noise schedule.
SCHEDULER_CONFIG = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}


def make_outfitting_unet(layout: NetworkLayout) -> UNet2DConditionModel:
    """Reads garment latents: 4 channels in."""
    return _make_unet(layout, in_channels=4)


def make_tryon_unet(layout: NetworkLayout) -> UNet2DConditionModel:
    """Denoises: 4 channels of noisy and 4 of agnostic latents in."""
    return _make_unet(layout, in_channels=8)


def _make_unet(layout: NetworkLayout, in_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=layout.unet_channels,
        layers_per_block=2,
        cross_attention_dim=layout.text_width,
        attention_head_dim=8,  # the number of heads, in SD1.5's config
    ).eval()


def make_vae(layout: NetworkLayout) -> AutoencoderKL:
    # As a config: the constructor is annotated for VAEs of a single level.
    config = {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": layout.vae_channels,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    }
    return cast(AutoencoderKL, AutoencoderKL.from_config(config)).eval()


def make_text_encoder(layout: NetworkLayout) -> CLIPTextModel:
    config = CLIPTextConfig(
        hidden_size=layout.text_width,
        intermediate_size=4 * layout.text_width,
        num_hidden_layers=layout.text_layers,
        num_attention_heads=layout.text_width // 64,
        projection_dim=layout.text_width,
    )
    return CLIPTextModel(config).eval()


def make_image_encoder(layout: NetworkLayout) -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=layout.vision_width,
        intermediate_size=4 * layout.vision_width,
        num_hidden_layers=layout.vision_layers,
        num_attention_heads=layout.vision_width // 64,
        projection_dim=layout.text_width,
        image_size=224,
        patch_size=14,
    )
    return CLIPVisionModelWithProjection(config).eval()


class LabelTokens:
    """In place of CLIP's tokenizer, whose vocabulary is a file: begin, a word, end."""

    input_ids = torch.tensor([[49406, 3616, 49407]])

    def __call__(self, _label: str, *, max_length: int, **_: object) -> "LabelTokens":
        tokens = LabelTokens()
        tokens.input_ids = self.input_ids[:, -max_length:]
        return tokens
