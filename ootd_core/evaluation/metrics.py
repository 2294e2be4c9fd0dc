"""Figures that compare a try-on with the true picture where it was repainted.

None needs a feature network. PSNR is over the mask's pixels; SSIM (Wang et al., 2004, Gaussian
window, as torchmetrics computes it) is the mean of its map there; the colour error is the CIE 1976
difference between the mean colours of the garment's region, which a wrong colour raises and a
wrong pattern does not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..masks.morphology import BoolMask


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """psnr in dB; ssim -1 to 1; colour_error in CIE dE (about 2 is the smallest one sees)."""

    psnr: float
    ssim: float
    colour_error: float


def compare(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask, garment: BoolMask
) -> Figures:
    """Compare two pictures uint8 RGB [H,W,3] within `mask` and `garment` [H,W].

    Raises ValueError if the sizes differ or a region is empty.
    """
    if not picture.shape[:2] == truth.shape[:2] == mask.shape == garment.shape:
        raise ValueError(
            f"Sizes differ: picture {picture.shape}, truth {truth.shape}, mask {mask.shape}, "
            f"garment {garment.shape}."
        )
    if not mask.any() or not garment.any():
        raise ValueError("The mask or the garment's region is empty: nothing can be compared.")
    return Figures(
        psnr=masked_psnr(picture, truth, mask),
        ssim=masked_ssim(picture, truth, mask),
        colour_error=colour_error(picture, truth, garment),
    )


def masked_psnr(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Peak signal-to-noise ratio in dB over the mask; infinite where nothing differs."""
    difference = picture[mask].astype(np.float64) - truth[mask]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def masked_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8], mask: BoolMask) -> float:
    """Structural similarity, mean of its map over the mask."""
    _, similarity = _ssim(picture, truth)
    return float(similarity[0].mean(0)[torch.from_numpy(mask)].mean())


def whole_ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Structural similarity of whole pictures, as torchmetrics reports it: without the rim of half
    a window, where the map is made of mirrored pixels."""
    value, _ = _ssim(picture, truth)
    return float(value)


def _ssim(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[torch.Tensor, ...]:
    """The value, and the map [1,3,H,W]."""
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
    """Mean absolute difference of levels (0 to 255) over a region [H,W] that is not empty."""
    return float(np.abs(picture[region].astype(np.float64) - other[region]).mean())


def colour_error(picture: NDArray[np.uint8], truth: NDArray[np.uint8], region: BoolMask) -> float:
    """CIE 1976 difference of the region's mean colours (sRGB, D65)."""
    import cv2

    means = [
        cv2.cvtColor(
            (image[region] / 255).mean(0).astype(np.float32)[None, None], cv2.COLOR_RGB2LAB
        )
        for image in (picture, truth)
    ]
    return float(np.linalg.norm(means[0] - means[1]))


def average(figures: list[Figures]) -> Figures:
    """The mean of each figure. Raises ValueError for an empty list."""
    if not figures:
        raise ValueError("There are no figures to average.")
    return Figures(
        **{
            field.name: float(np.mean([getattr(one, field.name) for one in figures]))
            for field in fields(Figures)
        }
    )
