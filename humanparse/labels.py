"""The two label sets of human parsing.

ATR (18 classes) is what this package returns, with one label added: the neck, which ATR counts as
face. LIP (20 classes) is what the second network predicts.
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
