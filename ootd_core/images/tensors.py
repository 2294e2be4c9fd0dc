"""Pictures to the tensors that the networks take, and back: the one pair of converters."""

import numpy as np
import torch
from numpy.typing import NDArray


def to_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 RGB [H, W, 3] -> float32 [1, 3, H, W] in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 255.0
    return (2.0 * pixels - 1.0).permute(2, 0, 1).unsqueeze(0).contiguous()


def to_images(images: torch.Tensor) -> NDArray[np.uint8]:
    """[B, 3, H, W] in [-1, 1] (values beyond are clipped) -> uint8 RGB [B, H, W, 3].

    Exact inverse of `to_tensor`. Raises ValueError on another shape or on NaN.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Pictures are [B, 3, H, W], not {list(images.shape)}.")
    pixels = images.detach().float().cpu()
    if bool(torch.isnan(pixels).any()):
        raise ValueError(
            "The picture holds NaN: use bfloat16 or float32 instead of float16 (--dtype bf16)."
        )
    levels = (pixels / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0
    return levels.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
