"""A UNet with SD1.5's topology (four levels, 16 transformer blocks) that runs in milliseconds."""

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

PROMPT_CHANNELS = 16


def small_unet(in_channels: int, *, seed: int = 0) -> UNet2DConditionModel:
    """Random weights; 4 channels in for an outfitting UNet, 8 for a try-on UNet."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            in_channels=in_channels,
            block_out_channels=(16, 16, 24, 24),
            cross_attention_dim=PROMPT_CHANNELS,
            attention_head_dim=4,
            norm_num_groups=8,
        )
    return unet.eval()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """A tensor of seeded normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
