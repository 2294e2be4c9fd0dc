"""Which pixels of a drawn mask are meant: grey levels, two colours, or the alpha channel.

People draw masks in white on black, in red on black, as palette or label values of 0 and 1, or as
the transparent part of the photograph itself (ComfyUI's mask editor). What can be read in one way
only is read; where there are two, the reader has to be told, and is told what the two are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..masks.levels import mask_levels

Levels = NDArray[np.float32]
Colour = NDArray[np.float64]  # [3], 0 to 255

_SAME_GREY = 8  # levels between the channels of a colour that counts as grey
_NEUTRAL = 24  # levels between the channels of a black, grey or white that was compressed
_SAME_COLOUR = 40  # distance in RGB of what compression makes of one colour
_DRAWN_SHARE = 0.9  # of the pixels of a mask in two colours; the others are its soft edges


def picture_mask(
    image: Image.Image, path: Path | str, *, invert: bool | None = None, can_invert: bool = False
) -> Levels:
    """The mask that an opened picture holds: [H, W] in [0, 1], 1 is repainted.

    The brighter of two colours is repainted, a colour rather than black, a drawn stroke rather than
    the transparency around it; grey levels are soft. invert: the other way round. For what has two
    readings (a photograph with a transparent part, a colour on white) True and False choose one:
    False the opaque or brighter part, True the transparent or darker one. path: what errors call
    the picture. can_invert: whether they name the options --invert-mask and --no-invert-mask.

    Raises ValueError, with both readings, for what is ambiguous where `invert` is None, and for a
    picture that is no mask.
    """
    if image.has_transparency_data and image.mode[0] not in "IF":
        pixels = np.asarray(image.convert("RGBA"))
        alpha = pixels[..., 3]
        if not alpha.any():
            raise ValueError(f"{path} is transparent everywhere: it holds no mask.")
        if alpha.min() < alpha.max():
            return _of_layer(pixels, path, invert, can_invert)
    mask = _of_pixels(image, path, invert, can_invert)
    return 1 - mask if invert else mask


def _of_layer(
    pixels: NDArray[np.uint8], path: Path | str, invert: bool | None, can_invert: bool
) -> Levels:
    """The mask of a picture [H, W, 4] that is transparent in places."""
    alpha = pixels[..., 3].astype(np.float32) / np.float32(255)
    colours = _few_colours(pixels[alpha > 0.95 * alpha.max()][None, :, :3])
    greys = colours is not None and bool((np.ptp(colours, axis=1) <= _SAME_GREY).all())
    if colours is not None and len(colours) == 2 and greys:  # painted in black and in white
        mask = alpha * (pixels[..., 0] > colours[:, 0].mean())
    elif colours is not None and len(colours) < 2 and not (greys and colours.max() < 128):
        mask = alpha  # a stroke of one colour
    elif invert is None:
        share = float((alpha < 0.5).mean())
        raise ValueError(
            f"{path} is a picture whose transparent part ({share:.0%} of it) or whose opaque part "
            "may be the mask: " + _choice("the transparent part", "the opaque part", can_invert)
        )
    else:
        mask = alpha
    return (1 - mask if invert else mask).astype(np.float32)


def _choice(inverted: str, straight: str, can_invert: bool) -> str:
    """What to do about a mask with two readings."""
    options = (
        f"say --invert-mask where {inverted} is to be replaced, --no-invert-mask where {straight} "
        "is, or "
    )
    return f"{options if can_invert else ''}save the mask in white on black."


def _of_pixels(
    image: Image.Image, path: Path | str, invert: bool | None, can_invert: bool
) -> Levels:
    """The mask of an opaque picture, before it is inverted."""
    if len(image.getbands()) == 1 and image.mode != "P":
        return _levels(np.asarray(image), path)
    pixels = np.asarray(image.convert("RGB"))
    if np.ptp(pixels, axis=-1).max() > _SAME_GREY:
        return _of_two_colours(pixels, path, invert, can_invert)
    if image.mode == "P" and pixels.max() == pixels.min():  # a palette that was never filled
        return _levels(np.asarray(image), path)
    return _levels(pixels.max(axis=-1), path)


def _levels(values: NDArray[np.generic], path: Path | str) -> Levels:
    try:
        return mask_levels(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _of_two_colours(
    pixels: NDArray[np.uint8], path: Path | str, invert: bool | None, can_invert: bool
) -> Levels:
    """How far each pixel [H, W, 3] lies from the ground's colour on the way to the painted one."""
    few = _few_colours(pixels)
    pair = _two_colours(pixels) if few is None else few
    if pair is None:
        raise ValueError(
            f"{path} holds many colours: it is a picture, not a mask; draw the mask in white on "
            "black."
        )
    if len(pair) < 2:
        raise ValueError(f"{path} is {_name(pair[0])} everywhere: it holds no mask.")
    darker, brighter = sorted(pair, key=_brightness)
    (neutral_darker, neutral_brighter) = (np.ptp(each) <= _NEUTRAL for each in (darker, brighter))
    ground, painted = darker, brighter
    clear = neutral_darker and (darker.max() < 128 or neutral_brighter)
    if not clear and neutral_brighter and brighter.max() < 128:
        ground, painted = brighter, darker
        clear = True
    if not clear and invert is None:
        raise ValueError(
            f"{path} is drawn in {_name(darker)} and {_name(brighter)}, and either may be the "
            "mask: " + _choice(_name(darker), _name(brighter), can_invert)
        )
    way = painted - ground
    along = (pixels.astype(np.float32) - ground.astype(np.float32)) @ way.astype(np.float32)
    return np.clip(along / (way @ way), 0, 1).astype(np.float32)


def _few_colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The colours [N, 3] of pixels [H, W, 3] if these are two at most."""
    if pixels.size == 0:
        return None
    found = Image.fromarray(np.ascontiguousarray(pixels)).getcolors(maxcolors=2)
    return None if found is None else np.array([colour for _, colour in found], np.float64)


def _two_colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The two colours [2, 3] that nearly all pixels [H, W, 3] are of; None if they are of more."""
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / 1e6) ** 0.5))
    sample = pixels[::step, ::step].reshape(-1, 3).astype(np.float64)
    first = _commonest(sample)
    far = sample[np.linalg.norm(sample - first, axis=1) > _SAME_COLOUR]
    if len(far) == 0:
        return None
    second = _commonest(far)
    distances = [np.linalg.norm(sample - colour, axis=1) for colour in (first, second)]
    drawn = np.minimum(*distances) <= _SAME_COLOUR
    return np.stack([first, second]) if drawn.mean() >= _DRAWN_SHARE else None


def _commonest(colours: Colour) -> Colour:
    """The mean [3] of the fullest of 8x8x8 cells of colours [N, 3]."""
    cells = (colours.astype(np.int64) >> 5) @ [64, 8, 1]
    return colours[cells == np.bincount(cells).argmax()].mean(axis=0)


def _brightness(colour: Colour) -> float:
    return float(colour @ [0.299, 0.587, 0.114])


def _name(colour: Colour) -> str:
    return "#" + "".join(f"{round(value):02x}" for value in colour.tolist())
