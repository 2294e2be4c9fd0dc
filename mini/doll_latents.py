"""Latents of paper dolls, encoded during the training: a growing set, small pictures first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import Networks
from ootd_core.datasets.dolls import FIRST_SEEDS
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.morphology import BoolMask
from ootd_core.training.latents import TryOnLatents, encode_pictures
from ootd_core.training.tryon import Draw


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """`steps` steps of `batch` pictures, height x width pixels (multiples of 8)."""

    steps: int
    batch: int
    height: int
    width: int


def phase_of(phases: tuple[Phase, ...], step: int) -> tuple[Phase, int]:
    """Return the phase of a step and the step's number in it, both 0-based.

    After its end the last phase goes on.
    """
    for phase in phases[:-1]:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    return phases[-1], step


TRAINING_SEEDS = FIRST_SEEDS["train"]
"""Dolls below this seed are held out for tests and evaluation."""


def inference_mask(sample: DollSample, variant: Variant) -> BoolMask:
    """Return a mask [H, W] of inference, which hides what a paper doll wears.

    Odd seeds hide the old garment whole, so that the networks know both kinds of mask.
    """
    return agnostic_mask(
        sample.labels,
        sample.keypoints,
        category=sample.category,
        variant=variant,
        mode=MaskMode.HIDE_OLD_GARMENT if sample.seed % 2 else MaskMode.AUTO,
        garment=sample.garment,
    ).mask


def encode_doll(sample: DollSample, networks: Networks) -> TryOnLatents:
    """Encode a paper doll; a mask of inference hides what it wears."""
    return encode_pictures(
        networks,
        person=sample.person,
        garment=sample.garment,
        truth=sample.truth,
        mask=inference_mask(sample, networks.variant),
        category=sample.category,
    )


class DollLatents:
    """A `LatentSource` of paper dolls, encoded when first asked for and kept in memory.

    The number of dolls in use grows with the steps of a phase, so that training never waits for a
    whole set to be encoded: `first` dolls, then `growth` more each step, up to `limit`.
    """

    def __init__(
        self,
        networks: Networks,
        phases: tuple[Phase, ...],
        *,
        first: int,
        growth: int,
        limit: int,
    ) -> None:
        self.networks = networks
        self.phases = phases
        self.first = first
        self.growth = growth
        self.limit = limit
        self._kept: dict[tuple[int, int], TryOnLatents] = {}

    def batch(self, number: int) -> list[Draw]:
        """Return a step's samples: the newest dolls, and others drawn from the earlier ones."""
        phase, within = phase_of(self.phases, number)
        known = min(self.first + self.growth * within, self.limit)
        newest = range(known - self.growth, known) if known < self.limit else range(0)
        rng = np.random.default_rng(number)
        others = rng.integers(known, size=phase.batch - len(newest))
        start = self.phases.index(phase) * self.limit  # another phase, other dolls
        dolls = [start + int(doll) for doll in (*newest, *others)]
        return [
            Draw(number=number * phase.batch + place, latents=self._encoded(doll, phase))
            for place, doll in enumerate(dolls)
        ]

    def _encoded(self, number: int, phase: Phase) -> TryOnLatents:
        key = (phase.height, number)
        if key not in self._kept:
            doll = draw_sample(TRAINING_SEEDS + number, height=phase.height, width=phase.width)
            self._kept[key] = encode_doll(doll, self.networks)
        return self._kept[key]
