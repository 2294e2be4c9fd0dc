"""A label map as a picture that a person can check at a glance.

Left and right limbs have two shades of one colour, so that swapped sides are seen.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .labels import AtrLabel, LabelMap

COLOURS: Final[dict[AtrLabel, tuple[int, int, int]]] = {
    AtrLabel.BACKGROUND: (24, 24, 28),
    AtrLabel.HAT: (163, 113, 247),
    AtrLabel.HAIR: (110, 72, 46),
    AtrLabel.SUNGLASSES: (70, 70, 96),
    AtrLabel.UPPER_CLOTHES: (230, 72, 82),
    AtrLabel.SKIRT: (214, 92, 196),
    AtrLabel.PANTS: (58, 110, 214),
    AtrLabel.DRESS: (244, 122, 58),
    AtrLabel.BELT: (150, 128, 30),
    AtrLabel.LEFT_SHOE: (188, 192, 198),
    AtrLabel.RIGHT_SHOE: (136, 140, 148),
    AtrLabel.FACE: (250, 206, 170),
    AtrLabel.LEFT_LEG: (92, 196, 118),
    AtrLabel.RIGHT_LEG: (46, 140, 74),
    AtrLabel.LEFT_ARM: (84, 206, 214),
    AtrLabel.RIGHT_ARM: (30, 148, 166),
    AtrLabel.BAG: (196, 164, 70),
    AtrLabel.SCARF: (168, 220, 60),
    AtrLabel.NECK: (222, 150, 116),
}
"""RGB, 0 to 255."""


def colourise(labels: LabelMap) -> NDArray[np.uint8]:
    """Colour each label of an ATR map [H, W]: uint8 RGB [H, W, 3].

    ValueError when the map holds a value that is no `AtrLabel`.
    """
    largest = int(labels.max(initial=0))
    if largest >= len(COLOURS):
        raise ValueError(f"label map holds {largest}, the largest ATR label is {len(COLOURS) - 1}")
    palette = np.array([COLOURS[label] for label in AtrLabel], np.uint8)
    return palette[labels]
