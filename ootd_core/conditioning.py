"""The prompt of both UNets: a label as the text encoder reads it, and the garment as CLIP sees it.

The half-body network has no label: the text is empty, and the garment's embedding takes the place
of its end token. The full-body network reads the category's word, cut to three tokens, and gets the
garment's embedding appended. The same prompt goes to both UNets and, with guidance, to both halves;
`guidance_bounds` says in which part of the sampling there is guidance.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .categories import LABEL_PROMPTS, Category, Variant

if TYPE_CHECKING:
    from transformers import (
        CLIPImageProcessor,
        CLIPTextModel,
        CLIPTokenizer,
        CLIPVisionModelWithProjection,
    )

# Tokens of text that each variant was trained with, begin and end tokens included.
TEXT_TOKENS: dict[Variant, int] = {Variant.HALF_BODY: 2, Variant.FULL_BODY: 3}
_ROUNDED = 0.6 / 1000  # of the sampling: what rounding to a timestep of training may shift


def combine(variant: Variant, text: Tensor, image: Tensor) -> Tensor:
    """Joins text states [B, tokens, channels] and image embeddings [B, channels].

    Returns [B, 2, channels] for the half-body and [B, 4, channels] for the full-body variant.
    """
    image = image.to(text.dtype).unsqueeze(1)
    if variant is Variant.HALF_BODY:
        return torch.cat([text[:, :1], image], dim=1)
    return torch.cat([text, image], dim=1)


def encode_label(
    variant: Variant, category: Category, text_encoder: "CLIPTextModel", tokenizer: "CLIPTokenizer"
) -> Tensor:
    """The text encoder's last hidden states of the category's label: [1, tokens, channels]."""
    label = "" if variant is Variant.HALF_BODY else LABEL_PROMPTS[category]
    tokens = tokenizer(
        label,
        padding="max_length",
        max_length=TEXT_TOKENS[variant],
        truncation=True,
        return_tensors="pt",
    )
    return text_encoder(tokens.input_ids.to(text_encoder.device)).last_hidden_state


def encode_garment_image(
    garment: NDArray[np.uint8],
    image_encoder: "CLIPVisionModelWithProjection",
    image_processor: "CLIPImageProcessor",
) -> Tensor:
    """CLIP's projected embedding of a garment picture, uint8 RGB [H, W, 3]: [1, channels].

    CLIP sees the centre square of the picture, whatever its size.
    """
    pixels = image_processor(images=garment, return_tensors="pt").pixel_values
    return image_encoder(pixels.to(image_encoder.device, image_encoder.dtype)).image_embeds


def encode_prompt(
    variant: Variant,
    category: Category,
    garment: NDArray[np.uint8],
    *,
    text_encoder: "CLIPTextModel",
    tokenizer: "CLIPTokenizer",
    image_encoder: "CLIPVisionModelWithProjection",
    image_processor: "CLIPImageProcessor",
) -> Tensor:
    """The prompt embedding of one garment picture, uint8 RGB [H, W, 3]: [1, tokens, channels]."""
    text = encode_label(variant, category, text_encoder, tokenizer)
    image = encode_garment_image(garment, image_encoder, image_processor)
    return combine(variant, text, image)


def guidance_bounds(start: float, end: float) -> tuple[float, float]:
    """The progress of the sampling at which guidance begins, and the one at which it ends.

    Progress is 1 - timestep / last timestep of training: 0 in pure noise, 1 where none is left, the
    same place whatever sampler and however many steps. A step is guided if begin <= progress < end.
    Schedulers round timesteps, so both bounds lie a little earlier; an end of 1 leaves nothing out.
    Raises ValueError unless 0 <= start < end <= 1. Source: arXiv 2404.07724.
    """
    if not 0 <= start < end <= 1:
        raise ValueError(
            f"Guidance is to go from {start} to {end} of the sampling, but guidance_start must "
            "be 0 or more and below guidance_end, and that at most 1."
        )
    return start - _ROUNDED if start else 0.0, end - _ROUNDED if end < 1 else math.inf
