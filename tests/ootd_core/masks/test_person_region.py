"""Masks of a drawn person of whom only the outline and the joints are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.categories import Category
from ootd_core.masks.body_parts import BodyPart, body_parts
from ootd_core.masks.labels import Label
from ootd_core.masks.limbs import Skeleton
from ootd_core.masks.morphology import grow_mask
from ootd_core.masks.person_region import MARGIN, person_region_mask
from tests.ootd_core.masks.drawn_person import (
    BETWEEN_THE_LEGS,
    JOINTS,
    LEFT_HAND,
    LEFT_SHIN,
    RIGHT_HAND,
    RIGHT_SHIN,
    keypoints,
    label_map,
)

CHEST, BELLY, CROTCH, CHIN, NOSE = (192, 160), (192, 235), (192, 262), (192, 100), (192, 70)
RIGHT_FOREARM, RIGHT_KNEE, RIGHT_SHOE, LEFT_SHOE = (120, 220), (165, 345), (158, 466), (226, 466)
WALL = (330, 60)


def outline(scale: float = 1.0, *, sleeves: bool = True) -> NDArray[np.bool_]:
    return label_map(scale, sleeves=sleeves) > 0


def covers(mask: NDArray[np.bool_], *points: tuple[int, int], scale: float = 1.0) -> list[bool]:
    return [bool(mask[round(y * scale), round(x * scale)]) for x, y in points]


def mask_of(category: Category, **options: object) -> NDArray[np.bool_]:
    return person_region_mask(outline(), keypoints(), category=category, **options).mask  # type: ignore


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_an_upper_garment_takes_torso_and_arms(scale: float) -> None:
    found = person_region_mask(outline(scale), keypoints(scale), category=Category.UPPER)
    assert found.missing == () and found.warnings == ()
    assert covers(found.mask, CHEST, BELLY, RIGHT_FOREARM, scale=scale) == [True] * 3
    spared = (NOSE, RIGHT_HAND, LEFT_HAND, RIGHT_KNEE, RIGHT_SHOE, WALL)
    assert covers(found.mask, *spared, scale=scale) == [False] * 6


def test_a_lower_garment_takes_waist_to_ankles_and_the_gap_between() -> None:
    mask = mask_of(Category.LOWER)
    taken = (BELLY, CROTCH, RIGHT_KNEE, RIGHT_SHIN, LEFT_SHIN, BETWEEN_THE_LEGS)
    assert covers(mask, *taken) == [True] * 6
    spared = (CHEST, RIGHT_FOREARM, RIGHT_HAND, LEFT_HAND, NOSE, RIGHT_SHOE, LEFT_SHOE, WALL)
    assert covers(mask, *spared) == [False] * 8


def test_a_dress_takes_both() -> None:
    mask = mask_of(Category.DRESS)
    for other in (Category.UPPER, Category.LOWER):
        # But for the trousers' margin beside the arms, which are covered themselves here.
        assert np.count_nonzero(mask_of(other) & ~mask) < 0.01 * mask.sum()
    spared = (NOSE, RIGHT_HAND, LEFT_HAND, RIGHT_SHOE, LEFT_SHOE, WALL)
    assert covers(mask, *spared) == [False] * 6


@pytest.mark.parametrize("category", Category)
def test_the_ground_stays_but_for_a_margin_and_the_gap_between_the_legs(category: Category) -> None:
    ground = ~grow_mask(outline(), MARGIN)
    mask = mask_of(category) & ground
    if category is not Category.UPPER:
        between = np.zeros_like(mask)
        between[250:, 150:235] = True
        mask &= ~between
    assert not mask.any()


def test_garments_and_what_stays_on_the_drawn_person() -> None:
    """Against the labels, which the mask has not seen."""
    labels = label_map(sleeves=True)
    upper, lower = mask_of(Category.UPPER), mask_of(Category.LOWER)
    assert upper[labels == Label.UPPER_CLOTHES].mean() > 0.98
    assert lower[labels == Label.PANTS].mean() > 0.97
    for mask in (upper, lower):
        assert mask[labels == Label.FACE].mean() < 0.1  # the chin is guessed
        assert mask[np.isin(labels, [Label.LEFT_SHOE, Label.RIGHT_SHOE])].mean() == 0
    hands = np.isin(labels, [Label.LEFT_ARM, Label.RIGHT_ARM])
    assert upper[hands].mean() < 0.35 and lower[hands].mean() < 0.02


def test_colour_tells_trousers_from_the_arm_that_hangs_beside_them() -> None:
    person = outline()
    strip = np.zeros_like(person)
    strip[225:275, 122:160] = True  # baggy trousers reach the forearm
    arm = np.isin(label_map(sleeves=False), [Label.LEFT_ARM, Label.RIGHT_ARM])
    person |= strip
    picture = np.full((*person.shape, 3), 230, np.uint8)
    picture[person] = (40, 50, 90)
    picture[arm] = (200, 160, 130)

    def lower(**options: object) -> NDArray[np.bool_]:
        return person_region_mask(person, keypoints(), category=Category.LOWER, **options).mask  # type: ignore

    blind, seeing = lower(), lower(picture=picture)
    cloth = strip & ~grow_mask(arm, 3)
    assert seeing[cloth].mean() > 0.99 > 0.95 > blind[cloth].mean()
    assert seeing[arm].mean() < blind[arm].mean() + 0.03 and not (blind & ~seeing).any()
    assert covers(seeing, RIGHT_HAND, LEFT_HAND, WALL) == [False] * 3
    plain = np.full_like(picture, 128)
    assert np.array_equal(lower(picture=plain), blind), "one colour tells nothing"
    with pytest.raises(ValueError, match=r"The picture is .* but the person mask is"):
        lower(picture=picture[::2])


def test_knuckles_say_where_the_hand_is() -> None:
    """A hand that is bent inwards, over the hip: without its points it would be covered."""
    person = outline()
    bent = (140, 268)
    person[255:282, 112:155] = True
    knuckles = np.zeros((2, 3, 3), np.float32)
    knuckles[0] = [(130, 264, 1), (130, 268, 1), (126, 258, 1)]
    guessed = person_region_mask(person, keypoints(), category=Category.UPPER).mask
    known = person_region_mask(person, keypoints(), category=Category.UPPER, hands=knuckles).mask
    assert covers(guessed, bent) == [True] and covers(known, bent) == [False]


def test_the_heel_says_where_the_trousers_end() -> None:
    near, far = (
        person_region_mask(
            outline(),
            keypoints(),
            category=Category.LOWER,
            feet=np.array(
                [[(x, 440 + heel, 1), (x - 10, 445 + heel, 1)] for x in (160, 224)], np.float32
            ),
        ).mask
        for heel in (5, 40)
    )
    rows = [np.flatnonzero(mask[:, 140:175].any(axis=1)).max() for mask in (near, far)]
    assert rows[1] - rows[0] > 5


def test_kept_pixels_and_growth_are_as_elsewhere() -> None:
    keep = np.zeros((512, 384), np.bool_)
    keep[150:170, 180:200] = True
    mask = mask_of(Category.UPPER, keep_mask=keep)
    assert not mask[keep].any() and (mask_of(Category.UPPER) ^ mask).sum() == keep.sum()
    grown, shrunk = mask_of(Category.UPPER, grow=6), mask_of(Category.UPPER, grow=-6)
    assert shrunk.sum() < mask.sum() < grown.sum()
    assert covers(grown, NOSE, RIGHT_HAND) == [False, False]


def test_another_person_stays() -> None:
    person = np.concatenate([outline(), outline()], axis=1)
    other = keypoints() + np.array([384, 0, 0], np.float32)
    own = person_region_mask(person, keypoints(), category=Category.DRESS, bystanders=[other])
    assert not own.mask[:, 400:].any()
    np.testing.assert_array_equal(own.mask[:, :300], mask_of(Category.DRESS)[:, :300])


def test_a_soft_person_mask_counts_from_a_half() -> None:
    soft = outline().astype(np.float32) * 0.6 + 0.3 * ~outline()
    found = person_region_mask(soft.astype(np.float32), keypoints(), category=Category.UPPER)
    np.testing.assert_array_equal(found.mask, mask_of(Category.UPPER))


def test_half_a_person_gets_a_mask_and_a_word() -> None:
    half = outline()[:300]
    joints = keypoints(missing=(9, 10, 12, 13))
    found = person_region_mask(half, joints, category=Category.LOWER)
    assert covers(found.mask, CROTCH, (172, 290)) == [True, True]
    assert found.missing == ("right knee", "right ankle", "left knee", "left ankle")
    (said,) = found.warnings
    assert said.startswith("Not in the picture, or hidden: right knee, right ankle")


def test_shoulders_or_hips_are_enough() -> None:
    bust = person_region_mask(
        outline()[:240], keypoints(missing=tuple(range(8, 14))), category=Category.UPPER
    )
    assert covers(bust.mask, CHEST, BELLY, NOSE) == [True, True, False]
    legs = keypoints(missing=(*range(8), *range(14, 18))) - np.array([0, 180, 0], np.float32)
    below = person_region_mask(outline()[180:], legs, category=Category.LOWER)
    x, y = RIGHT_KNEE
    assert covers(below.mask, (x, y - 180), (192, 240 - 180)) == [True, True]
    neither = keypoints(missing=(2, 11))
    with pytest.raises(ValueError, match="Neither both shoulders nor both hips"):
        person_region_mask(outline(), neither, category=Category.UPPER)


def test_somebody_seen_from_behind_is_said() -> None:
    joints = keypoints()
    joints[:, 0] = 384 - joints[:, 0]
    found = person_region_mask(outline(), joints, category=Category.DRESS)
    (said,) = found.warnings
    assert "seen from behind" in said


def test_somebody_who_sits_is_said() -> None:
    joints = keypoints()
    joints[[9, 12], :2] = (150, 275), (234, 275)
    joints[[10, 13], :2] = (150, 360), (234, 360)
    sits = person_region_mask(outline(), joints, category=Category.LOWER)
    assert any("sit or crouch" in said for said in sits.warnings)
    upper = person_region_mask(outline(), joints, category=Category.UPPER)
    assert upper.warnings == ()


def test_nobody_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="No person was found in the picture"):
        person_region_mask(outline(), None, category=Category.UPPER)
    with pytest.raises(ValueError, match="The person mask is empty where the keypoints are"):
        person_region_mask(np.zeros((512, 384), np.bool_), keypoints(), category=Category.UPPER)


def test_what_the_picture_does_not_show_cannot_be_replaced() -> None:
    with pytest.raises(ValueError, match=r"Nothing is left to replace .* 'lower'"):
        person_region_mask(
            outline()[:180], keypoints(missing=tuple(range(8, 14))), category=Category.LOWER
        )


@pytest.mark.parametrize(
    ("person", "keep", "said"),
    [
        (np.ones((4, 4, 1), np.bool_), None, r"A person mask is \[height, width\]"),
        (np.ones((4, 4), np.bool_), np.ones((5, 4), np.bool_), "they must have the same size"),
    ],
)
def test_other_shapes_are_refused(
    person: NDArray[np.bool_], keep: NDArray[np.bool_] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        person_region_mask(person, keypoints(), category=Category.UPPER, keep_mask=keep)


def test_each_joint_lies_in_its_part() -> None:
    skeleton = Skeleton.of(keypoints(), 512, 384)
    body = body_parts(outline(), skeleton)
    for part, joints in (
        (BodyPart.HEAD, (0, 14, 15)),
        (BodyPart.ARM, (3, 4, 6, 7)),
        (BodyPart.LEG, (9, 12)),
    ):
        for joint in joints:
            x, y = JOINTS[joint]
            assert body.parts[int(y), int(x)] == part, joint
    for point, part in ((RIGHT_HAND, BodyPart.HAND), (LEFT_SHOE, BodyPart.FOOT)):
        assert body.parts[point[1], point[0]] == part
    assert (body.parts[~outline()] == BodyPart.NONE).all()
    assert body.breadth == pytest.approx(np.hypot(250 - 125, 0) / 1.4, rel=0.01)


def test_the_new_garment_makes_room_where_it_is_wider_than_the_person() -> None:
    """A skirt twice as wide as the hips at its hem, on white."""
    skirt = np.full((300, 300, 3), 255, np.uint8)
    for row in range(40, 260):
        half = 45 + (row - 40) * 90 // 220
        skirt[row, 150 - half : 150 + half] = (160, 30, 60)
    plain, laid = (
        person_region_mask(outline(), keypoints(), category=Category.LOWER, garment=garment)
        for garment in (None, skirt)
    )
    assert not plain.new_garment.any() and plain.warnings == laid.warnings == ()
    assert (laid.mask >= plain.mask).all()
    np.testing.assert_array_equal(laid.new_garment, laid.mask & ~plain.mask)
    assert laid.new_garment.sum() > 0.1 * plain.mask.sum()
    assert covers(laid.mask, RIGHT_HAND, LEFT_HAND, RIGHT_SHOE, NOSE) == [False] * 4
    blank = np.full((300, 300, 3), 255, np.uint8)
    unknown = person_region_mask(outline(), keypoints(), category=Category.LOWER, garment=blank)
    np.testing.assert_array_equal(unknown.mask, plain.mask)
    assert any("was not measured" in said for said in unknown.warnings)
