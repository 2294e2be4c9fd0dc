"""Mode `auto`: what it adds to `robust`, what is set by hand, and what it does without."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.categories import Category, Variant
from ootd_core.masks.agnostic import AgnosticMask, MaskMode, agnostic_mask
from ootd_core.masks.labels import Label
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from tests.ootd_core.masks.drawn_person import (
    LEFT_SHIN,
    RIGHT_HAND,
    RIGHT_SHIN,
    keypoints,
    label_map,
)
from tests.ootd_core.masks.flat_garments import ground, skirt, top, trousers

UPPER, LOWER, DRESS = Category.UPPER, Category.LOWER, Category.DRESS
FLAT = {UPPER: top(), LOWER: trousers(), DRESS: top(length=330, hem=180)}


def short_dress() -> NDArray[np.uint8]:
    """The drawn person in a dress that ends above the knees, bare legs below."""
    labels = label_map()
    rows = np.arange(512)[:, None]
    labels[(labels == Label.PANTS) & (rows < 310)] = Label.DRESS
    labels[labels == Label.UPPER_CLOTHES] = Label.DRESS
    legs = labels == Label.PANTS
    columns = np.arange(384)[None]
    labels[legs & (columns < 192)] = Label.RIGHT_LEG
    labels[legs & (columns >= 192)] = Label.LEFT_LEG
    return labels


def make(
    labels: NDArray[np.uint8] | None = None,
    *,
    category: Category = DRESS,
    garment: NDArray[np.uint8] | None = None,
    points: NDArray[np.floating] | None = None,
    **more: object,
) -> AgnosticMask:
    return agnostic_mask(
        label_map() if labels is None else labels,
        keypoints() if points is None else points,
        category=category,
        variant=Variant.FULL_BODY,
        garment=garment,
        **more,  # type: ignore[arg-type]
    )


def at(mask: NDArray[np.bool_], point: tuple[int, int]) -> bool:
    return bool(mask[point[1], point[0]])


@pytest.mark.parametrize("category", list(Category))
def test_it_adds_to_robust_and_says_what(category: Category) -> None:
    robust = make(category=category, mode=MaskMode.ROBUST)
    auto = make(category=category, garment=FLAT[category])
    assert not robust.new_garment.any()
    assert not (robust.mask & ~auto.mask).any()
    assert np.array_equal(auto.mask & ~robust.mask, auto.new_garment)
    assert auto.warnings == robust.warnings == ()


def test_a_long_dress_reaches_below_a_short_one() -> None:
    labels = short_dress()
    robust = make(labels, mode=MaskMode.ROBUST).mask
    assert not at(robust, RIGHT_SHIN)
    long = make(labels, garment=top(length=440, hem=180)).mask
    assert at(long, RIGHT_SHIN) and at(long, LEFT_SHIN) and long[400, 192]
    short = make(labels, garment=top(length=200, hem=140)).mask
    assert not at(short, RIGHT_SHIN)


def test_where_the_old_one_is_longer_all_of_it_is_hidden() -> None:
    auto = make(garment=top(length=200, hem=140)).mask
    assert auto[label_map() == Label.PANTS].all()


def test_a_flared_skirt_finds_room_beside_narrow_trousers() -> None:
    wide = make(category=LOWER, garment=skirt(hem=220)).mask
    narrow = make(category=LOWER, garment=skirt(hem=100)).mask
    assert wide[330].sum() > 1.3 * narrow[330].sum()


def test_a_long_shirt_lies_over_trousers_and_a_short_one_does_not() -> None:
    trousers_worn = label_map() == Label.PANTS
    covered = [
        (make(category=UPPER, garment=top(length=length)).mask & trousers_worn).sum()
        for length in (160, 270)
    ]
    assert covered[0] < 100 < 2000 < covered[1]


@pytest.mark.parametrize("category", list(Category))
def test_face_hands_and_shoes_stay(category: Category) -> None:
    huge = {UPPER: top(length=280, hem=380), DRESS: top(length=440, hem=380)}
    labels = label_map()
    made = make(labels, category=category, garment=huge.get(category, skirt(hem=380)), grow=12)
    stays = np.isin(labels, [Label.FACE, Label.RIGHT_SHOE, Label.LEFT_SHOE])
    assert not (made.mask & stays).any()
    assert not at(made.mask, RIGHT_HAND)
    kept = make(labels, category=category, garment=huge.get(category), keep=(Label.HAIR,), grow=12)
    assert not (kept.mask & (labels == Label.HAIR)).any()


def test_a_bystander_stays() -> None:
    beside = keypoints()
    beside[:, 0] += 90
    alone = make(category=DRESS, garment=top(length=400, hem=360))
    labels = label_map()
    labels[200:420, 330:350] = Label.PANTS
    made = make(labels, category=DRESS, garment=top(length=400, hem=360), bystanders=[beside])
    assert alone.mask[300, 260] and not made.mask[250:400, 332:348].any()


@pytest.mark.parametrize(
    ("length", "covered", "free"),
    [
        (MaskLength.THIGH, 285, 400),
        (MaskLength.KNEE, 345, 425),
        (MaskLength.CALF, 390, 434),
        (MaskLength.ANKLE, 432, 500),
    ],
)
def test_length_by_hand_wins(length: MaskLength, covered: int, free: int) -> None:
    for garment in (None, FLAT[DRESS], top(length=500 - 60, hem=180)):
        made = make(short_dress(), garment=garment, length=length)
        assert made.mask[covered, 192] and not made.mask[free, 192], garment is None
        assert made.warnings == ()


def test_sleeves_by_hand_leave_bare_arms() -> None:
    forearm = (118, 225)
    labels = label_map()
    assert labels[forearm[1], forearm[0]] == Label.RIGHT_ARM
    for garment in (FLAT[UPPER], None):
        auto = make(category=UPPER, garment=garment).mask
        none = make(category=UPPER, garment=garment, sleeves=MaskSleeves.NONE).mask
        long = make(category=UPPER, garment=garment, sleeves=MaskSleeves.LONG).mask
        assert at(auto, forearm) and at(long, forearm) and not at(none, forearm)
        assert none[labels == Label.UPPER_CLOTHES].all(), "the old sleeve is hidden all the same"


def test_without_an_elbow_an_arm_is_covered_as_robust_does() -> None:
    points = keypoints(missing=(3,))
    made = make(category=UPPER, points=points, garment=FLAT[UPPER], sleeves=MaskSleeves.NONE)
    robust = make(category=UPPER, points=points, mode=MaskMode.ROBUST)
    right = np.arange(384) < 140
    assert (made.mask & right).sum() >= 0.95 * (robust.mask & right).sum()


NOISE = np.random.default_rng(1).integers(0, 256, (512, 384, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("garment", "missing", "words"),
    [
        (None, (), "no garment picture"),
        (NOISE, (), "ground cannot be told"),
        (ground(), (), "nothing stands out"),
        (top(length=400)[:420], (), "cut off"),
        (FLAT[DRESS], (2,), "shoulders were not found"),
    ],
)
def test_what_is_not_known_is_said_and_costs_nothing(
    garment: NDArray[np.uint8] | None, missing: tuple[int, ...], words: str
) -> None:
    points = keypoints(missing=missing)
    made = make(garment=garment, points=points)
    robust = make(points=points, mode=MaskMode.ROBUST)
    assert np.array_equal(made.mask, robust.mask) and not made.new_garment.any()
    assert words in made.warnings[-1] and "robust" in made.warnings[-1]


def test_guessed_joints_are_said() -> None:
    made = make(garment=FLAT[DRESS], points=keypoints(missing=(9, 12)))
    assert any("knees" in warning for warning in made.warnings)
    assert made.new_garment.any()


def test_a_length_that_nothing_uses_is_refused() -> None:
    with pytest.raises(ValueError, match=r"length is 'knee'.*'robust'"):
        make(mode=MaskMode.ROBUST, length=MaskLength.KNEE)
    with pytest.raises(ValueError, match=r"sleeves are 'short'.*'lower'"):
        make(category=LOWER, sleeves=MaskSleeves.SHORT)


def test_a_forearm_that_leaves_the_picture_gets_its_sleeve() -> None:
    labels = label_map()
    labels[labels == Label.RIGHT_ARM] = 0
    labels[205:235, 36:125] = Label.UPPER_CLOTHES
    labels[205:235, :36] = Label.RIGHT_ARM  # so little that it could be a hand
    points = keypoints(missing=(4,))
    long, short = (
        make(labels, category=UPPER, points=points, garment=top(length=210, sleeve=sleeve)).mask
        for sleeve in (185, 60)
    )
    assert long[220, 5] and not short[220, 5]


def test_a_skirt_takes_the_place_of_what_a_dress_has_below_the_waist() -> None:
    labels = short_dress()
    hanging = (labels == Label.DRESS) & (np.arange(512)[:, None] > 290)
    mask = make(labels, category=LOWER, garment=skirt()).mask
    assert mask[hanging].all()
    chest = (labels == Label.DRESS) & (np.arange(512)[:, None] < 180)
    assert not mask[chest].any()


def test_crumbs_of_another_label_leave_no_hole() -> None:
    labels = label_map()
    labels[300:306, 165:171] = Label.UPPER_CLOTHES
    assert make(labels, category=LOWER, garment=trousers()).mask[300:306, 165:171].all()


def test_a_joint_seen_where_nobody_is_draws_no_limb() -> None:
    astray = keypoints()
    astray[4, :2] = 30, 60
    made = make(category=UPPER, garment=top(), points=astray)
    assert made.missing == ("right wrist",)
    assert not made.mask[40:150, 10:90].any()
    as_robust = make(category=UPPER, points=astray)
    robust = make(category=UPPER, points=astray, mode=MaskMode.ROBUST)
    assert as_robust.missing == () and np.array_equal(as_robust.mask, robust.mask)


def test_crumbs_of_neck_around_a_head_are_no_neck() -> None:
    labels = label_map()
    labels[26:29, 180:204] = Label.NECK  # an outline of the head as a parser may see it
    mask = make(labels, category=UPPER, garment=FLAT[UPPER]).mask
    assert not mask[:60].any() and at(mask, (192, 112))
