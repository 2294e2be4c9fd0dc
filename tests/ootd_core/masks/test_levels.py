"""What the numbers of a mask mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ootd_core.masks.levels import mask_levels

HARD = np.random.default_rng(0).random((20, 30)) < 0.3
RAMP = np.linspace(0, 1, 600).reshape(20, 30)


@pytest.mark.parametrize(
    "mask",
    [
        HARD,
        *(
            HARD.astype(dtype) * white
            for dtype, whites in (
                ("uint8", (1, 128, 200, 255)),
                ("uint16", (1, 255, 4095, 65535)),
                ("int8", (1, 127)),
                ("int32", (1, 255, 65535)),
                ("int64", (1, 255)),
                ("float16", (1, 255)),
                ("float32", (1, 255)),
                ("float64", (1, 255)),
            )
            for white in whites
        ),
        100 + 100 * HARD.astype(np.uint8),
    ],
    ids=lambda mask: f"{mask.dtype} {mask.max()}",
)
def test_a_hard_mask_is_read_whatever_white_is(mask: np.ndarray) -> None:
    levels = mask_levels(mask)
    assert levels.dtype == np.float32
    assert np.array_equal(levels, HARD)


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), ("int32", 255), ("float32", 1), ("float64", 255)],
)
def test_a_soft_mask_stays_soft(dtype: str, white: int) -> None:
    values = RAMP * white
    mask = (values if dtype.startswith("f") else values.round()).astype(dtype)
    assert np.abs(mask_levels(mask) - RAMP).max() <= 0.5 / 255


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int64", "float32"])
def test_all_and_nothing(dtype: str) -> None:
    white = {"uint8": 255, "int64": 255, "uint16": 65535}.get(dtype, 1)
    assert (mask_levels(np.full((4, 4), white, dtype)) == 1).all()
    assert (mask_levels(np.zeros((4, 4), dtype)) == 0).all()


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.where(HARD, np.nan, 0), r"holds \d+ values that are NaN or infinite"),
        (RAMP * 2, "from 0 to 2: too high for the one, too low for the other"),
        (RAMP * 100, "from 0 to 100: too high for the one, too low for the other"),
        (RAMP * 1000, "from 0 to 1000: too high for the one, too high for the other"),
        (RAMP - 0.1, "from -0.1 to"),
        (-HARD.astype(np.int8), "from -1 to 0"),
        (HARD.astype(np.int64) * 70_000, "from 0 to 70000"),
        (np.ones((4, 4), np.uint8), "All of the mask's values are 1, which is white where"),
        (HARD.astype(complex), "values of type complex128"),
        (HARD.astype(str), "values of type <U5"),
        (np.zeros((0, 4)), "has no pixels"),
    ],
)
def test_what_is_no_mask_or_ambiguous_is_refused(mask: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        mask_levels(mask)
    assert str(caught.value).endswith(".")


@given(st.integers(0, 254), st.integers(1, 255), st.sampled_from(["uint8", "uint16", "int32"]))
def test_any_two_integers_are_black_and_white(low: int, above: int, dtype: str) -> None:
    mask = np.where(HARD, min(low + above, 255), low).astype(dtype)
    assert np.array_equal(mask_levels(mask), HARD)
