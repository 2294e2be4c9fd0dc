"""A sample as the UNets see it, encoded as inference encodes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..categories import Category, Variant
from ..checkpoints.networks import Networks
from ..conditioning import TEXT_TOKENS, encode_prompt
from ..images.tensors import to_tensor
from ..latents import SCALE, agnostic_image, encode
from ..masks.morphology import BoolMask


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnLatents:
    """One sample as the UNets see it.

    garment, agnostic: unscaled latents [4, h, w]. target: scaled latents [4, h, w] of the person in
    the garment. prompt: [tokens, channels].
    """

    garment: Tensor
    agnostic: Tensor
    target: Tensor
    prompt: Tensor


@torch.no_grad()
def encode_pictures(
    networks: Networks,
    *,
    person: NDArray[np.uint8],
    garment: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    mask: BoolMask,
    category: Category,
) -> TryOnLatents:
    """Encode pictures uint8 RGB [H, W, 3] of one size, both sides multiples of 8.

    truth: the person in the garment; outside the mask the person's own picture is the target, since
    inference does not change it. mask: bool [H, W], what is hidden.
    """
    target = np.where(mask[..., None], truth, person)
    pictures = [garment, agnostic_image(person, mask), target]
    latents = encode(networks.vae, torch.cat([to_tensor(picture) for picture in pictures]))
    prompt = encode_prompt(
        networks.variant,
        category,
        garment,
        text_encoder=networks.text_encoder,
        tokenizer=networks.tokenizer,
        image_encoder=networks.image_encoder,
        image_processor=networks.image_processor,
    )[0]
    return TryOnLatents(
        garment=latents[0].float(),
        agnostic=latents[1].float(),
        target=latents[2].float() * networks.vae.config["scaling_factor"],
        prompt=prompt.float(),
    )


def blank_latents(networks: Networks, height: int, width: int) -> TryOnLatents:
    """Return zeros in the shapes of a sample of height x width pixels."""
    nothing = torch.zeros(4, height // SCALE, width // SCALE)
    tokens = TEXT_TOKENS[networks.variant] + (networks.variant is Variant.FULL_BODY)
    prompt = torch.zeros(tokens, int(networks.tryon_unet.config["cross_attention_dim"]))
    return TryOnLatents(garment=nothing, agnostic=nothing, target=nothing, prompt=prompt)
