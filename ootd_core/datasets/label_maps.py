"""Label maps of data sets: read as indices, translated to ATR, brought onto the canvas.

A label map is a picture whose pixel values are labels. Published ones are palette PNGs: the colours
are for the eye, the indices are the labels. VITON-HD's labels are LIP's, with one of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..masks.labels import Label
from .sample import FileMissing, UnusableSample

VITON_HD_TO_ATR: tuple[Label, ...] = (
    Label.BACKGROUND,  # 0 background
    Label.HAT,  # 1 hat
    Label.HAIR,  # 2 hair
    Label.BAG,  # 3 glove; ATR has none: like a bag, it is worn and stays
    Label.SUNGLASSES,  # 4 sunglasses
    Label.UPPER_CLOTHES,  # 5 upper clothes
    Label.DRESS,  # 6 dress
    Label.UPPER_CLOTHES,  # 7 coat
    Label.LEFT_LEG,  # 8 socks; on which leg is not said, and no mask tells the legs apart
    Label.PANTS,  # 9 pants
    Label.NECK,  # 10 jumpsuit in LIP itself; image-parse-v3 marks the neck with it
    Label.SCARF,  # 11 scarf
    Label.SKIRT,  # 12 skirt
    Label.FACE,  # 13 face
    Label.LEFT_ARM,  # 14 left arm
    Label.RIGHT_ARM,  # 15 right arm
    Label.LEFT_LEG,  # 16 left leg
    Label.RIGHT_LEG,  # 17 right leg
    Label.LEFT_SHOE,  # 18 left shoe
    Label.RIGHT_SHOE,  # 19 right shoe
)
"""The ATR label of each value of VITON-HD's image-parse-v3 (LIP, 20 classes)."""

ATR: tuple[Label, ...] = tuple(Label)
"""Dress Code's label maps and those of a plain folder are ATR already."""

INDEX_MODES = ("P", "L", "1")  # Pillow's names for palette, grey and black-and-white


def read_label_map(path: Path, table: tuple[Label, ...]) -> NDArray[np.uint8]:
    """Read a label map uint8 [H, W] and translate its values to ATR by `table`.

    Raises UnusableSample, naming the file, for one that is missing, damaged, coloured, of 16 bits,
    or holds a value that the table does not have.
    """
    if not path.is_file():
        raise FileMissing(f"There is no label map at {path}.")
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            indices = np.array(opened)
    except Exception as error:  # a damaged file raises whatever its format's reader stumbled over
        raise UnusableSample(f"{path} cannot be decoded ({error}).") from error
    if mode not in INDEX_MODES:
        raise UnusableSample(
            f"{path} is {_kind(mode)}: a label map holds one index per pixel, in 8 bits; save it "
            "as a palette or grey PNG of the indices themselves."
        )
    values = indices.astype(np.uint8)
    if values.max(initial=0) >= len(table):
        raise UnusableSample(
            f"{path} holds the value {values.max()}, but the last label is {len(table) - 1}."
        )
    return np.array(table, np.uint8)[values]


def _kind(mode: str) -> str:
    """What a picture of a mode that holds no labels is."""
    if mode.startswith("I;16"):
        return f"a grey picture of 16 bits ({mode})"
    if mode in ("I", "F"):
        return f"a grey picture of 32 bits ({mode})"
    if mode in ("LA", "La", "PA"):
        return f"a picture with transparency ({mode})"
    return f"a colour picture ({mode})"
