"""Fitting pictures of any shape to the networks' 3:4 canvas, and the exact way back.

Nothing is ever stretched: a `Fit` is one scale and one offset for both axes, either around the
whole picture ("pad": white ground fills the rest) or around the person ("crop"). Everything that
belongs to the picture (mask, keypoints, result) travels with the same `Fit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..masks.morphology import MASK_THRESHOLD, BoolMask, Box, SoftMask, foreground_box

Size = tuple[int, int]
"""Height, width in pixels."""

PERSON_MARGIN = 0.1  # of the person's box, on each side
GARMENT_MARGIN = 0.04

_WHITE = 255
_EDGE_TOLERANCE = 1e-6  # pixels; what is nearer to a pixel's edge than this lies on it


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Where a canvas lies on its original picture.

    height, width: the canvas. left, top: its corner in pixels of the original, negative where the
    canvas begins outside. scale: pixels of the original per pixel of the canvas.
    """

    original_height: int
    original_width: int
    height: int
    width: int
    left: float
    top: float
    scale: float

    def __post_init__(self) -> None:
        sizes = (self.original_height, self.original_width, self.height, self.width)
        if min(sizes) < 1:
            raise ValueError(f"A picture has at least one pixel a side, but the sizes are {sizes}.")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"A scale of {self.scale} is not possible: it must be positive.")
        x0, y0, x1, y1 = self.visible
        if x0 >= x1 or y0 >= y1:
            raise ValueError("The canvas covers no whole pixel of its original picture.")

    @property
    def visible(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the original's pixels that lie wholly on the canvas."""
        right = self.left + self.scale * self.width + _EDGE_TOLERANCE
        bottom = self.top + self.scale * self.height + _EDGE_TOLERANCE
        return (
            max(math.ceil(self.left - _EDGE_TOLERANCE), 0),
            max(math.ceil(self.top - _EDGE_TOLERANCE), 0),
            min(math.floor(right), self.original_width),
            min(math.floor(bottom), self.original_height),
        )


def size_of(image: NDArray[Any]) -> Size:
    """Height and width of a picture or mask [H, W, ...]."""
    return image.shape[0], image.shape[1]


def whole_fit(original: Size, canvas: Size) -> Fit:
    """The fit that shows a whole picture of size `original`, centred on a canvas."""
    (original_height, original_width), (height, width) = original, canvas
    scale = max(original_height / height, original_width / width)
    return Fit(
        original_height=original_height,
        original_width=original_width,
        height=height,
        width=width,
        left=(original_width - scale * width) / 2,
        top=(original_height - scale * height) / 2,
        scale=scale,
    )


def crop_fit(original: Size, canvas: Size, *, box: Box) -> Fit:
    """The fit that shows the person in `box`, in pixels of the picture, with a margin.

    It reaches beyond the picture only where the picture is too narrow for the canvas. Raises
    ValueError for a box of no area or outside the picture.
    """
    return _around(original, *canvas, box=box, margin=PERSON_MARGIN, stay_inside=True)


def fit_image(image: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], Fit]:
    """Brings a whole picture [H, W, 3] onto a canvas [height, width, 3] and says how."""
    fit = whole_fit(size_of(image), (height, width))
    return fit_onto(image, fit), fit


def fit_mask(mask: BoolMask | SoftMask, fit: Fit) -> SoftMask:
    """Brings a mask [H, W] of the original onto the canvas, as float32; 0 around the picture."""
    expect_size(mask, fit.original_height, fit.original_width, "mask")
    ground = _padded(mask.astype(np.float32), fit, fill=0)
    canvas = Image.fromarray(ground.pixels).resize(
        (fit.width, fit.height), Image.Resampling.BILINEAR, box=ground.box
    )
    return np.clip(np.asarray(canvas), 0.0, 1.0)


def fit_points(points: NDArray[np.floating], fit: Fit) -> NDArray[np.float64]:
    """Brings points [N, 2 or more] (x, y, ...) of the original onto the canvas."""
    moved = points.astype(np.float64)
    # The centre of pixel 0 is 0.5 from the picture's edge.
    moved[:, :2] = (moved[:, :2] + 0.5 - (fit.left, fit.top)) / fit.scale - 0.5
    return moved


def unfit_points(points: NDArray[np.floating], fit: Fit) -> NDArray[np.float64]:
    """Brings points [N, 2 or more] (x, y, ...) of the canvas back to the original."""
    moved = points.astype(np.float64)
    moved[:, :2] = (moved[:, :2] + 0.5) * fit.scale + (fit.left, fit.top) - 0.5
    return moved


def unfit_image(canvas: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Brings a canvas [height, width, 3] back to the original's size; black around it."""
    expect_size(canvas, fit.height, fit.width, "canvas")
    x0, y0, x1, y1 = fit.visible
    image = np.zeros((fit.original_height, fit.original_width, 3), dtype=np.uint8)
    part = Image.fromarray(canvas).resize(
        (x1 - x0, y1 - y0), Image.Resampling.LANCZOS, box=_visible_on_canvas(fit)
    )
    image[y0:y1, x0:x1] = np.asarray(part)
    return image


def unfit_mask(mask: BoolMask | SoftMask, fit: Fit) -> SoftMask:
    """Brings a canvas's mask [height, width] back to the original's size; 0 where it did not lie.

    A hard mask stays hard (0 or 1).
    """
    expect_size(mask, fit.height, fit.width, "mask")
    x0, y0, x1, y1 = fit.visible
    image = np.zeros((fit.original_height, fit.original_width), dtype=np.float32)
    part = Image.fromarray(mask.astype(np.float32)).resize(
        (x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=_visible_on_canvas(fit)
    )
    image[y0:y1, x0:x1] = np.asarray(part)
    if mask.dtype == np.bool_:
        return (image >= 0.5).astype(np.float32)
    return np.clip(image, 0.0, 1.0)


def fit_label_map(labels: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Bring labels [H,W] of the original onto the canvas by nearest pixel; background around it.

    The labels may be finer or coarser than the original, as long as they cover the same frame.
    """
    height, width = labels.shape
    rows = _nearest(fit.height, fit.scale, fit.top, height / fit.original_height)
    columns = _nearest(fit.width, fit.scale, fit.left, width / fit.original_width)
    return _taken(labels, rows, columns)


def unfit_label_map(canvas: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Bring labels of the canvas [h,w] back to the original [H,W] by nearest pixel.

    What of the original does not lie on the canvas is background.
    """
    rows = _nearest(fit.original_height, 1 / fit.scale, -fit.top / fit.scale, 1.0)
    columns = _nearest(fit.original_width, 1 / fit.scale, -fit.left / fit.scale, 1.0)
    return _taken(canvas, rows, columns)


def prepare_garment(
    image: NDArray[np.uint8],
    height: int,
    width: int,
    *,
    mask: BoolMask | SoftMask | None = None,
) -> NDArray[np.uint8]:
    """The garment centred on a white canvas [height, width, 3], not stretched.

    Args:
        image: uint8 RGB [H, W, 3] of any shape.
        mask: [H, W], the garment in its picture: all else becomes white, and the garment fills the
            canvas but for a small margin. Without it the whole picture is shown.

    Raises:
        ValueError: a mask of another size than the picture, or an empty one.
    """
    if mask is None:
        return fit_image(image, height, width)[0]
    expect_size(mask, image.shape[0], image.shape[1], "garment mask")
    share = mask.astype(np.float32)[..., None]
    box = foreground_box(mask >= MASK_THRESHOLD)
    if box is None:
        raise ValueError("The garment mask is empty: paint the garment in white.")
    cut_out = np.round(share * image + (1.0 - share) * _WHITE).astype(np.uint8)
    fit = _around(image.shape[:2], height, width, box=box, margin=GARMENT_MARGIN, stay_inside=False)
    return fit_onto(cut_out, fit)


def _around(
    original: tuple[int, ...],
    height: int,
    width: int,
    *,
    box: Box,
    margin: float,
    stay_inside: bool,
) -> Fit:
    """The canvas around a box, moved (and at most as large as the picture) if it stays inside."""
    left, top, right, bottom = box
    on_picture = left < original[1] and top < original[0] and right > 0 and bottom > 0
    if not (left < right and top < bottom and on_picture):
        raise ValueError(
            f"The box {box} (left, top, right, bottom) has no area in the picture of "
            f"{original[1]}x{original[0]} pixels."
        )
    room = 1.0 + 2.0 * margin
    scale = max(room * (bottom - top) / height, room * (right - left) / width)
    if stay_inside:
        scale = min(scale, max(original[0] / height, original[1] / width))
    x, y = ((left + right) - scale * width) / 2, ((top + bottom) - scale * height) / 2
    if stay_inside:
        x, y = _inside(x, scale * width, original[1]), _inside(y, scale * height, original[0])
    return Fit(
        original_height=original[0],
        original_width=original[1],
        height=height,
        width=width,
        left=x,
        top=y,
        scale=scale,
    )


def _inside(start: float, length: float, available: int) -> float:
    if length >= available:
        return (available - length) / 2
    return min(max(start, 0.0), available - length)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Padded:
    """The part of the original under the canvas with the ground around it; the canvas in it."""

    pixels: NDArray[np.uint8 | np.float32]
    box: Box


def _padded(image: NDArray[np.uint8 | np.float32], fit: Fit, *, fill: int) -> _Padded:
    x0, y0 = math.floor(fit.left + _EDGE_TOLERANCE), math.floor(fit.top + _EDGE_TOLERANCE)
    right, bottom = fit.left + fit.scale * fit.width, fit.top + fit.scale * fit.height
    x1, y1 = math.ceil(right - _EDGE_TOLERANCE), math.ceil(bottom - _EDGE_TOLERANCE)
    part = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    above, before = max(-y0, 0), max(-x0, 0)
    below, behind = y1 - y0 - above - part.shape[0], x1 - x0 - before - part.shape[1]
    around = ((above, below), (before, behind), (0, 0))[: image.ndim]
    box = (
        max(fit.left - x0, 0.0),
        max(fit.top - y0, 0.0),
        min(right - x0, x1 - x0),
        min(bottom - y0, y1 - y0),
    )
    return _Padded(pixels=np.pad(part, around, constant_values=fill), box=box)


def fit_onto(image: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Brings a picture [H, W, 3] onto the canvas of a known fit; white around the picture."""
    expect_size(image, fit.original_height, fit.original_width, "picture")
    ground = _padded(image, fit, fill=_WHITE)
    canvas = Image.fromarray(ground.pixels).resize(
        (fit.width, fit.height), Image.Resampling.LANCZOS, box=ground.box
    )
    return np.array(canvas)


def _visible_on_canvas(fit: Fit) -> Box:
    x0, y0, x1, y1 = fit.visible
    return (
        max((x0 - fit.left) / fit.scale, 0.0),
        max((y0 - fit.top) / fit.scale, 0.0),
        min((x1 - fit.left) / fit.scale, fit.width),
        min((y1 - fit.top) / fit.scale, fit.height),
    )


def expect_size(
    array: NDArray[np.uint8] | BoolMask | SoftMask, height: int, width: int, name: str
) -> None:
    """Raises ValueError if `array` [H, W, ...], called `name`, is not height x width."""
    if array.shape[:2] != (height, width):
        raise ValueError(
            f"The {name} is {array.shape[1]}x{array.shape[0]} pixels, expected {width}x{height}."
        )


def _taken(
    labels: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the labels at rows x columns; background where these lie outside."""
    on_rows = (rows >= 0) & (rows < labels.shape[0])
    on_columns = (columns >= 0) & (columns < labels.shape[1])
    taken = np.full((len(rows), len(columns)), 0, np.uint8)
    taken[np.ix_(on_rows, on_columns)] = labels[np.ix_(rows[on_rows], columns[on_columns])]
    return taken


def _nearest(length: int, scale: float, start: float, fineness: float) -> NDArray[np.int64]:
    """For each pixel of a side of the canvas the one under its centre."""
    return np.floor(((np.arange(length) + 0.5) * scale + start) * fineness).astype(np.int64)
