"""ComfyUI's IMAGE and MASK to and from the core's pictures, and the one rule of batches.

IMAGE is float [B,H,W,C] in [0,1], C 3 or 4; MASK float [B,H,W] or [H,W] in [0,1]. The core takes
uint8 RGB [H,W,3] and float32 [H,W]. A batch of one is repeated, equal batches pair up, anything
else is an error that names both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ootd_core.latents import binary_mask
from ..tryon.preparation import own_mask

Item = TypeVar("Item")


def opaque(image: Tensor) -> Tensor:
    """IMAGE [B,H,W,1, 3 or 4] -> float32 [B,H,W,3] on the CPU, transparency laid on white."""
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            f"An IMAGE must be [batch, height, width, 3 or 4], but this one is "
            f"{list(image.shape)}: connect the output of an image node."
        )
    image = image.detach().cpu().float()
    if not image.isfinite().all():
        raise ValueError("The IMAGE holds NaN or infinite values: check the node that made it.")
    if image.shape[-1] == 1:
        return image.expand(-1, -1, -1, 3)
    colour, alpha = image[..., :3], image[..., 3:]
    return colour if alpha.shape[-1] == 0 else colour * alpha + (1 - alpha)


def to_pictures(image: Tensor) -> list[NDArray[np.uint8]]:
    """IMAGE -> one uint8 RGB [H,W,3] for each of the batch."""
    scaled = (opaque(image).clamp(0, 1) * 255).round().to(torch.uint8)
    return [np.ascontiguousarray(picture.numpy()) for picture in scaled]


def to_image(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """uint8 RGB [H,W,3] of one size -> IMAGE [B,H,W,3]."""
    return torch.from_numpy(np.stack(pictures)).float() / 255


def to_masks(mask: Tensor) -> list[NDArray[np.float32]]:
    """MASK [H,W], [B,H,W] or [B,1,H,W] -> one float32 [H,W] for each of the batch."""
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3:
        raise ValueError(f"A MASK must be [batch, height, width], but this one is {mask.shape}.")
    return [plane.numpy() for plane in mask.detach().cpu().float()]


def to_regions(mask: Tensor, height: int, width: int) -> list[NDArray[np.bool_]]:
    """MASK -> what is redrawn of a picture of this size, one bool [H, W] for each of the batch.

    Raises ValueError for a mask that redraws nothing, and as `own_mask` does.
    """
    regions: list[NDArray[np.bool_]] = []
    for plane in to_masks(mask):
        painted = own_mask(plane, (height, width))
        if painted is None:
            raise ValueError("The mask is empty: paint what is to be replaced in white.")
        regions.append(binary_mask(painted))
    return regions


def to_mask(masks: Sequence[NDArray[np.float32] | NDArray[np.bool_]]) -> Tensor:
    """float or bool [H,W] of one size -> MASK [B,H,W]."""
    return torch.from_numpy(np.stack([mask.astype(np.float32) for mask in masks]))


def common_batch(**sizes: int) -> int:
    """The batch that inputs of these sizes make: their largest; each is that or one.

    Raises ValueError with both names and sizes where they do not pair up.
    """
    name, batch = max(sizes.items(), key=lambda item: item[1])
    for other, size in sizes.items():
        if size not in (1, batch):
            raise ValueError(
                f"{name} is a batch of {batch} and {other} a batch of {size}: make them equal, or "
                "one of them a single one."
            )
    return batch


def repeated(items: Sequence[Item], batch: int) -> list[Item]:
    """A batch of one repeated, any other as it is; see `common_batch`."""
    return list(items) * batch if len(items) == 1 else list(items)
