"""How far a picture is from another one, over a region or as a whole; no feature network needed.

PSNR and the level error are over the region's pixels. SSIM (Wang et al., 2004, Gaussian window, as
torchmetrics computes it) is the mean of its map there. The colour error is the CIE 1976 difference
between the mean colours of the region, which a wrong colour raises and a wrong pattern does not.
Pictures are uint8 RGB [H, W, 3], regions bool [H, W] of the same size and not empty.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..masks.morphology import BoolMask


def masked_psnr(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Return the peak signal-to-noise ratio in dB over the mask; infinite if nothing differs."""
    difference = picture[mask].astype(np.float64) - truth[mask]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def masked_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Return the structural similarity (-1 to 1), the mean of its map over the mask."""
    _, similarity = _ssim(picture, truth)
    return float(similarity[0].mean(0)[torch.from_numpy(mask)].mean())


def whole_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the structural similarity of whole pictures, as torchmetrics reports it.

    That is without a rim of half a window, where the map is made of mirrored pixels.
    """
    value, _ = _ssim(picture, truth)
    return float(value)


def _ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[torch.Tensor, ...]:
    """Return the value, and the map [1, 3, H, W]."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    first, second = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() / 255
        for image in (picture, truth)
    )
    return cast(
        tuple[torch.Tensor, ...],
        structural_similarity_index_measure(first, second, data_range=1.0, return_full_image=True),
    )


def level_error(picture: NDArray[np.uint8], other: NDArray[np.uint8], region: BoolMask) -> float:
    """Return the mean absolute difference of levels (0 to 255) over a region."""
    return float(np.abs(picture[region].astype(np.float64) - other[region]).mean())


def colour_error(picture: NDArray[np.uint8], truth: NDArray[np.uint8], region: BoolMask) -> float:
    """Return the CIE 1976 difference (dE) of the region's mean colours (sRGB, D65).

    About 2 is the smallest difference that one sees.
    """
    import cv2

    means = [
        cv2.cvtColor(
            (image[region] / 255).mean(0).astype(np.float32)[None, None], cv2.COLOR_RGB2LAB
        )
        for image in (picture, truth)
    ]
    return float(np.linalg.norm(means[0] - means[1]))
