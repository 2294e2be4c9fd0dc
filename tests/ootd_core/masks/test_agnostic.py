import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.categories import Category, Variant
from ootd_core.masks.agnostic import AgnosticMask, MaskMode, agnostic_mask
from ootd_core.masks.labels import Label
from ootd_core.masks.reference import reference_mask
from tests.golden import set_b
from tests.ootd_core.masks.drawn_person import (
    BETWEEN_THE_LEGS,
    LEFT_HAND,
    LEFT_SHIN,
    RIGHT_HAND,
    RIGHT_SHIN,
    keypoints,
    label_map,
)

GOLDEN = Path(set_b.__file__).parent / "B"
MODES, CATEGORIES = list(MaskMode), list(Category)
OWN_MODES = [MaskMode.ROBUST, MaskMode.HIDE_OLD_GARMENT]
RIGHT_ELBOW, LEFT_ELBOW, RIGHT_WRIST, LEFT_WRIST = 3, 6, 4, 7
FACE = (192, 74)


def make(
    labels: NDArray[np.uint8] | None = None,
    points: NDArray[np.floating] | None = None,
    *,
    category: Category = Category.UPPER,
    variant: Variant = Variant.FULL_BODY,
    mode: MaskMode = MaskMode.ROBUST,
    grow: int = 0,
    keep: tuple[Label, ...] = (),
    keep_mask: NDArray[np.bool_] | None = None,
) -> AgnosticMask:
    return agnostic_mask(
        label_map() if labels is None else labels,
        keypoints() if points is None else points,
        category=category,
        variant=variant,
        mode=mode,
        grow=grow,
        keep=keep,
        keep_mask=keep_mask,
    )


def at(mask: NDArray[np.bool_], point: tuple[int, int]) -> bool:
    return bool(mask[point[1], point[0]])


def golden_cases() -> list[dict[str, str]]:
    manifest = json.loads((GOLDEN / "manifest.json").read_text("utf-8"))
    return [case for case in manifest["cases"] if case["parse_size_wh"] == [384, 512]]


# Faithful


def test_faithful_is_the_reference_mask() -> None:
    compared = 0
    for case in golden_cases():
        with np.load(GOLDEN / case["file"]) as stored:
            parse, points, wanted = stored["parse"], stored["keypoints"], stored["mask"] > 0
        if not wanted.any():
            continue
        made = make(
            parse,
            np.concatenate([points, np.ones((18, 1))], axis=1),
            category=set_b.CATEGORIES[case["category"]],
            variant=Variant(case["model_type"]),
            mode=MaskMode.FAITHFUL,
        )
        assert (made.mask & wanted).sum() / (made.mask | wanted).sum() >= 0.995
        compared += 1
    assert compared >= 20


def test_faithful_takes_any_size_by_way_of_512x384() -> None:
    small = make(label_map(0.5), keypoints(0.5), mode=MaskMode.FAITHFUL).mask
    points = keypoints()[:, :2].astype(np.float64)
    reference = reference_mask(
        label_map(0.5), points, category=Category.UPPER, variant=Variant.FULL_BODY
    )
    assert small.shape == (256, 192)
    assert (small == reference.mask[1::2, 1::2]).all()


def test_the_arm_is_as_wide_as_the_variant_was_trained_with() -> None:
    for mode in (MaskMode.FAITHFUL, MaskMode.ROBUST):
        half, full = (make(variant=v, mode=mode).mask.sum() for v in Variant)
        assert half > 1.05 * full


def test_a_missing_joint_is_told_by_confidence_in_every_mode() -> None:
    points = keypoints(missing=(RIGHT_WRIST,))
    made = make(points=points, mode=MaskMode.FAITHFUL)
    points[RIGHT_WRIST] = 0.0
    assert (made.mask == make(points=points, mode=MaskMode.FAITHFUL).mask).all()
    assert made.missing == ("right wrist",)


# Robust


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("mode", MODES)
def test_what_makes_the_person_stays(mode: MaskMode, category: Category) -> None:
    labels = label_map()
    mask = make(labels, category=category, mode=mode).mask
    kept = [Label.FACE, Label.LEFT_SHOE, Label.RIGHT_SHOE]
    tolerance = 60 if mode is MaskMode.FAITHFUL else 0  # its contour is simplified
    assert mask[np.isin(labels, kept)].sum() <= tolerance
    assert not at(mask, RIGHT_HAND)
    assert not at(mask, LEFT_HAND)
    assert not at(mask, FACE)
    other = {Category.UPPER: [Label.PANTS], Category.LOWER: [Label.UPPER_CLOTHES]}
    assert mask[np.isin(labels, other.get(category, []))].sum() <= tolerance


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("mode", OWN_MODES)
def test_the_old_garment_is_covered(mode: MaskMode, category: Category) -> None:
    labels = label_map(sleeves=True)
    mask = make(labels, category=category, mode=mode).mask
    old = {
        Category.UPPER: [Label.UPPER_CLOTHES],
        Category.LOWER: [Label.PANTS],
        Category.DRESS: [Label.UPPER_CLOTHES, Label.PANTS],
    }[category]
    assert mask[np.isin(labels, old)].all()


def test_robust_is_close_to_faithful_where_nothing_is_wrong() -> None:
    for category in CATEGORIES:
        faithful = make(category=category, mode=MaskMode.FAITHFUL).mask
        robust = make(category=category).mask
        assert (faithful & robust).sum() / (faithful | robust).sum() > 0.93


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.5, 2.0])
def test_the_geometry_grows_with_the_picture(scale: float) -> None:
    for mode in OWN_MODES:
        full = make(mode=mode).mask
        scaled = make(label_map(scale), keypoints(scale), mode=mode).mask
        ys, xs = (np.indices(full.shape) * scale).astype(int)
        again = scaled[ys, xs]
        assert (again & full).sum() / (again | full).sum() > 0.94


@pytest.mark.parametrize("joint", [RIGHT_ELBOW, LEFT_ELBOW, RIGHT_WRIST, LEFT_WRIST, 2, 5])
@pytest.mark.parametrize("mode", OWN_MODES)
def test_a_missing_joint_draws_nothing_to_the_corner(mode: MaskMode, joint: int) -> None:
    made = make(points=keypoints(missing=(joint,)), mode=mode)
    complete = make(mode=mode).mask
    assert len(made.missing) == 1
    assert made.missing[0] in made.warnings[0]
    assert not made.mask[:60].any()
    assert (made.mask & ~complete).sum() < 0.1 * complete.sum()
    assert not at(made.mask, RIGHT_HAND)
    assert not at(made.mask, LEFT_HAND)


def test_the_reference_does_draw_a_missing_elbow_to_the_corner() -> None:
    made = make(points=keypoints(missing=(RIGHT_ELBOW,)), mode=MaskMode.FAITHFUL)
    assert made.mask[20, 20]
    assert "right elbow" in made.warnings[0]


@pytest.mark.parametrize("mode", OWN_MODES)
def test_a_wrist_above_the_picture_is_clipped(mode: MaskMode) -> None:
    points = keypoints()
    points[LEFT_ELBOW, :2], points[LEFT_WRIST, :2] = (254, 60), (262, -8)
    labels = label_map()
    labels[labels == Label.LEFT_ARM] = Label.BACKGROUND
    mask = make(labels, points, mode=mode).mask
    assert mask[:40, 240:280].all()
    assert not mask[300:, 230:].any()
    assert make(labels, points, mode=MaskMode.FAITHFUL).mask[300:, 230:].sum() > 1000


def test_a_joint_in_the_corner_is_as_good_as_any_other() -> None:
    points = keypoints()
    points[RIGHT_ELBOW, :2], points[RIGHT_WRIST, :2] = (60, 60), (1, 1)
    made = make(points=points)
    assert made.missing == ()
    assert made.mask[5, 5]


def test_without_keypoints_the_label_map_decides() -> None:
    for points in (None, keypoints(missing=tuple(range(18)))):
        made = agnostic_mask(
            label_map(), points, category=Category.UPPER, variant=Variant.FULL_BODY
        )
        assert len(made.missing) == 6
        assert "No keypoints" in made.warnings[0]
        assert "left elbow" in made.warnings[0]
        assert made.mask[label_map() == Label.UPPER_CLOTHES].all()
        assert not at(made.mask, RIGHT_HAND)
        assert not at(made.mask, LEFT_HAND)
        assert at(made.mask, (130, 200))


def test_without_keypoints_a_hand_below_a_long_sleeve_stays() -> None:
    labels = label_map(sleeves=True)
    made = agnostic_mask(labels, None, category=Category.UPPER, variant=Variant.FULL_BODY)
    assert not at(made.mask, RIGHT_HAND)
    assert not at(made.mask, LEFT_HAND)


def test_an_arm_that_leaves_the_picture_has_no_hand() -> None:
    labels = label_map()[:270]
    made = agnostic_mask(labels, None, category=Category.UPPER, variant=Variant.FULL_BODY)
    arms = np.isin(labels, [Label.LEFT_ARM, Label.RIGHT_ARM])
    assert made.mask[arms].all()


def test_a_second_person_beside_is_left_alone() -> None:
    labels = np.concatenate([label_map(), label_map()], axis=1)
    for points in (keypoints(), keypoints() + np.array([384, 0, 0], np.float32)):
        mask = make(labels, points).mask
        left, right = mask[:, :384].sum(), mask[:, 384:].sum()
        assert min(left, right) == 0
        assert (right == 0) == bool(points[0, 0] < 384)


def test_noise_in_the_label_map_does_not_grow() -> None:
    labels = label_map()
    noisy = labels.copy()
    rng = np.random.default_rng(0)
    noisy[rng.integers(0, 512, 400), rng.integers(0, 384, 400)] = Label.UPPER_CLOTHES
    difference = make(noisy).mask ^ make(labels).mask
    assert difference.mean() < 0.005


@pytest.mark.parametrize("mode", OWN_MODES)
def test_a_stout_bare_arm_is_covered_up_to_the_hand(mode: MaskMode) -> None:
    labels = label_map()
    stout = cv2.dilate((labels == Label.LEFT_ARM).astype(np.uint8), np.ones((61, 61), np.uint8))
    labels[(stout > 0) & (labels == Label.BACKGROUND)] = Label.LEFT_ARM
    mask = make(labels, mode=mode).mask
    assert at(mask, (295, 200))
    assert at(mask, (225, 215))
    assert not at(mask, LEFT_HAND)


def test_a_bare_chest_is_covered_by_its_joints() -> None:
    labels = label_map()
    labels[labels == Label.UPPER_CLOTHES] = Label.BACKGROUND
    assert at(make(labels).mask, (192, 190))


def test_a_hand_in_front_of_the_garment_stays() -> None:
    labels = label_map()
    points = keypoints()
    labels[180:205, 180:205] = Label.LEFT_ARM
    points[LEFT_ELBOW, :2], points[LEFT_WRIST, :2] = (300, 190), (255, 192)
    mask = make(labels, points).mask
    assert not mask[185:200, 185:200].any()
    assert make(labels, points, mode=MaskMode.FAITHFUL).mask[185:200, 185:200].all()


# Hide the old garment


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize("missing", [(), (3,), (4, 7), (10, 13), (9, 10), tuple(range(18))])
def test_hiding_covers_all_that_robust_covers(
    category: Category, variant: Variant, missing: tuple[int, ...]
) -> None:
    for sleeves in (False, True):
        labels, points = label_map(sleeves=sleeves), keypoints(missing=missing)
        robust = make(labels, points, category=category, variant=variant).mask
        hiding = make(
            labels, points, category=category, variant=variant, mode=MaskMode.HIDE_OLD_GARMENT
        ).mask
        assert not (robust & ~hiding).any()
        assert hiding.sum() > robust.sum()


def test_hiding_trousers_leaves_no_legs() -> None:
    for category in (Category.LOWER, Category.DRESS):
        mask = make(category=category, mode=MaskMode.HIDE_OLD_GARMENT).mask
        assert all(at(mask, point) for point in (RIGHT_SHIN, LEFT_SHIN, BETWEEN_THE_LEGS))
        assert not at(make(category=category).mask, BETWEEN_THE_LEGS)


@pytest.mark.parametrize("missing", [(10, 13), (9, 10, 12, 13), (8, 11)])
def test_hiding_reaches_the_ankles_without_their_joints(missing: tuple[int, ...]) -> None:
    points = keypoints(missing=missing)
    made = make(points=points, category=Category.LOWER, mode=MaskMode.HIDE_OLD_GARMENT)
    assert at(made.mask, BETWEEN_THE_LEGS)
    assert at(made.mask, RIGHT_SHIN)
    assert len(made.missing) == len(missing)


def test_hiding_a_dress_under_trousers_covers_bare_shins() -> None:
    labels = label_map()
    labels[np.logical_and(labels == Label.PANTS, np.indices(labels.shape)[0] > 330)] = (
        Label.LEFT_LEG
    )
    assert not at(make(labels, category=Category.DRESS).mask, LEFT_SHIN)
    hidden = make(labels, category=Category.DRESS, mode=MaskMode.HIDE_OLD_GARMENT).mask
    assert at(hidden, LEFT_SHIN)


# Grow, keep


@pytest.mark.parametrize("mode", MODES)
def test_growing_and_shrinking(mode: MaskMode) -> None:
    labels = label_map()
    mask, grown, shrunk = (make(labels, mode=mode, grow=g).mask for g in (0, 6, -6))
    assert not (mask & ~grown).any()
    assert not (shrunk & ~mask).any()
    assert shrunk.sum() < mask.sum() < grown.sum()
    new = grown & ~mask
    assert not new[np.isin(labels, [Label.FACE, Label.PANTS])].any()


def test_kept_labels_and_regions_stay() -> None:
    labels = label_map()
    region = np.zeros(labels.shape, dtype=bool)
    region[150:170, 180:200] = True
    for mode in MODES:
        mask = make(labels, mode=mode, keep=(Label.HAIR, Label.NECK), keep_mask=region).mask
        assert not mask[np.isin(labels, [Label.HAIR, Label.NECK])].any()
        assert not mask[region].any()
        assert mask[200, 190]


# Refusals


@pytest.mark.parametrize("mode", MODES)
def test_no_person(mode: MaskMode) -> None:
    with pytest.raises(ValueError, match="No person"):
        make(np.zeros((128, 96), np.uint8), keypoints(missing=tuple(range(18))), mode=mode)
    with pytest.raises(ValueError, match="No person"):
        agnostic_mask(
            np.zeros((512, 384), np.uint8),
            None,
            category=Category.DRESS,
            variant=Variant.FULL_BODY,
            mode=mode,
        )


def test_nothing_to_replace() -> None:
    face = np.zeros((512, 384), np.uint8)
    face[100:400, 80:300] = Label.FACE
    with pytest.raises(ValueError, match=r"Nothing is left to replace .*'lower'.*pants, right leg"):
        agnostic_mask(face, None, category=Category.LOWER, variant=Variant.FULL_BODY)
    with pytest.raises(ValueError, match="Nothing is left"):
        make(keep_mask=np.ones((512, 384), dtype=bool))


def test_unusable_label_maps() -> None:
    with pytest.raises(ValueError, match="uint8"):
        make(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="holds 25"):
        make(np.full((512, 384), 25, np.uint8))
    with pytest.raises(ValueError, match="same size"):
        make(keep_mask=np.zeros((5, 5), dtype=bool))


def test_unusable_keypoints() -> None:
    nan = keypoints()
    nan[3, 0] = np.nan
    elsewhere = keypoints()
    elsewhere[:, :2] += 5000
    with pytest.raises(ValueError, match="NaN"):
        make(points=nan)
    with pytest.raises(ValueError, match="outside the picture"):
        make(points=elsewhere)
    with pytest.raises(ValueError, match=r"\[18, 3\]"):
        make(points=keypoints()[:, :2])


def test_a_single_absurd_joint_counts_as_missing() -> None:
    points = keypoints()
    points[LEFT_WRIST, 0] = 1e12
    made = make(points=points)
    assert made.missing == ("left wrist",)
