"""ATR labels of a human label map, plus the neck, and what they mean for each category.

A label map is uint8 [H, W]. The parser names clothes and bare limbs separately, so "what the old
garment covers" and "what must stay" are sets of labels: they are constants here, and the mask
code only does geometry. Left and right are the person's own.
"""

from __future__ import annotations

from enum import IntEnum

from ..categories import Category


class Label(IntEnum):
    """Values of a label map (ATR order; 18 is added by the parser)."""

    BACKGROUND = 0
    HAT = 1
    HAIR = 2
    SUNGLASSES = 3
    UPPER_CLOTHES = 4
    SKIRT = 5
    PANTS = 6
    DRESS = 7
    BELT = 8
    LEFT_SHOE = 9
    RIGHT_SHOE = 10
    FACE = 11
    LEFT_LEG = 12
    RIGHT_LEG = 13
    LEFT_ARM = 14
    RIGHT_ARM = 15
    BAG = 16
    SCARF = 17
    NECK = 18


HEAD: frozenset[Label] = frozenset({Label.HAT, Label.SUNGLASSES, Label.FACE})

# Kept whatever is put on. Hair is not among them: long hair lies over the garment, and the
# published networks were trained with it repainted there.
ALWAYS_KEPT: frozenset[Label] = HEAD | {Label.LEFT_SHOE, Label.RIGHT_SHOE, Label.BAG}

# The old garment, and the bare skin that a new one may cover.
REPLACED: dict[Category, frozenset[Label]] = {
    Category.UPPER: frozenset({Label.UPPER_CLOTHES, Label.DRESS}),
    Category.LOWER: frozenset({Label.SKIRT, Label.PANTS, Label.LEFT_LEG, Label.RIGHT_LEG}),
    Category.DRESS: frozenset({Label.UPPER_CLOTHES, Label.SKIRT, Label.PANTS, Label.DRESS}),
}

# The clothes and limbs that this category leaves alone.
KEPT: dict[Category, frozenset[Label]] = {
    Category.UPPER: ALWAYS_KEPT | {Label.SKIRT, Label.PANTS},
    Category.LOWER: ALWAYS_KEPT | {Label.UPPER_CLOTHES, Label.LEFT_ARM, Label.RIGHT_ARM},
    Category.DRESS: ALWAYS_KEPT,
}

# The clothes of another category that the new garment's hem may come to lie over.
COVERED_BY_HEM: dict[Category, frozenset[Label]] = {
    Category.UPPER: frozenset({Label.SKIRT, Label.PANTS}),
    Category.LOWER: frozenset(),
    Category.DRESS: frozenset(),
}
