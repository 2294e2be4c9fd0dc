"""A person's visible joints and box."""

import numpy as np
import pytest

from openpose.person import Person
from tests.openpose.drawn_maps import STANDING


def person_at(scale: float, shift: tuple[float, float], missing: tuple[int, ...] = ()) -> Person:
    keypoints = np.ones((18, 3), np.float32)
    keypoints[:, :2] = STANDING * scale + shift
    keypoints[list(missing)] = 0
    return Person(keypoints=keypoints, score=1.0)


def test_box_holds_the_visible_joints_only() -> None:
    person = person_at(1, (0, 0), missing=(0, 14, 15, 16, 17))
    assert person.visible.sum() == 13
    assert person.box == (128, 130, 256, 440)


def test_a_joint_in_the_corner_is_visible() -> None:
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[4] = (0, 0, 0.7)
    assert Person(keypoints=keypoints, score=0.7).visible[4]


def test_without_joints_the_box_is_empty() -> None:
    person = Person(keypoints=np.zeros((18, 3), np.float32), score=0.0)
    assert person.box == (0, 0, 0, 0)


def test_wrong_keypoints_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(18, 3\), got \(25, 3\)"):
        Person(keypoints=np.zeros((25, 3), np.float32), score=0)
    with pytest.raises(ValueError, match="finite"):
        Person(keypoints=np.full((18, 3), np.nan, np.float32), score=0)
    with pytest.raises(ValueError, match=r"at least 0, but one is -1\.0"):
        Person(keypoints=np.full((18, 3), -1, np.float32), score=0)
