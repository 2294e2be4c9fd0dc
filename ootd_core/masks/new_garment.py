"""The new garment's part of a mask: measured or set by hand, and laid on a person.

Where neither tells, or the person's joints do not, there is no such part, and a sentence says why:
the mask is then the old garment's alone. A length or sleeves set by hand do without a picture; the
rest of the garment is then a usual one of its category.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from .garment_on_body import OVER_OTHERS, Trunk, garment_region
from .garment_outline import ShapeUnknown, garment_outline
from .garment_shape import ANKLES, COLLAR, KNEES, WAIST, WAISTBAND, GarmentShape, garment_shape
from .labels import Label
from .limbs import ARMS, Skeleton
from .morphology import BoolMask


class MaskLength(StrEnum):
    """How far down the new garment reaches; auto measures it."""

    AUTO = "auto"
    WAIST = "waist"
    HIP = "hip"
    THIGH = "thigh"
    KNEE = "knee"
    CALF = "calf"
    ANKLE = "ankle"


class MaskSleeves(StrEnum):
    """How far along the arms the new garment reaches; auto measures it."""

    AUTO = "auto"
    NONE = "none"
    SHORT = "short"
    ELBOW = "elbow"
    LONG = "long"


LENGTH_LEVELS = {
    MaskLength.WAIST: 0.75,
    MaskLength.HIP: 1.15,
    MaskLength.THIGH: 1.45,
    MaskLength.KNEE: KNEES,
    MaskLength.CALF: 2.2,
    MaskLength.ANKLE: ANKLES,
}
"""Levels of the body, as in `GarmentShape`."""
SLEEVE_SHARES = {
    MaskSleeves.NONE: 0.0,
    MaskSleeves.SHORT: 0.35,
    MaskSleeves.ELBOW: 0.58,
    MaskSleeves.LONG: 1.0,
}
"""Shares of the arm."""
USUAL_HEMS = {Category.UPPER: 1.15, Category.DRESS: KNEES, Category.LOWER: ANKLES}
USUAL_LEVELS = (COLLAR, WAIST, 1.0, KNEES, ANKLES)
USUAL_HALF_WIDTHS = {
    Category.UPPER: (0.36, 0.32, 0.38, 0.42, 0.45),
    Category.DRESS: (0.36, 0.32, 0.42, 0.54, 0.62),
    Category.LOWER: (0.28, 0.28, 0.36, 0.40, 0.42),
}
"""Of a garment whose picture tells nothing: a plain shirt, a slightly flared dress, a skirt or
trousers, at these levels, in torsos."""
USUAL_SLEEVE = 0.12  # torsos, half its width
SHORTEST = 0.2  # torsos
BEYOND_ELBOW = 0.6  # of the arm: sleeves from here on cover forearms


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NewGarment:
    """Where the new garment will lie; nothing is kept out of it yet.

    region: bool [H, W], empty where that is unknown. over_others: bool [H, W], the part of it that
    may hide another garment. long_sleeves: they go beyond the elbows. bare: the arms whose skin
    beyond the sleeves is known to stay bare. warnings: sentences for the user.
    """

    region: BoolMask
    over_others: BoolMask
    long_sleeves: bool = False
    bare: frozenset[Label] = frozenset()
    warnings: tuple[str, ...] = ()


def lay_new_garment(
    skeleton: Skeleton,
    category: Category,
    *,
    garment: NDArray[np.uint8] | None = None,
    garment_mask: BoolMask | None = None,
    length: MaskLength = MaskLength.AUTO,
    sleeves: MaskSleeves = MaskSleeves.AUTO,
) -> NewGarment:
    """Lay the new garment on a person.

    Args:
        garment: uint8 RGB [h, w, 3], lying flat, of any size.
        garment_mask: bool [h, w], its pixels there, where they are known.
        length, sleeves: win over what is measured.

    Raises:
        ValueError: a garment's mask of another size than its picture.
    """
    nothing = np.zeros((skeleton.height, skeleton.width), dtype=np.bool_)
    by_hand = sleeves is not MaskSleeves.AUTO and category is not Category.LOWER
    warnings: list[str] = []
    shape, reason = None, "there is no garment picture"
    if garment is not None:
        try:
            shape = garment_shape(garment_outline(garment, garment_mask), category)
        except ShapeUnknown as unknown:
            reason = f"the garment's picture does not tell its shape: {unknown}"
    if shape is None and length is MaskLength.AUTO:
        warnings.append(
            f"How long the new garment is was not measured, because {reason}. The mask reaches as "
            "far as the old one, as in mode 'robust': give the garment lying flat on a plain "
            "ground, or set its length."
        )
        if not by_hand:
            return NewGarment(region=nothing, over_others=nothing, warnings=tuple(warnings))
    trunk = Trunk.of(skeleton, category)
    if trunk is None:
        joints = "hips" if category is Category.LOWER else "shoulders"
        warnings.append(
            f"Where the new garment will lie is not known, because the {joints} were not found. "
            "The mask reaches as far as the old one, as in mode 'robust'."
        )
        return NewGarment(region=nothing, over_others=nothing, warnings=tuple(warnings))
    sleeves_alone = shape is None and length is MaskLength.AUTO
    shape = _by_hand(shape, category, length, sleeves if by_hand else MaskSleeves.AUTO)
    if sleeves_alone:
        shape = replace(shape, hem=shape.top + SHORTEST)
    guessed = trunk.guessed_within(shape.hem, skeleton)
    if guessed:
        warnings.append(
            f"Not found: {', '.join(guessed)}. How far down the new garment reaches is judged from "
            "the other joints."
        )
    return NewGarment(
        region=garment_region(shape, skeleton, trunk, category),
        over_others=garment_region(shape, skeleton, trunk, category, OVER_OTHERS),
        long_sleeves=shape.sleeve > BEYOND_ELBOW,
        bare=_known_arms(skeleton, shape.sleeve) if by_hand else frozenset(),
        warnings=tuple(warnings),
    )


def _usual(category: Category) -> GarmentShape:
    return GarmentShape(
        top=WAISTBAND if category is Category.LOWER else COLLAR,
        hem=USUAL_HEMS[category],
        levels=np.array(USUAL_LEVELS),
        half_widths=np.array(USUAL_HALF_WIDTHS[category]),
    )


def _by_hand(
    shape: GarmentShape | None, category: Category, length: MaskLength, sleeves: MaskSleeves
) -> GarmentShape:
    """The shape, or a usual one of the category, with the asked length and sleeves."""
    measured = shape is not None
    shape = shape or _usual(category)
    hem = max(LENGTH_LEVELS.get(length, shape.hem), shape.top + SHORTEST)
    if not measured:
        shape = replace(shape, hem=hem)
    elif length is not MaskLength.AUTO:
        # The outline is stretched: a skirt flares to its hem, wherever that is.
        stretch = (hem - shape.top) / max(float(shape.levels[-1]) - shape.top, 1e-6)
        levels = shape.top + (shape.levels - shape.top) * stretch
        crotch = None if shape.crotch is None else min(shape.crotch, hem)
        shape = replace(shape, hem=hem, levels=levels, crotch=crotch)
    if sleeves is not MaskSleeves.AUTO:
        half_width = max(shape.sleeve_half_width, USUAL_SLEEVE)
        shape = replace(shape, sleeve=SLEEVE_SHARES[sleeves], sleeve_half_width=half_width)
    return shape


def _known_arms(skeleton: Skeleton, sleeve: float) -> frozenset[Label]:
    """The arms of which so much is known that a sleeve's end can be told."""
    needed = 3 if sleeve > 0 else 2
    return frozenset(
        label for label, joints in ARMS.items() if skeleton.known[list(joints[:needed])].all()
    )
