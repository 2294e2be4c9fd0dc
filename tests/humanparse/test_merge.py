import numpy as np
import pytest

from humanparse.labels import AtrLabel, LabelMap, LipLabel
from humanparse.merge import LARGEST_FILLED_HOLE, add_neck, fill_upper_clothes


@pytest.fixture
def shirt() -> LabelMap:
    labels = np.zeros((200, 160), np.uint8)
    labels[20:180, 20:140] = AtrLabel.UPPER_CLOTHES
    return labels


def test_small_hole_becomes_clothes(shirt: LabelMap) -> None:
    holed = shirt.copy()
    holed[60:80, 60:80] = AtrLabel.BAG

    np.testing.assert_array_equal(fill_upper_clothes(holed), shirt)


def test_large_hole_keeps_what_it_shows(shirt: LabelMap) -> None:
    shirt[60:120, 50:100] = AtrLabel.BACKGROUND
    shirt[80:90, 60:70] = AtrLabel.BAG

    np.testing.assert_array_equal(fill_upper_clothes(shirt), shirt)


@pytest.mark.parametrize(("side", "filled"), [(42, True), (48, False)])
def test_the_limit_is_an_area(shirt: LabelMap, side: int, filled: bool) -> None:
    assert (side**2 < LARGEST_FILLED_HOLE) == filled
    shirt[60 : 60 + side, 60 : 60 + side] = AtrLabel.BACKGROUND

    result = fill_upper_clothes(shirt)

    assert (result[80, 80] == AtrLabel.UPPER_CLOTHES) == filled


def test_arm_closes_the_area_and_stays_arm(shirt: LabelMap) -> None:
    shirt[60:64, 20:140] = AtrLabel.BACKGROUND  # a slit, open on both sides,
    shirt[50:70, 10:24] = AtrLabel.LEFT_ARM  # closed by the arms
    shirt[50:70, 136:150] = AtrLabel.RIGHT_ARM

    result = fill_upper_clothes(shirt)

    assert np.all(result[60:64, 24:136] == AtrLabel.UPPER_CLOTHES)
    assert np.all(result[50:70, 10:24] == AtrLabel.LEFT_ARM)
    assert np.all(result[50:70, 136:150] == AtrLabel.RIGHT_ARM)


def test_open_slit_and_picture_edge_stay(shirt: LabelMap) -> None:
    shirt[60:64, 20:140] = AtrLabel.BACKGROUND
    cropped = shirt[40:100, 40:120].copy()  # the slit now runs from edge to edge

    np.testing.assert_array_equal(fill_upper_clothes(shirt), shirt)
    np.testing.assert_array_equal(fill_upper_clothes(cropped), cropped)


def test_other_garments_are_not_filled(shirt: LabelMap) -> None:
    shirt[shirt == AtrLabel.UPPER_CLOTHES] = AtrLabel.DRESS
    shirt[60:80, 60:80] = AtrLabel.BAG

    np.testing.assert_array_equal(fill_upper_clothes(shirt), shirt)


def test_input_is_left_alone(shirt: LabelMap) -> None:
    shirt[60:80, 60:80] = AtrLabel.BAG
    before = shirt.copy()

    add_neck(fill_upper_clothes(shirt), np.zeros_like(shirt))

    np.testing.assert_array_equal(shirt, before)


def test_neck_is_face_that_lip_does_not_call_face() -> None:
    labels = np.array([[AtrLabel.FACE, AtrLabel.FACE, AtrLabel.HAIR, 0]], np.uint8)
    lip = np.array([[LipLabel.FACE, 0, 0, LipLabel.FACE]], np.uint8)

    merged = add_neck(labels, lip)

    assert merged.dtype == np.uint8
    assert merged.tolist() == [[AtrLabel.FACE, AtrLabel.NECK, AtrLabel.HAIR, 0]]
