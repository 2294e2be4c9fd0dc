import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from ootd_core.images.comparison import (
    colour_error,
    level_error,
    masked_psnr,
    masked_ssim,
    srgb_to_lab,
    whole_ssim,
)

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 256, (32, 24, 3), dtype=np.uint8)
MASK = np.zeros((32, 24), bool)
MASK[8:24, 6:18] = True


def test_a_perfect_picture() -> None:
    assert masked_psnr(TRUTH, TRUTH, MASK) == float("inf")
    assert masked_ssim(TRUTH, TRUTH, MASK) == pytest.approx(1.0)
    assert whole_ssim(TRUTH, TRUTH) == pytest.approx(1.0)
    assert colour_error(TRUTH, TRUTH, MASK) == level_error(TRUTH, TRUTH, MASK) == 0.0


def test_only_the_mask_counts() -> None:
    picture = TRUTH.copy()
    picture[~MASK] = 0
    assert masked_psnr(picture, TRUTH, MASK) == float("inf")
    assert level_error(picture, TRUTH, MASK) == 0.0 < level_error(picture, TRUTH, ~MASK)


def test_psnr_of_a_known_difference() -> None:
    grey = np.full_like(TRUTH, 100)
    assert masked_psnr(grey + np.uint8(10), grey, MASK) == pytest.approx(28.131, abs=1e-3)


def test_colour_error_sees_the_mean_and_not_the_pattern() -> None:
    stripes = np.zeros_like(TRUTH)
    stripes[::2] = 200
    shifted = np.roll(stripes, 1, axis=0)
    assert colour_error(stripes, shifted, MASK) == pytest.approx(0.0, abs=1e-4)
    black, white = np.zeros_like(TRUTH), np.full_like(TRUTH, 255)
    assert colour_error(black, white, MASK) == pytest.approx(100.0, abs=1e-3)


def test_structure_is_judged_inside_the_mask_alone() -> None:
    truth = RNG.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    mask = np.zeros((64, 48), bool)
    mask[24:40, 16:32] = True
    far = np.ones((64, 48), bool)
    far[18:46, 10:38] = False  # more than half a window of 11 away from the mask
    picture = np.where(far[..., None], 255 - truth, truth)
    assert masked_ssim(picture, truth, mask) == pytest.approx(1.0)
    assert whole_ssim(picture, truth) < 0.5
    inside = np.where(mask[..., None], 255 - truth, truth)
    assert masked_ssim(inside, truth, mask) < 0 < masked_ssim(inside, truth, far)
    first, second = (
        torch.from_numpy(each).permute(2, 0, 1)[None].double() / 255 for each in (inside, truth)
    )
    _, similarity = structural_similarity_index_measure(
        first, second, data_range=1.0, return_full_image=True
    )
    wanted = similarity.mean((0, 1))[torch.from_numpy(mask)].mean()
    assert masked_ssim(inside, truth, mask) == pytest.approx(float(wanted))


def test_levels_are_absolute_and_of_the_region() -> None:
    picture = TRUTH.astype(np.int16)
    picture[MASK] += np.where(picture[MASK] > 127, -6, 6)
    picture[~MASK] = 0
    changed = picture.astype(np.uint8)
    assert level_error(changed, TRUTH, MASK) == pytest.approx(6.0)
    assert level_error(TRUTH, changed, MASK) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
        ((255, 255, 0), (97.1393, -21.5537, 94.4780)),
        ((128, 128, 128), (53.5850, 0.0, 0.0)),
        ((1, 1, 1), (0.2742, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
    ],
)
def test_colours_are_those_of_the_cies_formulas(
    colour: tuple[int, ...], lab: tuple[float, ...]
) -> None:
    """Published values of the primaries of sRGB under D65; grey by the formula of L* alone."""
    assert srgb_to_lab(np.array(colour) / 255) == pytest.approx(lab, abs=2e-3)


def test_colour_error_is_the_distance_of_two_known_colours() -> None:
    red, green = np.zeros_like(TRUTH), np.zeros_like(TRUTH)
    red[..., 0], green[..., 1] = 255, 255
    assert colour_error(red, green, MASK) == pytest.approx(170.5652, abs=5e-3)


def test_whole_ssim_is_the_mean_of_the_windows_that_lie_inside() -> None:
    picture = TRUTH.copy()
    picture[10:20, 8:16] = 128
    inside = np.zeros_like(MASK)
    inside[5:-5, 5:-5] = True
    assert whole_ssim(picture, TRUTH) == pytest.approx(masked_ssim(picture, TRUTH, inside))
    assert whole_ssim(picture, TRUTH) == pytest.approx(ssim_by_hand(picture, TRUTH), abs=1e-9)


def ssim_by_hand(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al.'s formula over every window of 11x11, with loops over nothing else."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line)[..., None] / np.outer(line, line).sum()
    values = []
    for y in range(first.shape[0] - 10):
        for x in range(first.shape[1] - 10):
            a, b = (one[y : y + 11, x : x + 11] / 255 for one in (first, second))
            ma, mb = (window * a).sum((0, 1)), (window * b).sum((0, 1))
            va, vb = ((window * one**2).sum((0, 1)) - m**2 for one, m in ((a, ma), (b, mb)))
            both = (window * a * b).sum((0, 1)) - ma * mb
            c1, c2 = 0.01**2, 0.03**2
            values.append((2 * ma * mb + c1) * (2 * both + c2))
            values[-1] = values[-1] / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return float(np.mean(values))
