"""Drawing: a person in an outfit with label map and joints, and a garment laid flat on white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...masks.labels import Label
from .body import (
    ANKLE,
    CANONICAL_FRAMES,
    CANONICAL_JOINTS,
    ELBOW,
    HIP,
    KNEE,
    SHOULDER,
    SIDES,
    WRIST,
    Build,
    Points,
    Pose,
    Side,
    frames,
    joints,
)
from .canvas import Affine, Canvas, capsule, carried, ellipse
from .garments import Garment, Panel, panels
from .patterns import PIXELS, Colour, draw_pattern

Hair = Literal["none", "short", "bob", "long"]
ARM_LABEL: dict[Side, Label] = {"left": Label.LEFT_ARM, "right": Label.RIGHT_ARM}
LEG_LABEL: dict[Side, Label] = {"left": Label.LEFT_LEG, "right": Label.RIGHT_LEG}
SHOE_LABEL: dict[Side, Label] = {"left": Label.LEFT_SHOE, "right": Label.RIGHT_SHOE}
CLOTH_TO_BODY = np.array([[1 / PIXELS, 0, -0.5], [0, 1 / PIXELS, 0]], np.float64)
HEAD_CENTRE = np.array([0.0, 0.1], np.float32)


class Skin(Protocol):
    """Paints a shape of the canonical body where its part is; the person's skin by default."""

    def __call__(
        self, part: str, outline: Points, label: Label, colour: Colour | None = None
    ) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DollPerson:
    """Who is drawn, how they stand, and where.

    scale: picture heights per body height. offset: the body's origin, in picture heights.
    """

    build: Build
    pose: Pose
    skin: Colour
    hair_colour: Colour
    hair: Hair
    shoes: Colour
    background: tuple[Colour, Colour]
    scale: float = 0.94
    offset: tuple[float, float] = (0.375, 0.02)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn person: image uint8 [H, W, 3], labels uint8 [H, W], keypoints float32 [18, 3]."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    keypoints: NDArray[np.float32]


def draw_person(
    person: DollPerson, outfit: tuple[Garment, ...], *, height: int, width: int
) -> Drawing:
    """Draw a person wearing the garments, the first one undermost."""
    import cv2

    placement = np.array(
        [[person.scale, 0, person.offset[0]], [0, person.scale, person.offset[1]]], np.float64
    )
    placement *= height
    body = joints(person.build, person.pose)
    posed = frames(body, person.build.thickness)
    to_picture: dict[str, Affine] = {}
    for part, frame in CANONICAL_FRAMES.items():
        affine = cv2.getAffineTransform(frame, posed[part]).astype(np.float64)
        to_picture[part] = _compose(placement, affine)
    canvas = Canvas(draw_background(person.background, height, width))
    cloths = [(garment, draw_pattern(garment.pattern), panels(garment)) for garment in outfit]

    def skin(part: str, outline: Points, label: Label, colour: Colour | None = None) -> None:
        canvas.fill(carried(outline, to_picture[part]), colour or person.skin, label)

    def dress(panel: Panel, cloth: NDArray[np.uint8], garment: Garment) -> None:
        affine = to_picture[panel.part]
        outline = carried(panel.outline, affine)
        if garment.pattern.kind == "plain":
            canvas.fill(outline, garment.pattern.ground, garment.label)
        else:
            canvas.drape(outline, cloth, _compose(affine, CLOTH_TO_BODY), garment.label)

    if person.hair in ("bob", "long"):
        reach = 0.16 if person.hair == "bob" else 0.235
        skin("head", _back_hair(reach), Label.HAIR, person.hair_colour)
    for side in SIDES:
        _draw_leg(side, skin, person.shoes)
    skin("torso", TORSO, Label.NECK)
    for garment, cloth, pieces in cloths:
        for panel in pieces:
            if not panel.part.endswith("arm"):
                dress(panel, cloth, garment)
    skin("head", NECK_COLUMN, Label.NECK)
    for side in SIDES:
        _draw_arm(side, skin)
        for garment, cloth, pieces in cloths:
            for panel in pieces:
                if panel.part in (f"{side}_upper_arm", f"{side}_forearm"):
                    dress(panel, cloth, garment)
        skin(f"{side}_forearm", HAND[side], ARM_LABEL[side])
    _draw_head(person, skin)

    pixels = carried(body, placement)
    inside = np.all((pixels >= 0) & (pixels < np.array([width, height])), axis=1)
    keypoints = np.concatenate([pixels, np.ones((18, 1))], 1) * inside[:, None]
    return Drawing(canvas.image, canvas.labels, keypoints.astype(np.float32))


def draw_garment(garment: Garment, *, height: int, width: int) -> NDArray[np.uint8]:
    """Return the garment laid flat on white, uint8 [H, W, 3], centred with a margin."""
    pieces = panels(garment)
    points = np.concatenate([panel.outline for panel in pieces])
    low, high = points.min(0), points.max(0)
    span = high - low
    zoom = min(0.84 * width / span[0], 0.86 * height / span[1], 1.9 * height)
    shift = np.array([width, height]) / 2 - zoom * (low + high) / 2
    placement = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float64)
    canvas = Canvas(np.full((height, width, 3), 255, np.uint8))
    cloth = draw_pattern(garment.pattern)
    for panel in pieces:
        affine = _compose(placement, CLOTH_TO_BODY)
        canvas.drape(carried(panel.outline, placement), cloth, affine, garment.label)
    return canvas.image


def _compose(outer: Affine, inner: Affine) -> Affine:
    """Return the map [2, 3] that applies `inner` first."""
    return np.concatenate(
        [outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], 1
    )


def draw_background(colours: tuple[Colour, Colour], height: int, width: int) -> NDArray[np.uint8]:
    """Return a wall uint8 [H, W, 3] that fades from the first colour (top) to the second."""
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = (1 - share) * np.array(colours[0], np.float32) + share * np.array(colours[1])
    return np.repeat(column[:, None].astype(np.uint8), width, axis=1)


TORSO = np.array(
    [
        (-0.094, 0.2), (-0.078, 0.28), (-0.067, 0.4), (-0.084, 0.51), (-0.09, 0.57), (0.09, 0.57),
        (0.084, 0.51), (0.067, 0.4), (0.078, 0.28), (0.094, 0.2), (0.03, 0.185), (-0.03, 0.185),
    ],
    np.float32,
)  # fmt: skip
NECK_COLUMN = np.array([(-0.026, 0.13), (0.026, 0.13), (0.034, 0.207), (-0.034, 0.207)], np.float32)


def _back_hair(reach: float) -> Points:
    top = ellipse(HEAD_CENTRE, 0.068, 0.085)[14:]  # the upper half, right to left
    return np.concatenate([top, [(0.074, reach), (-0.074, reach)]]).astype(np.float32)


def _hand(side: Side) -> Points:
    wrist, elbow = CANONICAL_JOINTS[WRIST[side]], CANONICAL_JOINTS[ELBOW[side]]
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    return capsule(wrist + along * 0.006, wrist + along * 0.034, 0.019, 0.017)


HAND = {side: _hand(side) for side in SIDES}


def _draw_arm(side: Side, skin: Skin) -> None:
    shoulder, elbow, wrist = (CANONICAL_JOINTS[j[side]] for j in (SHOULDER, ELBOW, WRIST))
    skin(f"{side}_upper_arm", capsule(shoulder, elbow, 0.028, 0.024), ARM_LABEL[side])
    skin(f"{side}_forearm", capsule(elbow, wrist, 0.024, 0.018), ARM_LABEL[side])


def _draw_leg(side: Side, skin: Skin, shoes: Colour) -> None:
    hip, knee, ankle = (CANONICAL_JOINTS[j[side]] for j in (HIP, KNEE, ANKLE))
    root = hip + 0.3 * (knee - hip)
    skin(f"{side}_thigh", capsule(root, knee, 0.042, 0.034), LEG_LABEL[side])
    skin(f"{side}_shin", capsule(knee, ankle, 0.034, 0.021), LEG_LABEL[side])
    toe = ankle + np.array([-0.03 if side == "right" else 0.03, 0.036], np.float32)
    skin(f"{side}_shin", capsule(ankle + (0, 0.014), toe, 0.026, 0.018), SHOE_LABEL[side], shoes)


def _draw_head(person: DollPerson, skin: Skin) -> None:
    skin("head", ellipse(HEAD_CENTRE, 0.056, 0.074), Label.FACE)
    if person.hair != "none":
        cap = ellipse(HEAD_CENTRE - (0, 0.01), 0.062, 0.076)[14:]
        fringe = np.array([(0.05, 0.075), (0.0, 0.055), (-0.05, 0.075)], np.float32)
        skin("head", np.concatenate([cap, fringe]), Label.HAIR, person.hair_colour)
    dark: Colour = (45, 35, 40)
    for x in (-0.022, 0.022):
        skin("head", ellipse(HEAD_CENTRE + (x, -0.003), 0.0075, 0.0085), Label.FACE, dark)
    skin("head", ellipse(HEAD_CENTRE + (0, 0.035), 0.017, 0.006), Label.FACE, (165, 70, 75))
