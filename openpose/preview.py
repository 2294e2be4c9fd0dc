"""Draw people as the coloured stick figures that OpenPose users know.

Limbs get a dimmed colour and joints the full one, so that crossing limbs stay readable; line
widths follow the picture's size.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .person import Person
from .skeleton import COLOURS, FOUNDING_LIMBS, LIMBS

LIMB_BRIGHTNESS = 0.6
WIDTH_SHARE = 1 / 64
"""Limb width, and a joint's diameter, over the picture's shorter side."""


def draw_people(
    canvas: NDArray[np.uint8] | tuple[int, int], people: Iterable[Person]
) -> NDArray[np.uint8]:
    """Draw people over a copy of an image, or on black.

    canvas: uint8 RGB [H,W,3], or (height, width). Returns uint8 RGB [H,W,3]. Missing joints and
    their limbs are left out.
    """
    import cv2

    drawing = np.zeros((*canvas, 3), np.uint8) if isinstance(canvas, tuple) else canvas.copy()
    height, width = drawing.shape[:2]
    stroke = max(2, round(min(height, width) * WIDTH_SHARE))
    far = 10 * max(height, width)
    for person in people:
        # Clipped because OpenCV's integers overflow on points far outside.
        points = np.rint(np.clip(person.keypoints[:, :2], -far, far)).astype(int).tolist()
        visible = person.visible
        limbs = LIMBS[:FOUNDING_LIMBS]
        for limb, colour in zip(limbs, COLOURS[:FOUNDING_LIMBS], strict=True):
            if visible[limb.start] and visible[limb.end]:
                dimmed = tuple(round(value * LIMB_BRIGHTNESS) for value in colour)
                cv2.line(drawing, points[limb.start], points[limb.end], dimmed, stroke, cv2.LINE_AA)
        for point, colour, found in zip(points, COLOURS, visible, strict=True):
            if found:
                cv2.circle(drawing, point, max(1, stroke // 2), colour, cv2.FILLED, cv2.LINE_AA)
    return drawing
