from dataclasses import replace

import numpy as np
import pytest

from mini.sight import FARTHEST_FOUND, Seen, joint_sight, overlaps, sight
from ootd_core.masks.labels import Label
from openpose.skeleton import Joint

HEIGHT = 100
FARTHEST = FARTHEST_FOUND * HEIGHT


def seen(*errors: float, missing: tuple[int, ...] = ()) -> Seen:
    """Someone with a nose and a neck inside the picture, seen that many pixels to their right."""
    truth = np.zeros((18, 3), np.float32)
    truth[: len(errors)] = (50, 50, 1)
    found = truth.copy()
    found[: len(errors), 0] += errors
    found[list(missing)] = 0
    labels = np.zeros((HEIGHT, 80), np.uint8)
    return Seen(labels=labels, true_labels=labels, keypoints=found, true_keypoints=truth)


def test_joints_are_found_where_they_are() -> None:
    people = [seen(1.0, 0.5), seen(2.0, FARTHEST + 1), seen(3.0, 0.5, missing=(0,))]
    figures = joint_sight(people)
    assert list(figures) == [Joint.NOSE, Joint.NECK]  # the others are outside every picture
    nose, neck = figures[Joint.NOSE], figures[Joint.NECK]
    assert (nose.there, nose.found, nose.error) == (3, pytest.approx(2 / 3), 1.5)
    assert (neck.there, neck.found, neck.error) == (3, pytest.approx(2 / 3), 0.5)
    assert sight(people).error == 0.75  # of 1.0, 2.0, 0.5, 0.5


def test_whom_nobody_sees_has_no_joints() -> None:
    people = [seen(1.0), replace(seen(1.0), keypoints=None)]
    assert joint_sight(people)[Joint.NOSE].found == 0.5
    assert joint_sight(people[1:])[Joint.NOSE].error == float("inf")
    with pytest.raises(ValueError, match="at least one person"):
        sight([])


def test_labels_overlap_over_all_people_together() -> None:
    one, other = seen(), seen()
    truth, labels = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[:4], labels[:3] = Label.SKIRT, Label.SKIRT
    labels[3] = Label.DRESS
    people = [replace(one, labels=labels, true_labels=truth), replace(other, labels=truth)]
    people[1] = replace(people[1], true_labels=truth)
    figures = overlaps(people)
    assert set(figures) == {Label.BACKGROUND, Label.SKIRT, Label.DRESS}
    assert figures[Label.BACKGROUND] == 1 and figures[Label.DRESS] == 0
    assert figures[Label.SKIRT] == 70 / 80
