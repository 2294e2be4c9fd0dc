"""Sizes on the way from an image to the network and back to keypoints.

Three grids follow each other: the picture in which joints are located (512 high, whatever the
image's size, so that thresholds and smoothing always mean the same), the network's input (184
high, padded to multiples of 8) and its maps (an eighth of that). A picture of 512x384 gives
184x138, padded 184x144, maps 23x18.
"""

from dataclasses import dataclass

from .network import STRIDE

PICTURE_HEIGHT = 512
"""The height for which the decoding's thresholds were chosen."""
INPUT_HEIGHT = 184
"""Half of the 368 pixels that the network was trained on."""
WIDEST = 3.0
"""Width over height past which the picture gets lower instead of wider, to bound the memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseGeometry:
    """Size of the picture in which joints are located, and of the network's input for it."""

    height: int
    width: int
    input_height: int
    input_width: int

    @classmethod
    def of_picture(cls, *, height: int, width: int) -> "PoseGeometry":
        """Locate joints at exactly `height` x `width` pixels."""
        input_height = min(float(INPUT_HEIGHT), INPUT_HEIGHT * WIDEST * height / width)
        return cls(
            height=height,
            width=width,
            input_height=max(1, round(input_height)),
            input_width=max(1, round(input_height * width / height)),
        )

    @classmethod
    def of_image(cls, *, height: int, width: int) -> "PoseGeometry":
        """Locate the joints of an image of any size, in a picture 512 high of its shape."""
        picture_height = min(float(PICTURE_HEIGHT), PICTURE_HEIGHT * WIDEST * height / width)
        return cls.of_picture(
            height=max(1, round(picture_height)),
            width=max(1, round(picture_height * width / height)),
        )

    @property
    def padded_height(self) -> int:
        """`input_height` rounded up to the network's stride."""
        return _round_up(self.input_height)

    @property
    def padded_width(self) -> int:
        """`input_width` rounded up to the network's stride."""
        return _round_up(self.input_width)


def _round_up(size: int) -> int:
    return -(-size // STRIDE) * STRIDE
