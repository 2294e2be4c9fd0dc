"""The human parser: two networks that know different things, merged into one label map.

The ATR network names the garments. The LIP network draws the line between face and neck, which ATR
does not: a garment's neckline belongs to the region to be painted, the face does not.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .labels import ATR_CLASSES, LIP_CLASSES, LabelMap
from .merge import add_neck, fill_upper_clothes
from .network import ParsingNetwork

PUBLISHED_ATR_SIZE: Final = 512
PUBLISHED_LIP_SIZE: Final = 473


class HumanParser:
    """Callable: a picture of a person -> `AtrLabel` per pixel."""

    def __init__(self, atr: Path, lip: Path, *, device: str = "cpu") -> None:
        """`atr`, `lip`: the two ONNX files. Opened when the first picture is parsed, then kept.

        `device`: "cpu" or "cuda" (also "cuda:1"); without onnxruntime's CUDA provider, and for any
        other device, the CPU is used. FileNotFoundError when a file is missing.
        """
        self.atr = ParsingNetwork(
            atr, classes=ATR_CLASSES, open_size=PUBLISHED_ATR_SIZE, device=device
        )
        self.lip = ParsingNetwork(
            lip, classes=LIP_CLASSES, open_size=PUBLISHED_LIP_SIZE, device=device
        )

    def __call__(self, image: NDArray[np.uint8]) -> LabelMap:
        """Parse an RGB picture, uint8 [H, W, 3] of any size. Returns uint8 [H, W].

        ValueError, in one sentence, when `image` is not such a picture or a file is not a network
        of the expected form.
        """
        return add_neck(fill_upper_clothes(self.atr(image)), self.lip(image))
