"""Which person is meant, how a picture comes to 3:4, what a mask of one's own means."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ootd_core.images.fitting import Fit, fit_points, whole_fit
from tests.openpose.drawn_maps import STANDING
from tryon.preparation import (
    FitChoice,
    choose_fit,
    choose_person,
    crops,
    fitted_person,
    looked_at,
    own_mask,
    person_box,
    prominence,
)

CANVAS = (256, 192)


def person_at(
    scale: float, shift: tuple[float, float], missing: tuple[int, ...] = ()
) -> np.ndarray:
    """Keypoints [18, 3] of a standing person."""
    keypoints = np.ones((18, 3), np.float32)
    keypoints[:, :2] = STANDING * scale + shift
    keypoints[list(missing)] = 0
    return keypoints


def visible_rows(fit: Fit) -> tuple[int, int]:
    _, top, _, bottom = fit.visible
    return top, bottom


def test_larger_then_more_complete_then_more_central() -> None:
    small_central = person_at(0.4, (300, 150))
    large_aside = person_at(1, (0, 0))
    large_central = person_at(1, (190, 0))
    large_central_partial = person_at(1, (190, 0), missing=(3, 4, 6, 7))
    people = [small_central, large_central_partial, large_aside, large_central]
    ranked = [choose_person(people, (512, 768), person_index=index).keypoints for index in range(4)]
    assert ranked[0] is large_central
    assert ranked[-1] is small_central
    figures = [prominence(person, (512, 768)) for person in people]
    assert all(0 < figure <= 1 for figure in figures)


def test_the_bystander_who_comes_first_is_not_meant_and_both_are_said() -> None:
    bystander, subject = person_at(0.4, (0, 200)), person_at(1, (300, 0))
    chosen = choose_person([bystander, subject], (512, 768))
    assert chosen.keypoints is subject
    assert chosen.bystanders[0] is bystander
    (warning,) = chosen.warnings
    assert "2 people" in warning and "in the middle" in warning and "on the left" in warning
    asked = choose_person([bystander, subject], (512, 768), person_index=1)
    assert asked.keypoints is bystander and "person_index 1" in asked.warnings[0]


def test_one_person_or_nobody_is_no_warning() -> None:
    assert choose_person([person_at(1, (0, 0))], (512, 384)).warnings == ()
    nobody = choose_person([np.zeros((18, 3), np.float32)], (512, 384))
    assert nobody.keypoints is None and nobody.warnings == ()


def test_a_person_who_is_not_there_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match=r"person_index is 2, but 1 person was found .* 0 to 0"):
        choose_person([person_at(1, (0, 0))], (512, 384), person_index=2)


def test_a_label_map_tells_the_box_and_bystanders_are_left_out() -> None:
    labels = np.zeros((512, 768), np.uint8)
    labels[100:460, 30:150] = 4  # a bystander, who touches ...
    labels[440:460, 100:500] = 4  # (by a bag on the ground)
    labels[90:480, 400:600] = 7  # ... the subject
    bystander = person_at(0.6, (-30, 90))
    subject = person_at(0.9, (325, 60))
    everybody = choose_person([bystander, subject], (512, 768))
    assert everybody.keypoints is subject
    box = person_box((512, 768), label_map=labels, person=everybody)
    assert box is not None and box[0] > 200 and box[1:] == (90, 600, 480)


def test_keypoints_alone_leave_room_for_head_and_feet() -> None:
    person = choose_person([person_at(0.5, (200, 100))], (600, 800))
    box = person_box((600, 800), person=person)
    assert box is not None and person.keypoints is not None
    points = person.keypoints[:, :2]
    assert (box[:2] < points.min(axis=0)).all() and (box[2:] > points.max(axis=0)).all()
    assert min(box) >= 0 and box[2] <= 800 and box[3] <= 600


def test_nothing_tells_nothing() -> None:
    assert person_box((50, 50)) is None
    assert person_box((50, 50), label_map=np.zeros((50, 50), np.uint8)) is None


@pytest.mark.parametrize("side", [400, 1000])
def test_a_mask_of_ones_own_keeps_the_whole_person_in_sight(side: int) -> None:
    mask = np.zeros((side, side), np.float32)
    mask[side * 4 // 10 : side * 5 // 10, side // 2 : side * 6 // 10] = 1
    box = person_box((side, side), mask=mask)
    fit = choose_fit((side, side), CANVAS, box=box)
    assert visible_rows(fit) == (0, side)
    left, _, right, _ = fit.visible
    assert left <= side * 0.3 and right >= side * 0.8


def test_a_stray_pixel_in_the_mask_changes_nothing() -> None:
    mask = np.zeros((1000, 1000), np.float32)
    mask[400:600, 450:600] = 1
    without = choose_fit((1000, 1000), CANVAS, box=person_box((1000, 1000), mask=mask))
    mask[3, 990] = 1
    assert choose_fit((1000, 1000), CANVAS, box=person_box((1000, 1000), mask=mask)) == without


def test_a_mask_beside_a_label_map_lies_in_the_box() -> None:
    labels, mask = np.zeros((200, 400), np.uint8), np.zeros((200, 400), np.float32)
    labels[50:150, 100:150] = 4
    mask[120:180, 140:190] = 1
    assert person_box((200, 400), label_map=labels, mask=mask) == (100, 50, 190, 180)


def test_what_has_the_shape_is_shown_whole() -> None:
    box = (10.0, 10.0, 50.0, 50.0)
    for size in ((512, 384), (1000, 760), (100, 75)):
        assert choose_fit(size, CANVAS, box=box) == whole_fit(size, CANVAS)
        assert not crops(size, CANVAS, FitChoice.AUTO) and crops(size, CANVAS, FitChoice.CROP)
    assert choose_fit((300, 600), CANVAS, box=box) != whole_fit((300, 600), CANVAS)
    pad = choose_fit((300, 600), CANVAS, choice=FitChoice.PAD, box=box)
    assert pad == whole_fit((300, 600), CANVAS)
    with pytest.raises(ValueError, match="where the person is"):
        choose_fit((300, 600), CANVAS, choice=FitChoice.CROP)


def test_people_come_along_onto_the_canvas() -> None:
    subject, near, far = person_at(1, (300, 0)), person_at(0.9, (420, 0)), person_at(0.3, (0, 0))
    person = choose_person([subject, near, far], (512, 1200))
    fit = choose_fit((512, 1200), CANVAS, box=(330.0, 0.0, 700.0, 512.0))
    fitted = fitted_person(person, fit)
    assert fitted.keypoints is not None and fitted.warnings == person.warnings
    assert np.allclose(fitted.keypoints, fit_points(subject, fit))
    assert len(fitted.bystanders) == 1


@given(st.integers(1, 90), st.integers(1, 90))
def test_black_masks_of_any_size_mean_none(height: int, width: int) -> None:
    assert own_mask(np.zeros((height, width), np.float32), (64, 48)) is None


def test_own_masks() -> None:
    assert own_mask(None, (64, 48)) is None
    mask = np.zeros((64, 48), np.float32)
    mask[10:20, 10:20] = 1
    same = own_mask(mask, (64, 48))
    assert same is not None and np.array_equal(same, mask)
    larger = own_mask(mask, (128, 96))
    assert larger is not None and larger.shape == (128, 96) and larger[30, 30] == 1
    with pytest.raises(ValueError, match=r"64x48 \(height x width\), but its picture is 64x64"):
        own_mask(mask, (64, 64))
    with pytest.raises(ValueError, match="NaN"):
        own_mask(mask * np.float32(np.nan), (64, 48))


def test_the_parser_sees_every_shape_equally_high() -> None:
    assert looked_at(np.zeros((256, 192, 3), np.uint8)).shape == (512, 384, 3)
    assert looked_at(np.zeros((100, 1, 3), np.uint8)).shape == (512, 5, 3)


def test_preparation_alone_needs_neither_diffusers_nor_the_leaves() -> None:
    code = (
        "import sys, tryon.preparation; "
        "print(*{'diffusers', 'transformers', 'humanparse', 'openpose'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_the_room_around_the_joints() -> None:
    """0.18 of their height above, 0.08 below, 0.15 of their width beside."""
    joints = np.zeros((18, 3), np.float32)
    joints[[0, 1]] = [(200, 100, 1), (300, 300, 1)]
    person = choose_person([joints], (600, 800))
    assert person_box((600, 800), person=person) == pytest.approx((185, 64, 315, 316))
    assert person_box((310, 310), person=person) == pytest.approx((185, 64, 310, 310))


def test_prominence_is_extent_times_completeness_times_centrality() -> None:
    def two_joints(first: tuple[int, int], second: tuple[int, int], known: int = 18) -> np.ndarray:
        keypoints = np.zeros((18, 3))
        keypoints[:known] = (*first, 1)
        keypoints[known - 1] = (*second, 1)
        return keypoints

    size = (300, 400)  # whose diagonal is 500
    assert prominence(two_joints((0, 0), (400, 300)), size) == pytest.approx(1.0)
    assert prominence(two_joints((0, 0), (400, 300), known=9), size) == pytest.approx(0.5)
    half = two_joints((100, 75), (300, 225))
    assert prominence(half, size) == pytest.approx(0.25)
    corner = two_joints((-100, -75), (100, 75))
    assert prominence(corner, size) == pytest.approx(0.125), "its centre in the picture's corner"
    beyond = two_joints((-400, -300), (800, 600))
    assert prominence(beyond, size) == pytest.approx(1.0)


@pytest.mark.parametrize(("width", "whole"), [(384 * 1.029, True), (384 * 1.031, False)])
def test_three_percent_of_shape_are_no_reason_to_crop(width: float, whole: bool) -> None:
    size = (5120, round(width * 10))
    assert crops(size, CANVAS, FitChoice.AUTO) != whole


@pytest.mark.parametrize(
    ("left", "side"), [(0.32, "on the left"), (0.34, "in the middle"), (0.66, "in the middle"),
                       (0.68, "on the right")],
)  # fmt: skip
def test_thirds_of_the_picture_have_names(left: float, side: str) -> None:
    one, other = np.zeros((18, 3)), np.zeros((18, 3))
    one[:] = (left * 900, 200, 1)
    one[0] = (left * 900, 0, 1)
    other[:2] = (450, 200, 1)
    (warning,) = choose_person([one, other], (300, 900)).warnings
    assert f"the one {side} is dressed" in warning
