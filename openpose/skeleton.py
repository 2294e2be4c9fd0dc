"""The OpenPose-18 (COCO) skeleton as data: joints, limbs, map channels, colours, BODY_25.

"Right" and "left" are the person's own. A limb is a pair of joints; its affinity maps are two
channels of the network that hold the x and y of a unit vector from the first joint to the
second. The order of LIMBS is the order in which people are assembled.
"""

from dataclasses import dataclass
from enum import IntEnum

JOINTS = 18
HEATMAPS = 19
"""18 joints, then the background."""
AFFINITY_MAPS = 38
"""x and y for each of 19 limbs."""


class Joint(IntEnum):
    """Rows of a person's keypoints, and channels of the heatmaps."""

    NOSE = 0
    NECK = 1
    RIGHT_SHOULDER = 2
    RIGHT_ELBOW = 3
    RIGHT_WRIST = 4
    LEFT_SHOULDER = 5
    LEFT_ELBOW = 6
    LEFT_WRIST = 7
    RIGHT_HIP = 8
    RIGHT_KNEE = 9
    RIGHT_ANKLE = 10
    LEFT_HIP = 11
    LEFT_KNEE = 12
    LEFT_ANKLE = 13
    RIGHT_EYE = 14
    LEFT_EYE = 15
    RIGHT_EAR = 16
    LEFT_EAR = 17


@dataclass(frozen=True, slots=True)
class Limb:
    """Two joints and the first (x) of the limb's two adjoining affinity channels (x, y)."""

    start: Joint
    end: Joint
    channel: int


LIMBS = (
    Limb(Joint.NECK, Joint.RIGHT_SHOULDER, 12),
    Limb(Joint.NECK, Joint.LEFT_SHOULDER, 20),
    Limb(Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, 14),
    Limb(Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST, 16),
    Limb(Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, 22),
    Limb(Joint.LEFT_ELBOW, Joint.LEFT_WRIST, 24),
    Limb(Joint.NECK, Joint.RIGHT_HIP, 0),
    Limb(Joint.RIGHT_HIP, Joint.RIGHT_KNEE, 2),
    Limb(Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE, 4),
    Limb(Joint.NECK, Joint.LEFT_HIP, 6),
    Limb(Joint.LEFT_HIP, Joint.LEFT_KNEE, 8),
    Limb(Joint.LEFT_KNEE, Joint.LEFT_ANKLE, 10),
    Limb(Joint.NECK, Joint.NOSE, 28),
    Limb(Joint.NOSE, Joint.RIGHT_EYE, 30),
    Limb(Joint.RIGHT_EYE, Joint.RIGHT_EAR, 34),
    Limb(Joint.NOSE, Joint.LEFT_EYE, 32),
    Limb(Joint.LEFT_EYE, Joint.LEFT_EAR, 36),
    Limb(Joint.RIGHT_SHOULDER, Joint.RIGHT_EAR, 18),
    Limb(Joint.LEFT_SHOULDER, Joint.LEFT_EAR, 26),
)

FOUNDING_LIMBS = 17
"""Limbs that may start a new person: all but the two from shoulder to ear, which only help to
assign ears and which no skeleton draws."""

COLOURS = (
    (255, 0, 0),
    (255, 85, 0),
    (255, 170, 0),
    (255, 255, 0),
    (170, 255, 0),
    (85, 255, 0),
    (0, 255, 0),
    (0, 255, 85),
    (0, 255, 170),
    (0, 255, 255),
    (0, 170, 255),
    (0, 85, 255),
    (0, 0, 255),
    (85, 0, 255),
    (170, 0, 255),
    (255, 0, 255),
    (255, 0, 170),
    (255, 0, 85),
)
"""RGB of joint i and of limb i; ControlNet's pose models are trained on these."""

BODY_25_JOINTS = 25
BODY_25_ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""The BODY_25 row of each of the 18 joints: BODY_25 puts the middle of the hips at 8."""
