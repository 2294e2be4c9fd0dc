"""What a caller may give to `TryOn`: pictures, masks, people and outfits in several forms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ootd_core.categories import Category, Variant, as_category, check_category
from ootd_core.images.files import read_mask
from ootd_core.images.fitting import size_of
from ootd_core.images.mask_pictures import picture_mask
from ootd_core.masks.limbs import JOINTS
from ootd_core.masks.morphology import SoftMask
from openpose import Person

from .preparation import Keypoints, own_mask

AnyImage = Image.Image | NDArray[Any] | Path | str
"""A PIL image, a uint8 array [H, W, 3] or the path of a picture file."""
GarmentOfOutfit = tuple[AnyImage, Category | str]


def outfit_of(
    garment: AnyImage | Sequence[GarmentOfOutfit],
    category: Category | str | None,
    variant: Variant,
) -> list[tuple[AnyImage, Category]]:
    """The garments and their categories, checked against the variant."""
    if isinstance(garment, Image.Image | np.ndarray | Path | str):
        if category is None:
            raise ValueError(f"Name the garment's category: one of {', '.join(Category)}.")
        garment = [(garment, category)]
    elif category is not None:
        raise ValueError("An outfit has its categories beside its garments: give no other.")
    try:
        pairs = [(picture, kind) for picture, kind in garment]
    except (TypeError, ValueError):
        raise ValueError(
            "A garment is a path, a PIL image or an array; an outfit is a list of pairs of one "
            "and its category: [(picture, category), ...]."
        ) from None
    outfit = [(picture, as_category(kind)) for picture, kind in pairs]
    if not outfit:
        raise ValueError("The outfit has no garment.")
    for _, kind in outfit:
        check_category(variant, kind)
    return outfit


def mask_array(mask: AnyImage | None) -> NDArray[Any] | None:
    """A mask as an array [H, W]. Raises ValueError for anything else, as `read_mask` does."""
    if mask is None or isinstance(mask, np.ndarray):
        return mask
    if isinstance(mask, Image.Image):
        return picture_mask(mask, "The mask")
    if isinstance(mask, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        return read_mask(Path(mask))
    raise ValueError(
        f"A mask is an array [H, W], a PIL image or the path of a file, not {type(mask).__name__}."
    )


def garment_masks(
    masks: AnyImage | Sequence[AnyImage | None] | None, garments: Sequence[NDArray[np.uint8]]
) -> list[SoftMask | None]:
    """The masks of the garments' pictures, float32 [H, W] in [0, 1]; None where none is given.

    Raises ValueError for another number of masks, one that is black throughout, or as `own_mask`
    does.
    """
    if masks is None:
        return [None] * len(garments)
    if isinstance(masks, str | bytes) or not isinstance(masks, Sequence):
        masks = [masks]
    if len(masks) != len(garments):
        raise ValueError(
            f"There are {len(masks)} garment masks and {len(garments)} garments: give one mask for "
            "each garment, in the same order."
        )
    found: list[SoftMask | None] = []
    for mask, garment in zip(masks, garments, strict=True):
        try:
            found.append(own_mask(mask_array(mask), size_of(garment)))
            if mask is not None and found[-1] is None:
                raise ValueError(
                    "the mask is black throughout: make the garment white in it, or leave it out."
                )
        except ValueError as error:
            raise ValueError(f"garment_mask: {error}") from error
    return found


def joints_of(people: Sequence[Keypoints | Person] | None) -> list[Keypoints] | None:
    """Everybody's keypoints [18, 3], checked. Raises ValueError for anything else."""
    if people is None:
        return None
    try:
        everybody = list(people)
    except TypeError:
        everybody = [people]
    return [_keypoints_of(person) for person in everybody]


def _keypoints_of(person: Any) -> Keypoints:
    keypoints = person.keypoints if isinstance(person, Person) else person
    shape: object = getattr(keypoints, "shape", None)
    kind: object = getattr(getattr(keypoints, "dtype", None), "kind", None)
    if shape != (len(JOINTS), 3) or kind not in ("f", "i", "u"):
        found = type(keypoints).__name__ if shape is None else f"{keypoints.dtype} of shape {shape}"
        raise ValueError(
            f"people is a list of keypoints, arrays of shape ({len(JOINTS)}, 3), one for each "
            f"person, but one of them is {found}."
        )
    return keypoints
