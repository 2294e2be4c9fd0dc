import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanparse.alignment import SUBPIXELS, Axis, axis_taps, network_pixels_per_image_pixel

lengths = st.integers(2, 1500)
axes = st.sampled_from([0, 1])


@settings(derandomize=True, deadline=None)
@given(axes, lengths, st.integers(16, 512))
def test_longer_side_spans_the_frame(axis: Axis, length: int, frame: int) -> None:
    scale = network_pixels_per_image_pixel(image=(length, 1), network=(frame, frame))
    taps = axis_taps(axis, source_length=frame, target_length=length, step=scale)
    positions = taps.matrix() @ np.arange(frame)

    assert positions[[0, -1]] == pytest.approx([0, frame - 1], abs=1 / SUBPIXELS)
    assert np.all(np.diff(positions) >= 0)


@settings(derandomize=True, deadline=None)
@given(axes, lengths, lengths, st.floats(0.1, 10))
def test_taps_stay_inside_and_weigh_at_most_one(
    axis: Axis, source_length: int, target_length: int, step: float
) -> None:
    taps = axis_taps(axis, source_length=source_length, target_length=target_length, step=step)
    sums = taps.weight.sum(axis=1)
    exact = (source_length - 1) / 2 + (np.arange(target_length) - (target_length - 1) / 2) * step

    assert taps.index.min() >= 0
    assert taps.index.max() < source_length
    assert taps.weight.min() >= 0
    assert sums.max() <= SUBPIXELS
    assert np.all(sums[(exact > 0.1) & (exact < source_length - 1.1)] == SUBPIXELS)
    np.testing.assert_allclose(taps.matrix().sum(axis=1), sums / SUBPIXELS, atol=1e-12)


def test_positions_are_close_to_the_exact_ones() -> None:
    step = 1.37
    taps = axis_taps(1, source_length=400, target_length=200, step=step)
    exact = 399 / 2 + (np.arange(200) - 199 / 2) * step

    assert np.abs(taps.matrix() @ np.arange(400) - exact).max() <= 1.1 / (2 * SUBPIXELS)


def test_scale_of_a_frame_that_is_not_square_keeps_the_whole_image() -> None:
    assert network_pixels_per_image_pixel(image=(101, 101), network=(51, 26)) == 0.25
    assert network_pixels_per_image_pixel(image=(201, 51), network=(51, 26)) == 0.25
    assert network_pixels_per_image_pixel(image=(1, 101), network=(51, 26)) == 0.25
