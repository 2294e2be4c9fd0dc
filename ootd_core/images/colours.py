"""What the pixels of an opened picture mean as colours: sRGB, 8 bits a channel, opaque.

A profile in the file (Adobe RGB, Display P3, a printer's CMYK) is applied by Pillow's ImageCms; a
picture without one is sRGB already, as browsers and ComfyUI take it.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

logger = logging.getLogger(__name__)

SAME_COLOURS = 2
"""Levels of 255. A profile that moves no colour farther is sRGB by another maker: such a picture is
left as it is, bit for bit."""

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
"""Pillow's modes that a profile can describe, and ICC's name for what they hold."""


def opaque_srgb(image: Image.Image, name: object) -> Image.Image:
    """The picture in mode RGB, in sRGB, transparency laid on white.

    16 bits of grey are scaled down. A profile that is damaged, or for other channels, is ignored
    with a warning. name: the picture's in messages, such as its path. Raises ValueError for
    floating-point pixels.
    """
    if image.mode == "F":
        raise ValueError(f"{name} holds floating-point pixels; save it with 8 or 16 bits.")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    colours = _srgb(image, name)
    if not image.has_transparency_data:
        return colours
    layer = colours.convert("RGBA")
    layer.putalpha(image.convert("RGBA").getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits of grey as 8; Pillow's own conversion clips at 255."""
    values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
    grey = Image.fromarray(np.round(values / 257).astype(np.uint8))
    grey.info["icc_profile"] = image.info.get("icc_profile")
    return grey


def _srgb(image: Image.Image, name: object) -> Image.Image:
    """The colours of a picture, without its transparency, in mode RGB."""
    profile: bytes | None = image.info.get("icc_profile")
    if image.mode == "LAB":
        return _converted(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode == "LA":
        image = image.getchannel("L")
    elif image.mode not in _SPACES:
        image = image.convert("RGB")
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        space = str(cast("Any", source.profile).xcolor_space).strip()
        if image.mode == "L" and space == "RGB":  # a picture that was turned grey keeps its profile
            image = image.convert("RGB")
        if space != _SPACES[image.mode]:
            raise ImageCms.PyCMSError(f"it is for {space}, the picture is {image.mode}")
        if image.mode == "RGB" and _is_srgb(source):
            return image
        return _converted(image, source)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        logger.warning("%s: its colour profile was ignored (%s).", name, error)
        return image.convert("RGB")


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether a profile leaves a lattice of 17x17x17 colours where it is."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17 * 17, 17, 3)
    converted = np.asarray(_converted(Image.fromarray(lattice), profile))
    return int(np.abs(converted.astype(int) - lattice).max()) <= SAME_COLOURS


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """`image` from `profile` to sRGB: white stays white, black becomes black."""
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        image.mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None where the picture is changed in place
    return converted
