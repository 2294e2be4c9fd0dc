"""FID and KID against what the formulas say by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ootd_core.evaluation import distances
from ootd_core.evaluation.distances import (
    frechet_distance,
    kernel_deviation,
    kernel_distance,
    set_distances,
)
from ootd_core.evaluation.protocol import PROTOCOL

GENERATOR = torch.Generator().manual_seed(0)
GAUSSIAN = torch.randn(400, 8, generator=GENERATOR, dtype=torch.float64)


def polynomial_mmd(first: Tensor, second: Tensor) -> float:
    """The unbiased estimate over all pairs, written with loops over nothing but the formula."""

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    m, n = len(first), len(second)
    within = [(kernel(x, x).sum() - kernel(x, x).diagonal().sum()) for x in (first, second)]
    across = kernel(first, second).sum() / (m * n)
    return float(within[0] / (m * (m - 1)) + within[1] / (n * (n - 1)) - 2 * across)


def test_fid_of_a_set_with_itself_is_zero() -> None:
    assert frechet_distance(GAUSSIAN, GAUSSIAN) == pytest.approx(0.0, abs=1e-6)


def test_fid_of_a_shift_is_its_square() -> None:
    shift = torch.arange(8, dtype=torch.float64)
    expected = float(shift.square().sum())
    assert frechet_distance(GAUSSIAN, GAUSSIAN + shift) == pytest.approx(expected, rel=1e-6)


def test_fid_of_another_spread() -> None:
    """Covariances S and 4 S leave tr(S) (1 - 2)^2; the means of the scaled set move too."""
    wider = 2 * GAUSSIAN
    trace = float(torch.cov(GAUSSIAN.T).trace())
    moved = float(GAUSSIAN.mean(0).square().sum())
    assert frechet_distance(GAUSSIAN, wider) == pytest.approx(trace + moved, rel=1e-6)


def test_kid_is_the_unbiased_estimate_scaled() -> None:
    first, second = GAUSSIAN[:60], GAUSSIAN[60:120] + 0.5
    kid = kernel_distance(first, second)
    assert kid == pytest.approx(PROTOCOL.kid_scale * polynomial_mmd(first, second), rel=1e-6)


@pytest.mark.parametrize(("shift", "sizes"), [(0.0, (60, 60)), (0.0, (40, 120)), (0.4, (60, 90))])
def test_kids_deviation_is_that_of_kid_over_many_sets(shift: float, sizes: tuple[int, int]) -> None:
    """Between sets of one distribution, too, where single pictures contribute nothing."""
    generator = torch.Generator().manual_seed(1)
    values, variances = [], []
    for _ in range(400):
        real, made = (
            torch.randn(size, 16, generator=generator, dtype=torch.float64) for size in sizes
        )
        values.append(PROTOCOL.kid_scale * polynomial_mmd(real, made + shift))
        variances.append(kernel_deviation(real, made + shift) ** 2)
    seen, said = np.std(values), np.sqrt(np.mean(variances))
    assert 0.9 * seen < said < 1.2 * seen, f"said {said:.1f}, seen {seen:.1f}"


def test_kid_of_the_same_distribution_is_about_zero_and_may_be_negative() -> None:
    fifties = GAUSSIAN.split(50)
    halves = [kernel_distance(*fifties[number : number + 2]) for number in range(0, 8, 2)]
    assert abs(np.mean(halves)) < 60  # the kernel's own size is about 1000
    shifted = kernel_distance(GAUSSIAN[:200], GAUSSIAN[200:] + 1.0)
    assert shifted > 1000
    assert min(halves) < 0 < max(halves)


def test_kid_leaves_the_random_state_alone_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    monkeypatch.setattr(distances, "PROTOCOL", replace(PROTOCOL, kid_subset_size=50))
    first = kernel_distance(GAUSSIAN, GAUSSIAN + 0.1)
    assert torch.equal(torch.rand(1), expected)
    assert kernel_distance(GAUSSIAN, GAUSSIAN + 0.1) == first


def test_one_picture_has_no_spread() -> None:
    assert set_distances(GAUSSIAN[:1], GAUSSIAN) is None
    both = set_distances(GAUSSIAN[:50], GAUSSIAN[:50])
    assert both is not None
    assert both.fid == pytest.approx(0.0, abs=1e-6)
    assert both.kid_deviation > 0


def test_the_numbers_of_the_protocol() -> None:
    """Figures can be compared with these alone: another number is another version."""
    assert (PROTOCOL.kid_subsets, PROTOCOL.kid_subset_size, PROTOCOL.kid_scale) == (100, 1000, 1000)
    assert (PROTOCOL.feature_size, PROTOCOL.features, PROTOCOL.seed) == (299, 2048, 0)
