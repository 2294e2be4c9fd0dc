import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from ootd_core.images.comparison import (
    colour_error,
    level_error,
    masked_psnr,
    masked_ssim,
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
    assert colour_error(black, white, MASK) == pytest.approx(100.0, abs=0.1)


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
    [((255, 0, 0), (53.2, 80.1, 67.2)), ((0, 255, 0), (87.7, -86.2, 83.2)),
     ((0, 0, 255), (32.3, 79.2, -107.9)), ((119, 119, 119), (50.0, 0.0, 0.0))],
)  # fmt: skip
def test_colours_are_those_of_lab(colour: tuple[int, ...], lab: tuple[float, ...]) -> None:
    """CIELAB of sRGB's corners under D65, against black, whose Lab is 0."""
    picture = np.zeros_like(TRUTH)
    picture[MASK] = colour
    distance = colour_error(picture, np.zeros_like(TRUTH), MASK)
    assert distance == pytest.approx(float(np.linalg.norm(lab)), abs=0.5)
