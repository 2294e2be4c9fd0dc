import numpy as np
import pytest

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
