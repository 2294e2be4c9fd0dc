"""A garment out of a picture of somebody who wears it: cut out by its labels and laid on white.

The networks were trained with garments lying flat. What a worn one shows of itself is cut out and
brought to the canvas as a flat one is. It keeps the shape of the body, and what an arm or hair
hides in the midst of it is painted over from around, so a flat picture stays the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from ..masks.agnostic import MIN_PERSON_SHARE, one_person
from ..masks.labels import HEAD, REPLACED, Label
from ..masks.limbs import Skeleton
from ..masks.morphology import BoolMask, drop_specks, feather_mask, fill_holes, grow_mask
from .fitting import expect_size, prepare_garment, size_of

WORN: dict[Category, frozenset[Label]] = {
    Category.UPPER: frozenset({Label.UPPER_CLOTHES}),
    Category.LOWER: frozenset({Label.SKIRT, Label.PANTS, Label.BELT}),
    Category.DRESS: frozenset({Label.DRESS, Label.BELT}),
}
"""What is cut out. A belt alone is no garment."""
SKIN = HEAD - {Label.HAT, Label.SUNGLASSES} | {
    Label.LEFT_ARM, Label.RIGHT_ARM, Label.LEFT_LEG, Label.RIGHT_LEG, Label.NECK,
}  # fmt: skip
MIN_JOINTS = 8  # of a body that wears something
MIN_SHARE = 0.005  # of the picture: less is noise of the parser
SPECK = 60  # area in pixels at a height of 512, as the lengths below
EDGE = 1.5  # over which the cut-out fades: labels are no finer
PAINT_RADIUS, MOST_PAINT_RADIUS = 6, 12  # the latter in pixels of any picture: its cost is squared
WAISTBAND = 0.6
"""Of a lower garment's breadth: narrower rows above its waistband are tips beside shirt and hands,
which would be taken for a waist."""


class GarmentPhoto(StrEnum):
    """What a garment's picture shows: the garment alone, or somebody who wears it."""

    FLAT = "flat"
    WORN = "worn"
    AUTO = "auto"


def shows_a_person(label_map: NDArray[np.uint8], people: Sequence[NDArray[np.floating]]) -> bool:
    """Whether a garment's picture shows somebody who wears it.

    Both networks have to see them: a parser takes cloth in the colour of skin for skin, a pose
    network finds the people of a printed picture.

    Args:
        label_map: uint8 [H, W]. Somebody shows skin (face, neck, arms, legs), which clothes do not
            enclose as they do a print.
        people: keypoints [18, 3] of everybody found.
    """
    if not has_a_body(people):
        return False
    clothes = fill_holes(np.isin(label_map, list(REPLACED[Category.DRESS])))
    skin = np.isin(label_map, list(SKIN)) & ~clothes
    return int(np.count_nonzero(skin)) >= MIN_PERSON_SHARE * label_map.size


def has_a_body(people: Sequence[NDArray[np.floating]]) -> bool:
    """Whether so much of one of them [18, 3] was found that they may wear a garment."""
    return any(np.count_nonzero(each[:, 2] > 0) >= MIN_JOINTS for each in people)


def worn_garment_mask(label_map: NDArray[np.uint8], category: Category) -> BoolMask:
    """The pixels [H, W] of the garment of a category that somebody wears.

    Of several people it is the largest one's. Raises ValueError where nobody wears such a garment.
    """
    labels = one_person(label_map, Skeleton.of(None, *label_map.shape))
    scale = label_map.shape[0] / 512
    garment = np.isin(labels, list(WORN[category]))
    garment = drop_specks(garment, SPECK * scale**2)
    if category is Category.LOWER:
        garment &= _below_waistband(garment)
    area = np.count_nonzero(garment & (labels != Label.BELT))
    if area < max(MIN_SHARE * label_map.size, 1):
        names = " or ".join(
            sorted(label.name.lower().replace("_", " ") for label in WORN[category] - {Label.BELT})
        )
        raise ValueError(
            f"The garment's picture shows nobody who wears a garment of category '{category}' "
            f"(looked for: {names}): choose another category or picture, or cut the garment out "
            "with a mask."
        )
    return garment


def lay_worn_garment(
    picture: NDArray[np.uint8],
    label_map: NDArray[np.uint8],
    category: Category,
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    """The garment that somebody wears, centred on a white canvas [height, width, 3].

    Args:
        picture: uint8 RGB [H, W, 3] of any size.
        label_map: uint8 [H, W] of it.

    Raises ValueError for a label map of another size, or as `worn_garment_mask` does.
    """
    expect_size(label_map, *size_of(picture), "label map")
    garment = worn_garment_mask(label_map, category)
    hidden = fill_holes(garment) & ~garment & (label_map != Label.BACKGROUND)
    scale = picture.shape[0] / 512
    if hidden.any():
        picture = _painted_over(picture, hidden, garment, scale)
    soft = feather_mask(garment | hidden, EDGE * scale)
    return prepare_garment(picture, height, width, mask=soft)


def _below_waistband(garment: BoolMask) -> BoolMask:
    """The rows [H, 1] of a lower garment [H, W] from its waistband down."""
    widths = garment.sum(axis=1)
    if not widths.any():
        return np.ones((len(widths), 1), np.bool_)
    broad = np.quantile(widths[widths > 0], 0.5)
    rows = np.arange(len(widths))
    return (rows >= np.argmax(widths >= WAISTBAND * broad))[:, None]


def _painted_over(
    picture: NDArray[np.uint8], hidden: BoolMask, garment: BoolMask, scale: float
) -> NDArray[np.uint8]:
    """The picture with what hides the garment, and its soft outline, painted from around it."""
    import cv2

    wider = grow_mask(hidden, max(round(EDGE * scale), 1))
    outside = grow_mask(~(garment | hidden), 1)
    radius = min(PAINT_RADIUS * scale, MOST_PAINT_RADIUS)
    painted = cv2.inpaint(picture, (wider & ~outside).astype(np.uint8), radius, cv2.INPAINT_TELEA)
    return np.asarray(painted, np.uint8)
