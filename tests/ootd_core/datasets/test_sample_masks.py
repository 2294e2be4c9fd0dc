from dataclasses import replace

import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.datasets.dolls import PaperDolls
from ootd_core.datasets.sample import TryOnSample, UnusableSample
from ootd_core.datasets.sample_masks import TrainingMaskOptions, inference_mask, training_mask
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.labels import KEPT
from ootd_core.masks.morphology import BoolMask

DOLLS = PaperDolls((128, 96), "test", dolls=6)


def generated(sample: TryOnSample, mode: MaskMode) -> BoolMask:
    return agnostic_mask(
        sample.labels,
        sample.keypoints,
        category=sample.category,
        variant=Variant.FULL_BODY,
        mode=mode,
        garment=sample.garment,
    ).mask


def masked(
    sample: TryOnSample, options: TrainingMaskOptions | None = None, seed: int = 0
) -> BoolMask:
    return training_mask(sample, Variant.FULL_BODY, np.random.default_rng(seed), options)


@pytest.mark.parametrize("index", range(6))
def test_it_is_the_mask_of_inference(index: int) -> None:
    sample = DOLLS[index]
    for share, mode in ((0.0, MaskMode.AUTO), (1.0, MaskMode.HIDE_OLD_GARMENT)):
        mask = masked(sample, TrainingMaskOptions(hide_old_garment_probability=share))
        assert np.array_equal(mask, generated(sample, mode))
        assert np.array_equal(mask, inference_mask(sample, Variant.FULL_BODY, mode=mode))


def test_both_masks_turn_up() -> None:
    sample = DOLLS[0]
    whole = generated(sample, MaskMode.HIDE_OLD_GARMENT)
    hidden = [np.array_equal(masked(sample, seed=seed), whole) for seed in range(40)]
    assert 10 < sum(hidden) < 30


@pytest.mark.parametrize("index", range(6))
def test_enlarging_adds_and_never_covers_what_is_kept(index: int) -> None:
    sample = DOLLS[index]
    plain = generated(sample, MaskMode.AUTO)
    options = TrainingMaskOptions(
        hide_old_garment_probability=0.0, grow_probability=1.0, max_grow=40
    )
    areas: set[int] = set()
    for seed in range(6):
        mask = masked(sample, options, seed)
        assert (mask | plain).sum() == mask.sum(), "enlarged masks hold the plain one"
        added = mask & ~plain
        face_and_shoes = np.isin(sample.labels, list(KEPT[Category.DRESS]))
        assert (added & face_and_shoes).mean() < 0.002  # specks of a label are not kept
        areas.add(int(mask.sum()))
    assert len(areas) > 2 and max(areas) > plain.sum()


def test_the_same_numbers_make_the_same_mask() -> None:
    options = TrainingMaskOptions(grow_probability=0.5)
    for seed in range(4):
        first, again = (masked(DOLLS[1], options, seed) for _ in range(2))
        assert np.array_equal(first, again)


def test_a_sample_without_anybody_is_unusable() -> None:
    nobody = replace(
        DOLLS[0],
        labels=np.zeros((128, 96), np.uint8),
        keypoints=np.zeros((18, 3), np.float32),
    )
    for mask in (masked, lambda sample: inference_mask(sample, Variant.FULL_BODY)):
        with pytest.raises(UnusableSample, match="doll-0 cannot be masked: No person"):
            mask(nobody)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hide_old_garment_probability", 2.0), ("grow_probability", -1.0), ("max_grow", 0)],
)
def test_impossible_options_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=str(value)):
        TrainingMaskOptions(**{field: value})  # pyright: ignore[reportArgumentType]


def test_growth_is_counted_at_512_pixels_and_never_more_than_asked() -> None:
    sample = PaperDolls((256, 192), "test", dolls=1)[0]
    options = TrainingMaskOptions(
        hide_old_garment_probability=0.0, grow_probability=1.0, max_grow=32
    )
    found: set[int] = set()
    for seed in range(12):
        mask = training_mask(sample, Variant.FULL_BODY, np.random.default_rng(seed), options)
        (grow,) = (
            grow
            for grow in range(17)
            if np.array_equal(mask, inference_mask(sample, Variant.FULL_BODY, grow=grow))
        )
        found.add(grow)
    assert max(found) in range(12, 17) and min(found) <= 5, found
