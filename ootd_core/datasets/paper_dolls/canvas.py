"""Painting: anti-aliased polygons, plain or of cloth, and the label map beside the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import Points
from .patterns import Colour

FRACTION_BITS = 4  # sub-pixel precision of OpenCV's polygon filler
Affine = NDArray[np.float64]


class Canvas:
    """A picture uint8 [H, W, 3] and its label map uint8 [H, W], painted back to front."""

    def __init__(self, background: NDArray[np.uint8]) -> None:
        self.image = background
        self.labels = np.zeros(background.shape[:2], np.uint8)

    def fill(self, outline: Points, colour: Colour, label: int) -> None:
        """Fill an outline [N, 2] (pixels) with one colour."""
        import cv2

        points = _fixed(outline)
        cv2.fillPoly(self.image, [points], colour, cv2.LINE_AA, FRACTION_BITS)
        cv2.fillPoly(self.labels, [points], label, cv2.LINE_8, FRACTION_BITS)

    def drape(
        self, outline: Points, cloth: NDArray[np.uint8], to_canvas: Affine, label: int
    ) -> None:
        """Fill an outline [N, 2] (pixels) with cloth; `to_canvas` [2, 3] maps cloth pixels here."""
        import cv2

        height, width = self.image.shape[:2]
        left, top = max(int(outline[:, 0].min()), 0), max(int(outline[:, 1].min()), 0)
        right = min(int(np.ceil(outline[:, 0].max())) + 1, width)
        bottom = min(int(np.ceil(outline[:, 1].max())) + 1, height)
        if right <= left or bottom <= top:
            return
        points = _fixed(outline - np.array([left, top], np.float32))
        cover = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, FRACTION_BITS)
        shifted = to_canvas.copy()
        shifted[:, 2] -= (left, top)
        worn = cv2.warpAffine(
            cloth, shifted, (cover.shape[1], cover.shape[0]), borderMode=cv2.BORDER_REFLECT_101
        )
        window = self.image[top:bottom, left:right]
        share = cover[..., None].astype(np.float32) / 255
        window[:] = (window + share * (worn.astype(np.float32) - window) + 0.5).astype(np.uint8)
        cv2.fillPoly(self.labels, [_fixed(outline)], label, cv2.LINE_8, FRACTION_BITS)


def _fixed(outline: Points) -> NDArray[np.int32]:
    return np.rint(outline * (1 << FRACTION_BITS)).astype(np.int32)


def carried(outline: Points, affine: Affine) -> Points:
    """Apply an affine map [2, 3] to points [N, 2]."""
    return (outline @ affine[:, :2].T + affine[:, 2]).astype(np.float32)


def capsule(start: Points, end: Points, radius: float, end_radius: float) -> Points:
    """Return the outline of a limb: two half circles joined by straight sides."""
    along = np.arctan2(*(end - start)[::-1])
    half = np.linspace(np.pi / 2, 3 * np.pi / 2, 9) + along
    first = start + radius * np.stack([np.cos(half), np.sin(half)], 1)
    second = end - end_radius * np.stack([np.cos(half), np.sin(half)], 1)
    return np.concatenate([first, second]).astype(np.float32)


def ellipse(centre: Points, radius_x: float, radius_y: float) -> Points:
    """Return the outline of an ellipse."""
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return (centre + np.stack([radius_x * np.cos(turn), radius_y * np.sin(turn)], 1)).astype(
        np.float32
    )
