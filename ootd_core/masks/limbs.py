"""Limbs as regions of a picture: arms and legs drawn along joints, hands told from arms.

A `Skeleton` says which joints are known, by confidence and never by coordinates, so a joint in
the picture's corner is as good as any other and a missing one is nowhere. Lines are clipped at
the border. All lengths are given for a picture 512 pixels high and scaled by `Skeleton.scale`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..categories import Variant
from .labels import Label
from .morphology import BoolMask, grow_mask

JOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow",
    "left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
"""The rows of [18, 3] keypoints (OpenPose-18, COCO order)."""

ARMS = {Label.RIGHT_ARM: (2, 3, 4), Label.LEFT_ARM: (5, 6, 7)}
LEGS = ((8, 9, 10), (11, 12, 13))
NECK, SHOULDERS, HIPS = 1, (2, 5), (8, 11)
BONES = ((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
         (11, 12), (12, 13))  # fmt: skip

ARM_WIDTHS = {Variant.HALF_BODY: 60, Variant.FULL_BODY: 45}
WRIST_EXTENSION = 1.2  # forearms are drawn this much longer: the joint lies before the cuff's end
LEG_WIDTH = 68
REFERENCE_HEIGHT = 512

_HAND_SLACK = 1.15  # how much nearer the arm's side may be to a hand's pixel than the arm's end
_LONG_SLEEVE_SKIN = 40 * 40  # bare skin of less than this beside a garment is a hand alone
_HAND_SHARE = 0.25  # of a bare arm's length, measured along the arm
_COARSE = 96  # rows; enough to measure along an arm, and quick


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """The joints of one person in a picture of `height` x `width`.

    points: float64 [18, 2] x, y in pixels; known: bool [18].
    """

    points: NDArray[np.float64]
    known: BoolMask
    height: int
    width: int

    @classmethod
    def of(cls, keypoints: NDArray[np.floating] | None, height: int, width: int) -> Skeleton:
        """Checks keypoints [18, 3] (x, y, confidence); None is a skeleton without known joints.

        A joint farther outside than the picture is large counts as missing.

        Raises:
            ValueError: another shape, NaN, or every known joint lies outside the picture.
        """
        if keypoints is None:
            nothing = np.zeros((len(JOINTS), 3))
            return cls.of(nothing, height, width)
        if keypoints.shape != (len(JOINTS), 3):
            raise ValueError(
                f"Keypoints must be [{len(JOINTS)}, 3] (x, y, confidence), "
                f"not {list(keypoints.shape)}."
            )
        if not np.isfinite(keypoints).all():
            raise ValueError(
                "Keypoints hold NaN or infinite values; give a missing joint as 0 0 0."
            )
        points = keypoints[:, :2].astype(np.float64)
        size = np.array([width, height])
        confident = keypoints[:, 2] > 0
        inside = confident & ((points >= 0) & (points <= size)).all(axis=1)
        if confident.any() and not inside.any():
            raise ValueError(
                f"All keypoints lie outside the picture of {width}x{height} pixels: "
                "they belong to another picture or are not in pixels."
            )
        near = ((points >= -size) & (points <= 2 * size)).all(axis=1)
        return cls(points=points, known=confident & near, height=height, width=width)

    @property
    def scale(self) -> float:
        """Pixels of this picture per pixel of one 512 high."""
        return self.height / REFERENCE_HEIGHT

    def missing(self, joints: tuple[int, ...]) -> tuple[str, ...]:
        """The names of those `joints` that are not known."""
        return tuple(JOINTS[joint] for joint in joints if not self.known[joint])

    def within(self, region: BoolMask) -> Skeleton:
        """The skeleton without elbows, wrists, knees and ankles that lie in the picture but outside
        a region [H, W]. Shoulders and hips, which are seldom wrong, stay."""
        x, y = np.round(self.points).astype(np.int64).T
        inside = (x >= 0) & (y >= 0) & (x < self.width) & (y < self.height)
        astray = inside & ~region[np.where(inside, y, 0), np.where(inside, x, 0)]
        outer = np.zeros(len(astray), dtype=np.bool_)
        outer[[joint for limb in (*ARMS.values(), *LEGS) for joint in limb[1:]]] = True
        return replace(self, known=self.known & ~(astray & outer))

    def distance(self) -> NDArray[np.float32]:
        """How far each pixel is from the nearest bone or joint [H, W]; infinite without any."""
        import cv2

        lines = np.ones((self.height, self.width), dtype=np.uint8)
        points = [tuple(point) for point in np.round(self.points).astype(int).tolist()]
        for joint in np.flatnonzero(self.known):
            cv2.circle(lines, points[joint], 0, 0)
        for start, end in BONES:
            if self.known[start] and self.known[end]:
                cv2.line(lines, points[start], points[end], 0)
        if lines.all():
            return np.full(lines.shape, np.inf, np.float32)
        distance = cv2.distanceTransform(lines, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(distance, np.float32)

    def stroke(self, line: NDArray[np.float64], width: float, beyond: float = 0.0) -> BoolMask:
        """[H, W] covered by a thick line through points [N >= 2, 2].

        It is round at its start and corners and ends flat, `beyond` its last point; `width` and
        `beyond` in pixels at 512 high.
        """
        import cv2

        canvas = np.zeros((self.height, self.width), dtype=np.uint8)
        thickness = max(round(width * self.scale), 1)
        fraction = 4  # bits

        def fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
            return np.round(points * (1 << fraction)).astype(np.int32)

        rounded = np.concatenate([line[:1], line[:-1]])
        cv2.polylines(canvas, [fixed(rounded)], False, 1, thickness, cv2.LINE_8, fraction)
        along = line[-1] - line[-2]
        along /= max(float(np.linalg.norm(along)), 1e-6)
        across = np.array([-along[1], along[0]]) * thickness / 2
        end = line[-1] + along * beyond * self.scale
        corners = np.stack([line[-2] - across, line[-2] + across, end + across, end - across])
        cv2.fillConvexPoly(canvas, fixed(corners), 1, cv2.LINE_8, fraction)
        return canvas.astype(bool)


def arm_line(skeleton: Skeleton, label: Label) -> NDArray[np.float64]:
    """The known joints shoulder, elbow, wrist, the wrist extended: [0..3, 2]."""
    _, elbow, wrist = ARMS[label]
    line = skeleton.points[[j for j in ARMS[label] if skeleton.known[j]]].copy()
    if skeleton.known[wrist] and len(line) >= 2:
        # Without an elbow the forearm is half of what is left.
        forearm = (line[-1] - line[-2]) * (1.0 if skeleton.known[elbow] else 0.5)
        line[-1] += (WRIST_EXTENSION - 1.0) * forearm
    return line


def arm_stroke(skeleton: Skeleton, label: Label, width: float, beyond: float = 0.0) -> BoolMask:
    """The arm drawn `width` wide [H, W], ending flat `beyond` the extended wrist.

    An arm that is known to the elbow only ends round; one of a single joint is empty.
    """
    line = arm_line(skeleton, label)
    if len(line) < 2:
        return np.zeros((skeleton.height, skeleton.width), dtype=bool)
    if not skeleton.known[ARMS[label][-1]]:
        line = np.concatenate([line, line[-1:]])  # a last piece of no length has no flat end
        beyond = 0.0
    return skeleton.stroke(line, width, beyond)


def hand_of(
    skeleton: Skeleton,
    label: Label,
    *,
    skin: BoolMask,
    clothes: BoolMask,
    shoulder_hint: NDArray[np.float64],
    width: float,
) -> BoolMask:
    """The hand within the bare skin [H, W] of one arm.

    With a wrist it is what lies beyond the end of the drawn arm of `width`; without one it is
    judged from the skin alone, which starts where it leaves `clothes` nearest to `shoulder_hint`
    (x, y).
    """
    shoulder, _, wrist = ARMS[label]
    line = arm_line(skeleton, label)
    if not skeleton.known[wrist] or len(line) < 2:
        if skeleton.known[shoulder]:
            shoulder_hint = skeleton.points[shoulder]
        return _hand_by_skin(skin, clothes, shoulder_hint, skeleton.scale)
    hand = skin & ~arm_stroke(skeleton, label, width)
    # A stout arm sticks out beside its line, an unknown elbow far out: neither is a hand.
    ys, xs = np.nonzero(hand)
    pixels = np.stack([xs, ys], axis=1)
    to_end = np.linalg.norm(pixels - line[-1], axis=1)
    hand[ys, xs] = to_end <= _HAND_SLACK * _distance_to_line(pixels, line)
    return hand


def legs_region(skeleton: Skeleton, lowest: float) -> BoolMask:
    """Both legs from hip to ankle and all between them [H, W]; empty without joints of a leg.

    An unknown ankle continues the thigh, an unknown hip continues the shin; with a hip alone the
    leg goes straight down to the row `lowest`.
    """
    strokes = np.zeros((skeleton.height, skeleton.width), dtype=bool)
    for joints in LEGS:
        line = _leg_line(skeleton, joints, lowest)
        if len(line) >= 2:
            strokes |= skeleton.stroke(line, LEG_WIDTH)
    return convex_hull(strokes)


def torso_region(skeleton: Skeleton, margin: float) -> BoolMask:
    """Shoulders to hips with a margin (pixels at 512 high) [H, W]; empty without both shoulders.

    Unknown hips lie 1.5 shoulder widths below the shoulders.
    """
    outline = np.zeros((skeleton.height, skeleton.width), dtype=bool)
    if not skeleton.known[list(SHOULDERS)].all():
        return outline
    shoulders = skeleton.points[list(SHOULDERS)]
    breadth = float(np.linalg.norm(shoulders[0] - shoulders[1]))
    hips = [
        skeleton.points[hip] if skeleton.known[hip] else shoulders[side] + [0.0, 1.5 * breadth]
        for side, hip in enumerate(HIPS)
    ]
    corners = np.stack([shoulders[0], shoulders[1], hips[1], hips[0], shoulders[0]])
    return convex_hull(skeleton.stroke(corners, 2 * margin))


def convex_hull(mask: BoolMask) -> BoolMask:
    """The smallest convex region that contains the mask."""
    import cv2

    filled = np.zeros(mask.shape, dtype=np.uint8)
    if mask.any():
        points = cv2.findNonZero(mask.astype(np.uint8))
        cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(bool)


def _distance_to_line(pixels: NDArray[np.int64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each pixel [N, 2] to the nearest piece of a line [M >= 2, 2]: [N]."""
    distances = []
    for start, end in pairwise(line):
        along = end - start
        share = (pixels - start) @ along / max(float(along @ along), 1e-6)
        nearest = start + np.clip(share, 0.0, 1.0)[:, None] * along
        distances.append(np.linalg.norm(pixels - nearest, axis=1))
    return np.min(distances, axis=0)


def _leg_line(
    skeleton: Skeleton, joints: tuple[int, int, int], lowest: float
) -> NDArray[np.float64]:
    line = skeleton.points[[j for j in joints if skeleton.known[j]]]
    match tuple(bool(skeleton.known[j]) for j in joints):
        case (True, True, False):
            return np.stack([line[0], line[1], 2 * line[1] - line[0]])
        case (False, True, True):
            return np.stack([2 * line[0] - line[1], line[0], line[1]])
        case (True, False, False):
            return np.stack([line[0], [line[0, 0], max(lowest, line[0, 1])]])
        case _:
            return line


def _hand_by_skin(
    skin: BoolMask, clothes: BoolMask, shoulder: NDArray[np.float64], scale: float
) -> BoolMask:
    """The far end of the skin, measured along it from the clothes; small skin is all hand."""
    nothing = np.zeros_like(skin)
    if skin.sum() < _LONG_SLEEVE_SKIN * scale**2:
        return skin.copy()
    step = max(round(skin.shape[0] / _COARSE), 1)
    coarse = skin[::step, ::step]
    touching = coarse & grow_mask(clothes, max(round(6 * scale), step))[::step, ::step]
    ys, xs = np.nonzero(touching)
    if len(ys) == 0:
        return nothing
    nearest = np.hypot(xs * step - shoulder[0], ys * step - shoulder[1]).argmin()
    reached = np.zeros_like(coarse)
    reached[ys[nearest], xs[nearest]] = True
    distance = np.full(coarse.shape, -1, dtype=np.int32)
    frontier, steps = reached, 0
    while frontier.any():
        distance[frontier] = steps
        frontier = grow_mask(reached, 1) & coarse & ~reached
        reached, steps = reached | frontier, steps + 1
    hand = distance > (1.0 - _HAND_SHARE) * (steps - 1)
    if hand[0].any() or hand[-1].any() or hand[:, 0].any() or hand[:, -1].any():
        return nothing  # the arm leaves the picture before its hand
    fine = np.kron(hand, np.ones((step, step), dtype=bool))
    return skin & fine[: skin.shape[0], : skin.shape[1]]
