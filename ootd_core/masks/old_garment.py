"""A label map made from a mask of the old garment and the joints, where no parser has looked.

Segmentation nodes and painters give a mask of what a person wears, and nothing of the rest. What
the mask's geometry needs beside it is drawn along the joints, roughly: arms with hands, legs,
shoes, neck and face, so that they are told apart and kept. A mask of the person cuts them to size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from .garment_on_body import Trunk
from .labels import Label
from .limbs import ARMS, LEGS, NECK, Skeleton, convex_hull
from .morphology import BoolMask

OLD_GARMENT = {
    Category.UPPER: Label.UPPER_CLOTHES,
    Category.LOWER: Label.PANTS,
    Category.DRESS: Label.DRESS,
}
LEG_SKIN = (Label.RIGHT_LEG, Label.LEFT_LEG)
SHOES = (Label.RIGHT_SHOE, Label.LEFT_SHOE)
NOSE, HEAD_JOINTS = 0, (0, 14, 15, 16, 17)

# Torsos, as a body is seen from the front.
ARM_BREADTH, LEG_BREADTH, NECK_BREADTH = 0.15, 0.24, 0.2
HAND, FOOT = 0.32, 0.22  # how far they reach beyond wrist and ankle
FACE_HALF_WIDTH, FACE_HALF_HEIGHT = 0.21, 0.33


def label_map_of_old_garment(
    old_garment: BoolMask,
    keypoints: NDArray[np.floating] | None,
    category: Category,
    *,
    person: BoolMask | None = None,
) -> NDArray[np.uint8]:
    """Draw a label map uint8 [H, W] around a mask of the old garment.

    Args:
        old_garment: bool [H, W]; what is in it wins over everything drawn.
        keypoints: [18, 3] of the person; without them the garment is all there is.
        person: bool [H, W], nothing is drawn outside of it.

    Raises:
        ValueError: an empty mask, a person's mask of another size or apart from the garment's, or
            unusable keypoints.
    """
    if not old_garment.any():
        raise ValueError("The mask of the old garment is empty: paint the garment in white.")
    if person is not None and person.shape != old_garment.shape:
        raise ValueError(
            f"The person's mask is {list(person.shape)} (height, width) but the old garment's is "
            f"{list(old_garment.shape)}: they must have the same size."
        )
    if person is not None and not (person & old_garment).any():
        raise ValueError("The masks of the person and of the old garment do not overlap.")
    skeleton = Skeleton.of(keypoints, *old_garment.shape)
    labels = np.zeros(old_garment.shape, dtype=np.uint8)
    trunk = Trunk.of(skeleton, Category.LOWER)
    if trunk is not None:
        _draw_body(labels, skeleton, trunk, category)
    if person is not None:
        labels[~person] = Label.BACKGROUND
    labels[old_garment] = OLD_GARMENT[category]
    return labels


def _draw_body(
    labels: NDArray[np.uint8], skeleton: Skeleton, trunk: Trunk, category: Category
) -> None:
    known, points = skeleton.known, skeleton.points
    unit = trunk.torso / skeleton.scale

    def line(joints: tuple[int, ...], breadth: float, beyond: float, label: Label) -> None:
        seen = [joint for joint in joints if known[joint]]
        if len(seen) >= 2:
            reach = beyond * unit if seen[-1] == joints[-1] else 0.0
            labels[skeleton.stroke(points[seen], breadth * unit, reach)] = label

    for leg, skin, shoe in zip(LEGS, LEG_SKIN, SHOES, strict=True):
        line(leg, LEG_BREADTH, 0.0, skin)
        if known[leg[2]]:
            _ellipse(labels, points[leg[2]] + [0, FOOT / 2 * trunk.torso], FOOT, FOOT, trunk, shoe)
    if category is Category.LOWER:  # what is above stays, and is not known better
        corners = np.stack([*(points[j] for j in (2, 5) if known[j]), trunk.points[1]])
        if len(corners) == 3:
            outline = skeleton.stroke(corners, LEG_BREADTH * unit)
            labels[convex_hull(outline)] = Label.UPPER_CLOTHES
    line((NECK, NOSE), NECK_BREADTH, 0.0, Label.NECK)
    for label, arm in ARMS.items():
        line(arm, ARM_BREADTH, HAND, label)
    head = [joint for joint in HEAD_JOINTS if known[joint]]
    if head:
        centre = points[head].mean(axis=0)
        _ellipse(labels, centre, FACE_HALF_WIDTH, FACE_HALF_HEIGHT, trunk, Label.FACE)


def _ellipse(
    labels: NDArray[np.uint8],
    centre: NDArray[np.float64],
    half_width: float,
    half_height: float,
    trunk: Trunk,
    label: Label,
) -> None:
    y, x = np.mgrid[0 : labels.shape[0], 0 : labels.shape[1]]
    across = (x - centre[0]) / (half_width * trunk.torso)
    down = (y - centre[1]) / (half_height * trunk.torso)
    labels[across**2 + down**2 <= 1] = label
