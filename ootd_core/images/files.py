"""Picture files to arrays and back.

Behind `load_image` every picture is numpy uint8 RGB [H, W, 3] in sRGB, behind `read_mask` every
mask float32 [H, W] in [0, 1], whatever its file was like. What cannot be used is refused with one
sentence, and so is a place that cannot be written to: `check_targets` asks before the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checkpoints.whole_files import check_overlaps, check_target, write_whole
from ..masks.levels import mask_levels
from .colours import opaque_srgb
from .mask_pictures import picture_mask
from .opening import check_size, open_picture

JPEG_QUALITY = 95

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""Endings of what is written, and Pillow's names: formats that keep size and colours. JPEG does not
keep every pixel, nor does WebP at a quality; the others do."""

LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
"""Pixels that a format can hold on a side, where a picture may have more."""


def load_image(path: Path) -> NDArray[np.uint8]:
    """Reads a picture upright, opaque, in sRGB and in 8 bits: RGB [H, W, 3].

    EXIF rotation and a colour profile are applied, transparency is laid on white, 16-bit greyscale
    is scaled down, of an animation the first frame is taken.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: not a picture that is read here, damaged, too large or too small.
    """
    return np.array(opaque_srgb(open_picture(path), path))


def read_mask(
    path: Path, *, invert: bool | None = None, can_invert: bool = False
) -> NDArray[np.float32]:
    """Reads a mask as [H, W] in [0, 1]: 1 is replaced, 0 kept.

    A picture is read as `picture_mask` says, a NumPy file (.npy, [H, W] beside sides of length 1)
    as `mask_levels` does. invert: what is white is kept; None also refuses what has two readings,
    where False and True choose one. can_invert: whether errors name the options for that.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: as `load_image`, or not a mask, or ambiguous.
    """
    if path.suffix.lower() != ".npy":
        return picture_mask(open_picture(path), path, invert=invert, can_invert=can_invert)
    values = _load_array(path)
    sides = tuple(side for side in values.shape if side != 1)
    if len(sides) != 2:
        raise ValueError(
            f"{path} holds an array of shape {list(values.shape)}; a mask is [height, width]."
        )
    try:
        mask = mask_levels(values.reshape(sides))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return 1 - mask if invert else mask


def as_image(image: Image.Image | NDArray[Any] | Path | str) -> NDArray[np.uint8]:
    """A picture in whatever form as uint8 RGB [H, W, 3]: a PIL image, an array, or a file's path.

    Raises ValueError for an array that is not uint8 [H, W, 3], and as `load_image` does.
    """
    if isinstance(image, Image.Image):
        check_size(image.size, "The picture")
        return np.array(opaque_srgb(image, "The picture"))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"A picture must be uint8 RGB of shape (height, width, 3), not {image.dtype} "
                f"{image.shape}: scale it to 0 to 255 and convert it."
            )
        check_size((image.shape[1], image.shape[0]), "The picture")
        return image
    if not isinstance(image, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"A picture is a path, a PIL image or an array, not {type(image).__name__}."
        )
    return load_image(Path(image))


def save_image(
    path: Path, picture: Image.Image | NDArray[np.uint8], *, quality: int | None = None
) -> None:
    """Writes a picture, a PIL image or RGB [H, W, 3] or grey [H, W], in the format of its ending.

    quality: 1 to 100, of JPEG (None: 95) and WebP (None: without loss). JPEG is written without
    subsampling of colours. The file is there whole or not at all.

    Raises ValueError as `picture_format`, and WriteError, an OSError, as `write_whole`.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture_format(path, size=image.size[::-1], quality=quality)
    write_whole(path, lambda temporary: encode_image(temporary, image, path, quality=quality))


def encode_image(
    target: Path | BinaryIO, image: Image.Image, path: Path, *, quality: int | None = None
) -> None:
    """Encodes a picture as `save_image` does for `path`, whose ending counts, into `target`."""
    name = picture_format(path, size=image.size[::-1], quality=quality)
    options: dict[str, Any] = {}
    if name == "JPEG":
        options = {"quality": quality or JPEG_QUALITY, "subsampling": 0}
    elif name == "WEBP":
        options = {"lossless": True} if quality is None else {"quality": quality, "method": 6}
    image.save(target, name, **options)


def check_targets(
    outputs: Sequence[Path],
    inputs: Sequence[Path] = (),
    *,
    size: tuple[int, ...] | None = None,
    quality: int | None = None,
) -> None:
    """Asks beforehand whether pictures can be written to `outputs`, of `size` (height, width).

    Raises ValueError as `picture_format`, or where an output would overwrite another or one of
    `inputs`; WriteError, an OSError, where a place cannot be written to.
    """
    for path in outputs:
        picture_format(path, size=size, quality=quality)
    check_overlaps(outputs, inputs)
    for path in outputs:
        check_target(path)


def picture_format(
    path: Path, *, size: tuple[int, ...] | None = None, quality: int | None = None
) -> str:
    """Pillow's name for a picture file to be written.

    Raises ValueError for an ending that is none of `FORMATS`, a picture of `size` (height, width)
    that its format cannot hold, or a quality outside 1 to 100.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        *others, last = FORMATS
        ending = f"the ending {path.suffix}" if path.suffix else "no ending"
        raise ValueError(
            f"{path} has {ending}, but pictures are written as {', '.join(others)} or {last}."
        )
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"The quality is {quality}, but must be 1 to 100.")
    longest = LONGEST_SIDE.get(name)
    if size is not None and longest is not None and max(size) > longest:
        raise ValueError(
            f"{path} cannot hold {size[1]}x{size[0]} pixels: {name} ends at {longest} on a side; "
            "use .png."
        )
    return name


def _load_array(path: Path) -> NDArray[Any]:
    if not path.exists():
        raise FileNotFoundError(f"There is no mask file at {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is not a file.")
    try:
        # Mapped, so that a damaged header cannot ask for more memory than the file is long.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        # Of a damaged header: ValueError, SyntaxError, OverflowError and TypeError, among others.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a NumPy array ({reason}): save it with numpy.save."
        ) from error
