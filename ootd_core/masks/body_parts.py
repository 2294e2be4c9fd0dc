"""Which part of the body each pixel of a person shows, by the nearest bone: no parser needed.

A person mask says where the person is and the skeleton where the bones are; a loose sleeve or a
skirt belongs to the bone that it hangs on. Head, hands and feet end at a line or within a reach,
so that they take no cloth with them. Lengths are shares of the shoulders' breadth, measured on the
person: pictures show people at any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .limbs import ARMS, HIPS, LEGS, NECK, SHOULDERS, Skeleton
from .morphology import BoolMask

Point = NDArray[np.float64]

# Half the breadth of a limb around its bone.
FACE, UPPER_ARM, FOREARM, HAND = 0.22, 0.15, 0.11, 0.1
THIGH, SHIN, FOOT, TORSO = 0.22, 0.14, 0.1, 0.08
HAND_REACH, ARM_REACH = 0.15, 0.24  # from the bone; farther pixels are the cloth behind it
ARM_WEIGHT = 3.0  # of the distance from an arm or hand: cloth beside it hangs on the body rather
BODY_REACH = 0.55  # above the hips; farther pixels are ground that the person mask takes along
FINGERS = 1.7  # a hand's length over that from the wrist to its knuckles
CUFF = 0.3  # of the way from the wrist to the knuckles: the sleeve's end
HAND_LENGTH, FOOT_LENGTH = 0.42, 0.3  # where the points of hand or foot are unknown
CHIN = 0.56  # of the way from the nose to the shoulders' middle
HEAD_HEIGHT = 0.65  # from the shoulders' middle to the nose, where the face is unknown
TORSO_LENGTH, HIP_BREADTH = 1.4, 0.6  # where hips or shoulders are unknown
THIGH_LENGTH = 1.2
ANKLE_CUT = 0.3  # of the way from ankle to heel: the trousers' end


class BodyPart(IntEnum):
    """What a pixel of a person shows; 0 is another person or the ground."""

    NONE = 0
    HEAD = 1
    TORSO = 2
    ARM = 3
    HAND = 4
    LEG = 5
    FOOT = 6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyParts:
    """The parts of one person.

    parts: uint8 [H, W], `BodyPart` values. breadth: of the shoulders in pixels, as seen from the
    front. down: unit vector (x, y) from the shoulders to the hips. hips: their middle (x, y).
    torso: the length from the shoulders' middle to the hips', in pixels.
    """

    parts: NDArray[np.uint8]
    breadth: float
    down: Point
    hips: Point
    torso: float

    def of(self, *kinds: BodyPart) -> BoolMask:
        """The pixels [H, W] of these parts."""
        return np.isin(self.parts, kinds)

    def below_hips(self) -> NDArray[np.float64]:
        """How far each pixel [H, W] lies beyond the hips, along the torso, in pixels."""
        return _along(self.parts.shape, self.hips, self.down)


def body_parts(
    person: BoolMask,
    skeleton: Skeleton,
    *,
    hands: NDArray[np.floating] | None = None,
    feet: NDArray[np.floating] | None = None,
) -> BodyParts:
    """Assign each pixel of a person to a part of the body.

    Args:
        person: bool [H, W], where the person is, clothes and hair included.
        hands: [2, N, 3], right and left, points (x, y, confidence; 0 is missing) of the knuckles.
        feet: [2, 2, 3], right and left, each heel and toe.

    Raises ValueError where neither both shoulders nor both hips are known.
    """
    frame = _Frame.of(skeleton)
    bones: list[tuple[BodyPart, list[Point], float, float]] = []
    for side in (0, 1):
        bones += _arm(skeleton, frame, side, None if hands is None else hands[side])
        bones += _leg(skeleton, frame, side, None if feet is None else feet[side])
    chin, nose = _head(skeleton, frame)
    # Shoulders rise towards the neck, on either side of a head that leans.
    nape = 0.75 * chin + 0.25 * frame.shoulders.mean(axis=0)
    bones.append((BodyPart.TORSO, [*frame.corners, nape], TORSO * frame.breadth, np.inf))
    top = nose + (nose - chin) * 2.0
    bones.append((BodyPart.HEAD, [chin, top], FACE * frame.breadth, np.inf))
    nearest = np.full(person.shape, np.inf, np.float32)
    parts = np.zeros(person.shape, np.uint8)
    for part, points, radius, reach in bones:
        distance = _distance(person.shape, points, closed=part is BodyPart.TORSO)
        beyond = distance - np.float32(radius)
        if part in (BodyPart.ARM, BodyPart.HAND):
            beyond = np.where(beyond > 0, np.float32(ARM_WEIGHT) * beyond, beyond)
        elif part is not BodyPart.HEAD:
            beyond = np.maximum(beyond, np.float32(0))  # arms and hands lie in front of them
        closer = (beyond < nearest) & (distance <= reach)
        parts[closer], nearest[closer] = part, beyond[closer]
    # The chin is a line across the neck: below it, the garment's collar begins. It follows a head
    # that is held to one side only by half, for the collar does not follow at all.
    up = (nose - chin) / max(float(np.linalg.norm(nose - chin)), 1e-6) - frame.down
    up /= max(float(np.linalg.norm(up)), 1e-6)
    parts[(parts == BodyPart.HEAD) & (_along(person.shape, chin, up) < 0)] = BodyPart.TORSO
    _end_legs(parts, skeleton, frame, feet)
    above_hips = _along(person.shape, frame.hips.mean(axis=0), frame.down) < 0
    too_far = above_hips & (parts != BodyPart.HEAD) & (nearest > BODY_REACH * frame.breadth)
    parts[too_far] = BodyPart.NONE
    return BodyParts(
        parts=np.where(person, parts, np.uint8(0)),
        breadth=frame.breadth,
        down=frame.down,
        hips=frame.hips.mean(axis=0),
        torso=frame.torso,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Frame:
    """Shoulders and hips [2, 2] (right, left), known or guessed from one another."""

    shoulders: Point
    hips: Point
    breadth: float
    torso: float
    down: Point

    @property
    def corners(self) -> list[Point]:
        return [self.shoulders[0], self.shoulders[1], self.hips[1], self.hips[0]]

    @classmethod
    def of(cls, skeleton: Skeleton) -> _Frame:
        points, known = skeleton.points, skeleton.known
        has_shoulders, has_hips = known[list(SHOULDERS)].all(), known[list(HIPS)].all()
        if not has_shoulders and not has_hips:
            raise ValueError(
                "Neither both shoulders nor both hips of the person were found, so a person mask "
                "does not tell what the garment covers: take a picture that shows them, or supply "
                "a mask of your own."
            )
        shoulders, hips = points[list(SHOULDERS)], points[list(HIPS)]
        if has_shoulders and has_hips:
            torso = float(np.linalg.norm(hips.mean(axis=0) - shoulders.mean(axis=0)))
            across = float(np.linalg.norm(shoulders[0] - shoulders[1]))
            breadth = max(across, torso / TORSO_LENGTH, 1.0)  # seen from the side it is narrow
        elif has_shoulders:
            breadth = max(float(np.linalg.norm(shoulders[0] - shoulders[1])), 1.0)
            torso = TORSO_LENGTH * breadth
            middle = shoulders.mean(axis=0) + [0.0, torso]
            hips = middle + HIP_BREADTH * (shoulders - shoulders.mean(axis=0))
        else:
            breadth = max(float(np.linalg.norm(hips[0] - hips[1])) / HIP_BREADTH, 1.0)
            torso = TORSO_LENGTH * breadth
            middle = hips.mean(axis=0) - [0.0, torso]
            shoulders = middle + (hips - hips.mean(axis=0)) / HIP_BREADTH
        along = hips.mean(axis=0) - shoulders.mean(axis=0)
        length = float(np.linalg.norm(along))
        down = along / length if length > 1 else np.array([0.0, 1.0])
        return cls(shoulders=shoulders, hips=hips, breadth=breadth, torso=torso, down=down)


def _arm(
    skeleton: Skeleton, frame: _Frame, side: int, knuckles: NDArray[np.floating] | None
) -> list[tuple[BodyPart, list[Point], float, float]]:
    _, elbow, wrist = list(ARMS.values())[side]
    known, points, breadth = skeleton.known, skeleton.points, frame.breadth
    found: list[tuple[BodyPart, list[Point], float, float]] = []
    start, reach = frame.shoulders[side], ARM_REACH * breadth
    if known[elbow]:
        found.append((BodyPart.ARM, [start, points[elbow]], UPPER_ARM * breadth, reach))
        start = points[elbow]
    if known[wrist]:
        found.append((BodyPart.ARM, [start, points[wrist]], FOREARM * breadth, reach))
        tip = _hand_tip(points[wrist], start, breadth, knuckles)
        cuff = points[wrist] + CUFF / FINGERS * (tip - points[wrist])
        found.append((BodyPart.ARM, [points[wrist], cuff], FOREARM * breadth, reach))
        found.append((BodyPart.HAND, [cuff, tip], HAND * breadth, HAND_REACH * breadth))
    return found


def _hand_tip(
    wrist: Point, before: Point, breadth: float, knuckles: NDArray[np.floating] | None
) -> Point:
    """Where the fingers end: beyond the knuckles, or in the forearm's direction."""
    if knuckles is not None and (knuckles[:2, 2] > 0).all():
        return wrist + FINGERS * (knuckles[:2, :2].mean(axis=0) - wrist)
    along = wrist - before
    return wrist + along / max(float(np.linalg.norm(along)), 1e-6) * HAND_LENGTH * breadth


def _leg(
    skeleton: Skeleton, frame: _Frame, side: int, foot: NDArray[np.floating] | None
) -> list[tuple[BodyPart, list[Point], float, float]]:
    _, knee, ankle = LEGS[side]
    known, points, breadth = skeleton.known, skeleton.points, frame.breadth
    start = frame.hips[side]
    if known[knee]:
        end = points[knee]
    else:  # straight on, out of the picture or hidden
        end = points[ankle] if known[ankle] else start + frame.down * THIGH_LENGTH * breadth
    bones: list[tuple[BodyPart, list[Point], float, float]] = []
    bones.append((BodyPart.LEG, [start, end], THIGH * breadth, np.inf))
    if not known[knee]:
        return bones
    last = points[ankle] if known[ankle] else 2 * end - start
    bones.append((BodyPart.LEG, [end, last], SHIN * breadth, np.inf))
    if known[ankle]:
        line = [points[ankle], *_foot_points(points[ankle], end, breadth, foot)]
        bones.append((BodyPart.FOOT, line, FOOT * breadth, np.inf))
    return bones


def _foot_points(
    ankle: Point, knee: Point, breadth: float, foot: NDArray[np.floating] | None
) -> list[Point]:
    """Heel and toe as far as they are known, or a point straight below the shin."""
    if foot is not None and (foot[:, 2] > 0).any():
        return [point[:2].astype(np.float64) for point in foot if point[2] > 0]
    along = ankle - knee
    return [ankle + along / max(float(np.linalg.norm(along)), 1e-6) * FOOT_LENGTH * breadth]


def _end_legs(
    parts: NDArray[np.uint8],
    skeleton: Skeleton,
    frame: _Frame,
    feet: NDArray[np.floating] | None,
) -> None:
    """Give what lies above an ankle to the leg, what lies below it to the foot (in place).

    Each side judges the pixels that are nearer to its own shin and foot: legs cross in walking.
    """
    sides: list[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]] = []
    for side, (_, knee, ankle) in enumerate(LEGS):
        shin = skeleton.points[ankle] - skeleton.points[knee]
        length = float(np.linalg.norm(shin))
        if not (skeleton.known[knee] and skeleton.known[ankle]) or length < 1:
            continue
        start, end = skeleton.points[knee], skeleton.points[ankle]
        foot = None if feet is None else feet[side]
        heel = FOOT_LENGTH * frame.breadth
        if foot is not None and foot[0, 2] > 0:
            heel = max(float((foot[0, :2] - end) @ shin) / length, 0.0)
        line = [start, end, *_foot_points(end, start, frame.breadth, foot)]
        sides.append(
            (
                _distance(parts.shape, line),
                _along(parts.shape, end, shin / length) - ANKLE_CUT * heel,
                _distance(parts.shape, [end]) < 0.5 * frame.breadth,
            )
        )
    for own, below, near in sides:
        judged = near & (own <= np.min([each for each, _, _ in sides], axis=0))
        parts[judged & (parts == BodyPart.FOOT) & (below < 0)] = BodyPart.LEG
        parts[judged & (parts == BodyPart.LEG) & (below >= 0)] = BodyPart.FOOT


def _head(skeleton: Skeleton, frame: _Frame) -> tuple[Point, Point]:
    """Where the chin and the nose are (x, y), by the face's joints or the body's proportions."""
    neck = skeleton.points[NECK] if skeleton.known[NECK] else frame.shoulders.mean(axis=0)
    nose = neck - frame.down * HEAD_HEIGHT * frame.breadth
    if skeleton.known[0]:
        nose = skeleton.points[0]
    else:
        face = [joint for joint in range(14, 18) if skeleton.known[joint]]
        if face:
            nose = skeleton.points[face].mean(axis=0)
    return nose + CHIN * (neck - nose), nose


def _along(shape: tuple[int, ...], start: Point, direction: Point) -> NDArray[np.float64]:
    """How far each pixel [H, W] lies beyond `start` in a direction (unit vector), in pixels."""
    ys, xs = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    return (xs - start[0]) * direction[0] + (ys - start[1]) * direction[1]


def _distance(
    shape: tuple[int, ...], points: list[Point], *, closed: bool = False
) -> NDArray[np.float32]:
    """How far each pixel [H, W] is from a line, or from a closed region (0 inside)."""
    import cv2

    # Bones that begin or end far outside still have a nearest pixel: the frame holds all of them.
    corners = np.round(np.stack(points)).astype(np.int64)
    low = np.minimum(corners.min(axis=0), 0)
    high = np.maximum(corners.max(axis=0) + 1, [shape[1], shape[0]])
    low, high = np.maximum(low, -4 * max(shape)), np.minimum(high, 5 * max(shape))
    canvas = np.ones((int(high[1] - low[1]), int(high[0] - low[0])), np.uint8)
    line = (corners - low).astype(np.int32)
    if closed:
        cv2.fillConvexPoly(canvas, cv2.convexHull(line), 0)
    else:
        cv2.polylines(canvas, [line], False, 0)
        cv2.circle(canvas, line[0].tolist(), 0, 0)  # a line of one point is none to OpenCV
    distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = distance[-low[1] : shape[0] - low[1], -low[0] : shape[1] - low[0]]
    return np.asarray(inside, np.float32)
