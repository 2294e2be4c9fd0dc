"""Two label maps -> the one that the mask is drawn from: no pinholes in the upper clothes, a neck.

Both rules are the original implementation's. A gap between arm and trunk that shows the background
is larger than a pinhole and has to stay, hence the limit on the area.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .labels import AtrLabel, LabelMap, LipLabel

LARGEST_FILLED_HOLE: Final = 2000
"""Square pixels of the picture; a hole with a larger outline keeps what it shows."""


def fill_upper_clothes(labels: LabelMap) -> LabelMap:
    """An ATR map [H, W] with the holes in upper clothes and arms, taken as one area, filled.

    Whatever that area encloses becomes upper clothes; arms stay arms and large holes stay as they
    were. Where the outline of a large hole runs over an arm, the arm gives way to the clothes, as
    it does in the original implementation.
    """
    framed = np.pad(labels, 1)  # a background frame: holes cannot be open to the picture's edge
    arms = (framed == AtrLabel.LEFT_ARM) | (framed == AtrLabel.RIGHT_ARM)
    clothes = framed == AtrLabel.UPPER_CLOTHES
    area = arms | clothes
    enclosed = area | ~_reached_from_corner(area)
    large_holes = _large_outlines(enclosed & ~area)
    kept = framed.copy()
    kept[enclosed & ~(large_holes ^ arms)] = AtrLabel.UPPER_CLOTHES
    return kept[1:-1, 1:-1].copy()


def add_neck(labels: LabelMap, lip: LabelMap) -> LabelMap:
    """An ATR map [H, W] with the neck: what ATR calls face and the LIP map `lip` does not."""
    neck = (labels == AtrLabel.FACE) & (lip != LipLabel.FACE)
    return np.where(neck, np.uint8(AtrLabel.NECK), labels)


def _reached_from_corner(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What a fill that starts at the upper left pixel and stops at `area` reaches."""
    import cv2

    reached = 2
    canvas = area.astype(np.uint8)
    cv2.floodFill(canvas, None, (0, 0), reached)
    return canvas == reached


def _large_outlines(holes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The filled outlines, inner and outer, of all holes above the limit."""
    import cv2

    # A map of 32-bit integers makes OpenCV trace each border from both sides. The outer of the two
    # outlines runs over the pixels around the hole, and it is the one that is measured and drawn.
    outlines, _ = cv2.findContours(holes.astype(np.int32), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    large = np.zeros(holes.shape, np.uint8)
    for number, outline in enumerate(outlines):
        if cv2.contourArea(outline) > LARGEST_FILLED_HOLE:
            cv2.drawContours(large, outlines, number, color=1, thickness=cv2.FILLED)
    return large > 0
