"""The last step of every try-on: the result goes back into its original."""

import numpy as np
from numpy.typing import NDArray

from ..masks.morphology import BoolMask, SoftMask, feather_mask
from .fitting import Fit, expect_size, unfit_image, unfit_mask


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
