"""The outline of a garment in its flat picture: which pixels are garment, holes filled.

Nothing is known of the picture but that most of its rim shows the ground. The ground is estimated
there as a smooth surface, so that grey, cream and unevenly lit ones do, and what cannot be reached
from the rim over ground is garment: a white shirt on white is found by its edges alone. Labels,
hangers, loose threads and specks are dropped. Where this cannot work, `ShapeUnknown` says why.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .morphology import BoolMask, fill_holes, pieces_of

WORKING_HEIGHT = 320
"""Pictures are looked at so high: fine enough for straps, coarse enough for threads."""
RIM = 0.02  # of the picture's sides: as deep is the ground looked for
MIN_GROUND_ON_RIM = 0.45
"""At least this share of the rim has to be ground, or the ground cannot be told."""
GROUND_TOLERANCE = (5.0, 24.0)
"""Levels of 255 by which a pixel differs from the ground at least; more on a noisy ground."""
FAINT_TOLERANCE = 2.5
"""The same for a garment that is nearly as light as its ground, on a ground without noise."""
FAINT_GAIN = 1.15
"""Such a garment is one of which the finer tolerance shows so much more."""
EVEN_GROUND = 8.0
"""Levels: a rim that a smooth surface does not follow so closely shows a wall and a floor."""
PADDING_STEP = 3.0  # levels between a band of padding and the ground beside it
MIN_SHARE, MAX_SHARE = 0.02, 0.90  # of the picture, that garments take
SMALL_PIECE = 0.04  # of the largest piece: smaller ones are labels, hooks or specks
THREAD = 0.006  # of the height: thinner lines are no cloth
CUT_OFF = 0.06  # of the first or last row, covered by the garment: it goes on outside


class ShapeUnknown(ValueError):  # noqa: N818 - a reason, not a failure of the program
    """Why a picture does not tell its garment's shape; a clause, for the end of a sentence."""


def garment_outline(picture: NDArray[np.uint8], mask: BoolMask | None = None) -> BoolMask:
    """The garment's pixels, bool [h, w], cropped to the garment, `WORKING_HEIGHT` or less high.

    Args:
        picture: uint8 RGB [H, W, 3], the garment lying flat, of any size.
        mask: bool [H, W], the garment's pixels where they are known; the ground is then not looked
            for.

    Raises:
        ShapeUnknown: the ground cannot be told, nothing stands out from it, or the garment fills
            its picture or is cut off by its edge.
        ValueError: a mask of another size than the picture.
    """
    if mask is not None and mask.shape != picture.shape[:2]:
        raise ValueError(
            f"The garment's mask is {list(mask.shape)} (height, width) but its picture is "
            f"{list(picture.shape[:2])}: they must have the same size."
        )
    found = _by_ground(picture) if mask is None else _reduced(mask.astype(np.uint8) * 255) > 127
    outline = fill_holes(_without_threads(found))
    pieces, sizes = pieces_of(outline)
    if len(sizes) == 0 or sizes.max() < MIN_SHARE * outline.size:
        raise ShapeUnknown("nothing stands out from the ground")
    outline = np.concatenate([[False], sizes >= SMALL_PIECE * sizes.max()])[pieces]
    if outline.mean() > MAX_SHARE and mask is None:
        raise ShapeUnknown("it fills its picture")
    if mask is None and max(outline[0].mean(), outline[-1].mean()) > CUT_OFF:
        raise ShapeUnknown("it is cut off by its picture's edge")
    rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
    return outline[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _by_ground(picture: NDArray[np.uint8]) -> BoolMask:
    """What differs from the ground, and what it encloses, bool [h, w]."""
    image = _reduced(_without_padding(picture)).astype(np.float64)
    ground, tolerance = _ground(image)
    distance = np.abs(image - ground).max(axis=2)
    clear = fill_holes(_closed(distance > tolerance))
    if tolerance > GROUND_TOLERANCE[0]:
        return clear
    faint = fill_holes(_closed(distance > FAINT_TOLERANCE))
    # The finer tolerance takes the fringes of a compressed picture for cloth: only where it must.
    return faint if faint.sum() > FAINT_GAIN * clear.sum() else clear


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height <= WORKING_HEIGHT:
        return image
    size = (max(1, round(width * WORKING_HEIGHT / height)), WORKING_HEIGHT)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _without_padding(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without plain bands that were put around it to change its shape.

    A band of one colour is padding if what lies behind it begins with another colour at both ends.
    """
    for _ in range(2):  # bands above and below, then those at the sides
        lines = picture.astype(np.int16)
        plain = (lines.max(axis=1) - lines.min(axis=1)).max(axis=1) <= PADDING_STEP
        first = _band(lines, plain)
        last = len(lines) - _band(lines[::-1], plain[::-1])
        picture = picture[first:last].transpose(1, 0, 2)
    return picture


def _band(lines: NDArray[np.int16], plain: BoolMask) -> int:
    """How many of the first lines [N, M, 3] are padding."""
    alike = plain & (np.abs(lines[:, 0] - lines[0, 0]).max(axis=1) <= PADDING_STEP)
    depth = len(lines) if alike.all() else int(np.argmin(alike))
    behind = min(depth + 2, len(lines) - 1)
    if depth == 0 or depth >= len(lines) - 1:
        return 0
    steps = np.abs(lines[behind, [0, -1]] - lines[0, 0]).max(axis=1)
    return depth + 1 if (steps > PADDING_STEP).all() else 0


def _ground(image: NDArray[np.float64]) -> tuple[NDArray[np.floating], float]:
    """The ground [h, w, 3] as a smooth surface through the rim, and what counts as differing."""
    height, width = image.shape[:2]
    deep = max(round(RIM * max(height, width)), 2)
    y, x = np.mgrid[0:height, 0:width]
    rim = (np.minimum(y, height - 1 - y) < deep) | (np.minimum(x, width - 1 - x) < deep)
    u, v = 2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1
    terms = np.stack([np.ones_like(u), u, v, u * v, u * u, v * v], axis=-1)
    samples, colours = terms[rim], image[rim]
    fitted = np.broadcast_to(np.median(colours, axis=0), colours.shape)
    allowed, noise = 40.0, 0.0  # levels; a first look takes uneven light for ground
    coefficients = np.zeros((6, 3))
    for _ in range(4):
        near = np.abs(colours - fitted).max(axis=1) <= allowed
        if near.mean() < MIN_GROUND_ON_RIM:
            raise ShapeUnknown("its ground cannot be told")
        coefficients = np.linalg.lstsq(samples[near], colours[near], rcond=None)[0]
        fitted = samples @ coefficients
        noise = float(np.quantile(np.abs(colours - fitted).max(axis=1)[near], 0.9))
        allowed = float(np.clip(3.0 * noise, *GROUND_TOLERANCE))
    ground = terms @ coefficients
    if allowed > EVEN_GROUND:
        by_rows = _ground_by_rows(image, ground, allowed, deep)
        if by_rows is not None:
            return by_rows, EVEN_GROUND
    return ground, allowed


def _ground_by_rows(
    image: NDArray[np.float64], ground: NDArray[np.floating], allowed: float, deep: int
) -> NDArray[np.floating] | None:
    """The ground of a picture with a wall and a floor: each row from its left end to its right.

    None where too few rows have ground at both ends.
    """
    ends = [np.median(image[:, side], axis=1) for side in (slice(0, deep), slice(-deep, None))]
    rough = [ground[:, 0], ground[:, -1]]
    near = [np.abs(e - r).max(1) <= 1.5 * allowed for e, r in zip(ends, rough, strict=True)]
    known = np.all(near, axis=0)
    if known.mean() < 0.5:
        return None
    rows = np.arange(len(image))
    left, right = (
        np.stack([np.interp(rows, rows[known], end[known, c]) for c in range(3)], axis=1)
        for end in ends
    )
    share = np.linspace(0, 1, image.shape[1])[:, None]
    across = (1 - share) * left[:, None] + share * right[:, None]
    # What is darker in the middle of the first and last row than at their ends is so in between.
    differs = image - across
    above, below = (
        np.median(differs[side], axis=0) for side in (slice(0, deep), slice(-deep, None))
    )
    down = np.linspace(0, 1, len(image))[:, None, None]
    return across + (1 - down) * above + down * below


def _closed(mask: BoolMask) -> BoolMask:
    """The mask with gaps of its outline bridged: a white garment's edge is broken in places."""
    import cv2

    size = 2 * max(round(THREAD * mask.shape[0]), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    room = np.pad(mask.astype(np.uint8), size)
    closed = cv2.morphologyEx(room, cv2.MORPH_CLOSE, kernel)
    return closed[size:-size, size:-size].astype(bool)


def _without_threads(mask: BoolMask) -> BoolMask:
    import cv2

    size = 2 * max(round(THREAD * mask.shape[0] / 2), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)
