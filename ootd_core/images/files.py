"""Picture files to arrays and back.

`load_image` is the one place that knows about EXIF rotation, palettes, alpha and 16-bit files;
behind it every picture is numpy uint8 RGB [H, W, 3]. A file that is not a usable picture is
refused here with one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MIN_SIDE = 16  # pixels; less than two latents a side cannot hold a person or a garment


def load_image(path: Path) -> NDArray[np.uint8]:
    """Reads a picture upright, opaque and in 8 bits: RGB [H, W, 3].

    EXIF rotation is applied, transparency is laid on white, 16-bit greyscale is scaled down, of an
    animation the first frame is taken.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: not an image, damaged, or smaller than `MIN_SIDE` on a side.
    """
    return np.array(_opaque(_open(path), ground="white").convert("RGB"))


def load_mask(path: Path) -> NDArray[np.float32]:
    """Reads a drawn mask as [H, W] in [0, 1]: white 1 is replaced, black or transparent 0 kept.

    Raises as `load_image` does.
    """
    grey = np.asarray(_opaque(_open(path), ground="black").convert("L"))
    return grey.astype(np.float32) / np.float32(255.0)


def as_image(image: Image.Image | NDArray[Any] | Path | str) -> NDArray[np.uint8]:
    """A picture in whatever form as uint8 RGB [H, W, 3]: a PIL image, an array, or a file's path.

    Raises ValueError for an array that is not uint8 [H, W, 3], and as `load_image` does.
    """
    if isinstance(image, Image.Image):
        return np.array(_opaque(image, ground="white").convert("RGB"))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"A picture must be uint8 RGB of shape (height, width, 3), not {image.dtype} "
                f"{image.shape}: scale it to 0 to 255 and convert it."
            )
        return image
    return load_image(Path(image))


def _open(path: Path) -> Image.Image:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not an image.")
    if not path.exists():
        raise FileNotFoundError(f"There is no image file at {path}.")
    try:
        with Image.open(path) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{path} is not an image that can be read; save it as PNG or JPEG."
        ) from error
    except Exception as error:
        # A damaged file raises whatever its format's reader stumbled over: OSError, SyntaxError,
        # struct.error, OverflowError and RuntimeError were all seen.
        raise ValueError(
            f"{path} cannot be decoded ({error}): it is damaged or incomplete; save it again."
        ) from error
    if min(image.size) < MIN_SIDE:
        raise ValueError(
            f"{path} is {image.width}x{image.height} pixels: too small, "
            f"each side needs at least {MIN_SIDE}."
        )
    if image.mode == "F":
        raise ValueError(f"{path} holds floating-point pixels; save it with 8 or 16 bits.")
    return image


def _opaque(image: Image.Image, *, ground: str) -> Image.Image:
    """8 bits a channel, transparency laid on a plain ground."""
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion clips at 255
        values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer)
    return image
