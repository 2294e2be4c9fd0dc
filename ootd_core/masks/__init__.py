"""Which pixels are repainted.

agnostic      label map and keypoints in, mask out: `agnostic_mask` and its modes
reference     the same as the original implementation computes it
limbs         arms and legs as regions of a picture
labels        the label map's values, and what they mean for each category
levels        what a mask's numbers mean, whoever wrote them
morphology    checking, growing, feathering and cleaning a mask
"""

from .morphology import validate_mask

__all__ = ["validate_mask"]
