"""What of a training sample is hidden: the mask of inference, at times larger.

Networks that only ever saw the tightest mask learn that its outline is the garment's. Hiding whole
limbs, or more than is needed, takes that hint away, and is what users ask for at inference when an
old garment must leave no trace.
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
class MaskOptions:
    """mode: of most masks. whole_limbs: probability of hiding the old garment whole instead.
    enlarge: probability of growing the mask, by 1 to `most` pixels of a picture 512 high."""

    mode: MaskMode = MaskMode.ROBUST
    whole_limbs: float = 0.5
    enlarge: float = 0.0
    most: int = 24

    def __post_init__(self) -> None:
        for name in ("whole_limbs", "enlarge"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(
                    f"The probability '{name}' must lie in [0, 1], got {getattr(self, name)}."
                )
        if self.most < 1:
            raise ValueError(f"A mask grows by at least 1 pixel, got {self.most}.")


def training_mask(
    sample: TryOnSample,
    variant: Variant,
    rng: np.random.Generator,
    options: MaskOptions | None = None,
) -> BoolMask:
    """Return the pixels of `sample.person` to hide, bool [H,W]; fill them with `agnostic_image`.

    Takes three numbers from `rng` whatever the options are.
    Raises UnusableSample, naming the sample, where there is nobody or nothing to replace.
    """
    options = options or MaskOptions()
    chance_of_limbs, chance_of_growth, growth = rng.random(3)
    pixels = 1 + int(growth * options.most) if chance_of_growth < options.enlarge else 0
    try:
        return agnostic_mask(
            sample.labels,
            sample.keypoints,
            category=sample.category,
            variant=variant,
            mode=MaskMode.HIDE_OLD_GARMENT
            if chance_of_limbs < options.whole_limbs
            else options.mode,
            grow=round(pixels * sample.labels.shape[0] / REFERENCE_HEIGHT),
        ).mask
    except ValueError as error:
        raise UnusableSample(f"{sample.name} cannot be masked: {error}") from error
