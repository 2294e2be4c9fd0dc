"""A sample dressed as inference would dress it: what training looks at and evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..categories import Variant
from ..images.compositing import paste_back
from ..images.fitting import fit_image
from ..masks.agnostic import MaskMode
from ..masks.morphology import BoolMask
from ..pipeline import TryOnPipeline
from ..request import TryOnRequest
from ..sampling import NoiseLevels, Scheduler
from .sample import TryOnSample
from .sample_masks import inference_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class DressSettings:
    """How every sample is dressed.

    Args:
        num_inference_steps, guidance_scale, scheduler, noise_levels: as `TryOnRequest` has them.
        seed: of the first sample's noise, one more for each that follows.
        mask_mode, grow: of the mask; grow is in pixels.
        feather: width of the seam in pixels where the result is pasted into the person's picture;
            None leaves the decoder's picture whole, surroundings included.
    """

    num_inference_steps: int = 20
    guidance_scale: float = 2.0
    seed: int = 0
    scheduler: Scheduler = Scheduler.UNIPC
    mask_mode: MaskMode = MaskMode.AUTO
    grow: int = 0
    feather: float | None = 2.0
    noise_levels: NoiseLevels = NoiseLevels.EVEN

    def mask(self, sample: TryOnSample, variant: Variant) -> BoolMask:
        """Return what is repainted, bool [H, W]. Raises UnusableSample if there is nothing."""
        return inference_mask(sample, variant, mode=self.mask_mode, grow=self.grow)


def dress(
    pipeline: TryOnPipeline,
    sample: TryOnSample,
    mask: BoolMask,
    settings: DressSettings,
    *,
    seed: int,
) -> NDArray[np.uint8]:
    """Return the person in the garment, uint8 RGB [H, W, 3]. Raises ValueError as TryOnRequest."""
    request = TryOnRequest(
        person=sample.person,
        garment=sample.garment,
        mask=mask,
        category=sample.category,
        num_inference_steps=settings.num_inference_steps,
        guidance_scale=settings.guidance_scale,
        seed=seed,
        scheduler=settings.scheduler,
        noise_levels=settings.noise_levels,
    )
    result = pipeline(request)[0]
    if settings.feather is None:
        return result
    _, fit = fit_image(sample.person, *sample.person.shape[:2])
    return paste_back(sample.person, result, mask, fit, settings.feather)
