"""Where the pixels of a picture lie in a network's frame, and back.

The picture is put into the frame by scale and shift alone: centre on centre, as large as fits,
first and last pixel centre of the longer side on the frame's. Such a warp is separable, so an axis
is described by two taps per output pixel. Positions are rounded to 1/32 pixel exactly as OpenCV 4's
`warpAffine` does it: the published networks were always fed and read that way, OpenCV 5 computes
other positions, and with the rounding written here every version gives the same label map.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

SUBPIXELS: Final = 32
"""A position is a whole number of 1/32 pixels."""
_FIXED_POINT: Final = 1024
_HALF_SUBPIXEL: Final = _FIXED_POINT // SUBPIXELS // 2

Size = tuple[int, int]
"""(height, width) in pixels."""
Axis = Literal[0, 1]
"""0: rows (y), 1: columns (x)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taps:
    """For each of n output pixels the two input pixels it is mixed from.

    `index` int [n, 2], always inside the input; `weight` int32 [n, 2] in 1/32, zero for a tap that
    would lie outside (outside is black, and scores are zero there).
    """

    index: NDArray[np.intp]
    weight: NDArray[np.int32]
    source_length: int

    def matrix(self) -> NDArray[np.float64]:
        """The same mixing as a matrix [n, source_length]."""
        count = len(self.index)
        matrix = np.zeros((count, self.source_length))
        rows = np.arange(count)
        for tap in range(2):
            matrix[rows, self.index[:, tap]] += self.weight[:, tap] / SUBPIXELS
        return matrix


def network_pixels_per_image_pixel(*, image: Size, network: Size) -> float:
    """The scale at which the whole image, of two pixels or more, fits the frame."""
    return min(
        (inside - 1) / (outside - 1)
        for inside, outside in zip(network, image, strict=True)
        if outside > 1
    )


def axis_taps(axis: Axis, *, source_length: int, target_length: int, step: float) -> Taps:
    """Taps along one axis, centre on centre, `step` source pixels per target pixel."""
    start = (source_length - 1) / 2 - (target_length - 1) / 2 * step
    steps = step * np.arange(target_length)
    # OpenCV rounds a row's position as one number, but a column's offset and step apart.
    fixed = (
        np.rint((steps + start) * _FIXED_POINT)
        if axis == 0
        else np.rint(steps * _FIXED_POINT) + np.rint(start * _FIXED_POINT)
    )
    position = (fixed.astype(np.int64) + _HALF_SUBPIXEL) // (_FIXED_POINT // SUBPIXELS)
    first, fraction = np.divmod(position, SUBPIXELS)
    index = np.stack([first, first + 1], axis=1)
    weight = np.stack([SUBPIXELS - fraction, fraction], axis=1)
    weight[(index < 0) | (index >= source_length)] = 0
    return Taps(
        index=index.clip(0, source_length - 1).astype(np.intp),
        weight=weight.astype(np.int32),
        source_length=source_length,
    )
