"""Flips and colours, on drawn dolls whose every truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.datasets.augmentation import (
    MIRRORED_JOINTS,
    Augmentation,
    Recolouring,
    augment,
    flipped,
    recolour,
    recoloured,
)
from ootd_core.datasets.dolls import PaperDolls
from ootd_core.datasets.sample import TryOnSample
from ootd_core.datasets.sample_masks import TrainingMaskOptions, training_mask
from ootd_core.masks.labels import Label
from ootd_core.masks.limbs import JOINTS

DOLLS = PaperDolls((128, 96), "test", dolls=12)
PARTS = ("person", "garment", "truth", "labels", "keypoints")


def same(one: TryOnSample, other: TryOnSample) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in PARTS)


@pytest.mark.parametrize("index", range(4))
def test_a_flip_mirrors_every_picture(index: int) -> None:
    sample = DOLLS[index]
    mirrored = flipped(sample)
    for part in ("person", "garment", "truth"):
        assert np.array_equal(getattr(mirrored, part), np.fliplr(getattr(sample, part))), part
    assert (mirrored.name, mirrored.category) == (sample.name, sample.category)
    assert flipped(replace(sample, truth=None)).truth is None


@pytest.mark.parametrize("index", range(4))
def test_flipping_twice_changes_nothing(index: int) -> None:
    sample = DOLLS[index]
    again = flipped(flipped(sample))
    assert all(np.array_equal(getattr(again, part), getattr(sample, part)) for part in PARTS[:-1])
    assert np.allclose(again.keypoints, sample.keypoints, atol=1e-4)


def test_left_and_right_trade_names() -> None:
    sample = DOLLS[0]
    mirrored = flipped(sample)
    for left, right in (
        (Label.LEFT_ARM, Label.RIGHT_ARM),
        (Label.LEFT_LEG, Label.RIGHT_LEG),
        (Label.LEFT_SHOE, Label.RIGHT_SHOE),
    ):
        assert np.array_equal(mirrored.labels == left, np.fliplr(sample.labels == right))
        assert np.array_equal(mirrored.labels == right, np.fliplr(sample.labels == left))
    assert np.array_equal(mirrored.labels == Label.FACE, np.fliplr(sample.labels == Label.FACE))
    names = [JOINTS[row] for row in MIRRORED_JOINTS]
    assert names[:6] == [
        "nose", "neck", "left shoulder", "left elbow", "left wrist", "right shoulder",
    ]  # fmt: skip


def test_keypoints_land_on_the_flipped_labels() -> None:
    """Every joint has the same label under it, with left for right; wrists lie on their arms."""
    seen: set[int] = set()
    for index in range(len(DOLLS)):
        sample, mirrored = DOLLS[index], flipped(DOLLS[index])
        x, y, known = sample.keypoints.T
        new_x, new_y, new_known = mirrored.keypoints.T
        for row, other in enumerate(MIRRORED_JOINTS):
            assert (new_known[row] > 0) == (known[other] > 0)
            if known[other] > 0:
                assert new_y[row] == y[other]
                assert new_x[row] == pytest.approx(95 - x[other], abs=1e-4)
        for row, arm in ((4, Label.RIGHT_ARM), (7, Label.LEFT_ARM)):
            under = [
                one.labels[
                    round(float(one.keypoints[joint, 1])), round(float(one.keypoints[joint, 0]))
                ]
                for one, joint in ((mirrored, row), (sample, MIRRORED_JOINTS[row]))
                if 0 < one.keypoints[joint, 0] < 94 and 0 < one.keypoints[joint, 1] < 127
            ]
            if len(under) == 2 and under[0] in (Label.LEFT_ARM, Label.RIGHT_ARM):
                assert under[0] == arm
                seen.add(row)
    assert seen == {4, 7}


@pytest.mark.parametrize("category", Category)
def test_the_mask_of_a_mirrored_person_is_the_mirrored_mask(category: Category) -> None:
    sample = PaperDolls((256, 192), "test", dolls=1, categories=[category])[0]
    options = TrainingMaskOptions(hide_old_garment_probability=0.0)
    masks = [
        training_mask(one, Variant.FULL_BODY, np.random.default_rng(0), options)
        for one in (sample, flipped(sample))
    ]
    union = (masks[0] | np.fliplr(masks[1])).sum()
    overlap = (masks[0] & np.fliplr(masks[1])).sum()
    assert overlap / union > 0.97, f"IoU {overlap / union:.3f}"


def test_colours_keep_black_white_and_the_grey_axis() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    changed = recolour(greys, Recolouring(hue=25.0, saturation=1.3, gamma=1.2))
    assert (changed[0, 0] == 0).all() and (changed[0, 255] == 255).all()
    assert (np.ptp(changed[0].astype(int), axis=1) <= 1).all()
    assert np.array_equal(recolour(greys, Recolouring(hue=90.0, saturation=2.0, gamma=1)), greys)


def test_hue_turns_saturation_spreads_gamma_darkens() -> None:
    red = np.full((1, 1, 3), (200, 40, 40), np.uint8)
    third = recolour(red, Recolouring(hue=120.0, saturation=1.0, gamma=1.0))
    assert third[0, 0].tolist() == [40, 200, 40]
    grey = recolour(red, Recolouring(hue=0.0, saturation=0.0, gamma=1.0))
    assert np.ptp(grey) == 0
    dark = recolour(red, Recolouring(hue=0.0, saturation=1.0, gamma=1.5))
    assert (dark < red).all()
    assert np.array_equal(recolour(red, Recolouring(hue=0, saturation=1, gamma=1)), red)


def test_the_same_colour_stays_the_same_in_every_picture() -> None:
    sample = next(DOLLS[i] for i in range(12) if DOLLS[i].category is Category.UPPER)
    colours = Recolouring(hue=30.0, saturation=1.2, gamma=0.8)
    changed = recoloured(sample, colours)
    for part in ("person", "garment", "truth"):
        assert np.array_equal(getattr(changed, part), recolour(getattr(sample, part), colours))
    assert not np.array_equal(changed.garment, sample.garment)
    assert np.array_equal(changed.labels, sample.labels)
    assert (changed.garment[0, 0] == 255).all()  # the ground stays white


def test_each_change_can_be_switched_off_and_on() -> None:
    sample = DOLLS[0]
    never = Augmentation(flip_probability=0.0, recolour_probability=0.0)
    assert same(augment(sample, np.random.default_rng(0), never), sample)
    always = augment(
        sample,
        np.random.default_rng(0),
        Augmentation(flip_probability=1.0, recolour_probability=0.0),
    )
    assert same(always, flipped(sample))
    both = augment(
        sample,
        np.random.default_rng(0),
        Augmentation(flip_probability=1.0, recolour_probability=1.0),
    )
    only_colours = augment(
        sample,
        np.random.default_rng(0),
        Augmentation(flip_probability=0.0, recolour_probability=1.0),
    )
    assert same(both, flipped(only_colours)) and not same(only_colours, sample)


def test_half_of_the_samples_are_flipped() -> None:
    sample, rng = DOLLS[0], np.random.default_rng(7)
    changed = sum(
        not np.array_equal(augment(sample, rng).garment, sample.garment) for _ in range(400)
    )
    assert 160 < changed < 240


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip_probability", 1.5),
        ("recolour_probability", -0.1),
        ("hue", 200.0),
        ("saturation", 0.5),
        ("gamma", float("nan")),
    ],
)
def test_impossible_options_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        Augmentation(**{field: value})
