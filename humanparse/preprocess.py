"""A picture -> the input of a parsing network.

The networks learned from OpenCV's BGR pictures, so the channels are turned round and normalised
with the ImageNet figures in that order. The warp works in whole numbers, as OpenCV's does for
pictures of bytes: bit for bit what the published networks were fed, on every machine.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .alignment import SUBPIXELS, Size, Taps, axis_taps, network_pixels_per_image_pixel

BGR_MEAN: Final = (0.406, 0.456, 0.485)
BGR_STD: Final = (0.225, 0.224, 0.229)


def network_input(image: NDArray[np.uint8], network: Size) -> NDArray[np.float32]:
    """Fit an RGB picture [H, W, 3] of any size into a frame of size `network` = (h, w).

    Returns float32 [1, 3, h, w], BGR, about -2.1 to 2.6; black (before normalising) where the frame
    is larger than the picture. ValueError when `image` is not such a picture.
    """
    check_image(image)
    height, width = image.shape[:2]
    step = 1 / network_pixels_per_image_pixel(image=(height, width), network=network)
    rows = axis_taps(0, source_length=height, target_length=network[0], step=step)
    columns = axis_taps(1, source_length=width, target_length=network[1], step=step)
    mixed = _mix_columns(_mix_rows(image, rows), columns)  # [h, w, 3] in 1/1024
    one = SUBPIXELS * SUBPIXELS
    framed = ((mixed + one // 2) // one).astype(np.uint8)
    normalised = [table[framed[..., 2 - bgr]] for bgr, table in enumerate(_normal_values())]
    return np.stack(normalised)[None]


def check_image(image: NDArray[np.uint8]) -> None:
    """ValueError unless `image` is a uint8 RGB picture [H, W, 3] of at least two pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"human parsing takes a uint8 RGB picture [H, W, 3], got {image.dtype} "
            f"{list(image.shape)}"
        )
    height, width = image.shape[:2]
    if height * width < 2:
        raise ValueError(f"picture is {width}x{height} pixels: too small to find a person in it")


def _mix_rows(image: NDArray[np.uint8], taps: Taps) -> NDArray[np.int32]:
    weight = taps.weight[:, :, None, None]
    return image[taps.index[:, 0]] * weight[:, 0] + image[taps.index[:, 1]] * weight[:, 1]


def _mix_columns(image: NDArray[np.int32], taps: Taps) -> NDArray[np.int32]:
    weight = taps.weight[:, :, None]
    return image[:, taps.index[:, 0]] * weight[:, 0] + image[:, taps.index[:, 1]] * weight[:, 1]


def _normal_values() -> list[NDArray[np.float32]]:
    """Per channel, blue first, the normalised value of each of the 256 bytes."""
    shares = np.arange(256, dtype=np.float32) / np.float32(255)
    return [
        (shares - np.float32(mean)) / np.float32(std)
        for mean, std in zip(BGR_MEAN, BGR_STD, strict=True)
    ]
