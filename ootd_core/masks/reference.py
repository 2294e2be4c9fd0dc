"""The agnostic mask of the original implementation, number for number.

This is what the published networks were given, so it is kept as mode "faithful" and compared with
recorded masks. Its defects are part of it: a missing elbow draws the arm to the picture's corner,
a wrist extended above the picture draws it straight down, "missing" is guessed from coordinates,
and it always works at 512x384, whatever the picture's shape. The default mode has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..categories import Category, Variant
from .labels import HEAD, KEPT, REPLACED, Label
from .limbs import ARM_WIDTHS, ARMS, WRIST_EXTENSION
from .morphology import BoolMask, grow_mask

HEIGHT, WIDTH = 512, 384
GARMENT_MARGIN, ARM_MARGIN, NECK_MARGIN = 10, 8, 2  # pixels at 512x384

# Joints are cut to 16 unsigned bits before drawing, so that negative ones wrap around.
_WRAP = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceMask:
    """The mask and two stages on the way to it, bool [512, 384] each."""

    before_hole_fill: BoolMask
    after_hole_fill: BoolMask
    mask: BoolMask
    kept: BoolMask


def reference_mask(
    label_map: NDArray[np.uint8],
    points: NDArray[np.float64],
    *,
    category: Category,
    variant: Variant,
) -> ReferenceMask:
    """The original's mask. An empty label map gives an empty mask, not an error.

    Args:
        label_map: uint8 [H, W], `Label` values; brought to 512x384 by nearest pixel.
        points: [18, 2], x and y in a picture of 512x384; (0, 0) is missing.
    """
    labels = np.asarray(
        Image.fromarray(label_map).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
    )
    kept = np.isin(labels, list(KEPT[category]))
    region = grow_mask(np.isin(labels, list(REPLACED[category])), GARMENT_MARGIN)
    if category is not Category.LOWER:
        head = np.isin(labels, list(HEAD))
        region |= grow_mask(labels == Label.NECK, NECK_MARGIN) & ~head
        for label in ARMS:
            skin = labels == label
            arm = _arm(skin, points, label, ARM_WIDTHS[variant])
            region |= grow_mask(arm, ARM_MARGIN)
            kept |= skin & ~arm
    before = region & ~kept
    after = _fill_holes(before)
    return ReferenceMask(
        before_hole_fill=before, after_hole_fill=after, mask=_largest_contour(after), kept=kept
    )


def _arm(skin: BoolMask, points: NDArray[np.float64], label: Label, width: int) -> BoolMask:
    """A thick line shoulder-elbow-wrist and a disc on the shoulder; `skin` without a wrist."""
    shoulder, elbow, wrist = points[list(ARMS[label])]
    if (wrist <= 1.0).all():
        return skin
    line = [shoulder, elbow, elbow + WRIST_EXTENSION * (wrist - elbow)]
    if label is Label.LEFT_ARM:  # the direction of drawing decides the rounding of the edges
        line.reverse()
    canvas = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(canvas)
    wrapped = np.concatenate(line).astype(np.int64) % _WRAP
    draw.line(wrapped.tolist(), fill=255, width=width, joint="curve")
    radius = width // 2
    x, y = shoulder.tolist()
    disc = (x - radius, y - radius, x + radius, y + radius)
    draw.arc(disc, 0, 360, fill=255, width=radius)
    return np.asarray(canvas) > 0


def _fill_holes(mask: BoolMask) -> BoolMask:
    """Fills what the top left corner cannot reach, after clearing the picture's outermost ring."""
    import cv2

    inner = np.pad(mask[1:-1, 1:-1], 1)
    flooded = inner.astype(np.uint8)
    cv2.floodFill(flooded, None, (0, 0), 1)
    return inner | (flooded == 0)


def _largest_contour(mask: BoolMask) -> BoolMask:
    """The largest contour, simplified (Teh and Chin 1989, L1) and filled.

    The simplification differs between OpenCV versions by a few dozen pixels along the edge.
    """
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    filled = np.zeros(mask.shape, dtype=np.uint8)
    if contours:
        largest = max(range(len(contours)), key=lambda i: cv2.contourArea(contours[i]))
        cv2.drawContours(filled, contours, largest, color=1, thickness=cv2.FILLED)
    return filled.astype(bool)
