"""The two label sets of human parsing, and how a LIP label map becomes an ATR one.

ATR (18 classes) is what this package returns, with one label added: the neck, which ATR counts as
face. LIP (20 classes) is what the second network speaks and what some data sets ship. VITON-HD's
own maps look like LIP but use the value of the jumpsuit for the neck, so it has a table of its own.
"""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

LabelMap = NDArray[np.uint8]
"""uint8 [H, W], one label per pixel."""


class AtrLabel(IntEnum):
    """Labels of the ATR data set; `NECK` is added by this package. Left is the person's left."""

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


class LipLabel(IntEnum):
    """Labels of the LIP (Look into Person) data set."""

    BACKGROUND = 0
    HAT = 1
    HAIR = 2
    GLOVE = 3
    SUNGLASSES = 4
    UPPER_CLOTHES = 5
    DRESS = 6
    COAT = 7
    SOCKS = 8
    PANTS = 9
    JUMPSUIT = 10
    SCARF = 11
    SKIRT = 12
    FACE = 13
    LEFT_ARM = 14
    RIGHT_ARM = 15
    LEFT_LEG = 16
    RIGHT_LEG = 17
    LEFT_SHOE = 18
    RIGHT_SHOE = 19


ATR_CLASSES: Final = 18
"""Classes an ATR network predicts: every `AtrLabel` but the neck."""
LIP_CLASSES: Final = len(LipLabel)

LIP_TO_ATR: Final[dict[int, int]] = {
    LipLabel.BACKGROUND: AtrLabel.BACKGROUND,
    LipLabel.HAT: AtrLabel.HAT,
    LipLabel.HAIR: AtrLabel.HAIR,
    LipLabel.GLOVE: AtrLabel.BAG,  # ATR has no glove: like a bag, it is worn and stays
    LipLabel.SUNGLASSES: AtrLabel.SUNGLASSES,
    LipLabel.UPPER_CLOTHES: AtrLabel.UPPER_CLOTHES,
    LipLabel.DRESS: AtrLabel.DRESS,
    LipLabel.COAT: AtrLabel.UPPER_CLOTHES,
    LipLabel.SOCKS: AtrLabel.LEFT_LEG,  # LIP does not say which leg, ATR has no socks
    LipLabel.PANTS: AtrLabel.PANTS,
    LipLabel.JUMPSUIT: AtrLabel.DRESS,
    LipLabel.SCARF: AtrLabel.SCARF,
    LipLabel.SKIRT: AtrLabel.SKIRT,
    LipLabel.FACE: AtrLabel.FACE,
    LipLabel.LEFT_ARM: AtrLabel.LEFT_ARM,
    LipLabel.RIGHT_ARM: AtrLabel.RIGHT_ARM,
    LipLabel.LEFT_LEG: AtrLabel.LEFT_LEG,
    LipLabel.RIGHT_LEG: AtrLabel.RIGHT_LEG,
    LipLabel.LEFT_SHOE: AtrLabel.LEFT_SHOE,
    LipLabel.RIGHT_SHOE: AtrLabel.RIGHT_SHOE,
}

VITON_HD_TO_ATR: Final[dict[int, int]] = {**LIP_TO_ATR, LipLabel.JUMPSUIT: AtrLabel.NECK}
"""For the `image-parse-v3` maps of VITON-HD, where value 10 marks the neck."""


def relabel(labels: LabelMap, table: dict[int, int]) -> LabelMap:
    """`labels` (any shape) with every label replaced by what `table` has for it.

    ValueError when the map holds a label that the table does not know.
    """
    unknown = sorted(set(np.unique(labels).tolist()) - set(table))
    if unknown:
        raise ValueError(
            f"label map holds {unknown}, the table knows only {min(table)} to {max(table)}: "
            "is it a map of another label set, or a coloured picture?"
        )
    lookup = np.zeros(256, np.uint8)
    lookup[list(table)] = list(table.values())
    return lookup[labels]
