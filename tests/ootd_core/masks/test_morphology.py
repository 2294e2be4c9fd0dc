import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ootd_core.masks.morphology import (
    drop_specks,
    feather_mask,
    fill_holes,
    foreground_box,
    grow_mask,
    pieces_of,
    validate_mask,
)

masks = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def square(size: int = 20, inner: slice = slice(5, 15)) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[inner, inner] = True
    return mask


def test_validate_accepts_every_kind_of_mask() -> None:
    mask = square()
    for given_mask in (mask, mask * np.uint8(255), mask * 255.0, mask * np.uint8(1), mask * 0.75):
        valid = validate_mask(given_mask, 20, 20)
        assert valid.dtype == np.float32
        assert ((valid >= 0.5) == mask).all()
    assert validate_mask(mask * np.uint8(255), 20, 20).max() == 1.0


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.where(square(), np.nan, 0.0), "100 values that are NaN"),
        (np.where(square(), np.inf, 0.0), "100 values that are NaN or infinite"),
        (square() * 2.0, "from 0 to 2"),
        (square() * -1.0, "from -1 to"),
        (np.zeros((20, 20)), "empty"),
        (square() * 0.31, "highest value is 0.31, but a pixel is replaced from 0.5"),
        (np.ones((10, 20)), "20x10 pixels but its picture is 20x20"),
        (np.ones((20, 20, 3)), r"not \[20, 20, 3\]"),
    ],
)
def test_validate_refuses(mask: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        validate_mask(mask, 20, 20)


def test_growing_goes_all_ways_and_shrinking_back() -> None:
    grown = grow_mask(square(), 3)
    assert (grown == square(inner=slice(2, 18))).all()
    assert (grow_mask(grown, -3) == square()).all()


def test_shrinking_does_not_start_at_the_border() -> None:
    half = square(inner=slice(0, 10))
    assert (grow_mask(half, -2) == square(inner=slice(0, 8))).all()


@given(masks, st.floats(0, 30))
@settings(max_examples=60, deadline=None)
def test_a_feather_stays_inside(mask: np.ndarray, pixels: float) -> None:
    soft = feather_mask(mask, pixels)
    assert soft.dtype == np.float32
    assert ((soft > 0) == mask).all()
    assert soft.max(initial=0) <= 1


def test_a_feather_rises_over_its_width() -> None:
    soft = feather_mask(square(), 3)
    assert soft[10, 4:10] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert (feather_mask(square(), 0) == square()).all()
    with pytest.raises(ValueError, match="-1"):
        feather_mask(square(), -1)


def test_a_mask_that_touches_the_border_is_not_faded_there() -> None:
    soft = feather_mask(square(inner=slice(0, 20)), 5)
    assert (soft == 1).all()
    assert feather_mask(square(inner=slice(0, 10)), 3)[0, :8] == pytest.approx(np.ones(8), abs=0.26)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_filled_masks_have_no_holes(mask: np.ndarray) -> None:
    filled = fill_holes(mask)
    assert not (mask & ~filled).any()
    outside, _ = pieces_of(~np.pad(filled, 1))
    border = np.zeros(outside.shape, dtype=bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    # Pieces are counted with diagonals, holes without: what stays open reaches the border.
    assert set(np.unique(outside[outside > 0])) <= set(np.unique(outside[border]))


def test_a_ring_is_filled_and_a_bay_is_not() -> None:
    ring = square() & ~square(inner=slice(8, 12))
    assert (fill_holes(ring) == square()).all()
    bay = ring.copy()
    bay[9:11, :9] = False
    assert not fill_holes(bay)[10, 10]


def test_specks_are_dropped_by_area() -> None:
    mask = square()
    mask[0, 0:3] = True
    assert (drop_specks(mask, 4) == square()).all()
    assert (drop_specks(mask, 3) == mask).all()
    assert not drop_specks(np.zeros((4, 4), dtype=bool), 1).any()


def test_pieces_are_numbered_and_measured() -> None:
    mask = square()
    mask[0, 0:3] = True
    pieces, sizes = pieces_of(mask)
    assert sorted(sizes.tolist()) == [3, 100]
    assert (pieces[10, 10], pieces[0, 0]) == (1 + sizes.argmax(), 1 + sizes.argmin())


def test_the_box_of_a_foreground() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    assert foreground_box(mask) is None
    mask[20:60, 10:24] = True
    assert foreground_box(mask) == (10, 20, 24, 60)


def test_specks_and_a_frame_do_not_widen_the_box() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    mask[20:60, 10:24] = True
    mask[97, 77] = True  # a stray pixel
    assert foreground_box(mask) == (10, 20, 24, 60)
    mask[:3], mask[-2:], mask[:, :2], mask[:, -4:] = True, True, True, True
    mask[0, 30:35] = False  # a frame need not be closed
    assert foreground_box(mask) == (10, 20, 24, 60)


def test_two_large_pieces_and_a_full_picture_count_whole() -> None:
    mask = np.zeros((100, 80), dtype=bool)
    mask[10:30, 10:20], mask[60:80, 40:70] = True, True
    assert foreground_box(mask) == (10, 10, 70, 80)
    assert foreground_box(np.ones((100, 80), dtype=bool)) == (0, 0, 80, 100)


def test_a_mask_counts_from_one_half() -> None:
    assert validate_mask(square() * 0.5, 20, 20).max() == 0.5
    with pytest.raises(ValueError, match="too faint"):
        validate_mask(square() * np.float32(0.49), 20, 20)


def test_pieces_of_a_twentieth_of_the_largest_count() -> None:
    for columns, right in ((4, 50), (5, 75)):
        mask = np.zeros((100, 80), dtype=bool)
        mask[10:60, 10:30] = True  # 1,000 pixels
        mask[40:50, 70 : 70 + columns] = True
        box = foreground_box(mask)
        assert box is not None and box[2] == (30 if columns == 4 else right)


def test_a_frame_is_no_deeper_than_a_twentieth_and_covered_to_nine_tenths() -> None:
    for depth, covered, left_out in ((5, 72, True), (6, 72, False), (5, 71, False)):
        mask = np.zeros((100, 80), dtype=bool)
        mask[20:60, 10:24] = True
        mask[:depth, :covered] = True
        box = foreground_box(mask)
        assert (box == (10, 20, 24, 60)) == left_out, (depth, covered)
