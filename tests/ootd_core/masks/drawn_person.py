"""One person drawn as a label map with keypoints, standing, arms a little out: for mask tests.

Everything is placed by hand at 512x384 and scaled: a test can say where a hand or a shin is.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from ootd_core.masks.labels import Label

JOINTS: dict[int, tuple[float, float]] = {
    0: (192, 70), 1: (192, 115),
    2: (155, 125), 3: (130, 190), 4: (110, 250),
    5: (229, 125), 6: (254, 190), 7: (274, 250),
    8: (170, 250), 9: (165, 345), 10: (160, 440),
    11: (214, 250), 12: (219, 345), 13: (224, 440),
    14: (184, 62), 15: (200, 62), 16: (174, 66), 17: (210, 66),
}  # fmt: skip

RIGHT_HAND, LEFT_HAND = (98, 288), (286, 288)
RIGHT_SHIN, LEFT_SHIN = (162, 400), (222, 400)
BETWEEN_THE_LEGS = (192, 400)


def keypoints(scale: float = 1.0, *, missing: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """[18, 3]; the joints in `missing` have coordinates but no confidence."""
    rows = [(x * scale, y * scale, 0.0 if j in missing else 0.9) for j, (x, y) in JOINTS.items()]
    return np.array(rows, dtype=np.float32)


def label_map(scale: float = 1.0, *, sleeves: bool = False) -> NDArray[np.uint8]:
    """uint8 [512 * scale, 384 * scale]: shirt, trousers, bare forearms (with sleeves: hands)."""
    canvas = np.zeros((512, 384), dtype=np.uint8)

    def line(label: Label, width: int, *points: tuple[float, float]) -> None:
        corners = np.array(points, dtype=np.int32)
        cv2.polylines(canvas, [corners], False, int(label), width)

    for hip, knee, ankle, shoe in ((8, 9, 10, Label.RIGHT_SHOE), (11, 12, 13, Label.LEFT_SHOE)):
        line(Label.PANTS, 34, JOINTS[hip], JOINTS[knee], JOINTS[ankle])
        x, y = JOINTS[ankle]
        line(shoe, 24, (x - 6, y + 26), (x + 6, y + 26))
    for joints, hand, arm in (
        ((2, 3, 4), RIGHT_HAND, Label.RIGHT_ARM),
        ((5, 6, 7), LEFT_HAND, Label.LEFT_ARM),
    ):
        shoulder, elbow, wrist = (JOINTS[j] for j in joints)
        line(arm, 22, elbow, wrist, hand)
        line(Label.UPPER_CLOTHES, 30, shoulder, elbow)
        if sleeves:
            line(Label.UPPER_CLOTHES, 26, elbow, wrist)
    torso = np.array([JOINTS[2], JOINTS[5], (222, 255), (162, 255)], dtype=np.int32)
    cv2.fillConvexPoly(canvas, torso, int(Label.UPPER_CLOTHES))
    line(Label.NECK, 28, (192, 100), (192, 118))
    cv2.circle(canvas, (192, 62), 34, int(Label.HAIR), -1)
    cv2.ellipse(canvas, (192, 74), (24, 30), 0, 0, 360, int(Label.FACE), -1)
    size = (round(384 * scale), round(512 * scale))
    return cv2.resize(canvas, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
