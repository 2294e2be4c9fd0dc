"""What every data set yields, and what a data set is.

Photographs come paired: the person already wears the garment, so person and truth are one picture.
Unpaired photographs have no truth. A paper doll wears something else in the person's picture, and
has a truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..categories import Category


class UnusableSample(ValueError):  # noqa: N818 - it is the sample that is wrong
    """A sample that cannot be read or used; the message names the file and what is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnSample:
    """A person and a garment.

    person: uint8 RGB [H, W, 3], whose clothes get hidden. garment: uint8 RGB [H, W, 3], laid flat.
    labels: uint8 [H, W], ATR labels of the person (`masks.labels`). keypoints: float32 [18, 3],
    rows (x, y, confidence) in pixels of the person's picture. truth: uint8 RGB [H, W, 3], the
    person in the garment, None if no such picture exists.
    """

    name: str
    category: Category
    person: NDArray[np.uint8]
    garment: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    truth: NDArray[np.uint8] | None


class TryOnDataset(Protocol):
    """Samples by number, all of one size (height, width); the order never changes."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return the sample's name, unique within the set, without reading its files."""
        ...

    def category(self, index: int) -> Category:
        """Return the sample's category without reading its files."""
        ...

    def __getitem__(self, index: int) -> TryOnSample:
        """Read a sample. Raises UnusableSample."""
        ...


class FileMissing(UnusableSample):
    """A file of the sample is not there."""


class WrongSize(UnusableSample):
    """A file of the sample belongs to a picture of another size or shape."""
