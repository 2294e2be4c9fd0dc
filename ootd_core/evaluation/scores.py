"""The scores of try-ons, one by one and as a set, by category and over all.

Inside the mask a picture is compared with the truth; outside it with the person, who must not have
changed. SSIM and LPIPS are of the whole picture, and so are FID and KID, which need no truth: they
compare the set of generated pictures with the set of real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..categories import Category
from ..images.comparison import (
    colour_error,
    intersection_over_union,
    level_error,
    masked_psnr,
    masked_ssim,
    whole_ssim,
)
from ..masks.morphology import BoolMask
from .distances import set_distances
from .features import FeatureNetworks

ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """A try-on to be judged.

    picture, person: uint8 RGB [H, W, 3]. truth: the same, None for an unpaired one. mask: bool
    [H, W], what was repainted. region: bool [H, W], where the garment's colour is measured; None
    takes the mask. changed: bool [H, W], where the truth differs from the person. worn, worn_seen:
    bool [H, W], the garment in the truth and as a parser sees it in the picture. None of these
    three leaves out what needs it.
    """

    name: str
    category: Category
    picture: NDArray[np.uint8]
    person: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    mask: BoolMask
    region: BoolMask | None = None
    changed: BoolMask | None = None
    worn: BoolMask | None = None
    worn_seen: BoolMask | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleScores:
    """The scores of one try-on; None was not measured.

    ssim, lpips: of the whole picture. mask_psnr (dB), mask_ssim: inside the mask. colour_error: CIE
    dE of the garment's mean colour. changed_psnr (dB): over the mask and all that had to change,
    which a mask that does not reach lowers. pasted_psnr (dB): over the whole picture, the person's
    own pixels outside the mask. garment_iou: intersection over union of the garment's areas in the
    picture, as a parser sees it, and in the truth. outside_error: mean difference of levels (0 to
    255) from the person outside the mask. outside_colour_error: CIE dE there.
    """

    name: str
    category: Category
    ssim: float | None = None
    lpips: float | None = None
    mask_psnr: float | None = None
    mask_ssim: float | None = None
    colour_error: float | None = None
    changed_psnr: float | None = None
    pasted_psnr: float | None = None
    garment_iou: float | None = None
    outside_error: float | None = None
    outside_colour_error: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SetScores:
    """The means of SampleScores over `pictures` try-ons, and FID and KID of the set."""

    pictures: int
    ssim: float | None
    lpips: float | None
    fid: float | None
    kid: float | None
    kid_deviation: float | None
    mask_psnr: float | None
    mask_ssim: float | None
    colour_error: float | None
    changed_psnr: float | None
    pasted_psnr: float | None
    garment_iou: float | None
    outside_error: float | None
    outside_colour_error: float | None


class Scorer:
    """Judges try-ons one after the other; keeps their figures and features, not the pictures."""

    def __init__(self, networks: FeatureNetworks) -> None:
        self.networks = networks
        self.samples: list[SampleScores] = []
        self._made: list[Tensor | None] = []
        self._real: list[Tensor | None] = []

    def add(self, judged: Judged) -> SampleScores:
        """Judge one more. Raises ValueError if sizes differ or a region is empty."""
        scores = score(judged, self.networks)
        real = judged.person if judged.truth is None else judged.truth
        self._made.append(self.networks.features(judged.picture))
        self._real.append(self.networks.features(real))
        self.samples.append(scores)
        return scores

    def by_category(self) -> dict[str, SetScores]:
        """Return the scores of each category there is, then of all; empty without try-ons."""
        sets: dict[str, SetScores] = {}
        for kind in Category:
            numbers = [n for n, one in enumerate(self.samples) if one.category is kind]
            if numbers:
                sets[kind] = self._set_scores(numbers)
        if len(sets) == 1:  # the distances of a set take seconds
            sets[ALL] = next(iter(sets.values()))
        elif sets:
            sets[ALL] = self._set_scores(range(len(self.samples)))
        return sets

    def _set_scores(self, numbers: Sequence[int]) -> SetScores:
        samples = [self.samples[number] for number in numbers]
        real = [one for one in (self._real[number] for number in numbers) if one is not None]
        made = [one for one in (self._made[number] for number in numbers) if one is not None]
        distances = set_distances(torch.stack(real), torch.stack(made)) if made else None
        means = {
            each.name: mean([getattr(one, each.name) for one in samples])
            for each in fields(SampleScores)
            if each.name not in ("name", "category")
        }
        return SetScores(
            pictures=len(samples),
            fid=None if distances is None else distances.fid,
            kid=None if distances is None else distances.kid,
            kid_deviation=None if distances is None else distances.kid_deviation,
            **means,
        )


def score(judged: Judged, networks: FeatureNetworks) -> SampleScores:
    """Compare one try-on with its truth inside the mask and with the person outside it.

    Raises ValueError if sizes differ or the mask or the region is empty.
    """
    picture, person, truth, mask = judged.picture, judged.person, judged.truth, judged.mask
    region = mask if judged.region is None else judged.region
    optional = (truth, judged.changed, judged.worn, judged.worn_seen)
    others = (person, mask, region, *optional)
    shapes = [array.shape[:2] for array in others if array is not None]
    if any(shape != picture.shape[:2] for shape in shapes):
        raise ValueError(f"Sizes of '{judged.name}' differ: {picture.shape[:2]} and {shapes}.")
    if not mask.any() or not region.any():
        raise ValueError(f"The mask or the garment's region of '{judged.name}' is empty.")
    outside = ~mask
    kept = outside.any()
    scores = SampleScores(
        name=judged.name,
        category=judged.category,
        outside_error=level_error(picture, person, outside) if kept else None,
        outside_colour_error=colour_error(picture, person, outside) if kept else None,
    )
    if truth is None:
        return scores
    changed, worn, worn_seen = judged.changed, judged.worn, judged.worn_seen
    pasted = np.where(mask[..., None], picture, person)
    return replace(
        scores,
        ssim=whole_ssim(picture, truth),
        lpips=networks.distance(picture, truth),
        mask_psnr=masked_psnr(picture, truth, mask),
        mask_ssim=masked_ssim(picture, truth, mask),
        colour_error=colour_error(picture, truth, region),
        changed_psnr=None if changed is None else masked_psnr(picture, truth, mask | changed),
        pasted_psnr=None if changed is None else masked_psnr(pasted, truth, np.ones_like(mask)),
        garment_iou=(
            None if worn is None or worn_seen is None else intersection_over_union(worn, worn_seen)
        ),
    )


def mean(values: list[float | None]) -> float | None:
    """Return the mean of what was measured, None if nothing was."""
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None
