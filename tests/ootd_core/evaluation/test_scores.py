from dataclasses import replace

import numpy as np
import pytest
import torch

from ootd_core.categories import Category
from ootd_core.evaluation.distances import frechet_distance, kernel_distance
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.evaluation.scores import ALL, Judged, Scorer, mean, score
from ootd_core.images.comparison import (
    colour_error,
    level_error,
    masked_psnr,
    masked_ssim,
    whole_ssim,
)
from tests.ootd_core.evaluation.stand_ins import stand_ins

RNG = np.random.default_rng(0)
MASK = np.zeros((64, 48), bool)
MASK[16:48, 12:36] = True
NO_NETWORKS = FeatureNetworks()


def picture(level: int = 128) -> np.ndarray:
    return RNG.integers(level - 40, level + 40, (64, 48, 3)).astype(np.uint8)


def judged(number: int = 0, *, paired: bool = True, category: Category = Category.UPPER) -> Judged:
    person, made = picture(), picture(100)
    return Judged(
        name=str(number),
        category=category,
        picture=np.where(MASK[..., None], made, person),
        person=person,
        truth=person if paired else None,
        mask=MASK,
    )


def test_a_perfect_try_on() -> None:
    one = judged()
    scores = score(replace(one, picture=one.person), stand_ins())
    assert scores.ssim == pytest.approx(1.0)
    assert scores.lpips == 0.0
    assert scores.mask_psnr == float("inf")
    assert (scores.colour_error, scores.outside_error, scores.outside_colour_error) == (0, 0, 0)


def test_each_figure_is_of_its_region() -> None:
    one = judged()
    assert one.truth is not None
    scores = score(one, NO_NETWORKS)
    assert scores.lpips is None
    assert scores.mask_psnr == masked_psnr(one.picture, one.truth, MASK)
    assert scores.colour_error == colour_error(one.picture, one.truth, MASK)
    assert scores.outside_error == 0.0
    sleeve = MASK & (np.arange(48) < 20)
    in_sleeve = score(replace(one, region=sleeve), NO_NETWORKS)
    assert in_sleeve.colour_error == colour_error(one.picture, one.truth, sleeve)
    assert in_sleeve.mask_psnr == scores.mask_psnr
    brighter = one.picture.copy()
    brighter[~MASK] += 10
    changed = score(replace(one, picture=brighter), NO_NETWORKS)
    assert changed.outside_error == pytest.approx(10.0)
    assert changed.outside_colour_error is not None and changed.outside_colour_error > 2
    assert changed.mask_psnr == scores.mask_psnr


def test_without_a_truth_only_the_outside_is_compared() -> None:
    scores = score(judged(paired=False), stand_ins())
    assert (scores.ssim, scores.lpips, scores.mask_psnr, scores.colour_error) == (None,) * 4
    assert scores.outside_error == 0.0


def test_a_mask_over_everything_has_no_outside() -> None:
    scores = score(replace(judged(), mask=np.ones_like(MASK)), NO_NETWORKS)
    assert scores.outside_error is None and scores.outside_colour_error is None


def test_what_the_mask_did_not_reach_counts() -> None:
    one = replace(judged(), truth=picture(160))
    assert one.truth is not None
    scores = score(one, NO_NETWORKS)
    assert (scores.changed_psnr, scores.garment_iou) == (None, None)
    below = np.zeros_like(MASK)
    below[40:56, 12:36] = True  # half of it is inside the mask
    changed = score(replace(one, changed=below), NO_NETWORKS)
    assert changed.changed_psnr == masked_psnr(one.picture, one.truth, MASK | below)
    assert changed.mask_psnr == scores.mask_psnr
    assert scores.pasted_psnr is None
    pasted = np.where(MASK[..., None], one.picture, one.person)
    assert changed.pasted_psnr == masked_psnr(pasted, one.truth, np.ones_like(MASK))
    within = score(replace(one, changed=MASK & below), NO_NETWORKS)
    assert within.changed_psnr == scores.mask_psnr


def test_a_garment_of_half_the_length_has_half_the_shape() -> None:
    half = MASK & (np.arange(64) < 32)[:, None]
    scores = score(replace(judged(), worn=MASK, worn_seen=half), NO_NETWORKS)
    assert scores.garment_iou == 0.5
    assert score(replace(judged(), worn=half, worn_seen=MASK), NO_NETWORKS).garment_iou == 0.5
    assert score(replace(judged(), worn=MASK, worn_seen=~MASK), NO_NETWORKS).garment_iou == 0
    assert score(replace(judged(), worn=MASK), NO_NETWORKS).garment_iou is None


def test_sets_by_category_and_over_all() -> None:
    networks = stand_ins()
    scorer = Scorer(networks)
    kinds = [Category.DRESS, Category.UPPER, Category.DRESS, Category.UPPER, Category.DRESS]
    items = [judged(number, category=kind) for number, kind in enumerate(kinds)]
    singles = [scorer.add(item) for item in items]
    sets = scorer.by_category()
    assert list(sets) == ["upper", "dress", "all"]
    assert [row.pictures for row in sets.values()] == [2, 3, 5]
    assert sets["all"].ssim == pytest.approx(np.mean([one.ssim or 0 for one in singles]))
    assert sets["upper"].lpips == pytest.approx(np.mean([singles[n].lpips or 0 for n in (1, 3)]))
    real, made = (
        torch.stack([torch.as_tensor(networks.features(array)) for array in arrays])
        for arrays in ([item.person for item in items], [item.picture for item in items])
    )
    assert sets["all"].fid == pytest.approx(frechet_distance(real, made))
    assert sets["all"].kid == pytest.approx(kernel_distance(real, made))
    assert (sets["upper"].fid, sets["upper"].kid) != (sets["dress"].fid, sets["dress"].kid)


def test_sets_without_networks_or_pictures() -> None:
    scorer = Scorer(NO_NETWORKS)
    assert scorer.by_category() == {}
    scorer.add(judged())
    (upper, overall) = scorer.by_category().values()
    assert upper == overall
    assert (upper.fid, upper.kid, upper.lpips) == (None, None, None)
    alone = Scorer(stand_ins())
    alone.add(judged())
    assert alone.by_category()["all"].fid is None  # one picture has no spread


def test_the_real_set_of_unpaired_try_ons_is_the_persons() -> None:
    scorer = Scorer(stand_ins())
    for number in range(4):
        one = judged(number, paired=False)
        scorer.add(replace(one, picture=one.person))
    assert scorer.by_category()["all"].fid == pytest.approx(0.0, abs=1e-3)


def test_what_cannot_be_compared() -> None:
    one = judged()
    with pytest.raises(ValueError, match="Sizes of '0' differ"):
        score(replace(one, person=one.person[:-1]), NO_NETWORKS)
    with pytest.raises(ValueError, match="mask or the garment's region of '0' is empty"):
        score(replace(one, region=np.zeros_like(MASK)), NO_NETWORKS)
    with pytest.raises(ValueError, match="Sizes of '0' differ"):
        score(replace(one, changed=MASK[:-1]), NO_NETWORKS)


def test_mean_of_what_was_measured() -> None:
    assert mean([1.0, None, 3.0]) == 2.0
    assert mean([None]) is None


def test_each_figure_compares_the_pictures_that_it_says() -> None:
    """Truth, person and result all differ: inside against the truth, outside against the person."""
    one = replace(judged(), truth=picture(160), picture=picture(90))
    assert one.truth is not None
    networks = stand_ins()
    scores = score(one, networks)
    assert scores.ssim == whole_ssim(one.picture, one.truth)
    assert scores.lpips == networks.distance(one.picture, one.truth)
    assert scores.mask_psnr == masked_psnr(one.picture, one.truth, MASK)
    assert scores.mask_ssim == masked_ssim(one.picture, one.truth, MASK)
    assert scores.colour_error == colour_error(one.picture, one.truth, MASK)
    assert scores.outside_error == level_error(one.picture, one.person, ~MASK)
    assert scores.outside_colour_error == colour_error(one.picture, one.person, ~MASK)
    scorer = Scorer(networks)
    for _ in range(3):
        scorer.add(replace(one, picture=one.truth))
    assert scorer.by_category()[ALL].fid == pytest.approx(0.0, abs=1e-3)
