"""Stick figures: where the joints are, in their colours, and nothing where they are missing."""

import numpy as np

from openpose.person import Person
from openpose.preview import draw_people
from openpose.skeleton import COLOURS, Joint
from tests.openpose.drawn_maps import STANDING


def standing() -> Person:
    keypoints = np.ones((18, 3), np.float32)
    keypoints[:, :2] = STANDING
    return Person(keypoints=keypoints, score=1.0)


def test_joints_have_their_colours_on_black() -> None:
    drawing = draw_people((512, 384), [standing()])
    assert drawing.shape == (512, 384, 3) and drawing.dtype == np.uint8
    for joint in (Joint.RIGHT_WRIST, Joint.LEFT_ANKLE, Joint.NECK):
        x, y = STANDING[joint].astype(int)
        assert tuple(drawing[y, x]) == COLOURS[joint]
    assert (drawing[500:] == 0).all()


def test_missing_joints_and_their_limbs_are_left_out() -> None:
    person = standing()
    person.keypoints[Joint.RIGHT_WRIST] = 0
    difference = draw_people((512, 384), [standing()]) != draw_people((512, 384), [person])
    ys, xs, _ = np.nonzero(difference)
    assert ys.min() >= 185 and xs.max() <= 145
    assert (draw_people((512, 384), [person])[:40, :40] == 0).all()


def test_the_image_is_copied_and_kept_elsewhere() -> None:
    image = np.full((512, 384, 3), 90, np.uint8)
    drawing = draw_people(image, [standing()])
    assert (image == 90).all()
    assert (drawing[:, 300:] == 90).all()
    assert (draw_people(image, []) == image).all()


def test_points_far_outside_are_no_crash() -> None:
    person = standing()
    person.keypoints[Joint.RIGHT_WRIST, :2] = (-1e30, 1e30)
    assert draw_people((64, 64), [person]).shape == (64, 64, 3)
