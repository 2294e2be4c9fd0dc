"""How far a picture is from another one, over a region or as a whole; no feature network needed.

PSNR and the level error are over the region's pixels. SSIM (Wang et al., 2004, Gaussian window;
torchmetrics computes its map) is the mean of the map there. The colour error is the CIE 1976
difference between the mean colours of the region, which a wrong colour raises and a wrong pattern
does not.
Pictures are uint8 RGB [H, W, 3], regions bool [H, W] of the same size and not empty.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..masks.morphology import BoolMask

SSIM_RIM = 5
"""Pixels at the border whose window of 11 reaches beyond the picture."""
SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to CIE XYZ; white, the sum of the columns, is D65 (IEC 61966-2-1)."""


def masked_psnr(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Return the peak signal-to-noise ratio in dB over the mask; infinite if nothing differs."""
    difference = picture[mask].astype(np.float64) - truth[mask]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def masked_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Return the structural similarity (-1 to 1), the mean of its map over the mask."""
    similarity = _ssim_map(picture, truth)
    return float(similarity[torch.from_numpy(mask)].mean())


def whole_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the structural similarity of whole pictures, over all windows that lie inside.

    As Wang et al. published it, and torchmetrics when the try-on papers used it: without a rim of
    half a window, where the map is made of mirrored pixels. torchmetrics 1.9 counts the rim too.
    Pictures are larger than twice the rim.
    """
    inside = slice(SSIM_RIM, -SSIM_RIM)
    return float(_ssim_map(picture, truth)[inside, inside].mean())


def _ssim_map(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> torch.Tensor:
    """Return the map [H, W], the mean of the channels'."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    first, second = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() / 255
        for image in (picture, truth)
    )
    _, similarity = cast(
        tuple[torch.Tensor, ...],
        structural_similarity_index_measure(first, second, data_range=1.0, return_full_image=True),
    )
    return similarity[0].mean(0)


def level_error(picture: NDArray[np.uint8], other: NDArray[np.uint8], region: BoolMask) -> float:
    """Return the mean absolute difference of levels (0 to 255) over a region."""
    return float(np.abs(picture[region].astype(np.float64) - other[region]).mean())


def colour_error(picture: NDArray[np.uint8], truth: NDArray[np.uint8], region: BoolMask) -> float:
    """Return the CIE 1976 difference (dE) of the region's mean colours (sRGB, D65).

    About 2 is the smallest difference that one sees.
    """
    first, second = (srgb_to_lab((image[region] / 255).mean(0)) for image in (picture, truth))
    return float(np.linalg.norm(first - second))


def intersection_over_union(first: BoolMask, second: BoolMask) -> float:
    """Return the share (0 to 1) of what either region has that both have, not both empty."""
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def srgb_to_lab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIE L*a*b* (white D65) of sRGB colours [..., 3] from 0 to 1.

    Written out because OpenCV's conversion interpolates the curves: up to 0.3 dE off. Source: IEC
    61966-2-1 (the curve of sRGB) and CIE 15 (L*a*b*).
    """
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    relative = linear @ SRGB_TO_XYZ.T / SRGB_TO_XYZ.sum(axis=1)
    bend = 6 / 29
    x, y, z = np.moveaxis(
        np.where(relative > bend**3, np.cbrt(relative), relative / (3 * bend**2) + 4 / 29), -1, 0
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
