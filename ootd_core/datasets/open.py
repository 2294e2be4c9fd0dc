"""`open_dataset` opens every kind of data set: a path, which part of it, and at which size.

A layout is recognised by its folders; the module of each layout describes it at the top.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from ..categories import Category
from ..latents import SCALE
from .dolls import PaperDolls
from .dress_code import is_dress_code, list_dress_code
from .folder import is_folder, list_folder
from .pairs_file import Pairing, Split
from .photographs import Listing, Perception, Photographs
from .sample import TryOnDataset
from .viton_hd import is_viton_hd, list_viton_hd

logger = logging.getLogger(__name__)


class Layout(StrEnum):
    """How a data set is laid out."""

    VITON_HD = "viton-hd"
    DRESS_CODE = "dress-code"
    FOLDER = "folder"
    DOLLS = "dolls"


IS_LAYOUT: dict[Layout, Callable[[Path], bool]] = {
    Layout.VITON_HD: is_viton_hd,
    Layout.DRESS_CODE: is_dress_code,
    Layout.FOLDER: is_folder,
}
LIST: dict[Layout, Callable[[Path, Split, Pairing, Collection[Category] | None], Listing]] = {
    Layout.VITON_HD: list_viton_hd,
    Layout.DRESS_CODE: list_dress_code,
    Layout.FOLDER: list_folder,
}


def open_dataset(
    path: Path | None,
    layout: Layout | None = None,
    split: Split = "train",
    size: tuple[int, int] = (512, 384),
    pairing: Pairing = "paired",
    categories: Collection[Category] | None = None,
    *,
    limit: int | None = None,
    perception: Perception | None = None,
) -> TryOnDataset:
    """Open a data set; its pictures are read when a sample is asked for.

    Args:
        path: the data set's folder; paper dolls have none.
        layout: None finds it out from the folder; without a folder it is paper dolls.
        size: height and width of the samples in pixels, multiples of 8.
        categories: only these; None is all that the data set has.
        limit: at most so many samples, the first ones.
        perception: makes label maps and keypoints that a folder of one's own does not have.

    Raises:
        FileNotFoundError: no such folder, or no list of pairs in it.
        ValueError: an unknown layout, or nothing in the folder of what was asked for.
    """
    if min(size) < SCALE or any(side % SCALE for side in size):
        raise ValueError(
            f"The size {size[0]}x{size[1]} (height x width) cannot be used: both sides must be "
            f"multiples of {SCALE}."
        )
    if limit is not None and limit < 1:
        raise ValueError(f"The limit must be at least 1 sample, got {limit}.")
    if layout is Layout.DOLLS or (layout is None and path is None):
        return PaperDolls(size, split, dolls=limit, categories=categories)
    if path is None:
        raise ValueError(f"The layout '{layout}' needs a folder.")
    layout = layout or layout_of(path)
    listing = list_pairs(path, layout, split, pairing, categories)
    for complaint in listing.complaints[:3]:
        logger.warning("%s", complaint)
    if len(listing.complaints) > 3:
        logger.warning("%s: %d more like this.", path, len(listing.complaints) - 3)
    return Photographs(replace(listing, pairs=listing.pairs[:limit]), size, perception)


def list_pairs(
    path: Path,
    layout: Layout,
    split: Split,
    pairing: Pairing = "paired",
    categories: Collection[Category] | None = None,
) -> Listing:
    """List the pairs in a folder of photographs. Raises as `open_dataset` does."""
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder at {path}.")
    return LIST[layout](path, split, pairing, categories)


def layout_of(path: Path) -> Layout:
    """Return a folder's layout. Raises FileNotFoundError or ValueError if it has none of them."""
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder at {path}.")
    found = _layout_of(path)
    if found is None:
        below = next((child for child in sorted(path.glob("*/")) if _layout_of(child)), None)
        hint = f"did you mean {below}?" if below else f"expected one of {', '.join(IS_LAYOUT)}."
        raise ValueError(f"{path} is not laid out like a known data set: {hint}")
    return found


def _layout_of(path: Path) -> Layout | None:
    return next((layout for layout, fits in IS_LAYOUT.items() if fits(path)), None)
