"""Photographs as samples: where a pair's files lie, and how they are read onto one canvas.

A layout lists pairs and names two readers; everything else is the same for all layouts. As in
inference a picture is shown whole on a 3:4 canvas, never stretched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from ..images.files import load_image
from ..images.fitting import (
    Fit,
    fit_image,
    fit_label_map,
    fit_points,
    prepare_garment,
    unfit_label_map,
    unfit_points,
)
from .sample import FileMissing, TryOnSample, UnusableSample, WrongSize

SHAPE_TOLERANCE = 0.03
"""How much the shapes (width over height) of a picture and its label map may differ."""

ReadLabels = Callable[[Path], NDArray[np.uint8]]
"""Label map file -> ATR labels uint8 [H, W]."""
ReadKeypoints = Callable[[Path, int, int], NDArray[np.float32]]
"""Keypoint file, height and width of its picture -> float32 [18, 3] in pixels of the picture."""


class Perception(Protocol):
    """Makes label maps and keypoints that no file has. Pictures are uint8 RGB [H, W, 3]."""

    def labels(self, person: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ATR labels uint8 [H, W] of a person's picture."""
        ...

    def keypoints(self, person: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        """Return the joints [18, 3] in pixels of a person's picture, None if it shows nobody."""
        ...

    def stamp(self) -> str:
        """Return a text that changes whenever the results might change."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The files of one sample.

    labels, keypoints: None where a `Perception` has to make them. worn: the person wears this very
    garment, so the picture is its own truth.
    """

    name: str
    category: Category
    person: Path
    garment: Path
    labels: Path | None
    keypoints: Path | None
    worn: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What a layout found: pairs, how their files are read, and sentences on what it left out."""

    pairs: tuple[Pair, ...]
    read_labels: ReadLabels
    read_keypoints: ReadKeypoints
    complaints: tuple[str, ...] = ()


class Photographs:
    """A `TryOnDataset` over the pairs of a listing, all at one size (height, width)."""

    def __init__(
        self, listing: Listing, size: tuple[int, int], perception: Perception | None = None
    ) -> None:
        """perception: makes the label maps and keypoints that the folder does not have.

        `seen_by` is its stamp if it is needed, else None. Raises ValueError if it is needed and
        missing.
        """
        unseen = [pair for pair in listing.pairs if pair.labels is None or pair.keypoints is None]
        if unseen and perception is None:
            raise ValueError(
                f"{unseen[0].person} and {len(unseen) - 1} more have no label map or no keypoints: "
                "make them with 'python -m cli dataset prepare FOLDER --model MODEL'."
            )
        self.listing = listing
        self.pairs = listing.pairs
        self.size = size
        self.perception = perception
        self.seen_by = perception.stamp() if perception is not None and unseen else None

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        return self.pairs[index].name

    def category(self, index: int) -> Category:
        return self.pairs[index].category

    def __getitem__(self, index: int) -> TryOnSample:
        """Read a sample. Raises UnusableSample naming the file."""
        pair = self.pairs[index]
        height, width = self.size
        person, fit = fit_image(read_picture(pair.person), height, width)
        return TryOnSample(
            name=pair.name,
            category=pair.category,
            person=person,
            garment=prepare_garment(read_picture(pair.garment), height, width),
            labels=self._labels(pair, person, fit),
            keypoints=self._keypoints(pair, person, fit),
            truth=person if pair.worn else None,
        )

    def _labels(self, pair: Pair, person: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
        if pair.labels is None:
            assert self.perception is not None
            return self.perception.labels(person)
        labels = self.listing.read_labels(pair.labels)
        check_shape(pair.labels, labels, fit.original_height, fit.original_width)
        return fit_label_map(labels, fit)

    def _keypoints(self, pair: Pair, person: NDArray[np.uint8], fit: Fit) -> NDArray[np.float32]:
        if pair.keypoints is None:
            assert self.perception is not None
            seen = self.perception.keypoints(person)
            if seen is None:
                raise UnusableSample(f"No person was found in {pair.person}.")
            return seen.astype(np.float32)
        read = self.listing.read_keypoints(pair.keypoints, fit.original_height, fit.original_width)
        known = read[:, 2:] > 0
        return np.where(known, fit_points(read, fit), 0.0).astype(np.float32)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture uint8 RGB [H, W, 3]. Raises UnusableSample naming the file."""
    try:
        return load_image(path)
    except FileNotFoundError as error:
        raise FileMissing(str(error)) from error
    except ValueError as error:
        raise UnusableSample(str(error)) from error


def check_shape(path: Path, labels: NDArray[np.uint8], height: int, width: int) -> None:
    """Raise WrongSize if labels [H, W] of the file `path` are not shaped like height x width."""
    rows, columns = labels.shape
    if abs(columns / rows * height / width - 1) > SHAPE_TOLERANCE:
        raise WrongSize(
            f"{path} is {columns}x{rows} pixels, which is not the shape of its picture "
            f"({width}x{height})."
        )


def perceive(
    pair: Pair, perception: Perception, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make label map and keypoints of a pair on a canvas of `size` (height, width), as inference.

    Returns labels uint8 [H, W] and keypoints float32 [18, 3], both at the picture's own size.
    Raises UnusableSample where the picture cannot be read or shows nobody.
    """
    canvas, fit = fit_image(read_picture(pair.person), *size)
    labels = unfit_label_map(perception.labels(canvas), fit)
    keypoints = perception.keypoints(canvas)
    if keypoints is None or not labels.any():
        raise UnusableSample(f"No person was found in {pair.person}.")
    own = np.where(keypoints[:, 2:] > 0, unfit_points(keypoints, fit), 0.0)
    return labels, own.astype(np.float32)
