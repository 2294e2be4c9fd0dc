"""Label maps and keypoints for a folder of one's own, made once instead of at every epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fitting import fit_image, unfit_points
from .label_maps import unfit_label_map
from .photographs import Pair, Perception, read_picture
from .sample import UnusableSample


def perceive(
    pair: Pair, perception: Perception, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """See the person of a pair on a canvas of `size` (height, width), as at inference.

    Returns labels uint8 [H,W] and keypoints float32 [18,3], both at the picture's own size.
    Raises UnusableSample where the picture cannot be read or shows nobody.
    """
    canvas, fit = fit_image(read_picture(pair.person), *size)
    labels = unfit_label_map(perception.labels(canvas), fit)
    keypoints = perception.keypoints(canvas)
    if keypoints is None or not labels.any():
        raise UnusableSample(f"No person was found in {pair.person}.")
    own = np.where(keypoints[:, 2:] > 0, unfit_points(keypoints, fit), 0.0)
    return labels, own.astype(np.float32)
