"""Hands in OpenPose JSON: 21 points, of which the knuckles say where a hand lies.

BlazePose knows three points of a hand, hand networks know 21; what both know is read and written,
so that any node's hands are of use to a mask. A hand of another kind is passed over, for hands only
make masks better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

HAND_POINTS = 21
KNUCKLES = (5, 17, 2)
"""Of OpenPose's hand: the knuckles of index and little finger, and the thumb's."""
FIELDS = ("hand_right_keypoints_2d", "hand_left_keypoints_2d")


def hand_points(hand: NDArray[np.float32] | None) -> list[float]:
    """The flat 21 points (x, y, confidence) of a hand [3, 3]; none for a hand without a point."""
    if hand is None or not (hand[:, 2] > 0).any():
        return []
    points = np.zeros((HAND_POINTS, 3), np.float32)
    points[list(KNUCKLES)] = hand
    return [float(value) for value in points.ravel()]


def hands_of(person: Mapping[str, object]) -> NDArray[np.float32] | None:
    """The hands [2, 3, 3] of a frame's person, right and left, in the frame's coordinates.

    Missing points are 0; None where neither hand is there.
    """
    hands = np.zeros((2, len(KNUCKLES), 3), np.float32)
    for side, field in enumerate(FIELDS):
        values = person.get(field)
        if not isinstance(values, list | tuple):
            continue
        numbers = cast("list[object]", values)
        if len(numbers) != 3 * HAND_POINTS or not all(
            isinstance(value, int | float) for value in numbers
        ):
            continue
        points = np.array(numbers, np.float64).reshape(-1, 3)[list(KNUCKLES)]
        known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
        hands[side, known] = points[known]
    return hands if (hands[..., 2] > 0).any() else None
