"""One person's 18 joints, and hands and feet where the network knows them.

A missing joint is said by its confidence, never guessed from its coordinates, so that a joint
at the very edge of the picture counts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .skeleton import JOINTS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """A detected person.

    keypoints: float32 [18,3], rows (x, y, confidence) in image pixels, OpenPose-18 order;
    confidence 0 means missing, and then x and y are 0. score: the evidence per joint. hands:
    float32 [2,3,3] or None, right and left, rows as in keypoints: the knuckles of index and little
    finger and the thumb. feet: float32 [2,2,3] or None, right and left, each heel and big toe.
    Raises ValueError where keypoints have another shape, are not finite or where a confidence
    is negative.
    """

    keypoints: NDArray[np.float32]
    score: float
    hands: NDArray[np.float32] | None = None
    feet: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.keypoints.shape != (JOINTS, 3):
            raise ValueError(f"Keypoints must have shape (18, 3), got {self.keypoints.shape}.")
        if not np.isfinite(self.keypoints).all():
            raise ValueError("Keypoints must be finite numbers, but hold NaN or infinity.")
        if (self.keypoints[:, 2] < 0).any():
            lowest = float(self.keypoints[:, 2].min())
            raise ValueError(f"Confidences of keypoints must be at least 0, but one is {lowest}.")

    @property
    def visible(self) -> NDArray[np.bool_]:
        """bool [18]: which joints were found."""
        return self.keypoints[:, 2] > 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) around the visible joints; zeros where there are none."""
        points = self.keypoints[self.visible, :2]
        if len(points) == 0:
            return 0.0, 0.0, 0.0, 0.0
        left, top = points.min(axis=0).tolist()
        right, bottom = points.max(axis=0).tolist()
        return left, top, right, bottom
