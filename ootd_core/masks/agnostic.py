"""Which pixels of the person are repainted: label map and keypoints in, mask out.

The mask must be large enough that the old garment does not decide the new one's shape, and must
leave alone what makes the picture this person: face, hands, shoes, the other garment. Four modes
answer that: `robust` follows the geometry that the networks were trained with but not the original
implementation's defects, `auto` (default) adds to it where the new garment will lie, `faithful` is
that implementation number for number, and `hide_old_garment` covers whole limbs, so that long
sleeves or trousers leave no trace.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..categories import Category, Variant
from . import reference as reference
from .labels import COVERED_BY_HEM, HEAD, KEPT, REPLACED, Label
from .limbs import (
    ARM_WIDTHS,
    ARMS,
    HIPS,
    LEGS,
    NECK,
    Skeleton,
    arm_stroke,
    convex_hull,
    hand_of,
    legs_region,
    torso_region,
)
from .morphology import BoolMask, drop_specks, fill_holes, grow_beside, grow_mask, pieces_of
from .new_garment import MaskLength, MaskSleeves, lay_new_garment

# Pixels at a height of 512, as all lengths of the mask's geometry.
HIDING_GARMENT_MARGIN = 16
HIDING_ARM_WIDTH, HIDING_ARM_MARGIN = 72, 12
TORSO_MARGIN = 24
SPECK = 30  # area: smaller pieces of a label are noise of the parser
ASTRAY = 12  # a limb's joint farther from the person's pixels than this was seen where nobody is
PIECE = 150  # area: smaller pieces of the mask are not worth repainting

MIN_PERSON_SHARE = 0.005  # of the picture's pixels
MIN_PERSON_JOINTS = 4
NO_PERSON = "No person was found in the picture: use one that shows a person, or supply a mask."


class MaskMode(StrEnum):
    """How the mask is drawn."""

    AUTO = "auto"
    FAITHFUL = "faithful"
    ROBUST = "robust"
    HIDE_OLD_GARMENT = "hide_old_garment"


@dataclass(frozen=True, kw_only=True, slots=True)
class AgnosticMask:
    """The pixels to repaint, and what the mask had to do without.

    mask: bool [H, W]; new_garment: bool [H, W], the part of it that only the new garment needs, in
    mode `auto`, the rest is there for the old one; missing: names of the joints that this category
    and mode would have used; warnings: sentences for the user.
    """

    mask: BoolMask
    new_garment: BoolMask
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def agnostic_mask(
    label_map: NDArray[np.uint8],
    keypoints: NDArray[np.floating] | None,
    *,
    category: Category,
    variant: Variant,
    mode: MaskMode = MaskMode.AUTO,
    garment: NDArray[np.uint8] | None = None,
    garment_mask: BoolMask | None = None,
    length: MaskLength = MaskLength.AUTO,
    sleeves: MaskSleeves = MaskSleeves.AUTO,
    grow: int = 0,
    keep: Collection[Label] = (),
    keep_mask: BoolMask | None = None,
    bystanders: Sequence[NDArray[np.floating]] = (),
) -> AgnosticMask:
    """The mask for putting a garment of `category` on the person of a picture [H, W].

    Args:
        label_map: uint8 [H, W], `Label` values.
        keypoints: [18, 3], x and y in pixels of the label map, confidence (0 is missing); without
            them the mask follows the label map alone and says so.
        variant: the networks that will be used; they were trained with different arm widths.
        garment: uint8 RGB [h, w, 3], the new garment lying flat, of any size; mode `auto` measures
            it. Where it cannot, or without it, the mask is that of `robust`, and a warning says so.
        garment_mask: bool [h, w], the garment's pixels in its picture, where they are known.
        length, sleeves: how far the new garment reaches, where that is not to be measured. With
            `sleeves`, bare arms beyond the sleeves stay as they are.
        grow: pixels by which the mask is grown (never over what is kept) or, if negative, shrunk.
        keep: labels that stay as they are, besides those that `category` leaves alone.
        keep_mask: bool [H, W], further pixels that stay.
        bystanders: keypoints [18, 3] of other people in the picture: what is nearer to one of them
            than to the person stays, and says nothing about the person's clothes.

    Raises:
        ValueError: unusable label map or keypoints, no person in the picture, nothing that a
            garment of this category could replace, or a length or sleeves that would not be used.
    """
    check_by_hand(mode, length, sleeves, category)
    _check_label_map(label_map)
    if keep_mask is not None and keep_mask.shape != label_map.shape:
        raise ValueError(
            f"The region to keep is {list(keep_mask.shape)} (height, width) but its picture is "
            f"{list(label_map.shape)}: they must have the same size."
        )
    height, width = label_map.shape
    skeleton = Skeleton.of(keypoints, height, width)
    others = theirs(label_map, skeleton, bystanders)
    label_map = np.where(others, np.uint8(Label.BACKGROUND), label_map)
    if (
        np.count_nonzero(label_map) < MIN_PERSON_SHARE * label_map.size
        and skeleton.known.sum() < MIN_PERSON_JOINTS
    ):
        raise ValueError(NO_PERSON)
    added = np.zeros(label_map.shape, dtype=np.bool_)
    said: tuple[str, ...] = ()
    if mode is MaskMode.FAITHFUL:
        mask, kept = _faithful(label_map, skeleton, category, variant)
    else:
        labels = one_person(label_map, skeleton)
        hide = mode is MaskMode.HIDE_OLD_GARMENT
        new = None
        if mode is MaskMode.AUTO:
            seen = skeleton.within(grow_mask(labels > 0, round(ASTRAY * skeleton.scale)))
            new = lay_new_garment(
                seen,
                category,
                garment=garment,
                garment_mask=garment_mask,
                length=length,
                sleeves=sleeves,
            )
            said = new.warnings
            if new.region.any():  # else the mask is that of `robust`
                skeleton = seen
                labels = _without_stray_neck(labels, skeleton.scale)
                if category is Category.LOWER:
                    labels = _skirt_of_a_dress(labels, new.region)
        bare = new.bare if new else frozenset[Label]()
        mask, kept = _robust(labels, skeleton, category, variant, hide=hide, bare=bare)
        if new and new.region.any():
            region = new.region
            if new.long_sleeves:
                leaving = _forearms_leaving(labels, skeleton)
                kept &= ~leaving
                region |= grow_mask(leaving, round(reference.ARM_MARGIN * skeleton.scale))
            kept &= ~(new.over_others & np.isin(labels, list(COVERED_BY_HEM[category])))
            clothes = np.isin(labels, list(KEPT[category] & REPLACED[Category.DRESS]))
            kept &= ~(clothes & ~drop_specks(clothes, PIECE * skeleton.scale**2))
            stays = kept | (_bare_skin(labels, bare, skeleton.scale) & ~region)
            mask &= ~stays
            added = fill_holes((mask | region) & ~stays) & ~stays & ~mask
    old = grow_beside(mask, kept, grow)
    whole = grow_beside(mask | added, kept, grow)
    stays = np.isin(label_map, list(keep)) | others
    if keep_mask is not None:
        stays |= keep_mask
    whole = whole & ~stays
    if not whole.any():
        names = ", ".join(sorted(label.name.lower() for label in REPLACED[category]))
        raise ValueError(
            f"Nothing is left to replace for a garment of category '{category}' (looked for: "
            f"{names.replace('_', ' ')}): choose another category, keep less, or supply a mask."
        )
    missing = skeleton.missing(joints_used(category, hiding=mode is MaskMode.HIDE_OLD_GARMENT))
    return AgnosticMask(
        mask=whole,
        new_garment=whole & ~old,
        missing=missing,
        warnings=(*_warnings(skeleton, missing, mode), *said),
    )


def check_by_hand(
    mode: MaskMode, length: MaskLength, sleeves: MaskSleeves, category: Category | None = None
) -> None:
    """Raises ValueError for a length or sleeves that would not be used."""
    if category is Category.LOWER and sleeves is not MaskSleeves.AUTO:
        raise ValueError(
            f"The mask's sleeves are '{sleeves}', but a garment of category '{category}' has none: "
            "leave sleeves at 'auto'."
        )
    if mode is MaskMode.AUTO:
        return
    for name, value in (("length", length), ("sleeves", sleeves)):
        if value != "auto":
            raise ValueError(
                f"The mask's {name} is '{value}', but mode '{mode}' does not look at the new "
                f"garment: choose mode '{MaskMode.AUTO}', or leave {name} at 'auto'."
            )


def _check_label_map(label_map: NDArray[np.uint8]) -> None:
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise ValueError(
            f"A label map is uint8 [height, width], not {label_map.dtype} {list(label_map.shape)}."
        )
    if label_map.max(initial=0) > max(Label):
        raise ValueError(
            f"The label map holds {label_map.max()}, but ATR labels end at {max(Label)}: "
            "it uses another labelling."
        )


def _faithful(
    label_map: NDArray[np.uint8], skeleton: Skeleton, category: Category, variant: Variant
) -> tuple[BoolMask, BoolMask]:
    """The mask and what it keeps, computed at 512x384 and brought back by nearest pixel."""
    height, width = label_map.shape
    points = np.where(skeleton.known[:, None], skeleton.points, 0.0)
    points = points * [reference.WIDTH / width, reference.HEIGHT / height]
    result = reference.reference_mask(label_map, points, category=category, variant=variant)

    def resized(mask: BoolMask) -> BoolMask:
        image = Image.fromarray(mask.astype(np.uint8))
        return np.array(image.resize((width, height), Image.Resampling.NEAREST)).astype(bool)

    return resized(result.mask), resized(result.kept)


def _without_stray_neck(labels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Without crumbs of neck, such as a parser sees along the outline of a head."""
    neck = labels == Label.NECK
    stray = neck & ~drop_specks(neck, PIECE * scale**2)
    return np.where(stray, np.uint8(Label.BACKGROUND), labels)


def _robust(
    labels: NDArray[np.uint8],
    skeleton: Skeleton,
    category: Category,
    variant: Variant,
    *,
    hide: bool,
    bare: Collection[Label] = (),
) -> tuple[BoolMask, BoolMask]:
    """The mask and what it keeps; with `hide` it covers the limbs whole, and of the arms in `bare`
    only what the old garment covers."""
    scale = skeleton.scale
    speck = SPECK * scale**2
    clothes = drop_specks(np.isin(labels, list(REPLACED[category])), speck)
    kept = drop_specks(np.isin(labels, list(KEPT[category])), speck)
    region = grow_mask(clothes, round(reference.GARMENT_MARGIN * scale))
    if category is not Category.LOWER:
        neck = grow_mask(labels == Label.NECK, round(reference.NECK_MARGIN * scale))
        region |= neck & ~np.isin(labels, list(HEAD))
        if hide or not clothes.any():
            region |= torso_region(skeleton, TORSO_MARGIN)
        for label in ARMS:
            arm, hand = _arm_and_hand(labels, label, skeleton, clothes, variant, hide=hide)
            if label not in bare:
                region |= arm
            kept |= hand
    if category is not Category.UPPER and (hide or not clothes.any()):
        legs = legs_region(skeleton, _lowest_row(labels))
        region |= legs if legs.any() else convex_hull(clothes)
    if hide:
        region |= grow_mask(clothes, round(HIDING_GARMENT_MARGIN * scale))
    mask = fill_holes(region & ~kept) & ~kept
    return drop_specks(mask, PIECE * scale**2), kept


def _skirt_of_a_dress(labels: NDArray[np.uint8], region: BoolMask) -> NDArray[np.uint8]:
    """The labels with what of a dress hangs below the new waist as a skirt: a garment for the legs
    takes its place, while the rest of the dress stays."""
    waist = np.flatnonzero(region.any(axis=1))[0]
    labels = labels.copy()
    below = labels[waist:]
    below[below == Label.DRESS] = Label.SKIRT
    return labels


def _forearms_leaving(labels: NDArray[np.uint8], skeleton: Skeleton) -> BoolMask:
    """The skin [H, W] of arms that leave the picture before their wrist: no hand is among it."""
    leaving = np.zeros(labels.shape, dtype=np.bool_)
    for label, (_, _, wrist) in ARMS.items():
        skin = labels == label
        border = skin[0].any() or skin[-1].any() or skin[:, 0].any() or skin[:, -1].any()
        if border and not skeleton.known[wrist]:
            leaving |= skin
    return leaving


def _bare_skin(labels: NDArray[np.uint8], arms: Collection[Label], scale: float) -> BoolMask:
    """The skin [H, W] of the arms, but for what lies beside the edge of clothes."""
    clothes = np.isin(labels, list(REPLACED[Category.DRESS]))
    margin = reference.GARMENT_MARGIN * scale
    return np.isin(labels, list(arms)) & ~grow_mask(clothes, round(margin))


def _arm_and_hand(
    labels: NDArray[np.uint8],
    label: Label,
    skeleton: Skeleton,
    clothes: BoolMask,
    variant: Variant,
    *,
    hide: bool,
) -> tuple[BoolMask, BoolMask]:
    """What of one arm may be repainted [H, W], and its hand [H, W]."""
    margin = HIDING_ARM_MARGIN if hide else reference.ARM_MARGIN
    skin = drop_specks(labels == label, SPECK * skeleton.scale**2)
    hand = hand_of(
        skeleton,
        label,
        skin=skin,
        clothes=clothes,
        shoulder_hint=_neck_point(labels, skeleton),
        width=ARM_WIDTHS[variant],
    )
    width = HIDING_ARM_WIDTH if hide else ARM_WIDTHS[variant]
    arm = arm_stroke(skeleton, label, width + 2 * margin, beyond=margin)
    return arm | grow_mask(skin & ~hand, round(margin * skeleton.scale)), hand


def theirs(
    label_map: NDArray[np.uint8], skeleton: Skeleton, bystanders: Sequence[NDArray[np.floating]]
) -> BoolMask:
    """The pixels of people [H, W] that are nearer to a bystander's bones than to the person's.

    People touch, and a parser's label maps of them run together, so pieces do not tell them apart.
    """
    if not bystanders or not skeleton.known.any():
        return np.zeros(label_map.shape, dtype=np.bool_)
    own = skeleton.distance()
    others = [Skeleton.of(each, *label_map.shape).distance() for each in bystanders]
    return (label_map > 0) & (np.min(others, axis=0) < own)


def one_person(label_map: NDArray[np.uint8], skeleton: Skeleton) -> NDArray[np.uint8]:
    """The label map without other people: without pieces that stand beside the person.

    The person's pieces are those with a known joint (the largest one if there is none); a piece
    above or below them belongs to the person as well.
    """
    body = grow_mask(label_map > 0, max(round(3 * skeleton.scale), 1))
    pieces, sizes = pieces_of(body)
    if len(sizes) < 2:
        return label_map
    height, width = label_map.shape
    x, y = skeleton.points[skeleton.known].astype(np.int64).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    own = np.zeros(len(sizes) + 1, dtype=bool)
    own[pieces[y[inside], x[inside]]] = True
    own[0] = False
    if not own.any():
        own[sizes.argmax() + 1] = True
    # The columns of all pieces at once: a picture may have thousands of them. In each column that a
    # piece occupies, one of its pixels differs from the pixel above it.
    begins = np.diff(pieces, axis=0, prepend=0) != 0
    occupied = np.zeros((len(own), width), dtype=bool)
    occupied[pieces[begins], np.nonzero(begins)[1]] = True
    shared = occupied[:, occupied[own].any(axis=0)].sum(axis=1)
    own |= 2 * shared >= occupied.sum(axis=1)
    own[0] = False
    return np.where(own[pieces], label_map, Label.BACKGROUND).astype(np.uint8)


def _neck_point(labels: NDArray[np.uint8], skeleton: Skeleton) -> NDArray[np.float64]:
    """Where the neck is (x, y), by its joint or the middle of face and neck; else top centre."""
    if skeleton.known[NECK]:
        return skeleton.points[NECK]
    ys, xs = np.nonzero(np.isin(labels, [Label.NECK, Label.FACE]))
    if len(ys) == 0:
        return np.array([labels.shape[1] / 2, 0.0])
    return np.array([xs.mean(), ys.mean()])


def _lowest_row(labels: NDArray[np.uint8]) -> float:
    """The last row of lower clothes or legs; the picture's last row if there are none."""
    below = REPLACED[Category.LOWER] | {Label.DRESS}
    rows = np.flatnonzero(np.isin(labels, list(below)).any(axis=1))
    return float(rows[-1]) if len(rows) else float(labels.shape[0])


def joints_used(category: Category, *, hiding: bool) -> tuple[int, ...]:
    """The joints from which a mask is drawn; hiding: one that covers limbs whole."""
    arms = tuple(joint for joints in ARMS.values() for joint in joints)
    legs = tuple(joint for joints in LEGS for joint in joints)
    match category:
        case Category.UPPER:
            return arms + HIPS if hiding else arms
        case Category.LOWER:
            return legs if hiding else ()
        case Category.DRESS:
            return arms + legs if hiding else arms


def _warnings(skeleton: Skeleton, missing: tuple[str, ...], mode: MaskMode) -> tuple[str, ...]:
    if not missing:
        return ()
    joints = ", ".join(missing)
    if not skeleton.known.any():
        return (f"No keypoints: the mask follows the label map alone (missing: {joints}).",)
    if mode is MaskMode.FAITHFUL:
        return (
            f"Missing joints: {joints}. Mode '{mode}' draws a missing elbow or shoulder in the "
            f"picture's corner; mode '{MaskMode.ROBUST}' does not.",
        )
    return (f"Missing joints: {joints}. The label map stands in for them.",)
