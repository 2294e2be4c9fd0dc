"""A model folder for trainings of seconds: the golden encoders with UNets of two levels."""

import shutil
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import Part
from ootd_core.checkpoints.writing import save_part, unet_folder
from tests.ootd_core.small_networks import FOLDER

PROMPT_CHANNELS = 32
"""What the golden CLIP towers give."""


def tiny_unet(in_channels: int, *, seed: int = 0) -> UNet2DConditionModel:
    """A UNet with 4 transformer blocks, of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DConditionModel(
            in_channels=in_channels,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=2,
            cross_attention_dim=PROMPT_CHANNELS,
            sample_size=64,
        )


def make_tiny_model(folder: Path, variant: Variant = Variant.FULL_BODY) -> Path:
    """Write the model to `folder`, which must not exist, and return it."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("ootd_dc", "ootd_hd"))
    for part, channels in ((Part.OUTFITTING_UNET, 4), (Part.TRYON_UNET, 8)):
        unet = tiny_unet(channels, seed=channels)
        save_part(unet_folder(folder, part, variant, 0), unet, dtype=torch.float32)
    return folder
