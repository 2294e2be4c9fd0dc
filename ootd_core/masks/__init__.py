"""Which pixels are repainted.

agnostic      label map and keypoints in, mask out: `agnostic_mask` and its modes
reference     the same as the original implementation computes it
new_garment   where the new garment will lie: the part that `auto` adds
garment_outline garment_shape garment_on_body   its outline, what that tells, laid on a person
limbs         arms and legs as regions of a picture
labels        the label map's values, and what they mean for each category
levels        what a mask's numbers mean, whoever wrote them
morphology    checking, growing, feathering and cleaning a mask
"""

from .agnostic import AgnosticMask, MaskMode, agnostic_mask
from .labels import Label
from .morphology import feather_mask, grow_mask, validate_mask
from .new_garment import MaskLength, MaskSleeves

__all__ = [
    "AgnosticMask",
    "Label",
    "MaskLength",
    "MaskMode",
    "MaskSleeves",
    "agnostic_mask",
    "feather_mask",
    "grow_mask",
    "validate_mask",
]
