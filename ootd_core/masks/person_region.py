"""A mask without a parser: skeleton and person mask in, the pixels that a garment may take out.

Nothing here knows where the old garment ends, so it takes the limbs whole that a garment of the
category may cover: torso and arms for an upper one, waist to ankles for a lower one, all of them
for a dress. Face, hands, feet and the ground stay, but for a narrow margin around the cloth and
for the gap between the legs, which a skirt fills. A label map tells more: use `agnostic_mask` where
there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from .agnostic import (
    MIN_PERSON_SHARE,
    NO_PERSON,
    PIECE,
    AgnosticMask,
    joints_used,
    one_person,
    theirs,
)
from .body_parts import BodyPart, BodyParts, body_parts
from .limbs import ARMS, HIPS, LEGS, SHOULDERS, Skeleton
from .morphology import (
    MASK_THRESHOLD,
    BoolMask,
    SoftMask,
    drop_specks,
    fill_holes,
    grow_beside,
    grow_mask,
    pieces_of,
)
from .new_garment import MaskLength, MaskSleeves, NewGarment, lay_new_garment

MARGIN = 5
"""Pixels at a height of 512 by which the mask leaves the person: outlines are soft."""
MIN_SHARE = 0.03
"""Of the person: a mask that is smaller means that the picture ends before the garment begins."""
HEM = 0.3
"""How far below the hips an upper garment ends, in breadths of the shoulders."""
WAIST = 0.38
"""How far above the hips a lower garment begins, in lengths of the torso."""
OTHER_COLOUR = 22.0
"""CIE 1976 difference from which cloth beside an arm is not the arm: shadows differ by less."""
BESIDE_BONE = 0.4
"""Torsos from an arm's bone to the farthest pixel that is compared with it."""
COLOUR_BLUR = 1.5
CLOTH_SPECK = 40
SEATED = 0.55
"""Thighs that reach less far down than this share of the torso are those of somebody who sits."""

KEPT_PARTS: dict[Category, tuple[BodyPart, ...]] = {
    Category.UPPER: (BodyPart.HEAD, BodyPart.HAND, BodyPart.FOOT),
    Category.LOWER: (BodyPart.HEAD, BodyPart.HAND, BodyPart.FOOT, BodyPart.ARM),
    Category.DRESS: (BodyPart.HEAD, BodyPart.HAND, BodyPart.FOOT),
}


def person_region_mask(
    person: SoftMask | BoolMask,
    keypoints: NDArray[np.floating] | None,
    *,
    category: Category,
    picture: NDArray[np.uint8] | None = None,
    hands: NDArray[np.floating] | None = None,
    feet: NDArray[np.floating] | None = None,
    garment: NDArray[np.uint8] | None = None,
    length: MaskLength = MaskLength.AUTO,
    sleeves: MaskSleeves = MaskSleeves.AUTO,
    grow: int = 0,
    keep_mask: BoolMask | None = None,
    bystanders: Sequence[NDArray[np.floating]] = (),
) -> AgnosticMask:
    """The mask for putting a garment of `category` on a person of whom no label map is known.

    Args:
        person: bool or float [H, W] in [0, 1]: where the person is, clothes and hair included.
        keypoints: [18, 3], x and y in pixels of the mask, confidence (0 is missing).
        picture: uint8 RGB [H, W, 3]: tells trousers and skirts from the arms that hang beside them.
        hands: [2, N, 3], right and left: knuckles of index and little finger first (x, y,
            confidence). They say where the hands are; else the forearms' directions do.
        feet: [2, 2, 3], right and left: heel and toe; else the shins' directions tell.
        garment: uint8 RGB [h, w, 3], the new garment lying flat: where it is wider than the person,
            the mask is, too.
        length, sleeves: how far the new garment reaches, where that is not to be measured.
        grow: pixels by which the mask is grown (never over what is kept) or, if negative, shrunk.
        keep_mask: bool [H, W], further pixels that stay.
        bystanders: keypoints [18, 3] of other people: what is nearer to one of them stays.

    Raises ValueError for an empty person mask, without keypoints, where neither both shoulders nor
    both hips are known, or where nothing is left to replace.
    """
    shape = person.shape
    if person.ndim != 2:
        raise ValueError(f"A person mask is [height, width], not {list(shape)}.")
    if keep_mask is not None and keep_mask.shape != shape:
        raise ValueError(
            f"The region to keep is {list(keep_mask.shape)} (height, width) but the person mask is "
            f"{list(shape)}: they must have the same size."
        )
    if picture is not None and picture.shape[:2] != shape:
        raise ValueError(
            f"The picture is {list(picture.shape[:2])} (height, width) but the person mask is "
            f"{list(shape)}: they must have the same size."
        )
    skeleton = Skeleton.of(keypoints, *shape)
    if not skeleton.known.any():
        raise ValueError(NO_PERSON)
    whole = (person if person.dtype == np.bool_ else person >= MASK_THRESHOLD).astype(np.uint8)
    whole[theirs(whole, skeleton, bystanders)] = 0
    own = one_person(whole, skeleton) > 0
    if np.count_nonzero(own) < MIN_PERSON_SHARE * own.size:
        raise ValueError(
            "The person mask is empty where the keypoints are: give both of the same picture, or "
            "supply a mask of what is to be replaced."
        )
    body = body_parts(own, skeleton, hands=hands, feet=feet)
    kept = body.of(*KEPT_PARTS[category])
    region = _covered(body, category)
    if category is Category.LOWER and picture is not None:
        cloth = _cloth_beside_arms(body, skeleton, picture)
        kept, region = kept & ~cloth, region | cloth
    region &= ~kept
    if category is not Category.UPPER:
        legs = region & body.of(BodyPart.LEG) & (body.below_hips() > 0)
        region |= _between(legs) & ~kept
    region |= grow_mask(region, max(round(MARGIN * skeleton.scale), 1)) & ~own
    mask = region | (fill_holes(region) & own & ~kept)
    old = drop_specks(mask, PIECE * skeleton.scale**2)
    new = NewGarment(region=np.zeros_like(old), over_others=np.zeros_like(old))
    if garment is not None or (length, sleeves) != (MaskLength.AUTO, MaskSleeves.AUTO):
        new = lay_new_garment(skeleton, category, garment=garment, length=length, sleeves=sleeves)
    old, mask = (grow_beside(each, kept, grow) for each in (old, old | (new.region & ~kept)))
    if keep_mask is not None:
        mask = mask & ~keep_mask
    if np.count_nonzero(mask) < MIN_SHARE * np.count_nonzero(own):
        raise ValueError(
            f"Nothing is left to replace for a garment of category '{category}': the picture does "
            "not show that part of the person, or all of it is kept; choose another category, or "
            "supply a mask."
        )
    missing = skeleton.missing(joints_used(category, hiding=True))
    return AgnosticMask(
        mask=mask,
        new_garment=mask & ~old,
        missing=missing,
        warnings=(*_warnings(skeleton, missing, category), *new.warnings),
    )


def _covered(body: BodyParts, category: Category) -> BoolMask:
    """The parts of the person [H, W] that a garment of this category may cover."""
    below = body.below_hips()
    trunk = body.of(BodyPart.TORSO, BodyPart.LEG)
    match category:
        case Category.UPPER:
            return body.of(BodyPart.ARM) | (trunk & (below <= HEM * body.breadth))
        case Category.LOWER:
            return trunk & (below >= -WAIST * body.torso)
        case Category.DRESS:
            return trunk | body.of(BodyPart.ARM)


def _cloth_beside_arms(body: BodyParts, skeleton: Skeleton, picture: NDArray[np.uint8]) -> BoolMask:
    """What of the arms [H, W] below the waist has another colour than the arm at its bone."""
    import cv2

    size = body.parts.shape
    colours = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    blur = max(COLOUR_BLUR * skeleton.scale, 0.5)
    colours = np.asarray(cv2.GaussianBlur(colours, (0, 0), blur), np.float32)
    arms = body.of(BodyPart.ARM)
    bones = np.ones(size, np.uint8)
    for _, elbow, wrist in ARMS.values():
        if skeleton.known[elbow] and skeleton.known[wrist]:
            line = np.round(skeleton.points[[elbow, wrist]]).astype(np.int32)
            cv2.polylines(bones, [line], False, 0)
    bones[~arms] = 1
    if bones.all():
        return np.zeros(size, np.bool_)
    distance, numbers = cv2.distanceTransformWithLabels(
        bones, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(numbers, np.int64)
    of_bone = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    of_bone[nearest[bones == 0]] = colours[bones == 0]
    other = np.linalg.norm(colours - of_bone[nearest], axis=2) > OTHER_COLOUR
    # An arm whose own bone is not known must not be compared with the other arm's.
    other &= np.asarray(distance) <= BESIDE_BONE * body.torso
    below_waist = body.below_hips() >= -WAIST * body.torso
    # What lies on the arm's outer side is ground that the person mask takes along.
    pieces, sizes = pieces_of(arms & below_waist & other)
    trunk = grow_mask(body.of(BodyPart.TORSO, BodyPart.LEG), 1)
    beside = np.zeros(len(sizes) + 1, np.bool_)
    beside[pieces[trunk]] = True
    beside[0] = False
    beside[1:] &= sizes >= CLOTH_SPECK * skeleton.scale**2
    return beside[pieces]


def _between(legs: BoolMask) -> BoolMask:
    """What lies between the outermost pixels of each row [H, W]: the gap that a skirt fills."""
    reached = np.logical_or.accumulate
    return reached(legs, axis=1) & reached(legs[:, ::-1], axis=1)[:, ::-1]


def _warnings(skeleton: Skeleton, missing: tuple[str, ...], category: Category) -> tuple[str, ...]:
    said: list[str] = []
    points, known = skeleton.points, skeleton.known
    if missing:
        said.append(
            f"Not in the picture, or hidden: {', '.join(missing)}. The person mask stands in for "
            "them, so look whether hands and feet are spared."
        )
    right, left = SHOULDERS
    if known[right] and known[left] and points[right, 0] > points[left, 0]:
        said.append(
            "The person seems to be seen from behind (the right shoulder is on the right): the "
            "networks were trained on people seen from the front."
        )
    if category is not Category.UPPER and _is_seated(skeleton):
        said.append(
            "The person seems to sit or crouch: look at the mask of the legs, and supply your own "
            "where it is wrong."
        )
    return tuple(said)


def _is_seated(skeleton: Skeleton) -> bool:
    """Whether both thighs that are known point forward or sideways rather than down."""
    points, known = skeleton.points, skeleton.known
    if not known[list(SHOULDERS)].all() or not known[list(HIPS)].all():
        return False
    torso = points[list(HIPS)].mean(axis=0) - points[list(SHOULDERS)].mean(axis=0)
    length = float(np.linalg.norm(torso))
    if length < 1:
        return False
    reached = [
        float((points[knee] - points[hip]) @ torso) / length**2
        for hip, knee, _ in LEGS
        if known[knee]
    ]
    return bool(reached) and max(reached) < SEATED
