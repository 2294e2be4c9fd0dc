"""What a try-on redrew though nothing changed there: the original comes back.

A mask holds more than the garment: ground beside it, arms, the neck. Where person and result show
the same thing, the original's pixels are the better ones (tattoos, watches, the texture of a wall).
A distance is kept from old and new garment, for label maps are not exact at outlines, and a line of
the old garment around the new one is worse than a redrawn wall.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from ..masks.labels import REPLACED, Label
from ..masks.morphology import BoolMask, drop_specks, grow_mask
from .fitting import expect_size, size_of

DISTANCE = 8
"""Pixels at a height of 512 that stay redrawn around clothes, old and new."""
SPECK = 150
"""Area at a height of 512: smaller pieces are not worth a seam of their own."""
CLOTHES = REPLACED[Category.DRESS] | {Label.BELT, Label.SCARF}
SKIN = frozenset({
    Label.NECK, Label.LEFT_ARM, Label.RIGHT_ARM, Label.LEFT_LEG, Label.RIGHT_LEG,
})  # fmt: skip


class Restore(StrEnum):
    """What of the original comes back inside the mask."""

    NONE = "none"
    BACKGROUND = "background"
    BACKGROUND_AND_SKIN = "background and skin"


def restored_region(
    person: NDArray[np.uint8],
    result: NDArray[np.uint8],
    restore: Restore,
    distance: float = DISTANCE,
) -> BoolMask:
    """Where [H, W] the original is to come back, by the label maps [H, W] of person and result.

    Both show the same there, and neither shows clothes nearer than `distance`, in pixels at a
    height of 512. Raises ValueError for label maps of two sizes.
    """
    expect_size(result, *size_of(person), "result's label map")
    if restore is Restore.NONE:
        return np.zeros(person.shape, dtype=np.bool_)
    labels = {Label.BACKGROUND} | (SKIN if restore is Restore.BACKGROUND_AND_SKIN else set())
    same = (person == result) & np.isin(person, list(labels))
    clothes = np.isin(person, list(CLOTHES)) | np.isin(result, list(CLOTHES))
    scale = person.shape[0] / 512
    far = same & ~grow_mask(clothes, max(round(distance * scale), 1))
    return drop_specks(far, SPECK * scale**2)
