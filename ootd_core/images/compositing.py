"""Pictures laid over pictures: a result pasted back into its original, a mask shown on a person."""

import numpy as np
from numpy.typing import NDArray

from ..masks.morphology import BoolMask, SoftMask, feather_mask
from .fitting import Fit, expect_size, unfit_image, unfit_mask

MASK_COLOUR = np.array([255, 40, 120], np.float32)
NEW_GARMENT_COLOUR = np.array([30, 120, 255], np.float32)
MASK_OPACITY = 0.55


def overlay_mask(
    image: NDArray[np.uint8], mask: SoftMask, new_garment: BoolMask | None = None
) -> NDArray[np.uint8]:
    """The picture [H, W, 3] with a mask [H, W] in [0, 1] shown over it, half transparent.

    new_garment: bool [H, W], the part of the mask that is shown in a second colour.
    """
    share = MASK_OPACITY * mask[..., None]
    colour = np.broadcast_to(MASK_COLOUR, image.shape)
    if new_garment is not None:
        colour = np.where(new_garment[..., None], NEW_GARMENT_COLOUR, colour)
    return ((1 - share) * image + share * colour).round().astype(np.uint8)


def paste_back(
    original: NDArray[np.uint8],
    result: NDArray[np.uint8],
    mask: BoolMask | SoftMask,
    fit: Fit,
    feather: float = 0.0,
) -> NDArray[np.uint8]:
    """The original [H, W, 3] with the result [height, width, 3] inside the mask [height, width].

    The seam lies inside the mask: over `feather` pixels of the canvas the result fades in. Pixels
    where `unfit_mask(mask, fit)` is 0 are those of the original, bit for bit.

    Raises:
        ValueError: a size that is not the one `fit` tells, or a negative feather.
    """
    expect_size(original, fit.original_height, fit.original_width, "original")
    expect_size(result, fit.height, fit.width, "result")
    weight = unfit_mask(mask, fit)
    if feather != 0.0:
        weight = weight * feather_mask(weight > 0, feather * fit.scale)
    inside = weight > 0
    share = weight[inside, None]
    blend = (1.0 - share) * original[inside] + share * unfit_image(result, fit)[inside]
    pasted = original.copy()
    pasted[inside] = np.round(blend).astype(np.uint8)
    return pasted
