"""What a flat garment's outline tells: where its hem falls, its widths, how long its sleeves are.

A flat picture has no scale, so the garment is measured against a standard body. Lengths are in
torsos, the distance from the middle of the shoulders to the middle of the hips, and places along
the body are levels: 0 the shoulders, 1 the hips, `KNEES`, `ANKLES`. The scale is the garment's
waist, its narrowest width, and where a shirt narrows, how far down that is. Cloth that narrows at
the waist is as wide there as a body is seen from the front; cloth that falls straight is looser, as
a shirt that lies on a table. Such proportions can be wrong by a third, so everything is bounded by
what garments of the category can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from .garment_outline import ShapeUnknown
from .morphology import BoolMask, pieces_of

KNEES, ANKLES = 1.78, 2.54
"""Levels of the standard body, between the proportions of anatomy and of figurines."""
ARM = 1.08
"""Torsos from shoulder to wrist."""

FITTED_WAIST, LOOSE_WAIST = 0.57, 0.70  # torsos: the width of a garment's narrowest row
FITTED, LOOSE = 1.14, 1.03  # chest or hem over waist: fitted from here on, straight up to here
WAIST = 0.65  # the level of a body's waist, and of a shirt that narrows there
NARROW_WAIST = 1.03  # chest and hem over waist, of such a shirt
TROUSERS_WAIST = 0.54
COLLAR = -0.06  # the level of a garment's first row: the neck's side, above the shoulders' joints
WITHOUT_SHOULDERS = 0.2  # the same of a bandeau or an off-shoulder top, which begins at the chest
WAISTBAND = 0.8
CROPPED = 1.45  # length over width: a shorter top is cropped, or sleeves hide how narrow it is
CROPPED_HEM = 1.0  # where such a top may reach, whatever its proportions
LONGEST_UPPER = 1.75  # a level: what is longer is no upper garment alone, but somebody wearing it
HEMS = {
    Category.UPPER: (0.75, LONGEST_UPPER),
    Category.DRESS: (1.35, ANKLES),
    Category.LOWER: (1.2, ANKLES),
}
"""The highest and the lowest hem of each category."""
UNDERARM_SLOPE = 1.1  # pixels a row, both sides together
SHOULDER_SLOPE, BARE_SHOULDERS = (
    0.05,
    0.85,
)  # of the chest: so far below its top, so wide, a bandeau
FULL_LENGTH = 2.2  # a hem from here on is meant for the ankles
MAX_HALF_WIDTH = 1.2
MIN_SLEEVE = 0.02  # square torsos that stick out beside the torso on one side
SLEEVE_WIDTHS = (0.08, 0.3)  # half of it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GarmentShape:
    """A garment on the standard body.

    top, hem: levels. levels [N], ascending, and half_widths [N], in torsos: the outline to one side
    of the body's middle, sleeves left out. crotch: the level where trousers part into two legs,
    None for anything else; leg_half_width: of one leg, in torsos. sleeve: the share of the arm that
    sleeves cover, 0 without any, 1 to the wrist; sleeve_half_width: in torsos.
    """

    top: float
    hem: float
    levels: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    crotch: float | None = None
    leg_half_width: float = 0.0
    sleeve: float = 0.0
    sleeve_half_width: float = 0.0


def garment_shape(outline: BoolMask, category: Category) -> GarmentShape:
    """Measure an outline as `garment_outline` gives it, bool [h, w], cropped to the garment.

    Raises:
        ShapeUnknown: it is too small or too thin to be measured, or it is a person's.
    """
    if outline.shape[0] < 24 or outline.shape[1] < 8:
        raise ShapeUnknown("its picture is too small")
    if category is Category.LOWER:
        return _lower(outline)
    return _with_torso(outline, category)


def _with_torso(outline: BoolMask, category: Category) -> GarmentShape:
    """An upper garment or a dress."""
    height = len(outline)
    left, right = _extents(outline)
    axis = float(np.median((left + right) / 2))
    edges = outline
    outline = _without_opening(outline, axis)
    first, last = _central_run(outline, axis)
    widths = (last - first).astype(np.float64)
    begin, end = (0.2, 0.65) if category is Category.DRESS else (0.3, 0.9)
    rows = np.arange(round(begin * height), round(end * height))
    rows = rows[widths[rows] > 0]
    if len(rows) < 5:
        raise ShapeUnknown("it has no body that could be measured")
    waist = float(np.quantile(widths[rows], 0.05))
    waist_row = int(rows[np.argmin(np.abs(widths[rows] - waist))])
    underarm = _underarm(widths, waist_row)
    chest = float(np.quantile(widths[underarm : waist_row + 1], 0.9))
    below = float(np.quantile(widths[waist_row:], 0.9))
    narrows = max(chest, below) / waist
    torso = waist / float(np.interp(narrows, (LOOSE, FITTED), (LOOSE_WAIST, FITTED_WAIST)))
    if category is Category.UPPER and min(chest, below) >= NARROW_WAIST * waist:
        narrow = rows[np.less_equal(widths[rows], 1.01 * waist)]
        torso = float(np.sqrt(torso * narrow.mean() / (WAIST - COLLAR)))
    top = COLLAR
    if category is Category.DRESS and _begins_wide(edges, chest):
        top = WITHOUT_SHOULDERS
    if category is Category.DRESS and _shows_legs(edges, axis, chest):
        raise ShapeUnknown("it ends in two legs, as if somebody wore it")
    sleeve, sleeve_half_width = _sleeves(outline, axis, chest, first, last, underarm, torso)
    lowest, highest = HEMS[category]
    hem = top + height / torso
    if category is Category.UPPER and hem > LONGEST_UPPER:
        raise ShapeUnknown("it is longer than upper garments are, as if somebody wore it")
    if category is Category.UPPER and height < CROPPED * waist:
        hem = max(hem, CROPPED_HEM)
    half_widths = np.where(np.arange(height) < underarm, chest / 2, widths / 2) / torso
    return GarmentShape(
        top=top,
        hem=float(np.clip(hem, lowest, highest)),
        levels=top + (np.arange(height) + 1) / torso,
        half_widths=_covering(half_widths),
        sleeve=sleeve,
        sleeve_half_width=sleeve_half_width,
    )


def _lower(outline: BoolMask) -> GarmentShape:
    """Trousers, shorts or a skirt."""
    height = len(outline)
    left, right = _extents(outline)
    extents = (right - left).astype(np.float64)
    waist = float(np.median(extents[height // 50 : max(height // 12, height // 50 + 1)]))
    torso = waist / TROUSERS_WAIST
    hem = WAISTBAND + height / torso
    if hem >= FULL_LENGTH:
        hem = ANKLES
    levels = WAISTBAND + (np.arange(height) + 1) * (hem - WAISTBAND) / height
    crotch, leg = None, 0.0
    axis = round(float(np.median((left + right) / 2)))
    between = np.equal(outline[:, max(axis - 1, 0) : axis + 2].sum(axis=1), 0)
    parted = np.flatnonzero(between[height // 8 :]) + height // 8
    if len(parted) and between[parted[0] :].mean() > 0.7:
        crotch = float(levels[parted[0]])
        leg = float(np.quantile(outline[parted[0] :].sum(axis=1), 0.9)) / 4 / torso
    lowest, highest = HEMS[Category.LOWER]
    return GarmentShape(
        top=WAISTBAND,
        hem=float(np.clip(hem, lowest, highest)),
        levels=levels,
        half_widths=_covering(extents / 2 / torso),
        crotch=crotch,
        leg_half_width=leg,
    )


def _extents(outline: BoolMask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's first column and the one behind its last [h]; the middle where it is empty."""
    left = outline.argmax(axis=1)
    right = outline.shape[1] - outline[:, ::-1].argmax(axis=1)
    empty = ~outline.any(axis=1)
    middle = outline.shape[1] // 2
    return np.where(empty, middle, left), np.where(empty, middle, right)


def _central_run(outline: BoolMask, axis: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The run of each row that holds the axis: its first column and the one behind its last [h]."""
    width = outline.shape[1]
    column = min(max(int(axis), 0), width - 1)
    columns = np.arange(width)
    gaps_left = np.where(~outline & (columns <= column), columns, -1).max(axis=1)
    gaps_right = np.where(~outline & (columns >= column), columns, width).min(axis=1)
    first, last = gaps_left + 1, gaps_right
    empty = ~outline[:, column]
    return np.where(empty, column, first), np.where(empty, column, last)


def _without_opening(outline: BoolMask, axis: float) -> BoolMask:
    """The outline with the gap of each row around the axis filled: a neckline, a slit."""
    gaps = ~outline
    first, last = _central_run(gaps, axis)
    inner = (first > 0) & (last < outline.shape[1])
    columns = np.arange(outline.shape[1])
    opening = (columns >= first[:, None]) & (columns < last[:, None]) & inner[:, None]
    return outline | opening


def _begins_wide(outline: BoolMask, chest: float) -> bool:
    """Whether a garment ends above in a wide straight edge: it leaves the shoulders bare."""
    row = outline[min(max(round(SHOULDER_SLOPE * chest), 1), len(outline) - 1)]
    columns = np.flatnonzero(row)
    wide = len(columns) > 0 and columns[-1] + 1 - columns[0] >= BARE_SHOULDERS * chest
    return bool(wide and row[columns[0] : columns[-1] + 1].all())


def _shows_legs(outline: BoolMask, axis: float, chest: float) -> bool:
    """Whether what begins at the shoulders ends in two legs."""
    height, width = outline.shape
    low = outline[round(0.9 * height) : round(0.97 * height)]
    columns = np.abs(np.arange(width) + 0.5 - axis)
    between = low[:, columns < 0.04 * chest]
    beside = low[:, (columns > 0.1 * chest) & (columns < 0.45 * chest)]
    return bool(between.mean() < 0.2 and beside.mean() > 0.2)


def _underarm(widths: NDArray[np.float64], waist_row: int) -> int:
    """The row where, going up from the waist, the sleeves or the straps begin.

    The body widens and narrows slowly; where sleeves join it, it widens at once.
    """
    step = max(len(widths) // 30, 2)
    padded = np.pad(widths, step, mode="edge")
    widths = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * step + 1), axis=1)
    for row in range(waist_row, step, -1):
        if abs(widths[row - step] - widths[row]) > UNDERARM_SLOPE * step:
            return min(row + step // 2, waist_row)
    return min(step, waist_row)


def _sleeves(
    outline: BoolMask,
    axis: float,
    chest: float,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    underarm: int,
    torso: float,
) -> tuple[float, float]:
    """The share of the arm that is covered, and half the width of a sleeve in torsos."""
    height, width = outline.shape
    y, x = np.mgrid[0:height, 0:width]
    in_body = (x >= first[:, None]) & (x < last[:, None]) | (first == last)[:, None]
    in_body &= y >= underarm
    beside = outline & ~in_body & (np.abs(x + 0.5 - axis) > 0.55 * chest)
    shares: list[float] = []
    half_widths: list[float] = []
    for side in (-1, 1):
        sleeve = _largest(beside & (side * (x + 0.5 - axis) > 0))
        area = float(sleeve.sum()) / torso**2
        if area < MIN_SLEEVE:
            shares.append(0.0)
            continue
        shoulder_x, shoulder_y = axis + side * 0.45 * chest, -COLLAR * torso
        reach = float(np.hypot(x - shoulder_x, y - shoulder_y)[sleeve].max()) / torso
        shares.append(min(reach / ARM, 1.0))
        half_widths.append(area / reach / 2)
    share = max(shares)
    if share == 0.0:
        return 0.0, 0.0
    return share, float(np.clip(max(half_widths), *SLEEVE_WIDTHS))


def _largest(mask: BoolMask) -> BoolMask:
    """The largest piece: corners of a ragged hem are no sleeve."""
    pieces, sizes = pieces_of(mask)
    return pieces == sizes.argmax() + 1 if len(sizes) else mask


def _covering(half_widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest of neighbouring rows, within what a body can wear."""
    reach = max(len(half_widths) // 50, 1)
    padded = np.pad(half_widths, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.minimum(windows.max(axis=1), MAX_HALF_WIDTH)
