import numpy as np
import pytest

from ootd_core.evaluation.metrics import Figures, average, colour_error, compare, masked_psnr

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 256, (32, 24, 3), dtype=np.uint8)
MASK = np.zeros((32, 24), bool)
MASK[8:24, 6:18] = True


def test_a_perfect_picture() -> None:
    figures = compare(TRUTH, TRUTH, MASK, MASK)
    assert figures.psnr == float("inf")
    assert figures.ssim == pytest.approx(1.0)
    assert figures.colour_error == 0.0


def test_only_the_mask_counts() -> None:
    picture = TRUTH.copy()
    picture[~MASK] = 0
    assert masked_psnr(picture, TRUTH, MASK) == float("inf")


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


def test_sizes_and_empty_regions() -> None:
    with pytest.raises(ValueError, match="Sizes differ"):
        compare(TRUTH[:-1], TRUTH, MASK, MASK)
    with pytest.raises(ValueError, match="empty"):
        compare(TRUTH, TRUTH, MASK, np.zeros_like(MASK))
    with pytest.raises(ValueError, match="no figures"):
        average([])


def test_average() -> None:
    rows = [Figures(psnr=float(n), ssim=0.0, colour_error=2.0 * n) for n in (10, 20)]
    assert average(rows) == Figures(psnr=15.0, ssim=0.0, colour_error=30.0)
