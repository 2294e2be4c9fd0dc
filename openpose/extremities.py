"""Hands and feet in OpenPose JSON: 21 points a hand, and 3 a foot as ComfyUI's SDPose writes them.

BlazePose knows three points of a hand and two of a foot, other networks know more; what both know
is read and written, so that any node's hands and feet are of use to a mask. Those of another kind
are passed over, for they only make masks better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .skeleton import BODY_25_JOINTS

HAND_POINTS = 21
KNUCKLES = (5, 17, 2)
"""Of OpenPose's hand: the knuckles of index and little finger, and the thumb's."""
FIELDS = ("hand_right_keypoints_2d", "hand_left_keypoints_2d")
FOOT_FIELD, FOOT_POINTS = "foot_keypoints_2d", 6
"""In COCO-WholeBody's order: left big toe, small toe and heel, then those of the right foot."""
FOOT_ROWS = ((5, 3), (2, 0))
"""Heel and big toe: right foot, left foot."""
BODY_25_FEET = ((24, 22), (21, 19))
"""The same in a body of 25 points."""


def hand_points(hand: NDArray[np.float32] | None) -> list[float]:
    """The flat 21 points (x, y, confidence) of a hand [3, 3]; none for a hand without a point."""
    if hand is None or not (hand[:, 2] > 0).any():
        return []
    points = np.zeros((HAND_POINTS, 3), np.float32)
    points[list(KNUCKLES)] = hand
    return [float(value) for value in points.ravel()]


def foot_points(feet: NDArray[np.float32] | None) -> list[float]:
    """The flat 6 points (x, y, confidence) of feet [2, 2, 3]; none where no point is known."""
    if feet is None or not (feet[..., 2] > 0).any():
        return []
    points = np.zeros((FOOT_POINTS, 3), np.float32)
    points[np.array(FOOT_ROWS)] = feet
    return [float(value) for value in points.ravel()]


def hands_of(person: Mapping[str, object]) -> NDArray[np.float32] | None:
    """The hands [2, 3, 3] of a frame's person, right and left, in the frame's coordinates.

    Missing points are 0; None where neither hand is there.
    """
    hands = np.zeros((2, len(KNUCKLES), 3), np.float32)
    for side, field in enumerate(FIELDS):
        points = _points(person.get(field), HAND_POINTS)
        if points is not None:
            hands[side] = points[list(KNUCKLES)]
    return hands if (hands[..., 2] > 0).any() else None


def feet_of(person: Mapping[str, object]) -> NDArray[np.float32] | None:
    """The feet [2, 2, 3] of a frame's person, right and left, each heel and toe.

    They stand in a field of their own, or in a body of 25 points. Missing points are 0; None where
    none is there.
    """
    rows, points = FOOT_ROWS, _points(person.get(FOOT_FIELD), FOOT_POINTS)
    if points is None:
        rows = BODY_25_FEET
        points = _points(person.get("pose_keypoints_2d"), BODY_25_JOINTS)
    if points is None:
        return None
    feet = points[np.array(rows)]
    return feet if (feet[..., 2] > 0).any() else None


def _points(values: object, count: int) -> NDArray[np.float32] | None:
    """So many points [count, 3], those that are not known 0; None for anything else."""
    if not isinstance(values, list | tuple):
        return None
    numbers = cast("list[object]", values)
    if len(numbers) != 3 * count or not all(isinstance(value, int | float) for value in numbers):
        return None
    points = np.array(numbers, np.float64).reshape(-1, 3)
    known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    return np.where(known[:, None], points, 0.0).astype(np.float32)
