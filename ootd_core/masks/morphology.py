"""Masks as such: checking a user's mask, growing, feathering, cleaning.

A mask says which pixels are repainted. Hard masks are bool [H, W], soft ones float32 [H, W] in
[0, 1]. Nothing here knows about people or garments. Outside the picture a mask is continued, not
cut off: neither shrinking nor feathering eats into it from the picture's border.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .levels import mask_levels

BoolMask = NDArray[np.bool_]
SoftMask = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; right and bottom lie just outside."""

MASK_THRESHOLD = 0.5
"""A pixel of a soft mask belongs to it from here on."""
FRAME_SHARE, FRAME_COVER = 0.05, 0.9
"""A frame that a parser takes for clothes: rows or columns along an edge, together no deeper than
this share of the side, each covered to this share."""
SPECK_SHARE = 0.05  # of the largest piece's area; a smaller piece is no part of a person


def validate_mask(mask: NDArray[Any], height: int, width: int) -> SoftMask:
    """Checks a user's mask against its picture's size and returns it as float32 in [0, 1].

    Args:
        mask: [height, width], of any type that `mask_levels` reads: bool, integers, floats.

    Raises:
        ValueError: not two-dimensional, another size than the picture, values that are none of
            a mask's, or no pixel reaches 0.5, so that nothing would be repainted.
    """
    if mask.ndim != 2:
        raise ValueError(f"The mask must be [height, width], not {list(mask.shape)}.")
    if mask.shape != (height, width):
        raise ValueError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} pixels but its picture is "
            f"{width}x{height}: they must have the same size."
        )
    soft = mask_levels(mask)
    highest = float(soft.max())
    if highest == 0.0:
        raise ValueError("The mask is empty: paint what is to be replaced in white.")
    if highest < MASK_THRESHOLD:
        raise ValueError(
            f"The mask is too faint: its highest value is {highest:.2g}, but a pixel is replaced "
            f"from {MASK_THRESHOLD}; paint what is to be replaced in white."
        )
    return soft


def grow_mask(mask: BoolMask, pixels: int) -> BoolMask:
    """Grows a mask by `pixels` in each direction, diagonals included; shrinks it if negative."""
    import cv2

    if pixels == 0:
        return mask.copy()
    square = np.ones((2 * abs(pixels) + 1, 2 * abs(pixels) + 1), dtype=np.uint8)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return change(mask.astype(np.uint8), square).astype(bool)


def grow_beside(mask: BoolMask, kept: BoolMask, by: int) -> BoolMask:
    """The mask [H, W] grown by so many pixels, but not over what is kept; or shrunk if negative."""
    changed = grow_mask(mask, by)
    return mask | (changed & ~kept) if by > 0 else changed


def feather_mask(mask: BoolMask, pixels: float) -> SoftMask:
    """Softens a mask inwards: 0 outside it, rising to 1 over `pixels` behind its edge.

    Because the ramp lies inside, what the mask does not contain keeps a weight of exactly 0.
    `pixels` 0 gives the hard mask. Raises ValueError if `pixels` is negative.
    """
    import cv2

    if pixels < 0:
        raise ValueError(f"A feather of {pixels} pixels is not possible: it must be 0 or more.")
    if pixels == 0 or mask.all():
        return mask.astype(np.float32)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.minimum(depth / np.float32(pixels + 1.0), np.float32(1.0)).astype(np.float32)


def fill_holes(mask: BoolMask) -> BoolMask:
    """Adds what cannot be reached from the picture's border without crossing the mask."""
    import cv2

    framed = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(framed, None, (0, 0), 1)
    return mask | (framed[1:-1, 1:-1] == 0)


def pieces_of(mask: BoolMask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Connected pieces (diagonals connect), numbered from 1 [H, W], and the area of each [N]."""
    import cv2

    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(pieces, np.int32), np.asarray(stats[1:, cv2.CC_STAT_AREA], np.int32)


def drop_specks(mask: BoolMask, min_pixels: float) -> BoolMask:
    """Removes connected pieces of fewer than `min_pixels`."""
    pieces, sizes = pieces_of(mask)
    return np.concatenate([[False], sizes >= min_pixels])[pieces]


def foreground_box(foreground: BoolMask) -> Box | None:
    """The box around the foreground [H, W], specks and a frame along the edges left out."""
    unframed = _without_frame(foreground)
    pieces, sizes = pieces_of(unframed)
    if len(sizes) == 0:
        return None
    large = np.concatenate([[False], sizes >= SPECK_SHARE * sizes.max()])[pieces]
    rows, columns = np.flatnonzero(large.any(axis=1)), np.flatnonzero(large.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _without_frame(foreground: BoolMask) -> BoolMask:
    inner = foreground.copy()
    for axis in (0, 1):
        covered = foreground.mean(axis=1 - axis) >= FRAME_COVER
        deepest = int(FRAME_SHARE * len(covered))
        for lines in (covered, covered[::-1]):
            depth = int(np.argmin(lines)) if not lines.all() else len(lines)
            if 0 < depth <= deepest:
                side = slice(0, depth) if lines is covered else slice(len(covered) - depth, None)
                inner[(side, slice(None)) if axis == 0 else (slice(None), side)] = False
    return inner
