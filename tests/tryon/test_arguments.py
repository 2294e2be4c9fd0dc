"""What callers may give, in several forms, and what is said of anything else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ootd_core.images.files import read_mask
from tryon.arguments import garment_masks, joints_of, mask_array
from tryon.options import options_of

GARMENT = np.full((40, 30, 3), 200, np.uint8)


@pytest.mark.parametrize("colour", [255, 0])
def test_a_mask_in_the_alpha_channel_is_one_as_a_picture_and_as_a_file(
    colour: int, tmp_path: Path
) -> None:
    pixels = np.full((40, 30, 4), colour, np.uint8)
    pixels[..., 3] = 0
    pixels[10:20, 5:15, 3] = 255
    image = Image.fromarray(pixels)
    image.save(tmp_path / "mask.png")
    if colour == 0:  # either part may be meant
        for read in (lambda: mask_array(image), lambda: read_mask(tmp_path / "mask.png")):
            with pytest.raises(ValueError, match="whose transparent part"):
                read()
        return
    mask = mask_array(image)
    assert mask is not None and mask[10:20, 5:15].all() and mask.sum() == 100
    np.testing.assert_array_equal(mask, read_mask(tmp_path / "mask.png"))


@pytest.mark.parametrize("wrong", [5, b"mask.png", {"a": 1}])
def test_what_is_no_mask_is_said(wrong: Any) -> None:
    with pytest.raises(ValueError, match="garment_mask: A mask is an array"):
        garment_masks(wrong, [GARMENT])


@pytest.mark.parametrize("wrong", [5, ["a"], [np.full((18, 3), "a")], [np.zeros((17, 3))]])
def test_what_are_no_people_is_said(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"people is a list of keypoints, arrays of shape"):
        joints_of(wrong)


def test_what_are_no_options_is_said() -> None:
    with pytest.raises(ValueError, match="options is a dict, but must be TryOnOptions"):
        options_of({"seed": 1})  # pyright: ignore[reportArgumentType]
