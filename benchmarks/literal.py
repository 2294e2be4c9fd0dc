"""The try-on as the paper draws it and its code computes it: what this project is compared with.

Written from the description of the published code. In every self-attention of the try-on UNet the
garment's tokens are appended to the person's, the whole is normalised and attends to itself, and
the garment's half is thrown away, in both halves of the guidance and every step. The outfitting
UNet runs to its end on as many equal copies of the garment as there are samples.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ootd_core.checkpoints.networks import Networks
from ootd_core.fusion import transformer_blocks
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import encode
from ootd_core.pipeline import PersonLatents
from ootd_core.request import TryOnRequest
from ootd_core.sampling import denoise, draw_noise, make_scheduler


@contextmanager
def literal_fusion(unet: UNet2DConditionModel, features: Sequence[Tensor]) -> Generator[None]:
    """Makes every self-attention run over [person, garment] tokens and drop the garment's half.

    features: one [B, tokens, channels] for each transformer block, as `record` returns them.
    """
    hooks: list[RemovableHandle] = []
    for block, garment in zip(transformer_blocks(unet), features, strict=True):
        hooks.append(block.norm1.register_forward_pre_hook(partial(_append, garment)))
        hooks.append(block.attn1.register_forward_hook(partial(_keep_person, garment)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _append(garment: Tensor, _norm: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (torch.cat([inputs[0], garment], dim=1),)


def _keep_person(
    garment: Tensor, _attention: nn.Module, _inputs: tuple[Tensor], output: Tensor
) -> Tensor:
    return output[:, : -garment.shape[1]]


def read_garment(networks: Networks, request: TryOnRequest, prompt: Tensor) -> list[Tensor]:
    """The tokens that enter each transformer block: [2 * samples, tokens, channels]."""
    latents = encode(networks.vae, to_tensor(request.garment))
    latents = latents.repeat(request.num_images_per_prompt, 1, 1, 1)
    both = torch.cat([latents, torch.zeros_like(latents)])
    return record(networks.outfitting_unet, both, prompt)


def record(unet: UNet2DConditionModel, latents: Tensor, prompt: Tensor) -> list[Tensor]:
    """What enters each transformer block, of a pass that goes to its end."""
    features: list[Tensor] = []

    def keep(_block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features.append(inputs[0])

    hooks = [block.register_forward_pre_hook(keep) for block in transformer_blocks(unet)]
    try:
        unet(latents, 0, encoder_hidden_states=prompt.to(unet.dtype).repeat(len(latents), 1, 1))
    finally:
        for hook in hooks:
            hook.remove()
    return features


def dress(
    networks: Networks,
    request: TryOnRequest,
    prompt: Tensor,
    features: Sequence[Tensor],
    person: PersonLatents,
) -> Tensor:
    """Scaled latents [samples, 4, h, w], of the noise that this project draws."""
    generator = torch.Generator().manual_seed(request.seed)
    height, width = person.mask.shape[2:]
    noise = draw_noise(request.num_images_per_prompt, height, width, generator)
    with literal_fusion(networks.tryon_unet, features):
        return denoise(
            unet=networks.tryon_unet,
            scheduler=make_scheduler(request.scheduler, networks.scheduler_config),
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            noise=noise.to(networks.device),
            agnostic=person.agnostic,
            person=person.original,
            mask=person.mask,
            prompt=prompt,
        )
