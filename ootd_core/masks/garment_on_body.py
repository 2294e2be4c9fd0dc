"""Where a new garment will lie on a person: its shape laid along the joints, with a margin.

The standard body's levels are carried to the person's shoulders, hips, knees and ankles, so a hem
at the knee falls on this person's knees, and widths to the person's torso. Sleeves follow the arms,
trousers the legs. Joints that are not known are continued from those that are. All regions are
bool [H, W] of the person's picture; lengths in pixels are given for a height of 512.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from .garment_shape import ANKLES, KNEES, GarmentShape
from .limbs import ARMS, HIPS, LEGS, SHOULDERS, Skeleton, convex_hull
from .morphology import BoolMask

SLEEVE_ERROR = 0.12  # of the arm
SHOULDER_OF_TORSO = 0.66  # shoulder width over torso: shorter is foreshortened, so both are asked
HIP_OF_TORSO = 0.40  # the distance of the hips' joints over the torso
THIGH, SHIN = KNEES - 1.0, ANKLES - KNEES  # torsos
LEG_BREADTH = 0.2  # torsos: what a skirt spans at the knees of parted legs
FEET = 0.08  # torsos below the ankles that a garment may reach
STEPS = 48  # cross-sections of a garment


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """side, hem: pixels at 512 high; length: a share of the garment's, for proportions that err."""

    side: float
    hem: float
    length: float


AROUND = Margin(side=7, hem=8, length=0.04)
"""Over skin and background."""
OVER_OTHERS = Margin(side=0, hem=0, length=0.0)
"""Over another garment, which is lost where the mask covers it: none, for a hem that ends a pixel
early is seen less than another garment repainted in vain."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trunk:
    """The middle of a person's body, and how large a torso is.

    points [4, 2]: the middles of shoulders, hips, knees, ankles, in pixels. across [2, 2]: unit
    vectors along the shoulders and along the hips, to the picture's right. torso: pixels, of
    widths. guessed: names of what was not seen.
    """

    points: NDArray[np.float64]
    across: NDArray[np.float64]
    torso: float
    guessed: tuple[str, ...] = ()

    @classmethod
    def of(cls, skeleton: Skeleton, category: Category) -> Trunk | None:
        """The trunk of a skeleton; None without both shoulders or, for lower garments, hips."""
        known, points = skeleton.known, skeleton.points
        shoulders = known[list(SHOULDERS)].all()
        hips = known[list(HIPS)].all()
        if not (shoulders or (hips and category is Category.LOWER)):
            return None
        guessed: list[str] = []
        if shoulders:
            top = points[list(SHOULDERS)].mean(axis=0)
            along_shoulders = _rightwards(points[SHOULDERS[0]], points[SHOULDERS[1]])
            breadth = float(np.linalg.norm(points[SHOULDERS[0]] - points[SHOULDERS[1]]))
        else:
            span = float(np.linalg.norm(points[HIPS[0]] - points[HIPS[1]])) / HIP_OF_TORSO
            along_shoulders = _rightwards(points[HIPS[0]], points[HIPS[1]])
            top = points[list(HIPS)].mean(axis=0) - span * _below(along_shoulders)
            breadth = SHOULDER_OF_TORSO * span
            guessed.append("shoulders")
        along_hips = along_shoulders
        seen_hips = [hip for hip in HIPS if known[hip]]
        if hips:
            middle = points[list(HIPS)].mean(axis=0)
            along_hips = _rightwards(points[HIPS[0]], points[HIPS[1]])
        else:
            middle = top + breadth / SHOULDER_OF_TORSO * _below(along_shoulders)
            if seen_hips and shoulders:  # one hip tells how far down, its own side how far out
                beside = points[seen_hips[0]] - top
                down = _below(along_shoulders)
                middle = top + max(float(beside @ down), 0.3 * breadth) * down
            guessed.append("hips")
        torso = max(float(np.linalg.norm(middle - top)), breadth / SHOULDER_OF_TORSO)
        line = [top, middle]
        for place, (name, gap) in enumerate((("knees", THIGH), ("ankles", SHIN))):
            joints = [leg[1 + place] for leg in LEGS if known[leg[1 + place]]]
            before = line[-1]
            if len(joints) == 2:
                line.append(points[joints].mean(axis=0))
                continue
            down = _unit(before - line[-2])
            if len(joints) == 1:  # as far down as the one that is seen
                reach = float((points[joints[0]] - before) @ down)
                line.append(before + max(reach, 0.2 * torso) * down)
            else:
                line.append(before + gap * torso * down)
            guessed.append(name)
        return cls(
            points=np.stack(line),
            across=np.stack([along_shoulders, along_hips]),
            torso=torso,
            guessed=tuple(guessed),
        )

    def guessed_within(self, hem: float, skeleton: Skeleton) -> tuple[str, ...]:
        """The guessed joints that decide where a hem at a level falls inside the picture."""
        stops = {"shoulders": 0, "hips": 1, "knees": 2, "ankles": 3}
        # A little below the hips or the knees the next joint hardly matters.
        begins = {"shoulders": -1.0, "hips": 0.0, "knees": 1.3, "ankles": KNEES + 0.2}
        return tuple(
            name
            for name in self.guessed
            if begins[name] < hem and self.points[max(stops[name] - 1, 0), 1] < skeleton.height
        )

    def at(self, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The middle of the body [2] and the direction across it [2] at a level."""
        stops = np.array([0.0, 1.0, KNEES, ANKLES])
        if level <= 0:
            point = self.points[0] + level * (self.points[1] - self.points[0])
        elif level >= ANKLES:
            down = _unit(self.points[3] - self.points[2])
            point = self.points[3] + (level - ANKLES) * self.torso * down
        else:
            point = np.array([np.interp(level, stops, self.points[:, axis]) for axis in (0, 1)])
        share = min(max(level, 0.0), 1.0)
        return point, _unit((1 - share) * self.across[0] + share * self.across[1])


def garment_region(
    shape: GarmentShape,
    skeleton: Skeleton,
    trunk: Trunk,
    category: Category,
    margin: Margin = AROUND,
) -> BoolMask:
    """Where the garment will lie, bool [H, W], with a margin; nothing is kept out of it yet."""
    hem = min(shape.hem + margin.length * (shape.hem - shape.top), ANKLES + FEET)
    pixels = skeleton.scale
    region = np.zeros((skeleton.height, skeleton.width), dtype=np.bool_)
    body_ends = hem if shape.crotch is None else min(shape.crotch + 0.1, hem)
    levels = np.linspace(shape.top, body_ends, STEPS)
    half_widths = np.interp(levels, shape.levels, shape.half_widths) * trunk.torso
    half_widths += margin.side * pixels
    sections = [trunk.at(level) for level in levels]
    middles = np.stack([middle for middle, _ in sections])
    across = np.stack([direction for _, direction in sections])
    last = margin.hem * pixels * _unit(middles[-1] - middles[-2])
    middles = np.concatenate([middles, middles[-1:] + last])
    across = np.concatenate([across, across[-1:]])
    half_widths = np.concatenate([half_widths, half_widths[-1:]])
    _fill_ribbon(region, middles, across, half_widths)
    if shape.crotch is not None:
        for leg in LEGS:
            region |= _leg(shape, skeleton, trunk, leg, hem, margin)
    elif hem > 1.0 and category is not Category.UPPER:
        region |= _between_legs(skeleton, trunk, hem)
    if shape.sleeve > 0:
        for label in ARMS:
            region |= _sleeve(shape, skeleton, trunk, ARMS[label], margin)
    return region


def _leg(
    shape: GarmentShape,
    skeleton: Skeleton,
    trunk: Trunk,
    leg: tuple[int, int, int],
    hem: float,
    margin: Margin,
) -> BoolMask:
    """One leg of trousers [H, W]."""
    width = 2 * (shape.leg_half_width * trunk.torso / skeleton.scale + margin.side)
    line = _cut(_leg_line(skeleton, trunk, leg), np.array([1.0, KNEES, ANKLES]), hem)
    return skeleton.stroke(line, width, beyond=margin.hem)


def _between_legs(skeleton: Skeleton, trunk: Trunk, hem: float) -> BoolMask:
    """What a skirt spans between legs that stand apart [H, W]."""
    strokes = np.zeros((skeleton.height, skeleton.width), dtype=np.bool_)
    for leg in LEGS:
        line = _cut(_leg_line(skeleton, trunk, leg), np.array([1.0, KNEES, ANKLES]), hem)
        strokes |= skeleton.stroke(line, LEG_BREADTH * trunk.torso / skeleton.scale)
    return convex_hull(strokes)


def _leg_line(skeleton: Skeleton, trunk: Trunk, leg: tuple[int, int, int]) -> NDArray[np.float64]:
    """Hip, knee and ankle of a leg [3, 2]; unknown ones beside the middle of the body."""
    side = -1.0 if leg is LEGS[0] else 1.0
    points: list[NDArray[np.float64]] = []
    for place, joint in enumerate(leg):
        if skeleton.known[joint]:
            points.append(skeleton.points[joint])
        else:
            offset = side * HIP_OF_TORSO / 2 * trunk.torso * trunk.across[1]
            points.append(trunk.points[place + 1] + offset)
    return np.stack(points)


def _sleeve(
    shape: GarmentShape,
    skeleton: Skeleton,
    trunk: Trunk,
    arm: tuple[int, int, int],
    margin: Margin,
) -> BoolMask:
    """One sleeve [H, W]; empty where the arm's first two joints are not known."""
    known = [joint for joint in arm if skeleton.known[joint]]
    if known[:2] != list(arm[:2]):
        return np.zeros((skeleton.height, skeleton.width), dtype=np.bool_)
    points = skeleton.points[known]
    stops = np.array([0.0, 0.52, 1.0])[: len(known)]
    line = _cut(points, stops, min(shape.sleeve + SLEEVE_ERROR, 1.0))
    width = 2 * (shape.sleeve_half_width * trunk.torso / skeleton.scale + margin.side)
    return skeleton.stroke(line, width, beyond=margin.hem)


def _cut(line: NDArray[np.float64], stops: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    """The line through points [N, 2], which lie at `stops`, up to `end`: [2 or more, 2]."""
    end = min(max(end, float(stops[0]) + 0.02), float(stops[-1]))
    last = [np.interp(end, stops, line[:, axis]) for axis in (0, 1)]
    return np.concatenate([line[stops < end], [last]])


def _fill_ribbon(
    region: BoolMask,
    middles: NDArray[np.float64],
    across: NDArray[np.float64],
    half_widths: NDArray[np.float64],
) -> None:
    """Adds cross-sections and all between them to the region."""
    import cv2

    reach = across * half_widths[:, None]
    left, right = middles - reach, middles + reach
    canvas = np.zeros(region.shape, dtype=np.uint8)
    fraction = 4  # bits
    for i in range(len(middles) - 1):
        corners = np.stack([left[i], right[i], right[i + 1], left[i + 1]])
        fixed = np.round(corners * (1 << fraction)).astype(np.int32)
        cv2.fillConvexPoly(canvas, cv2.convexHull(fixed), 1, cv2.LINE_8, fraction)
    region |= canvas.astype(np.bool_)


def _rightwards(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    along = other - one
    return _unit(along if along[0] >= 0 else -along)


def _below(across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Straight down the body [2], for a direction across it that points to the right."""
    return np.array([-across[1], across[0]])


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
