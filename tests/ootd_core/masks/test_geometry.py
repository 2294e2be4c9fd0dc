"""The mask's geometry to the pixel, on people of rectangles: margins, scales, thresholds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.categories import Category, Variant
from ootd_core.masks.agnostic import MaskMode, agnostic_mask, theirs
from ootd_core.masks.labels import KEPT, REPLACED, Label
from ootd_core.masks.limbs import (
    ARMS,
    HIPS,
    JOINTS,
    LEGS,
    NECK,
    SHOULDERS,
    Skeleton,
    arm_line,
    arm_stroke,
    legs_region,
    torso_region,
)

UPPER, LOWER, DRESS = Category.UPPER, Category.LOWER, Category.DRESS
ROBUST, HIDE = MaskMode.ROBUST, MaskMode.HIDE_OLD_GARMENT
Box = tuple[slice, slice]

HEAD_BOX, NECK_BOX = np.s_[60:120, 170:214], np.s_[120:150, 180:204]
TOP, BOTTOM = np.s_[170:260, 120:264], np.s_[300:420, 130:254]


def boxes(parts: dict[Label, Box], scale: int = 1) -> NDArray[np.uint8]:
    """A label map [512 * scale, 384 * scale] of rectangles given at 512x384."""
    labels = np.zeros((512, 384), np.uint8)
    for label, box in parts.items():
        labels[box] = label
    return labels.repeat(scale, 0).repeat(scale, 1)


def around(box: Box, margin: int, scale: int = 1) -> NDArray[np.bool_]:
    """A box grown by `margin` pixels of a picture 512 high, bool [512 * scale, 384 * scale]."""
    rows, columns = (slice((s.start - margin) * scale, (s.stop + margin) * scale) for s in box)
    mask = np.zeros((512 * scale, 384 * scale), np.bool_)
    mask[rows, columns] = True
    return mask


def masked(
    labels: NDArray[np.uint8], category: Category = UPPER, mode: MaskMode = ROBUST, grow: int = 0
) -> NDArray[np.bool_]:
    return agnostic_mask(
        labels, None, category=category, variant=Variant.FULL_BODY, mode=mode, grow=grow
    ).mask


STANDING = {
    Label.FACE: HEAD_BOX,
    Label.NECK: NECK_BOX,
    Label.UPPER_CLOTHES: TOP,
    Label.PANTS: BOTTOM,
}


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("mode", "margin"), [(ROBUST, 10), (HIDE, 16)])
def test_garment_and_neck_with_their_margins(mode: MaskMode, margin: int, scale: int) -> None:
    mask = masked(boxes(STANDING, scale), UPPER, mode)
    wanted = around(TOP, margin, scale) | around(NECK_BOX, 2, scale)
    wanted &= ~around(HEAD_BOX, 0, scale)
    assert np.array_equal(mask, wanted)


@pytest.mark.parametrize("mode", [ROBUST, HIDE, MaskMode.FAITHFUL])
@pytest.mark.parametrize("category", Category)
def test_the_neck_belongs_to_what_covers_the_chest(category: Category, mode: MaskMode) -> None:
    joined = {Label.NECK: np.s_[120:165, 180:204], Label.UPPER_CLOTHES: np.s_[170:295, 120:264]}
    parts = {**STANDING, **joined}
    neck = boxes(parts) == Label.NECK
    mask = masked(boxes(parts), category, mode)
    share = float(mask[neck].mean())
    assert share > 0.95 if category is not LOWER else share == 0.0


@pytest.mark.parametrize("scale", [1, 2])
def test_trousers_with_their_margin(scale: int) -> None:
    mask = masked(boxes(STANDING, scale), LOWER)
    assert np.array_equal(mask, around(BOTTOM, 10, scale))
    beside = {**STANDING, Label.UPPER_CLOTHES: np.s_[170:295, 120:264]}
    mask = masked(boxes(beside, scale), LOWER)
    assert np.array_equal(
        mask, around(BOTTOM, 10, scale) & ~around(np.s_[170:295, 120:264], 0, scale)
    )


def test_the_label_tables() -> None:
    """Face, hat, glasses, shoes and bags always stay; hair lies over the garment."""
    always = {Label.HAT, Label.SUNGLASSES, Label.FACE, Label.LEFT_SHOE, Label.RIGHT_SHOE, Label.BAG}
    assert {DRESS: always} == {DRESS: set(KEPT[DRESS])}
    assert set(KEPT[UPPER]) == always | {Label.SKIRT, Label.PANTS}
    assert set(KEPT[LOWER]) == always | {Label.UPPER_CLOTHES, Label.LEFT_ARM, Label.RIGHT_ARM}
    assert set(REPLACED[UPPER]) == {Label.UPPER_CLOTHES, Label.DRESS}
    assert set(REPLACED[LOWER]) == {Label.SKIRT, Label.PANTS, Label.LEFT_LEG, Label.RIGHT_LEG}
    clothes = {Label.UPPER_CLOTHES, Label.SKIRT, Label.PANTS, Label.DRESS}
    assert set(REPLACED[DRESS]) == clothes


@pytest.mark.parametrize("scale", [1, 2])
def test_specks_count_from_30_pixels_at_512(scale: int) -> None:
    small = boxes({Label.UPPER_CLOTHES: TOP}, scale)
    for columns, counts in ((5, False), (6, True)):
        small[300 * scale : 305 * scale, 150 * scale : (150 + columns) * scale] = (
            Label.UPPER_CLOTHES
        )
        assert masked(small)[302 * scale, 152 * scale] == counts


def test_pieces_of_the_mask_count_from_150_pixels_at_512() -> None:
    for columns, counts in ((14, False), (15, True)):
        parts = {Label.UPPER_CLOTHES: TOP, Label.PANTS: np.s_[300:370, 130:200]}
        labels = boxes(parts)
        labels[330:340, 150 : 150 + columns] = Label.UPPER_CLOTHES  # within what is kept
        assert masked(labels)[335, 155] == counts


@pytest.mark.parametrize("mode", [ROBUST, HIDE])
def test_growing_never_covers_what_is_kept(mode: MaskMode) -> None:
    labels = boxes(STANDING)
    plain, grown = masked(labels, mode=mode), masked(labels, mode=mode, grow=9)
    rows, columns = np.nonzero(plain)
    wanted = plain.copy()
    for row, column in {(r, c) for r in (-9, 9) for c in (-9, 9)} | {
        (0, 9),
        (0, -9),
        (9, 0),
        (-9, 0),
    }:
        wanted[rows + row, columns + column] = True
    wanted &= ~np.isin(labels, list(KEPT[UPPER])) | plain
    assert not (wanted & ~grown).any()
    assert not grown[np.isin(labels, list(KEPT[UPPER]))].any()
    assert grown[:170].any(1).argmax() <= plain[:170].any(1).argmax()


def test_what_is_nearer_to_a_bystander_is_theirs() -> None:
    labels = np.full((100, 200), Label.UPPER_CLOTHES, np.uint8)
    labels[:20] = Label.BACKGROUND
    one, other, third = (np.zeros((18, 3)) for _ in range(3))
    one[[1, 8]], other[[1, 8]] = [(50, 30, 1), (50, 90, 1)], [(120, 30, 1), (120, 90, 1)]
    third[[1, 8]] = [(190, 30, 1), (190, 90, 1)]
    found = theirs(labels, Skeleton.of(one, 100, 200), [third, other])
    assert not found[:20].any() and not found[20:, :85].any() and found[20:, 86:].all()
    assert not theirs(labels, Skeleton.of(one, 100, 200), []).any()
    assert not theirs(labels, Skeleton.of(None, 100, 200), [other]).any()


# Limbs

POINTS = np.zeros((18, 3))
POINTS[[2, 3, 4]] = [(100, 100, 1), (100, 200, 1), (100, 300, 1)]
POINTS[[5, 6, 7]] = [(200, 100, 1), (250, 100, 1), (300, 100, 1)]
POINTS[[8, 9, 10]] = [(120, 250, 1), (120, 330, 1), (120, 400, 1)]
POINTS[[11, 12, 13]] = [(180, 250, 1), (180, 330, 1), (180, 400, 1)]


def skeleton(*missing: int, scale: float = 1.0) -> Skeleton:
    points = POINTS * (scale, scale, 1)
    points[list(missing), 2] = 0
    return Skeleton.of(points, round(512 * scale), round(384 * scale))


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_limbs_are_made_of_joints_of_their_own_side() -> None:
    assert [[JOINTS[j] for j in ARMS[label]] for label in (Label.RIGHT_ARM, Label.LEFT_ARM)] == [
        [f"{side} {joint}" for joint in ("shoulder", "elbow", "wrist")]
        for side in ("right", "left")
    ]
    assert [[JOINTS[j] for j in joints] for joints in LEGS] == [
        [f"{side} {joint}" for joint in ("hip", "knee", "ankle")] for side in ("right", "left")
    ]
    assert [JOINTS[j] for j in SHOULDERS] == ["right shoulder", "left shoulder"]
    assert [JOINTS[j] for j in HIPS] == ["right hip", "left hip"] and JOINTS[NECK] == "neck"


def test_forearms_reach_a_fifth_beyond_the_wrist() -> None:
    assert arm_line(skeleton(), Label.RIGHT_ARM)[-1].tolist() == [100, 320]
    assert arm_line(skeleton(), Label.LEFT_ARM)[-1].tolist() == [310, 100]
    # Without an elbow the forearm is half of the arm.
    assert arm_line(skeleton(3), Label.RIGHT_ARM)[-1].tolist() == [100, 320]
    assert arm_line(skeleton(4), Label.RIGHT_ARM)[-1].tolist() == [100, 200]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_an_arm_is_as_wide_and_as_long_as_told(scale: float) -> None:
    stroke = arm_stroke(skeleton(scale=scale), Label.RIGHT_ARM, 60, beyond=8)
    first, last, left, right = extent(stroke)
    assert (left, right) == pytest.approx((70 * scale, 130 * scale), abs=2)
    assert (first, last) == pytest.approx((70 * scale, 328 * scale), abs=2)
    shorter = arm_stroke(skeleton(4, scale=scale), Label.RIGHT_ARM, 60, beyond=8)
    assert extent(shorter)[1] == pytest.approx(230 * scale, abs=2)  # round, not beyond
    assert not arm_stroke(skeleton(3, 4, scale=scale), Label.RIGHT_ARM, 60).any()


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize(("mode", "widths"), [(ROBUST, (60 + 16, 45 + 16)), (HIDE, (96, 96))])
def test_arms_are_as_wide_as_the_networks_were_trained_with(
    variant: Variant, mode: MaskMode, widths: tuple[int, int]
) -> None:
    labels = boxes({Label.FACE: HEAD_BOX, Label.UPPER_CLOTHES: np.s_[100:110, 150:160]})
    points = np.zeros((18, 3))
    points[[5, 6, 7]] = [(250, 150, 1), (250, 220, 1), (250, 300, 1)]
    mask = agnostic_mask(labels, points, category=UPPER, variant=variant, mode=mode).mask
    wanted = widths[list(Variant).index(variant)]
    assert mask[200].sum() == pytest.approx(wanted, abs=2)
    margin = 8 if mode is ROBUST else 12
    assert np.flatnonzero(mask[:, 250])[-1] == pytest.approx(316 + margin, abs=2)


def test_legs_are_drawn_from_hip_to_ankle_whatever_is_missing() -> None:
    whole = extent(legs_region(skeleton(), 500.0))
    assert whole == pytest.approx((250 - 34, 400, 120 - 34, 180 + 34), abs=3)
    assert extent(legs_region(skeleton(10, 13), 500.0))[1] == pytest.approx(410, abs=3)
    assert extent(legs_region(skeleton(8, 11), 500.0))[0] == pytest.approx(260 - 34, abs=3)
    assert extent(legs_region(skeleton(9, 10, 12, 13), 450.0))[1] == pytest.approx(450, abs=3)
    assert not legs_region(skeleton(8, 9, 10, 11, 12, 13), 500.0).any()


def test_the_torso_reaches_from_shoulders_to_hips_with_its_margin() -> None:
    assert extent(torso_region(skeleton(), 24)) == pytest.approx((76, 274, 76, 224), abs=3)
    # Without hips, 1.5 shoulder widths below the shoulders.
    assert extent(torso_region(skeleton(8, 11), 24))[1] == pytest.approx(274, abs=3)
    assert not torso_region(skeleton(5), 24).any()


def test_joints_more_than_a_picture_outside_count_as_missing() -> None:
    points = POINTS.copy()
    points[4, :2], points[7, :2] = (-383, 300), (-385, 100)
    known = Skeleton.of(points, 512, 384).known
    assert known[4] and not known[7]
    points[4, :2], points[7, :2] = (100, 1023), (100, 1025)
    known = Skeleton.of(points, 512, 384).known
    assert known[4] and not known[7]


@pytest.mark.parametrize(
    ("pixels", "joints", "found"), [(983, 3, False), (984, 3, True), (0, 4, True)]
)
def test_who_counts_as_a_person(pixels: int, joints: int, found: bool) -> None:
    """0.5 % of the picture, or four joints."""
    labels = np.zeros((512, 384), np.uint8)
    flat = np.zeros(200 * 24, np.uint8)
    flat[:pixels] = Label.UPPER_CLOTHES
    labels[200:400, 100:124] = flat.reshape(200, 24)
    points = np.zeros((18, 3))
    points[:joints] = [(192, 100 + 30 * number, 1) for number in range(joints)]
    points[5:6] = 0
    try:
        agnostic_mask(labels, points, category=UPPER, variant=Variant.FULL_BODY)
        said = ""
    except ValueError as error:
        said = str(error)
    assert ("No person was found" not in said) == found
