"""What of a sample is hidden: the mask of inference, in training at times a larger one.

Networks that only ever saw the tightest mask learn that its outline is the garment's. Hiding the
old garment whole, or more than is needed, takes that hint away, and is what users ask for at
inference when an old garment must leave no trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..categories import Variant
from ..masks.agnostic import MaskMode, agnostic_mask
from ..masks.limbs import REFERENCE_HEIGHT
from ..masks.morphology import BoolMask
from .sample import TryOnSample, UnusableSample


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMaskOptions:
    """How the masks of a training are drawn.

    Args:
        mode: of most masks.
        hide_old_garment_probability: how often `MaskMode.HIDE_OLD_GARMENT` takes its place.
        grow_probability: how often the mask is grown.
        max_grow: it grows by 1 to so many pixels of a picture 512 pixels high.
    """

    mode: MaskMode = MaskMode.AUTO
    hide_old_garment_probability: float = 0.5
    grow_probability: float = 0.0
    max_grow: int = 24

    def __post_init__(self) -> None:
        for name in ("hide_old_garment_probability", "grow_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        if self.max_grow < 1:
            raise ValueError(f"max_grow must be at least 1 pixel, got {self.max_grow}.")


def inference_mask(
    sample: TryOnSample,
    variant: Variant,
    *,
    mode: MaskMode = MaskMode.AUTO,
    grow: int = 0,
) -> BoolMask:
    """Return the pixels of `sample.person` that a try-on would repaint, bool [H, W].

    grow: pixels added to the mask. Raises UnusableSample, naming the sample, where there is nobody
    or nothing to replace.
    """
    try:
        return agnostic_mask(
            sample.labels,
            sample.keypoints,
            category=sample.category,
            variant=variant,
            mode=mode,
            garment=sample.garment,
            grow=grow,
        ).mask
    except ValueError as error:
        raise UnusableSample(f"{sample.name} cannot be masked: {error}") from error


def training_mask(
    sample: TryOnSample,
    variant: Variant,
    rng: np.random.Generator,
    options: TrainingMaskOptions | None = None,
) -> BoolMask:
    """Return the pixels of `sample.person` to hide, bool [H, W]; fill them with `agnostic_image`.

    Takes three numbers from `rng` whatever the options are. Raises as `inference_mask`.
    """
    options = options or TrainingMaskOptions()
    hide_draw, grow_draw, growth = rng.random(3)
    hide = hide_draw < options.hide_old_garment_probability
    pixels = 1 + int(growth * options.max_grow) if grow_draw < options.grow_probability else 0
    return inference_mask(
        sample,
        variant,
        mode=MaskMode.HIDE_OLD_GARMENT if hide else options.mode,
        grow=round(pixels * sample.labels.shape[0] / REFERENCE_HEIGHT),
    )
