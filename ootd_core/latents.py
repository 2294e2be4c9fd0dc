"""What the VAE encodes and decodes, and the agnostic person.

The trap: SD1.5 multiplies latents by the VAE's scaling factor (0.18215), but the published networks
were trained on garment and agnostic latents *without* it. Only what is noised and denoised - the
person that is repainted, and the result - is scaled. All encodings are the mode of the posterior,
so that nothing but the seed is random.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

SCALE = 8  # pixels to a latent, in both directions
GREY = 127  # what the mask is filled with
MASK_LEVEL = 127  # of 255; a pixel of the mask counts from here on


def encode(vae: "AutoencoderKL", image: Tensor) -> Tensor:
    """Images [B, 3, H, W] in [-1, 1] -> unscaled latents [B, 4, H / 8, W / 8].

    In this form the networks read the garment and the agnostic person.
    """
    posterior = vae.encode(image.to(vae.device, vae.dtype), return_dict=False)[0]
    return posterior.mode()


def encode_scaled(vae: "AutoencoderKL", image: Tensor) -> Tensor:
    """Scaled latents, those that the sampler noises and denoises: the person to be repainted."""
    return encode(vae, image) * vae.config["scaling_factor"]


def decode(vae: "AutoencoderKL", latents: Tensor) -> Tensor:
    """Images [B, 3, H, W] in about [-1, 1] (not clamped) of scaled latents [B, 4, H / 8, W / 8]."""
    unscaled = latents.to(vae.device, vae.dtype) / vae.config["scaling_factor"]
    return cast(Tensor, vae.decode(cast(torch.FloatTensor, unscaled), return_dict=False)[0])


def binary_mask(mask: NDArray[np.bool_ | np.uint8 | np.floating]) -> NDArray[np.bool_]:
    """The pixels to repaint, of a mask [H, W] that is boolean, of 0 to 255, or of 0.0 to 1.0."""
    if mask.dtype == np.bool_:
        return mask.astype(np.bool_)
    return mask >= (MASK_LEVEL if mask.dtype == np.uint8 else MASK_LEVEL / 255)


def agnostic_image(person: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The person [H, W, 3] with the pixels to repaint in grey."""
    return np.where(mask[..., None], np.uint8(GREY), person)


class Repaint(StrEnum):
    """Which latents are repainted, each of which holds 8 x 8 pixels.

    TOUCHED: those with a pixel of the mask; pixels beside it are pasted back after decoding.
    CORNER: those whose first pixel is in the mask, as published. Where that one is not, the old
    garment stays under the mask; legs and arms are few latents wide, so that is much of them.
    """

    TOUCHED = "touched"
    CORNER = "corner"


def latent_mask(mask: NDArray[np.bool_], repaint: Repaint = Repaint.TOUCHED) -> Tensor:
    """Mask [H, W] -> float32 [1, 1, H / 8, W / 8] of 0 (keep) and 1 (repaint)."""
    pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
    if repaint is Repaint.CORNER:
        return F.interpolate(pixels, scale_factor=1 / SCALE, mode="nearest")
    return F.max_pool2d(pixels, SCALE)


def shrink_to_latents(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resizes a picture [H, W, 3] to the next smaller multiples of 8 (Lanczos)."""
    height, width = (size - size % SCALE for size in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
