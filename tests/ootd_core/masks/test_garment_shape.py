"""What outlines tell: hems, widths, legs and sleeves, and their bounds."""

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.masks.garment_outline import ShapeUnknown, garment_outline
from ootd_core.masks.garment_shape import (
    ANKLES,
    HEMS,
    KNEES,
    MAX_HALF_WIDTH,
    GarmentShape,
    garment_shape,
)
from tests.ootd_core.masks.flat_garments import skirt, top, trousers

UPPER, LOWER, DRESS = Category.UPPER, Category.LOWER, Category.DRESS


def shape_of(picture: np.ndarray, category: Category) -> GarmentShape:
    return garment_shape(garment_outline(picture), category)


def test_a_longer_shirt_reaches_farther_down() -> None:
    hems = [shape_of(top(length=length), UPPER).hem for length in (180, 220, 280)]
    assert 0.75 <= hems[0] < hems[1] < hems[2] < 1.75
    assert hems[1] == pytest.approx(1.1, abs=0.15), "a waist at 130 of 220: the hips"


def test_a_straight_shirt_is_looser_than_a_fitted_one() -> None:
    straight = shape_of(top(length=200, waist=118, chest=118, hem=118), UPPER)
    assert straight.hem == pytest.approx(1.12, abs=0.1)


def test_dresses_end_between_thigh_and_ankle() -> None:
    knee, long = (shape_of(top(length=length, hem=170), DRESS).hem for length in (330, 440))
    assert knee == pytest.approx(KNEES, abs=0.2)
    assert long == pytest.approx(2.4, abs=0.2) and long <= ANKLES
    assert shape_of(top(length=180), DRESS).hem == HEMS[DRESS][0]


def test_trousers_have_two_legs_and_skirts_have_not() -> None:
    long, short = shape_of(trousers(), LOWER), shape_of(trousers(length=130), LOWER)
    assert long.hem == ANKLES and 1.2 <= short.hem <= 1.6
    assert long.crotch is not None and 1.2 < long.crotch < 1.8
    assert 0.08 < long.leg_half_width < 0.2
    wide = shape_of(skirt(), LOWER)
    assert wide.crotch is None
    assert wide.hem == pytest.approx(KNEES, abs=0.25)


def test_a_skirt_flares_as_drawn_but_within_bounds() -> None:
    narrow, wide = shape_of(skirt(hem=110), LOWER), shape_of(skirt(hem=200), LOWER)
    at_hem = [np.interp(each.hem, each.levels, each.half_widths) for each in (narrow, wide)]
    assert at_hem[1] / at_hem[0] == pytest.approx(200 / 110, rel=0.1)
    tent = shape_of(skirt(length=100, waist=30, hem=360), LOWER)
    assert tent.half_widths.max() == MAX_HALF_WIDTH


@pytest.mark.parametrize("category", [UPPER, DRESS])
def test_sleeves(category: Category) -> None:
    length = 210 if category is UPPER else 330
    shares = [
        shape_of(top(length=length, sleeve=sleeve), category).sleeve for sleeve in (0, 60, 110, 185)
    ]
    assert shares[0] == 0.0
    assert 0.2 < shares[1] < 0.5 < shares[2] < 0.85 < shares[3] <= 1.0, shares


def test_sleeves_do_not_make_the_body_wider() -> None:
    without, long = (shape_of(top(length=210, sleeve=sleeve), UPPER) for sleeve in (0, 180))
    assert long.hem == pytest.approx(without.hem, abs=0.1)
    assert long.half_widths.max() == pytest.approx(without.half_widths.max(), rel=0.1)


def test_a_hem_below_is_no_sleeve() -> None:
    assert shape_of(top(length=330, hem=260), DRESS).sleeve == 0.0


def test_what_is_too_small_says_so() -> None:
    with pytest.raises(ShapeUnknown, match="too small"):
        garment_shape(np.ones((12, 12), np.bool_), UPPER)


def test_a_person_in_the_picture_is_no_garment() -> None:
    with pytest.raises(ShapeUnknown, match="longer than upper garments"):
        shape_of(top(length=440), UPPER)
    wearing = np.minimum(top(length=300, hem=130), trousers(length=420))
    with pytest.raises(ShapeUnknown, match="two legs"):
        shape_of(wearing, DRESS)
