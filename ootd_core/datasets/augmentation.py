"""Changes that leave a sample true: person, truth and garment change together.

A mirrored person wears a mirrored print, so the garment is mirrored with it, and left and right
change places. One map moves the colours of all pictures; it leaves black and white as they are,
because at inference a garment always lies on white.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..masks.labels import Label
from ..masks.limbs import JOINTS
from .sample import TryOnSample


def _mirrored(name: str) -> str:
    """Return a name with left for right and right for left, in small letters or capitals."""
    for left, right in (("left", "right"), ("LEFT", "RIGHT")):
        if name.startswith(left):
            return right + name.removeprefix(left)
        if name.startswith(right):
            return left + name.removeprefix(right)
    return name


MIRRORED_LABELS = np.array([Label[_mirrored(label.name)] for label in Label], np.uint8)
"""What each label is in a mirrored picture."""
MIRRORED_JOINTS = [JOINTS.index(_mirrored(name)) for name in JOINTS]
"""Which row of the keypoints each row is in a mirrored picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What is changed, and how often.

    Args:
        flip_probability, recolour_probability: how often.
        hue: at most so many degrees, either way.
        saturation, gamma: at most so large a factor, or one divided by it.
    """

    flip_probability: float = 0.5
    recolour_probability: float = 0.0
    hue: float = 10.0
    saturation: float = 1.25
    gamma: float = 1.25

    def __post_init__(self) -> None:
        for name in ("flip_probability", "recolour_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        if not 0.0 <= self.hue <= 180.0:
            raise ValueError(f"hue must be from 0 to 180 degrees, got {self.hue}.")
        for name in ("saturation", "gamma"):
            if not 1.0 <= getattr(self, name) <= 4.0:
                raise ValueError(f"{name} must be a factor from 1 to 4, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recolouring:
    """A map of colours. hue: degrees. saturation: factor; 0 is grey. gamma: exponent of [0, 1]."""

    hue: float
    saturation: float
    gamma: float


def augment(
    sample: TryOnSample, rng: np.random.Generator, options: Augmentation | None = None
) -> TryOnSample:
    """Return the sample, perhaps mirrored, perhaps in other colours.

    The same state of `rng` is the same result. Every call takes five numbers from it, whatever the
    options are, so that switching one change off leaves the other as it was.
    """
    options = options or Augmentation()
    flip_draw, recolour_draw = rng.random(2)
    turn, saturation, gamma = rng.uniform(-1.0, 1.0, 3)
    if recolour_draw < options.recolour_probability:
        colours = Recolouring(
            hue=float(turn) * options.hue,
            saturation=options.saturation ** float(saturation),
            gamma=options.gamma ** float(gamma),
        )
        sample = recoloured(sample, colours)
    return flipped(sample) if flip_draw < options.flip_probability else sample


def flipped(sample: TryOnSample) -> TryOnSample:
    """Return the sample mirrored left to right; left and right of the body keep their meaning."""
    width = sample.labels.shape[1]
    keypoints = sample.keypoints[MIRRORED_JOINTS]
    keypoints[:, 0] = np.where(keypoints[:, 2] > 0, width - 1 - keypoints[:, 0], keypoints[:, 0])
    return replace(
        sample,
        person=_turned(sample.person),
        garment=_turned(sample.garment),
        labels=MIRRORED_LABELS[_turned(sample.labels)],
        keypoints=keypoints,
        truth=None if sample.truth is None else _turned(sample.truth),
    )


def recoloured(sample: TryOnSample, colours: Recolouring) -> TryOnSample:
    """Return the sample with all its pictures in other colours."""
    return replace(
        sample,
        person=recolour(sample.person, colours),
        garment=recolour(sample.garment, colours),
        truth=None if sample.truth is None else recolour(sample.truth, colours),
    )


def recolour(picture: NDArray[np.uint8], colours: Recolouring) -> NDArray[np.uint8]:
    """Map the colours of uint8 RGB [H, W, 3]: hue and saturation about the grey axis, then gamma.

    Greys stay grey, black and white stay what they are. The turn about the grey axis is the
    rotation by Rodrigues' formula with the axis (1, 1, 1).
    """
    angle = math.radians(colours.hue)
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    across = np.eye(3) - grey
    turn = grey + colours.saturation * (math.cos(angle) * across + math.sin(angle) * cross)
    levels = (picture.astype(np.float32) / 255.0) @ turn.T.astype(np.float32)
    return np.round(255.0 * np.clip(levels, 0.0, 1.0) ** colours.gamma).astype(np.uint8)


def _turned(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1])
